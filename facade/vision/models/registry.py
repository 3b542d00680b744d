"""Find models by name, and their pretrained weights by enum, string or the old ``pretrained=``."""

import fnmatch
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

from facade.hub import load_state_dict_from_url

_BUILDERS: dict[str, Callable] = {}
_WEIGHTS: dict[str, type["Weights"]] = {}


class Weights(Enum):
    """Pretrained weights of one model: each member's value is where to get them.

    Attributes:
        url: The checkpoint; the name holds the first characters of its SHA-256.
        meta: What is known about them.
    """

    @property
    def url(self) -> str:
        return self.value[0]

    @property
    def meta(self) -> dict[str, Any]:
        return self.value[1]

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict:
        """Read the checkpoint by :func:`facade.hub.load_state_dict_from_url`, downloaded once."""
        return load_state_dict_from_url(self.url, *args, **kwargs)

    @classmethod
    def verify(cls, given: Any) -> "Weights | None":
        """Return the member that ``given`` (a member, its name, or None) stands for.

        Raises:
            TypeError: it belongs to another model.
            KeyError: there is no such member.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str):
            return cls[given.rpartition(".")[2]]
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} "
            f"but received {type(given).__name__}."
        )


def register(weights: type[Weights], pretrained: Weights) -> Callable:
    """Make a builder known by name, and let it be called with the old ``pretrained=True``."""

    def decorate(build: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any):
            if args:  # the old first parameter
                kwargs["weights"], *rest = args
                if rest:
                    kwargs["progress"], *_ = rest
            if "pretrained" in kwargs:
                warnings.warn(
                    "The parameter 'pretrained' is deprecated since 0.13 and may be removed in "
                    "the future, please use 'weights' instead.",
                    stacklevel=2,
                )
                kwargs["weights"] = kwargs.pop("pretrained")
            given = kwargs.get("weights")
            if isinstance(given, bool):
                chosen = pretrained if given else None
                warnings.warn(
                    "Arguments other than a weight enum or `None` for 'weights' are deprecated "
                    "since 0.13 and may be removed in the future. The current behavior is "
                    f"equivalent to passing `weights={chosen}`."
                    + (
                        f" You can also use `weights={weights.__name__}.DEFAULT` to get the most "
                        "up-to-date weights."
                        if chosen
                        else ""
                    ),
                    stacklevel=2,
                )
                kwargs["weights"] = chosen
            kwargs["weights"] = weights.verify(kwargs.get("weights"))
            return build(**kwargs)

        call.__name__ = call.__qualname__ = build.__name__
        call.__doc__ = build.__doc__
        call.__wrapped__ = build  # type: ignore[attr-defined]
        _BUILDERS[build.__name__] = call
        _WEIGHTS[build.__name__] = weights
        return call

    return decorate


def list_models(include: str | None = None, exclude: str | None = None) -> list[str]:
    """Return the names of the models, by shell patterns."""
    names = sorted(_BUILDERS)
    if include is not None:
        names = fnmatch.filter(names, include)
    return [n for n in names if exclude is None or not fnmatch.fnmatch(n, exclude)]


def get_model(name: str, **config: Any):
    """Build the model called ``name``.

    Raises:
        ValueError: there is none.
    """
    return _found(_BUILDERS, name)(**config)


def get_model_weights(name: str) -> type[Weights]:
    """Return the enum of a model's weights.

    Raises:
        ValueError: there is no such model.
    """
    return _found(_WEIGHTS, name)


def _found(table: dict, name: str):
    if name.lower() not in table:
        raise ValueError(f"Unknown model {name}")
    return table[name.lower()]

"""Call a module with other parameters and buffers than its own."""

import contextlib
from collections.abc import Iterator
from typing import Any

from facade.nn.module import Module
from facade.tensor import Tensor


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call ``module`` with tensors that take the place of its parameters and buffers.

    Args:
        parameters_and_buffers: By name. What the module writes in place is written to these.
        args: The arguments; anything but a tuple is the only one.
        tie_weights: Also replace what is the same tensor under another name.
        strict: Raise unless all parameters and buffers are given.
    Raises:
        RuntimeError: ``strict``, and names are missing or unknown.
        ValueError: tied names are given different tensors.
    """
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    given = parameters_and_buffers
    if tie_weights:
        given = _with_tied(module, given)
    with _replaced(module, given, strict):
        return module(*args, **kwargs or {})


def _all_tensors(module: Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _with_tied(module: Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    groups: dict[int, list[str]] = {}
    for name, t in _all_tensors(module).items():
        groups.setdefault(id(t), []).append(name)
    found = dict(given)
    for names in groups.values():
        named = [name for name in names if name in given]
        if len(names) < 2 or not named:
            continue
        if len({id(given[name]) for name in named}) != 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(named)}, which are tied. "
                "Consider using tie_weights=False"
            )
        found.update(dict.fromkeys(names, given[named[0]]))
    return found


@contextlib.contextmanager
def _replaced(module: Module, given: dict[str, Tensor], strict: bool) -> Iterator[None]:
    """Let the module have other tensors for a while."""
    known = _all_tensors(module)
    if strict:
        _check_names(module, set(known), given)
    places = [_place(module, name) for name in given if name in known]
    before = [table[name] for table, name in places]
    new = [t for name, t in given.items() if name in known]
    try:
        for (table, name), t in zip(places, new, strict=True):
            table[name] = t
        yield
    finally:
        for (table, name), t in zip(places, before, strict=True):
            table[name] = t


def _check_names(module: Module, known: set[str], given: dict) -> None:
    missing, unexpected = sorted(known - set(given)), sorted(set(given) - known)
    errors = []
    for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            listed = ", ".join(map(repr, names))
            errors.append(f"{kind} key(s): {listed}.")
    if errors:
        raise RuntimeError(
            "Error(s) in reparametrizing for {}:\n\t{}".format(
                module._get_name(), "\n\t".join(errors)
            )
        )


def _place(module: Module, name: str) -> tuple[dict, str]:
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    return (owner._parameters if last in owner._parameters else owner._buffers), last

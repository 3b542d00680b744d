"""Save a module's parameters and buffers by name, and load them again."""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from facade.autograd.grad_mode import no_grad
from facade.hooks import RemovableHandle, add_hook
from facade.nn.parameter import Parameter
from facade.tensor import Tensor

_EXTRA_STATE = "_extra_state"  # the key of what get_extra_state() returns


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find, and found no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class _IncompatibleKeys(IncompatibleKeys):
    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class Stateful:
    """The part of ``Module`` that saves and loads."""

    _version: int = 1  # saved with the state; a layer raises it when its keys change
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    _state_dict_hooks: OrderedDict[int, Callable]
    _state_dict_pre_hooks: OrderedDict[int, Callable]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _load_state_dict_pre_hooks_with_module: OrderedDict[int, bool]
    _load_state_dict_post_hooks: OrderedDict[int, Callable]

    # ---- extra state ----

    def get_extra_state(self) -> Any:
        """Return what else the state dict should hold; override it with `set_extra_state`."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called."
        )

    # ---- saving ----

    def state_dict(
        self,
        *args,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Return all parameters and persistent buffers under their full names.

        Args:
            destination: A dict to fill and return instead of a new one.
            prefix: Put before every name.
            keep_vars: Return the parameters themselves, not detached tensors that share storage.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            named = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = named["destination"] if destination is None else destination
            prefix = prefix or named.get("prefix", "")
            keep_vars = keep_vars or named.get("keep_vars", False)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata  # type: ignore[attr-defined]
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        return self._after_saving(destination, prefix, local_metadata)

    def _save_to_state_dict(self, destination, prefix: str, keep_vars: bool) -> None:
        """Put this module's own state, without its children's, into ``destination``."""
        for name, tensor in self._own_state():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if tensor is not None and name not in self._non_persistent_buffers_set:
                yield name, tensor

    def _after_saving(self, destination, prefix: str, local_metadata) -> dict[str, Any]:
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            if result is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = result
        return destination

    # ---- loading ----

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy ``state_dict`` into the parameters and buffers of this module and its children.

        Args:
            strict: Whether missing and unexpected keys are errors.
            assign: Take the given tensors themselves, with their dtype and device.
        Returns:
            The missing and the unexpected keys.
        Raises:
            RuntimeError: keys do not match (with ``strict``), or a shape does not.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        loading = _Loading(getattr(state_dict, "_metadata", None), assign)
        loading.load(self, _shallow_copy(state_dict))
        errors = loading.error_msgs
        if strict:
            errors = [
                *_key_error("Missing", loading.keys.missing_keys),
                *_key_error("Unexpected", loading.keys.unexpected_keys),
                *errors,
            ]
        if errors:
            lines = "\n\t".join(errors)
            name = type(self).__name__
            raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t{lines}")
        return loading.keys

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own state, without its children's; report into the three lists."""
        arguments = (
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs,
        )  # fmt: skip
        for id, hook in self._load_state_dict_pre_hooks.items():
            module = (self,) if id in self._load_state_dict_pre_hooks_with_module else ()
            hook(*module, *arguments)
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = dict(self._own_state())
        for name, current in own.items():
            key = prefix + name
            if key in state_dict:
                error = self._load_tensor(name, key, current, state_dict[key], assign)
                if error is not None:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)
        expected = {prefix + name for name in own}
        extra_key = prefix + _EXTRA_STATE
        if type(self).set_extra_state is not Stateful.set_extra_state:
            expected.add(extra_key)
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        if strict:
            unexpected_keys.extend(self._unexpected(state_dict, prefix, expected))

    def _unexpected(self, state_dict, prefix: str, expected: set[str]) -> Iterator[str]:
        for key in state_dict:
            if not key.startswith(prefix):
                continue
            child, dot, _ = key[len(prefix) :].partition(".")
            if child not in self._modules if dot else key not in expected:
                yield key

    def _load_tensor(self, name: str, key: str, current, value, assign: bool) -> str | None:
        """Load one parameter or buffer; return PyTorch's message if that fails."""
        if not isinstance(value, Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(value)}"
            )
        if current.dim() == 0 and value.shape == (1,):
            value = value[0]  # checkpoints of very old versions
        if value.shape != current.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {value.shape} from "
                f"checkpoint, the shape in current model is {current.shape}."
            )
        if current.is_meta and not value.is_meta and not assign:
            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a meta "
                "parameter in the current model, which is a no-op. (Did you mean to pass "
                "`assign=True` to assign items in the state dictionary to their corresponding key "
                "in the module instead of copying them in place?)",
                stacklevel=2,
            )
        try:
            with no_grad():
                if assign:
                    setattr(self, name, _assignable(current, value))
                else:
                    current.copy_(value)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{current.size()} and whose dimensions in the checkpoint are {value.size()}, an "
                f"exception occurred : {error.args}."
            )
        return None

    # ---- hooks ----

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the module's state is saved."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after saving."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return add_hook(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As `register_state_dict_post_hook`, but what ``hook`` returns replaces the dict."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, *arguments of _load_from_state_dict)`` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        flags = ((self._load_state_dict_pre_hooks_with_module, with_module),)
        return add_hook(self._load_state_dict_pre_hooks, hook, flags=flags)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may edit the lists."""
        return add_hook(self._load_state_dict_post_hooks, hook)


class _Loading:
    """One ``load_state_dict``: what to load, and the problems met so far."""

    def __init__(self, metadata: Mapping[str, dict] | None, assign: bool):
        self.metadata, self.assign = metadata, assign
        self.keys = _IncompatibleKeys([], [])
        self.error_msgs: list[str] = []

    def load(self, module: Stateful, state_dict: dict[str, Any], prefix: str = "") -> None:
        """Load ``module`` and its children from the keys that start with ``prefix``."""
        local_metadata = dict((self.metadata or {}).get(prefix[:-1], {}))
        if self.assign:
            local_metadata["assign_to_params_buffers"] = True
        # Strict here collects the keys; whether they are errors is decided at the end.
        module._load_from_state_dict(
            state_dict, prefix, local_metadata, True, *self.keys, self.error_msgs
        )
        for name, child in module._modules.items():
            if child is not None:
                inner = f"{prefix}{name}."
                below = {k: v for k, v in state_dict.items() if k.startswith(inner)}
                self.load(child, below, inner)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, self.keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )


def _shallow_copy(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return a copy that hooks may change, with the metadata that goes along."""
    copy = OrderedDict(state_dict)
    if hasattr(state_dict, "_metadata"):
        copy._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return copy


def _key_error(kind: str, keys: list[str]) -> Iterator[str]:
    if keys:
        names = ", ".join(f'"{key}"' for key in keys)
        yield f"{kind} key(s) in state_dict: {names}. "


def _assignable(current: Tensor, value: Tensor) -> Tensor:
    """Return ``value`` as the kind of tensor that ``current`` is."""
    if not isinstance(current, Parameter):
        return value
    if isinstance(value, Parameter):
        return value.requires_grad_(current.requires_grad)
    return Parameter(value, requires_grad=current.requires_grad)

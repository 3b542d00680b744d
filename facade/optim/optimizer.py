"""Optimizer: parameter groups, state, hooks; what every optimizer has besides its update rule."""

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from facade import dtypes
from facade.hooks import RemovableHandle, add_hook
from facade.program import flush
from facade.storage import Storage
from facade.tape import Tape, state
from facade.tensor import Tensor
from facade.typename import typename

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]

_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_post_hooks: OrderedDict[int, Callable] = OrderedDict()

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _Required:
    """The default of an option that every parameter group must give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before the step of any optimizer."""
    return add_hook(_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after the step of any optimizer."""
    return add_hook(_post_hooks, hook)


class Optimizer:
    """Base class of all optimizers.

    A subclass defines ``step``. When a step ends, everything recorded for it runs: forward,
    backward and update are one program.

    Args:
        params: Tensors, ``(name, tensor)`` pairs, or a dict per parameter group.
        defaults: The options that a parameter group does not give itself.

    Attributes:
        param_groups: A dict per group: ``params`` and the options.
        state: What the optimizer keeps about each parameter.
    """

    _optimizer_step_pre_hooks: OrderedDict[int, Callable]
    _optimizer_step_post_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._prepare()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {typename(params)}"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _prepare(self) -> None:
        """Make the hook tables, and the class's ``step`` one that calls them."""
        for name in _HOOK_TABLES:
            self.__dict__.setdefault(name, OrderedDict())
        step = type(self).step
        if not getattr(step, "hooked", False):
            type(self).step = _hooked(step)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        groups = ""
        for i, group in enumerate(self.param_groups):
            options = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            groups += f"\nParameter Group {i}\n{''.join(options)}"
        return f"{type(self).__name__} ({groups})"

    # ---- steps ----------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once.

        Args:
            closure: Evaluates the model again and returns the loss.
        """
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def _run_recorded(self) -> None:
        """Run what was recorded for this step, if the graph does not go on through it."""
        if self.defaults.get("differentiable") or type(state.tape) is not Tape:
            return
        for group in self.param_groups:
            for p in group["params"]:
                cell = p._cell
                tape = cell.tape if type(cell) is Storage else cell.storage.tape
                if tape is not None:
                    flush(tape)

    # ---- parameter groups -----------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its options.

        Raises:
            TypeError: it is no dict of ordered tensors.
            ValueError: a parameter is no leaf or is in a group already; an option is missing.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _unpack_params(param_group)
        params = param_group["params"]
        for p in params:
            self._check_param(p)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        named = "param_names" in param_group
        if any(("param_names" in group) != named for group in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with names' if named else 'without names'} to the optimizer"
            )
        known = {p for group in self.param_groups for p in group["params"]}
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def _check_param(self, p) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {typename(p)}"
            )
        if not (self.defaults.get("differentiable") or p.is_leaf or p.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor")

    # ---- state dict -----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"state": ..., "param_groups": ...}``, parameters replaced by their numbers."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups, first = [], 0
        for group in self.param_groups:
            numbers = {id(p): i for i, p in enumerate(group["params"], first)} | numbers
            first += len(group["params"])
            packed = {k: v for k, v in group.items() if k != "params"}
            groups.append(packed | {"params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(k)] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            result = result if replaced is None else replaced
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that :meth:`state_dict` returned, cast to the parameters' dtypes.

        Raises:
            ValueError: its groups are not as many, or not as long, as this optimizer's.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        loaded = copy.deepcopy(state_dict["param_groups"])
        _check_groups(self.param_groups, loaded)
        params = {}
        for group, new in zip(self.param_groups, loaded, strict=True):
            params.update(zip(new["params"], group["params"], strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = self._adapt(params[key], value, key, loaded)
            else:
                state[key] = value
        for group, new in zip(self.param_groups, loaded, strict=True):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": loaded})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _adapt(self, param: Tensor, value, param_id, groups: list, key=None):
        """Return a loaded value with all tensors in it on ``param``'s device, of its dtype."""
        if isinstance(value, Tensor):
            return self._process_value_according_to_param_policy(
                param, value, param_id, groups, key
            )
        if isinstance(value, dict):
            return {k: self._adapt(param, v, param_id, groups, k) for k, v in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, str):
            return type(value)(self._adapt(param, v, param_id, groups) for v in value)  # type: ignore[call-arg]
        return value

    @staticmethod
    def _process_value_according_to_param_policy(
        param: Tensor, value: Tensor, param_id, param_groups: list, key=None
    ) -> Tensor:
        if key == "step":  # counts in float32 whatever the parameter is; where, is an option
            own: dict = next((g for g in param_groups if param_id in g["params"]), {})
            if own.get("fused") or own.get("capturable"):
                return value.to(dtype=dtypes.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    # ---- hooks ----------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before a step; it may return new arguments."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after a step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before :meth:`state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` on what :meth:`state_dict` made."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before :meth:`load_state_dict`."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after :meth:`load_state_dict`."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)


def _hooked(step: Callable) -> Callable:
    """Return ``step`` with the hooks around it, and the run of what was recorded after it."""

    @functools.wraps(step)
    def wrapper(*args, **kwargs):
        self = args[0]
        before, after = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        for hook in (*_pre_hooks.values(), *before.values()) if before or _pre_hooks else ():
            result = hook(self, args, kwargs)
            if result is None:
                continue
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{result}."
                )
            args, kwargs = result
        out = step(*args, **kwargs)
        for hook in (*after.values(), *_post_hooks.values()) if after or _post_hooks else ():
            hook(self, args, kwargs)
        self._run_recorded()
        return out

    wrapper.hooked = True  # type: ignore[attr-defined]
    return wrapper


def _unpack_params(group: dict[str, Any]) -> None:
    """Make ``group["params"]`` a list of tensors; names that came with them go beside it."""
    params = group["params"]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    params = [params] if isinstance(params, Tensor) else list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    group["params"] = [p[1] if isinstance(p, tuple) else p for p in params]
    if not names:
        return
    if len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    group["param_names"] = names


def _check_groups(own: list[dict], loaded: list[dict]) -> None:
    if len(own) != len(loaded):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(len(a["params"]) != len(b["params"]) for a, b in zip(own, loaded, strict=True)):
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size of "
            "optimizer's group"
        )

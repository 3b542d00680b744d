"""Functions that run around a module's forward and backward, for one module or for all."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from facade.autograd.grad_mode import is_grad_enabled
from facade.functions.creation import zeros
from facade.graph import PythonNode
from facade.hooks import RemovableHandle, add_hook
from facade.tensor import Tensor

# ---- hooks of all modules ----

_global_buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
_global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
_global_backward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_backward_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_module_buffer_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` at every registration; it may return another buffer."""
    return add_hook(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` at every registration; it may return another."""
    return add_hook(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` at every registration; it may return another."""
    return add_hook(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's forward, before its own hooks."""
    return add_hook(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after every module's forward, before its own hooks."""
    flags = (
        (_global_forward_hooks_with_kwargs, with_kwargs),
        (_global_forward_hooks_always_called, always_call),
    )
    return add_hook(_global_forward_hooks, hook, flags=flags)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return add_hook(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    return add_hook(_global_backward_hooks, hook)


def replaced_by_hooks(hooks: OrderedDict[int, Callable], module, name: str, value):
    """Return ``value`` after the registration hooks, each of which may replace it."""
    for hook in hooks.values():
        replacement = hook(module, name, value)
        if replacement is not None:
            value = replacement
    return value


# ---- hooks of one module ----


class Hookable:
    """The part of ``Module`` that hooks belong to."""

    _forward_pre_hooks: OrderedDict[int, Callable]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks: OrderedDict[int, Callable]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _backward_pre_hooks: OrderedDict[int, Callable]
    _backward_hooks: OrderedDict[int, Callable]
    _is_full_backward_hook: bool | None = None  # what `_backward_hooks` are; None while none are

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward; what it returns replaces the arguments.

        With ``with_kwargs``, ``hook(module, args, kwargs)`` returns None or a pair of both.
        """
        flags = ((self._forward_pre_hooks_with_kwargs, with_kwargs),)
        return add_hook(self._forward_pre_hooks, hook, prepend=prepend, flags=flags)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward; what it returns replaces the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``; with ``always_call`` it
        is called even where forward raises.
        """
        flags = (
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
        )
        return add_hook(self._forward_hooks, hook, prepend=prepend, flags=flags)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the module's backward.

        What it returns replaces ``grad_output``.
        """
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` after the module's backward.

        What it returns replaces ``grad_input``.
        """
        return self._add_backward_hook(hook, full=True, prepend=prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` after the node of the module's output.

        Deprecated in favour of `register_full_backward_hook`: the gradients are those of the last
        operation in the module.
        """
        return self._add_backward_hook(hook, full=False)

    def _add_backward_hook(self, hook, full: bool, prepend: bool = False) -> RemovableHandle:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = full
        return add_hook(self._backward_hooks, hook, prepend=prepend)


# ---- a call with hooks ----


def call_with_hooks(module, args: tuple, kwargs: dict[str, Any]):
    """Run ``module.forward`` with the hooks of all modules, then its own, around it."""
    call = _HookedCall(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.run_always_called()
        raise


class _HookedCall:
    """One call of a module: arguments and result as the hooks leave them."""

    def __init__(self, module, args: tuple, kwargs: dict[str, Any]):
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def run(self):
        module = self.module
        # Collected first: hooks that the forward hooks register are for the next call.
        pre_hooks = [*_global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        hooks, own = list(_global_backward_hooks.values()), list(module._backward_hooks.values())
        if module._is_full_backward_hook:
            hooks, own = hooks + own, []
        for id, hook in (*_global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
            self._before(hook, id in module._forward_pre_hooks_with_kwargs)
        backward = _BackwardHooks(module, pre_hooks, hooks) if pre_hooks or hooks else None
        if backward:
            self.args = backward.watch_inputs(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        for id, hook, _ in self._forward_hooks():
            self._after(id, hook)
        if backward:
            self.result = backward.watch_outputs(self.result)
        if own:
            _hook_last_node(module, own, self.args, self.result)
        return self.result

    def _forward_hooks(self) -> list[tuple[int, Callable, str]]:
        return [
            *((id, hook, "global module") for id, hook in _global_forward_hooks.items()),
            *((id, hook, "module") for id, hook in self.module._forward_hooks.items()),
        ]

    def _before(self, hook: Callable, with_kwargs: bool) -> None:
        if not with_kwargs:
            replacement = hook(self.module, self.args)
            if replacement is not None:
                self.args = replacement if isinstance(replacement, tuple) else (replacement,)
            return
        replacement = hook(self.module, self.args, self.kwargs)
        if replacement is None:
            return
        if not (isinstance(replacement, tuple) and len(replacement) == 2):
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but got {replacement}."
            )
        self.args, self.kwargs = replacement

    def _after(self, id: int, hook: Callable) -> None:
        self.called.add(id)
        own, shared = self.module._forward_hooks_with_kwargs, _global_forward_hooks_with_kwargs
        kwargs = (self.kwargs,) if id in own or id in shared else ()
        replacement = hook(self.module, self.args, *kwargs, self.result)
        if replacement is not None:
            self.result = replacement

    def run_always_called(self) -> None:
        """Call the hooks that asked for it and were not reached; their errors become warnings."""
        own, shared = self.module._forward_hooks_always_called, _global_forward_hooks_always_called
        for id, hook, owner in self._forward_hooks():
            if id in self.called or not (id in own or id in shared):
                continue
            try:
                self._after(id, hook)
            except Exception as error:
                warnings.warn(
                    f"{owner} forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error!s}",
                    stacklevel=4,
                )


class _Watch(PythonNode):
    """The identity on tensors, whose backward lets a function see and replace the gradients."""

    def __init__(self, tensors: list[Tensor], on_gradients: Callable[[list], list]):
        edges = tuple((t._node, t._number) if t.requires_grad else None for t in tensors)
        super().__init__(edges, tuple(t._aval for t in tensors))
        self.on_gradients = on_gradients

    def backward(self, cotangents: list, create_graph: bool) -> list:
        return self.on_gradients(cotangents)

    def name(self) -> str:
        return "BackwardHookFunctionBackward"

    def output(self, tensor: Tensor, number: int) -> Tensor:
        """Return the tensor that stands for input ``number`` after this node."""
        if not tensor.requires_grad:
            return tensor
        # A storage of its own, so that a write to it is none to the input. The copy costs nothing:
        # a compiled program has no such thing.
        copy = tensor.detach().clone()
        copy._node, copy._number = self, number
        return copy


def _watched(values: tuple, on_gradients: Callable, *, materialize: bool) -> tuple[tuple, bool]:
    """Return ``values`` with every tensor watched, and whether there was a gradient to watch.

    Args:
        on_gradients: Takes and returns a tuple of one gradient (or None) for each of ``values``.
        materialize: Whether a gradient that is not there counts as zeros.
    """
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    tensors: list[Tensor] = [values[i] for i in positions]
    if not (is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return values, False
    kinds = [{"size": t.shape, "dtype": t.dtype, "device": t.device} for t in tensors]

    def on_tensor_gradients(gradients: list) -> list:
        spread: list = [None] * len(values)
        for i, gradient, kind in zip(positions, gradients, kinds, strict=True):
            spread[i] = zeros(**kind) if gradient is None and materialize else gradient
        result = on_gradients(tuple(spread))
        return [result[i] for i in positions]

    node = _Watch(tensors, on_tensor_gradients)
    result = list(values)
    for number, i in enumerate(positions):
        result[i] = node.output(values[i], number)
    return (tuple(result) if type(values) is tuple else type(values)(*result)), True


class _BackwardHooks:
    """The backward hooks of one call: they see gradients as these pass outputs, then inputs."""

    def __init__(self, module, pre_hooks: list[Callable], hooks: list[Callable]):
        self.module, self.pre_hooks, self.hooks = module, pre_hooks, hooks
        self.grad_outputs: tuple | None = None
        self.n_inputs = 0
        self.inputs_watched = False

    def watch_inputs(self, args: tuple) -> tuple:
        """Return ``args`` with tensors that report their gradients."""
        self.n_inputs = len(args)
        args, self.inputs_watched = _watched(args, self._at_inputs, materialize=True)
        return args

    def watch_outputs(self, result):
        """Return ``result`` with tensors that report their gradients."""
        if isinstance(result, tuple):
            return _watched(result, self._at_outputs, materialize=False)[0]
        if not isinstance(result, Tensor):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=5,
            )
        return _watched((result,), self._at_outputs, materialize=False)[0][0]

    def _at_outputs(self, gradients: tuple) -> tuple:
        for hook in self.pre_hooks:
            result = hook(self.module, gradients)
            gradients = _replacement(result, gradients, "pre hook", "grad_output")
        if self.inputs_watched:
            self.grad_outputs = gradients
        else:
            self._call_without_inputs(gradients)
        return gradients

    def _at_inputs(self, gradients: tuple) -> tuple:
        if self.grad_outputs is None:  # the outputs took no part in this backward
            return gradients
        for hook in self.hooks:
            result = hook(self.module, gradients, self.grad_outputs)
            gradients = _replacement(result, gradients, "hook", "grad_input")
        self.grad_outputs = None
        return gradients

    def _call_without_inputs(self, grad_outputs: tuple) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        for hook in self.hooks:
            result = hook(self.module, (None,) * self.n_inputs, grad_outputs)
            if result is None or (isinstance(result, tuple) and all(g is None for g in result)):
                continue
            raise RuntimeError(
                "Backward hook for Modules where no input requires gradient should always return "
                "None or None for all gradients."
            )


def _hook_last_node(module, hooks: list[Callable], args, result) -> None:
    """Put old-style backward hooks on the node of a module's (first) output."""
    first = result
    while not isinstance(first, Tensor):
        if isinstance(first, dict):
            first = next(v for v in first.values() if isinstance(v, Tensor))
        else:
            first = first[0]
    node = first.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(partial(hook, module))
    missing = _unseen(node, args, result)
    if missing:
        warnings.warn(missing, FutureWarning, stacklevel=5)


def _unseen(node, args, result) -> str:
    """Return the warning about gradients that an old-style hook can't see, "" if it sees all."""
    results, inputs = (x if isinstance(x, tuple) else (x,) for x in (result, args))
    if not all(isinstance(r, Tensor) for r in results):
        return _MISSING.format("on a Module that does not return a", "output") + _INSTEAD
    if not all(isinstance(x, Tensor) for x in inputs):
        return _MISSING.format("on a Module that does not take as input a", "input") + _INSTEAD
    if len({r.grad_fn for r in results} - {None}) > 1:
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            "is deprecated and will be removed in future versions. This hook will be missing some "
            f"grad_output.{_INSTEAD}"
        )
    if {x.grad_fn for x in inputs} - {None} != {n for n, _ in node.next_functions}:
        return (
            "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
            "deprecated and will be removed in future versions. This hook will be missing some "
            f"grad_input.{_INSTEAD}"
        )
    return ""


_MISSING = (
    "Using non-full backward hooks {} single Tensor or a tuple of Tensors is deprecated and will "
    "be removed in future versions. This hook will be missing some of the grad_{}."
)
_INSTEAD = " Please use register_full_backward_hook to get the documented behavior."


def _replacement(result, gradients: tuple, hook: str, name: str) -> tuple:
    """Return what a hook's result means: None keeps the gradients as they are."""
    if result is None:
        return gradients
    if len(result) != len(gradients):
        raise RuntimeError(
            f"Backward {hook} returned an invalid number of {name}, got {len(result)}, "
            f"but expected {len(gradients)}"
        )
    return result

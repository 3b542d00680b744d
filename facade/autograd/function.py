"""torch.autograd.Function: an operation whose backward the user writes in Python."""

import functools
import inspect
import re
import warnings
import weakref
from typing import Any

import numpy as np

from facade.autograd.anomaly_mode import mode as anomaly
from facade.autograd.anomaly_mode import warn
from facade.autograd.engine import SECOND_TIME, own
from facade.autograd.grad_mode import no_grad
from facade.autograd.saved import hooks_for_saved, may_be_written
from facade.graph import AccumulateGrad, PythonNode
from facade.recording import wrap
from facade.storage import Storage, View
from facade.tape import state
from facade.tensor import Tensor


class FunctionCtx:
    """What ``forward`` leaves for ``backward``; users put further attributes on it.

    Attributes:
        needs_input_grad: Per argument of ``apply``, whether its gradient is wanted.
    """

    needs_input_grad: tuple[bool, ...] = ()
    to_save: tuple | None = None
    saved_for_forward: tuple | None = None
    non_differentiable: tuple | None = None
    dirty_tensors: tuple | None = None
    _materialize_grads = True
    _saved: Any = None  # what stands for `to_save` once forward has returned
    _freed = False

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``backward``, which finds them as :attr:`saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise AssertionError(
                    "save_for_forward expects all arguments to be tensors; you should "
                    "save non-tensors as attributes on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs ``forward`` has written to; each must be among its results."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which results have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether a gradient that doesn't exist is given to ``backward`` as zeros, not None."""
        self._materialize_grads = value

    @property
    def saved_tensors(self) -> tuple:
        """The tensors saved.

        Raises:
            RuntimeError: they were freed, or written to since.
        """
        if self._freed:
            raise RuntimeError(SECOND_TIME)
        if self._saved is None:
            return self.saved_for_forward or ()
        return tuple(None if s is None else s.unpack() for s in self._saved)

    @property
    def _raw_saved_tensors(self) -> tuple:
        """The tensors saved, as :class:`SavedTensor`."""
        if self._freed:
            raise RuntimeError(SECOND_TIME)
        return tuple(self._saved or ())


BackwardCFunction = FunctionCtx  # the name of the class of contexts in PyTorch


class SavedTensor:
    """One tensor kept for ``backward``, or what the user's hooks make of it.

    A result of the function is kept without its node, which would hold it in turn.
    """

    def __init__(self, tensor: Tensor, node: Any) -> None:
        if tensor.is_inference():
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created "
                "in inference mode in computation tracked by autograd. To work around this, you "
                "can make a clone to get a normal tensor and use it in autograd, or use "
                "`torch.no_grad()` instead of `torch.inference_mode()`."
            )
        if may_be_written():
            tensor = wrap(own(tensor)._cell, tensor._aval, tensor._node, tensor._number)
        self.version = tensor._version
        self.own_node: Any = None
        self.hooks: Any = hooks_for_saved()
        if node is not None and tensor._node is node:
            self.own_node, self.number = weakref.ref(node), tensor._number
            tensor = wrap(tensor._cell, tensor._aval)
        self.held: Any = tensor
        if self.hooks is not None:
            self._pack()

    def register_hooks(self, pack_hook, unpack_hook) -> None:
        """Keep ``pack_hook(tensor)`` instead, and give ``unpack_hook`` of it to ``backward``."""
        if self.hooks is not None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. "
                "Hint: only one pair of hooks is allowed at a time."
            )
        self.hooks = pack_hook, unpack_hook
        self._pack()

    def _pack(self) -> None:
        node, number = self.history = self.held._node, self.held._number
        if self.own_node is not None:
            node, number = self.own_node(), self.number
        given = wrap(self.held._cell, self.held._aval, node, number)
        version = given._version
        was, state.grad = state.grad, False
        try:
            self.held = self.hooks[0](given)
        finally:
            state.grad = was
        if given._version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook."
            )

    def unpack(self) -> Tensor:
        t = self.held
        if self.hooks is not None:
            t = self.hooks[1](t)
            if not isinstance(t, Tensor):
                raise TypeError(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                    f"type {type(t).__name__}"
                )
            if self.own_node is None:
                return wrap(t._cell, t._aval, *self.history)
        elif t._version != self.version:
            raise RuntimeError(self._written())
        if self.own_node is None:
            return t
        return wrap(t._cell, t._aval, self.own_node(), self.number)

    def _written(self) -> str:
        t = self.held
        node: Any = t._node
        number = t._number
        if self.own_node is not None:
            node, number = self.own_node(), self.number
        kind, origin = f"{t.type()} {list(t.shape)}", ""
        if node is not None and type(node) is not AccumulateGrad:
            name = re.sub(r"Backward\d*$", "", node.name())
            origin = f", which is output {number} of {name},"
        return (
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{kind}]{origin} is at version {t._version}; expected version "
            f"{self.version} instead. Hint: enable anomaly detection to find the operation that "
            "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, "
            "check_nan=False)."
        )


class FunctionNode(PythonNode):
    """The node of a :class:`Function`; attributes of its ``ctx`` are found here, too.

    Attributes:
        context: The ``ctx``.
        tensors: Per edge, the position of its argument.
    """

    _forward_cls: Any = None

    def __init__(self, context: FunctionCtx, arguments: tuple, edges: tuple) -> None:
        self.context = context
        self.count = len(arguments)
        self.tensors = [i for i, x in enumerate(arguments) if isinstance(x, Tensor)]
        super().__init__(edges, ())

    def __getattr__(self, name: str):
        if name == "context":  # not made yet
            raise AttributeError(name)
        return getattr(self.context, name)

    def release(self) -> None:
        self.context._saved, self.context._freed = None, True

    def backward(self, cotangents: list, create_graph: bool) -> list:
        call = _backward_of(self._forward_cls)
        if self.context._materialize_grads:
            cotangents = [
                zeros(a, self.device) if c is None else c
                for c, a in zip(cotangents, self.outputs, strict=True)
            ]
        try:
            result = call(self.context, *cotangents)
        except Exception:
            if anomaly.enabled:
                warn(self)
            raise
        gradients = list(result) if isinstance(result, tuple) else [result]
        while len(gradients) > self.count and gradients[-1] is None:
            gradients.pop()
        if len(gradients) != self.count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {self.count}, got {len(gradients)})"
            )
        return [
            None if edge is None else self._fitting(number, gradients[i], edge)
            for number, (i, edge) in enumerate(zip(self.tensors, self.edges, strict=True))
        ]

    def _fitting(self, number: int, gradient, edge: tuple):
        """Return a gradient in the shape and dtype of what it belongs to."""
        if gradient is None:
            return None
        if not isinstance(gradient, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(gradient).__name__})")
        aval = edge[0].outputs[edge[1]]
        if gradient.shape != aval.shape:
            if not _expands_to(aval.shape, gradient.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {number} - got "
                    f"{list(gradient.shape)} but expected shape compatible with {list(aval.shape)}"
                )
            gradient = gradient.sum_to_size(aval.shape)
        return gradient if gradient.dtype is aval.dtype else gradient.to(aval.dtype)


def zeros(aval, where) -> Tensor:
    """Return zeros of a shape and dtype."""
    return wrap(Storage(aval, where, np.zeros(aval.shape, aval.dtype.numpy)), aval)


def _expands_to(shape, target) -> bool:
    if len(shape) > len(target):
        return False
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return all(a in (1, b) for a, b in pairs)


class _Stored:
    """The parts of a Function that users override; the versions here say what is missing."""

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the results: ``forward(ctx, *args)``, or without ctx if there is a
        ``setup_context``."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        """Fill ``ctx`` after ``forward(*args)`` has run."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return the gradient of each argument, given those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for "
            "your custom autograd.Function to use it with backward "
            "mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Return the tangent of each result, given those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom "
            "autograd.Function to use it with forward mode AD."
        )


class FunctionMeta(type):
    """Gives each Function the class of its nodes: ``ExpBackward`` for ``Exp``."""

    def __init__(cls, name: str, bases: tuple, attributes: dict) -> None:
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(f"{name}Backward", (FunctionNode,), {"_forward_cls": cls})
        cls._context_cls = type(f"{name}Backward", (FunctionCtx,), {"_forward_cls": cls})


class Function(_Stored, metaclass=FunctionMeta):
    """An operation with a derivative of one's own: ``forward`` and ``backward`` are static methods.

    Example:
        >>> class Exp(Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         y = x.exp()
        ...         ctx.save_for_backward(y)
        ...         return y
        ...
        ...     @staticmethod
        ...     def backward(ctx, gradient):
        ...         (y,) = ctx.saved_tensors
        ...         return gradient * y
        >>> y = Exp.apply(x)
    """

    generate_vmap_rule = False
    _backward_cls: type[FunctionNode]
    _context_cls: type[FunctionCtx]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. "
            "Please use new-style autograd function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Say what the operation does to batched arguments; for ``vmap``."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the "
            "vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and give its results ``backward`` as their gradient."""
        ctx = cls._context_cls()
        separate = cls.setup_context is not _Stored.setup_context
        if separate or kwargs:
            bound = inspect.signature(cls.forward).bind(*((ctx,) * (not separate)), *args, **kwargs)
            bound.apply_defaults()
            args = bound.args[not separate :]
        ctx.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)
        plain = "to_jax" if state.tape.pure else "jit"
        if getattr(state.tape, "transform", plain) != "jit":  # JAX differentiates this tape
            return apply_traced(cls, ctx, args, separate)
        edges = tuple((x._node, x._number) if x.requires_grad else None for x in tensors_in(args))
        with no_grad():
            if separate:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        results = result if isinstance(result, tuple) else (result,)
        tracked = state.grad and any(ctx.needs_input_grad)
        node = cls._backward_cls(ctx, args, edges)
        results = _results(ctx, node, args, results, tracked)
        _save(ctx, node)
        return results if isinstance(result, tuple) else results[0]


# (class, ctx, arguments, whether it has a setup_context) -> results; facade.func.custom's
apply_traced: Any = None


class InplaceFunction(Function):
    """A name from before functions could say what they write; see :meth:`Function.mark_dirty`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def tensors_in(arguments) -> list[Tensor]:
    """Return those arguments that are tensors."""
    return [x for x in arguments if isinstance(x, Tensor)]


def _results(ctx: FunctionCtx, node, args: tuple, results: tuple, tracked: bool) -> tuple:
    """Return the results as parts of the graph, in which ``node`` is their backward."""
    dirty = _checked(ctx.dirty_tensors, "mark_dirty can only accept variables, but argument ")
    fixed = _checked(
        ctx.non_differentiable, "mark_non_differentiable only accepts variable arguments, but got "
    )
    given = {id(x) for x in tensors_in(args)}
    if not {id(x) for x in dirty} <= {id(x) for x in results}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function."
        )
    if tracked and any(type(x._node) is AccumulateGrad for x in dirty):
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation."
        )
    written = {id(x) for x in dirty}
    constant = {id(x) for x in fixed}
    made, avals = [], []
    for x in results:
        if not isinstance(x, Tensor):
            made.append(x)
            avals.append(None)
            continue
        aval = x._aval
        avals.append(aval)
        if id(x) in given and id(x) not in written:
            x = wrap(_alias(x), aval)
        known = aval.dtype.is_floating_point or aval.dtype.is_complex
        if id(x) in constant or not known:
            x._node = None if id(x) in constant else x._node
        elif tracked:
            _belong(x, node, len(avals) - 1, id(x) in written)
        made.append(x)
    node.outputs = tuple(avals)
    node.device = next((x.device for x in tensors_in(results)), None)
    return tuple(made)


def _checked(tensors: tuple | None, message: str) -> list[Tensor]:
    """Return tensors marked by the user.

    Raises:
        RuntimeError: one is none; ``message`` is all that PyTorch says.
    """
    if any(not isinstance(x, Tensor) for x in tensors or ()):
        raise RuntimeError(message)
    return list(tensors or ())


def _alias(x: Tensor):
    """Return a cell that shares the storage and has no part in its history."""
    return x.detach()._cell


def _belong(x: Tensor, node, number: int, written: bool) -> None:
    """Make ``node`` the history of a tensor."""
    if type(x._cell) is View and x._cell.base is not None:
        if written:  # the base has part in the history, too
            value = own(x.detach())
            value._node, value._number = node, number
            x.write(value)
            return
        x._cell = _alias(x)  # the history is the node's, not that of the base
    x._node, x._number = node, number


def _save(ctx: FunctionCtx, node) -> None:
    for i, t in enumerate(ctx.to_save or ()):
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(
                "save_for_backward can only save variables, but argument "
                f"{i} is of type {type(t).__name__}"
            )
    if ctx.to_save is None:
        return
    ctx._saved = [None if t is None else SavedTensor(t, node) for t in ctx.to_save]
    ctx.to_save = None


def _backward_of(cls):
    own = [f for f in (cls.backward, cls.vjp) if f is not _Stored.backward]
    if len(own) == 2:
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom "
            "Function is not allowed. You should only implement one "
            "of them."
        )
    return own[0] if own else cls.backward


class Error(PythonNode):
    """The node of gradients that can't be differentiated again."""

    def backward(self, cotangents: list, create_graph: bool) -> list:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )

    def name(self) -> str:
        return "torch::autograd::Error"


def once_differentiable(fn):
    """Decorate a ``backward`` that is not differentiable itself: differentiating it then raises."""

    @functools.wraps(fn)
    def wrapper(ctx, *args, **kwargs):
        with no_grad():
            outputs = fn(ctx, *args, **kwargs)
        if not (state.grad and any(x.requires_grad for x in tensors_in(args))):
            return outputs
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        made = [_refusing(x) if isinstance(x, Tensor) else x for x in results]
        return tuple(made) if isinstance(outputs, tuple) else made[0]

    return wrapper


def _refusing(x: Tensor) -> Tensor:
    return wrap(_alias(x), x._aval, Error((), (x._aval,)))


__all__ = [
    "BackwardCFunction", "Function", "FunctionCtx", "FunctionMeta", "FunctionNode",
    "InplaceFunction", "SavedTensor", "once_differentiable",
]  # fmt: skip

"""Make names: put ops and public functions on ``facade`` and on ``Tensor``, in every form."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import jax
import numpy as np

from facade import aten
from facade.casts import LISTED, without_autocast
from facade.ops.elementwise import NO_DERIVATIVE
from facade.ops.registry import OPS, OpSpec
from facade.outs import write_out
from facade.overlap import refuse_overlap
from facade.recording import TensorBase
from facade.storage import View
from facade.tensor import Tensor
from facade.torch_function import copied, lookalike_operator
from facade.underived import underived

FUNCTIONS: dict[str, Callable] = {}  # what `facade` offers

F = TypeVar("F", bound=Callable)

_OPERANDS = (TensorBase, int, float, complex, np.generic, np.ndarray, jax.Array)


@overload
def public(function: F, **options: Any) -> F: ...
@overload
def public(function: None = None, **options: Any) -> Callable[[F], F]: ...
def public(  # pyright: ignore[reportInconsistentOverload] - the options are spelled out once
    function: Callable | None = None,
    *,
    method: bool = True,
    inplace: bool = False,
    out: bool = False,
    aliases: tuple[str, ...] = (),
    name: str | None = None,
    module: bool = True,
) -> Any:
    """Make a function on tensors public under its own name.

    Args:
        method: Also as a method of Tensor; its first parameter is then ``self``.
        inplace: Also as the in-place method ``name_``.
        out: Whether it accepts ``out=``.
        aliases: Other names for all of this.
        name: Its public name, if not the function's own.
        module: Whether ``facade`` itself offers it.
    Raises:
        ValueError: a name is taken.
    """
    if function is None:
        return lambda f: public(
            f, method=method, inplace=inplace, out=out, aliases=aliases, name=name, module=module
        )
    own = name or function.__name__
    if own[:2] == "__" and function.__name__[0] == "_":
        function.__name__ = own
    if "<locals>" in function.__qualname__:  # which Python's messages would show
        function.__qualname__ = function.__name__
    function = with_numpy_names(function)
    offered = with_out(function) if out else function
    for each in (own, *aliases):
        if module:
            _claim(FUNCTIONS, each)
            FUNCTIONS[each] = offered
        if method:
            _set_method(each, function)
        if inplace:
            _set_method(f"{each}_", in_place(function, each))
    return function


def bind_ops() -> None:
    """Bind every declared op, in the forms that its traits name."""
    for spec in OPS.values():
        call = getattr(aten, spec.name)
        written = call
        if spec.grad_name == NO_DERIVATIVE:
            call, written = underived(call, spec.name), underived(call, f"{spec.name}_")
        if spec.public:
            public(
                call,
                method=spec.public in ("both", "method"),
                module=spec.public in ("both", "function"),
                out=spec.out,
                aliases=spec.aliases,
            )
        if spec.inplace:
            for name in (spec.name, *spec.aliases):
                _set_method(f"{name}_", in_place(written, name))
        if spec.operator:
            _bind_operator(spec, call)


# In-place methods that PyTorch offers as functions too
_ALSO_FUNCTIONS = """
    abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil
    celu clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad detach erf erfc exp exp2
    expm1 fix floor frac gcd i0 index_put lcm ldexp log log10 log1p log2 logit nan_to_num neg
    negative rad2deg reciprocal relu resize_as round rrelu rsqrt selu sigmoid sin sinc sinh sqrt
    square tan tanh threshold trunc xlogy
"""


def bind_in_place_functions() -> None:
    """Offer in-place methods as functions of :mod:`facade`, once all are bound."""
    for word in _ALSO_FUNCTIONS.split():
        method = getattr(Tensor, f"{word}_", None)
        if method is not None:
            FUNCTIONS.setdefault(f"{word}_", copied(method))


def _claim(names: Mapping, name: str) -> None:
    if name in names:
        raise ValueError(f"{name} is bound twice")


def _set_method(name: str, function: Callable) -> None:
    _claim(vars(Tensor), name)
    setattr(Tensor, name, copied(function))  # no method is a function of `facade`, as in PyTorch


# In-place functions that write the same to all elements that share a place in memory
_INTO_EXPANDED = {"fill", "index_fill", "index_put", "masked_fill", "tril", "triu", "zero"}
# ... that refuse the written tensor itself as another operand, and that look at no operand
_UNLIKE_THEMSELVES = {
    "index_add", "index_copy", "index_put", "index_reduce", "masked_scatter", "put", "scatter",
    "scatter_add", "scatter_reduce",
}  # fmt: skip
_NOT_LOOKED_AT = {"addbmm", "addmm", "addmv", "addr", "baddbmm"}
# Functions whose out= may share nothing with their operands, and which refuse an expanded one
# even where it would be resized
_APART = {
    "cat", "gather", "index_add", "index_copy", "index_select", "kthvalue", "masked_select", "max",
    "median", "min", "mode", "nanmedian", "scatter", "take", "take_along_dim", "topk",
}  # fmt: skip
_NEVER_EXPANDED = {"index_select", "masked_select", "scatter", "take"}
# Functions that compute in the dtype of their out=
_IN_DTYPE_OF_OUT = {"cumprod", "cumsum", "prod", "sum"}


def in_place(call: Callable, name: str) -> Callable:
    """Return the method that writes ``call``'s result into its first argument."""
    whole, looks = name in _UNLIKE_THEMSELVES, name not in _NOT_LOOKED_AT
    expanded = name in _INTO_EXPANDED
    if name in LISTED:
        call = without_autocast(call)

    def method(self, *args, **kwargs):
        for x in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(x, TensorBase) and looks and _may_overlap(x, self, whole):
                refuse_overlap(self, x, whole)
        return self.write(call(self, *args, **kwargs), expanded)

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"In-place version of :func:`facade.{name}`."
    return method


def _may_overlap(x, written, whole: bool = False) -> bool:
    return type(x._cell) is View or type(written._cell) is View or whole


def with_out(call: Callable) -> Callable:
    """Return ``call`` with an ``out=`` argument."""
    spec = OPS.get(call.__name__)
    elementwise = spec is not None and spec.promotes is not None
    whole, dense = call.__name__ in _APART, elementwise or call.__name__ in _NEVER_EXPANDED

    @functools.wraps(call)
    def function(*args, out: Any = None, **kwargs):
        if out is None:
            return call(*args, **kwargs)
        outs = out if isinstance(out, tuple) else (out,)
        for written in outs if dense or whole else ():
            if dense:
                written.check_unexpanded()
            for x in args[0] if call.__name__ == "cat" else args:
                if isinstance(x, TensorBase) and _may_overlap(x, written, whole):
                    refuse_overlap(written, x, whole)
        if call.__name__ in _IN_DTYPE_OF_OUT:
            kwargs.setdefault("dtype", outs[0].dtype)
        return write_out(call.__name__, out, without_autocast(call)(*args, **kwargs))

    return function


def with_numpy_names(call: Callable) -> Callable:
    """Let a function of ``dim`` be called with numpy's ``axis`` and ``keepdims`` too."""
    if "dim" not in call.__code__.co_varnames[: call.__code__.co_argcount]:
        return call

    @functools.wraps(call)
    def function(*args, **kwargs):
        if kwargs:
            for numpys, ours in (("axis", "dim"), ("keepdims", "keepdim")):
                if numpys in kwargs:
                    kwargs[ours] = kwargs.pop(numpys)
        return call(*args, **kwargs)

    return function


def _bind_operator(spec: OpSpec, call: Callable) -> None:
    word = spec.operator
    unary = len([p for p in spec.operand_params if not p.optional]) == 1 and not spec.static_params
    if unary:
        _set_method(f"__{word}__", call)
        return

    def operator(self, other):
        if isinstance(other, _OPERANDS):
            return call(self, other)
        return lookalike_operator(f"__{word}__", self, other)

    _set_operator(f"__{word}__", operator)
    if word in ("lt", "le", "gt", "ge", "eq", "ne"):
        return
    turned = getattr(aten, spec.reflected) if spec.reflected else None

    def reflected(self, other):
        if not isinstance(self, TensorBase):  # called as a function of the class
            raise TypeError(
                f"descriptor '__r{word}__' for 'torch._C.TensorBase' objects doesn't apply to a "
                f"'{type(self).__name__}' object"
            )
        if not isinstance(other, _OPERANDS):
            return lookalike_operator(f"__r{word}__", self, other)
        return turned(self, other) if turned else call(other, self)

    def augmented(self, other):
        if isinstance(other, TensorBase):
            if _may_overlap(other, self):
                refuse_overlap(self, other)
        elif not isinstance(other, _OPERANDS):
            return lookalike_operator(f"__i{word}__", self, other)
        return self.write(call(self, other))

    _set_operator(f"__r{word}__", reflected)
    _set_operator(f"__i{word}__", augmented)


def _set_operator(name: str, function: Callable) -> None:
    function.__name__ = name
    _set_method(name, function)

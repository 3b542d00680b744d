"""Declare an op once: its implementation, its traits, and how its result is inferred."""

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import jax

from facade import dtypes
from facade.avals import (
    Aval,
    aval,
    channels_last_strides,
    elementwise_strides,
    is_channels_last,
)
from facade.errors import broadcast_shapes

Array = jax.Array  # an operand; takes part in the op's dtype promotion
Raw = Annotated[jax.Array, "raw"]  # an operand that keeps its dtype (a mask, an index)
Scalar = Annotated[Any, "scalar"]  # a Python number, traced: a new value never recompiles
Rule = Any  # a function or None; who calls one knows that the op has it


class Promote(Enum):
    """PyTorch's dtype rules (``torch._prims_common.ELEMENTWISE_TYPE_PROMOTION_KIND``).

    The rule says what the operands are cast to; the result's dtype is what the function returns.
    """

    SAME = "the common dtype"
    FLOAT = "the common dtype, integers becoming the default float"
    LONG = "the common dtype, bool and integers becoming int64"


class Kind(Enum):
    """How the recorder treats a parameter of an op."""

    ARRAY = "operand"
    RAW = "operand, never cast"
    SCALAR = "traced Python number"
    STATIC = "part of the program's key"


@dataclass(frozen=True)
class Param:
    """A parameter of an op, read from the function's annotation."""

    name: str
    kind: Kind
    many: bool  # a tuple of operands
    optional: bool
    annotation: Any


@dataclass(eq=False)
class OpSpec:
    """An op: one pure function on jax arrays, which is also its shape rule and derivative.

    Attributes:
        fn: Arrays and static arguments in, an array or a tuple of arrays out.
        promotes: Dtype rule of its ``Array`` operands; None leaves every operand as it is.
        check: Called like ``fn`` with avals for arrays; raises PyTorch's error. Runs once per
            signature.
        operator: The Python operator it is: ``"add"`` gives ``+``, ``+=`` and reflected ``+``.
        grad_name: ``grad_fn``'s name, or a function that gives it, called like ``check`` with
            those of the arguments that it names.
        inplace: Whether ``name_`` exists.
        out: Whether ``out=`` is accepted.
        overloads: Its signatures as PyTorch lists them, if its operands may be tensors or numbers
            in some combinations only.
        public: Where the name is bound: "both", "function", "method" or "" (called by others).
        strides: For a result laid out in its own way, ``(operands' avals, **static) -> strides``;
            None for row-major order, a list for several results.
        formats: For a result of the memory format of its operands, which ones decide: it is
            channels last if one of them is.
        geometry: For a view, ``(shape, strides, offset), **static -> (shape, strides, offset)``.
        write: For a view, ``(base, value, **static) -> base`` with the viewed elements replaced.
        differentiable: False for ops without a derivative (comparisons, sorting indices).
        memo: Signature -> what was inferred of it.
        signatures: Stands for the op in what is remembered elsewhere of its signatures.
    """

    fn: Callable
    promotes: Promote | None = None
    check: Rule = None
    operator: str | None = None
    reflected: str | None = None
    grad_name: str | Callable | None = None
    inplace: bool = False
    out: bool = False
    overloads: tuple[str, ...] = ()
    public: str = "both"
    aliases: tuple[str, ...] = ()
    strides: Callable | None = None
    formats: tuple[int, ...] = ()
    geometry: Rule = None
    write: Rule = None
    differentiable: bool = True
    name: str = ""
    params: tuple[Param, ...] = ()
    memo: dict = field(default_factory=dict, repr=False)
    signatures: object = field(default_factory=object, repr=False)

    def forget(self) -> None:
        """Infer every signature anew: something that results depend on has changed."""
        self.memo.clear()
        self.signatures = object()

    def __post_init__(self) -> None:
        self.name = self.name or self.fn.__name__
        self.params = tuple(map(_read_param, inspect.signature(self.fn).parameters.values()))

    @property
    def operand_params(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.kind is not Kind.STATIC)

    @property
    def static_params(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.kind is Kind.STATIC)


OPS: dict[str, OpSpec] = {}


def op(fn: Callable | None = None, /, **traits: Any) -> Any:
    """Declare ``fn`` as an op with these :class:`OpSpec` traits; ``fn`` itself is returned.

    Raises:
        ValueError: the name is taken.
    """
    if fn is None:
        return lambda f: op(f, **traits)
    spec = OpSpec(fn, **traits)
    if spec.name in OPS:
        raise ValueError(f"op {spec.name} is declared twice")
    OPS[spec.name] = spec
    return fn


def _read_param(p: inspect.Parameter) -> Param:
    annotation, optional, many = p.annotation, False, False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        optional = len(options) < len(typing.get_args(annotation))
        if len(options) == 1:
            annotation = options[0]
    if typing.get_origin(annotation) is tuple and typing.get_args(annotation)[-1] is ...:
        inner = typing.get_args(annotation)[0]
        if _kind(inner) is not Kind.STATIC:
            annotation, many = inner, True
    return Param(p.name, _kind(annotation), many, optional, p.annotation)


def _kind(annotation) -> Kind:
    if annotation is Array:
        return Kind.ARRAY
    if annotation is Raw:
        return Kind.RAW
    return Kind.SCALAR if annotation is Scalar else Kind.STATIC


class Entry:
    """An op at one signature: what recording and lowering need to know, found by one look-up.

    Hashed by identity, so a program's key holds entries themselves.

    Attributes:
        name: The op's name.
        fn: Flat operands in, a tuple of arrays out; static arguments and casts are inside.
        inputs: Aval per flat operand (None for an absent one).
        outputs: Aval per result.
        single: Whether the op returns one tensor rather than a tuple.
        grad_name: What ``grad_fn`` is called.
        differentiable: Per result, whether it can carry a gradient.
        tracks: Whether any result can.
        view: The declaration, if the results are views of the first operand.
        static: The static arguments by name.
        length: How many ops it stands for: more than one if it is a function that was recorded.
        node_type: The class of its autograd nodes, made on first use.
        cache: What lowering derives from this entry (its pullbacks).
    """

    __slots__ = (
        "cache", "differentiable", "fn", "grad_name", "inputs", "length", "name", "node_type",
        "outputs", "single", "static", "tracks", "view",
    )  # fmt: skip

    def __init__(
        self, name, fn, inputs, outputs, *, single=False, grad_name="", differentiable=True,
        view=None, static=None, length=1,
    ) -> None:  # fmt: skip
        self.name = name
        self.length = length
        self.fn = fn
        self.inputs = inputs
        self.outputs = outputs
        self.single = single
        self.grad_name = grad_name
        self.node_type: Any = None
        self.view: Any = view
        self.static = static or {}
        self.cache: dict = {}
        self.differentiable = tuple(
            differentiable and (a.dtype.is_floating_point or a.dtype.is_complex) for a in outputs
        )
        self.tracks = any(self.differentiable)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.inputs))})"


def _grad_name(spec: OpSpec, arguments: dict) -> str:
    if callable(spec.grad_name):
        named = inspect.signature(spec.grad_name).parameters.values()
        if all(p.kind is not p.VAR_KEYWORD for p in named):
            arguments = {p.name: arguments[p.name] for p in named}
        return spec.grad_name(**arguments)
    return spec.grad_name or backward_name(spec.name)


def backward_name(name: str, overload: int = 0) -> str:
    """Return what PyTorch calls ``grad_fn`` of ``name``, if it has no name of its own."""
    return f"{name.title().replace('_', '')}Backward{overload}"


# infer: (spec, [[aval | number type | None]] per operand parameter, {name: static}) -> Entry
def infer(spec: OpSpec, groups: list, static: dict) -> Entry:
    """Check the operands, apply the dtype rule and infer the result by ``jax.eval_shape``.

    Args:
        groups: Per operand parameter an aval, a Python number's type, None, or a tuple of these.
    Raises:
        Whatever PyTorch raises for these shapes, dtypes and arguments.
    """
    flat, layout = _flatten(spec, groups)
    if spec.promotes is not None and not any(p.many for p in spec.params):
        shape = broadcast_shapes(*(a.shape for a in flat if isinstance(a, Aval)))
    else:
        shape = None
    if spec.check is not None:
        spec.check(**layout(flat), **static)
    casts = _casts(spec, flat, groups)
    single = []

    def fn(*operands):
        cast = [
            x if x is None or to is None or x.dtype == to else x.astype(to)
            for x, to in zip(operands, casts, strict=True)
        ]
        result = spec.fn(**layout(cast), **static)
        single[:] = [not isinstance(result, tuple)]
        return (result,) if single[0] else result

    with jax.enable_x64(True):
        results = jax.eval_shape(fn, *(None if a is None else _struct(a) for a in flat))
    operands = [_as_cast(a, to) for a, to in zip(flat, casts, strict=True) if isinstance(a, Aval)]
    outputs = tuple(
        aval(
            tuple(r.shape),
            dtypes.from_numpy(r.dtype),
            _strides(spec, r, i, shape, operands, static),
        )
        for i, r in enumerate(results)
    )
    inputs = tuple(a if a is None or isinstance(a, Aval) else _number_aval(a) for a in flat)
    return Entry(
        spec.name,
        fn,
        inputs,
        outputs,
        single=single[0],
        grad_name=_grad_name(spec, layout(flat) | static),
        differentiable=spec.differentiable,
        view=spec if spec.geometry is not None else None,
        static=static,
    )


def infer_function(fn: Callable, inputs: list, static: dict) -> Entry:
    """Return the entry of a JAX function that is no declared op.

    Args:
        fn: Flat arrays in, a tuple of arrays out. Its attribute ``length``, if it has one, is the
            number of ops it stands for.
        inputs: An aval, a Python number's type or None per operand.
    """

    def call(*operands):
        return tuple(fn(*operands, **static))

    with jax.enable_x64(True):
        results = jax.eval_shape(call, *(None if a is None else _struct(a) for a in inputs))
    outputs = tuple(aval(tuple(r.shape), dtypes.from_numpy(r.dtype)) for r in results)
    known = tuple(a if a is None or isinstance(a, Aval) else _number_aval(a) for a in inputs)
    name = getattr(fn, "__name__", "function")
    length = getattr(fn, "length", 1)
    return Entry(name, call, known, outputs, grad_name=backward_name(name), length=length)


def _as_cast(a: Aval, to) -> Aval:
    """Return an operand with the strides that its copy in another dtype has, if it needs one."""
    if to is None or a.dtype.numpy == to or a.contiguous:
        return a
    return aval(a.shape, a.dtype, elementwise_strides(a.shape, [a]))


def _strides(spec: OpSpec, result, number: int, shape, operands: list, static: dict):
    """Return the strides of one result, None for contiguous."""
    if spec.geometry is not None:
        return _view_geometry(spec, operands[0], number, static)[1]
    if spec.strides is not None:
        found = spec.strides(operands, **static)
        return found[number] if isinstance(found, list) else found
    if spec.formats and result.ndim in (4, 5):
        channels_last = any(is_channels_last(operands[i]) for i in spec.formats)
        return channels_last_strides(tuple(result.shape)) if channels_last else None
    if shape is not None and result.shape == shape:
        return elementwise_strides(shape, operands)
    return None


def _view_geometry(
    spec: OpSpec, base: Aval, number: int, static: dict, scalars: dict | None = None
):
    zeros = {p.name: 0 for p in spec.params if p.kind is Kind.SCALAR}
    found = spec.geometry(base.shape, base.strides, 0, **zeros | (scalars or {}), **static)
    return found[number] if isinstance(found, list) else found


def _flatten(spec: OpSpec, groups: list):
    """Return the operands in a row, and the function that puts a row back under its names."""
    flat, slices = [], []
    for p, group in zip(spec.operand_params, groups, strict=True):
        start = len(flat)
        flat.extend(group if p.many else (group,))
        slices.append((p.name, slice(start, len(flat)) if p.many else start))

    def layout(row):
        return {n: tuple(row[s]) if isinstance(s, slice) else row[s] for n, s in slices}

    return flat, layout


def _casts(spec: OpSpec, flat: list, groups: list) -> list:
    """Return the numpy dtype each flat operand is cast to, None where it keeps its own."""
    kinds = []
    for p, group in zip(spec.operand_params, groups, strict=True):
        kinds.extend([p.kind] * (len(group) if p.many else 1))
    if spec.promotes is None:
        # a number next to tensors becomes what it would be as a tensor
        return [
            dtypes.of_number(a).numpy if isinstance(a, type) and k is Kind.ARRAY else None
            for a, k in zip(flat, kinds, strict=True)
        ]
    promoted = [a for a, k in zip(flat, kinds, strict=True) if k is Kind.ARRAY and a is not None]
    common = promote(spec.promotes, promoted).numpy
    return [common if k in (Kind.ARRAY, Kind.SCALAR) else None for k in kinds]


def promote(rule: Promote, operands: list) -> dtypes.dtype:
    """Return the dtype that ``rule`` casts these avals and number types to."""
    avals = [a for a in operands if isinstance(a, Aval)]
    common = dtypes.result_type(
        [a.dtype for a in avals if a.ndim],
        [a.dtype for a in avals if not a.ndim],
        [dtypes.of_number(a) for a in operands if isinstance(a, type)],
    )
    integral = not (common.is_floating_point or common.is_complex)
    if rule is Promote.FLOAT and integral:
        return dtypes.get_default_dtype()
    if rule is Promote.LONG and integral:
        return dtypes.int64
    return common


def _number_aval(kind: type) -> Aval:
    wide = {float: dtypes.float64, complex: dtypes.complex128}.get(kind, dtypes.int64)
    return aval((), wide)


def _struct(a):
    known = a if isinstance(a, Aval) else _number_aval(a)
    return jax.ShapeDtypeStruct(known.shape, known.dtype.numpy)


__all__ = [
    "OPS", "Array", "Entry", "Kind", "OpSpec", "Param", "Promote", "Raw", "Scalar",
    "backward_name", "infer", "infer_function", "op", "promote",
]  # fmt: skip

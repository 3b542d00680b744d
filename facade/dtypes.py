"""PyTorch's dtypes and the rules by which they promote."""

import ml_dtypes
import numpy as np


class dtype:
    """A PyTorch dtype: a name, the numpy dtype that holds it, and its kind."""

    __slots__ = ("is_complex", "is_floating_point", "is_signed", "itemsize", "name", "numpy")

    def __init__(self, name: str, numpy_type) -> None:
        self.name = name
        self.numpy = np.dtype(numpy_type)
        self.itemsize = self.numpy.itemsize
        self.is_complex = name.startswith("complex")
        self.is_floating_point = name.startswith(("float", "bfloat"))
        self.is_signed = name != "bool" and not name.startswith("uint")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str | tuple:
        return named, (self.name,)

    def to_real(self) -> "dtype":
        return _REAL.get(self, self)

    def to_complex(self) -> "dtype":
        return _COMPLEX.get(self, self)


bool_ = dtype("bool", np.bool_)
uint8 = dtype("uint8", np.uint8)
int8 = dtype("int8", np.int8)
int16 = dtype("int16", np.int16)
int32 = dtype("int32", np.int32)
int64 = dtype("int64", np.int64)
uint16 = dtype("uint16", np.uint16)
uint32 = dtype("uint32", np.uint32)
uint64 = dtype("uint64", np.uint64)
float16 = dtype("float16", np.float16)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16)
float32 = dtype("float32", np.float32)
float64 = dtype("float64", np.float64)
complex64 = dtype("complex64", np.complex64)
complex128 = dtype("complex128", np.complex128)
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn)
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2)

ALL = (
    bool_, uint8, int8, int16, int32, int64, uint16, uint32, uint64,
    float16, bfloat16, float32, float64, complex64, complex128, float8_e4m3fn, float8_e5m2,
)  # fmt: skip

# Elements of quantized tensors, by what keeps them
quint8 = dtype("quint8", np.uint8)
qint8 = dtype("qint8", np.int8)
qint32 = dtype("qint32", np.int32)
QUANTIZED = (quint8, qint8, qint32)

# PyTorch's other names for them, and the names its legacy tensor types and printed messages use.
ALIASES = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32,
    "long": int64, "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
SCALAR_NAMES = {
    bool_: "Bool", uint8: "Byte", int8: "Char", int16: "Short", int32: "Int", int64: "Long",
    uint16: "UInt16", uint32: "UInt32", uint64: "UInt64", float16: "Half", bfloat16: "BFloat16",
    float32: "Float", float64: "Double", complex64: "ComplexFloat", complex128: "ComplexDouble",
    float8_e4m3fn: "Float8_e4m3fn", float8_e5m2: "Float8_e5m2",
}  # fmt: skip

C_NAMES = {  # what the compiler calls them, which a few messages show
    bool_: "bool", uint8: "unsigned char", int8: "signed char", int16: "short int", int32: "int",
    int64: "long int", uint16: "short unsigned int", uint32: "unsigned int",
    uint64: "long unsigned int", float16: "c10::Half", bfloat16: "c10::BFloat16",
    float32: "float", float64: "double", complex64: "c10::complex<float>",
    complex128: "c10::complex<double>", float8_e4m3fn: "c10::Float8_e4m3fn",
    float8_e5m2: "c10::Float8_e5m2",
}  # fmt: skip

PYTHON_TYPES = {float: float64, int: int64, bool: bool_, complex: complex128}

_NAMED = {d.name: d for d in (*ALL, *QUANTIZED)} | ALIASES
_FROM_NUMPY = {d.numpy: d for d in ALL}
_REAL = {complex64: float32, complex128: float64}
_COMPLEX = {float32: complex64, float64: complex128, float16: complex64, bfloat16: complex64}


def named(name: str) -> dtype:
    """Return the dtype called ``name`` (``"float32"``, ``"long"``, ...)."""
    return _NAMED[name]


def from_numpy(numpy_type) -> dtype:
    """Return the dtype of a numpy or jax dtype.

    Raises:
        TypeError: PyTorch has no such dtype.
    """
    try:
        return _FROM_NUMPY[np.dtype(numpy_type)]
    except KeyError:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np.dtype(numpy_type).type.__name__}. "
            "The only supported types are: float64, float32, float16, complex64, complex128, "
            "int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        ) from None


_default = float32


def get_default_dtype() -> dtype:
    """Return the dtype that Python floats become."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make ``d`` the dtype that Python floats become.

    Raises:
        TypeError: ``d`` is not a floating dtype.
    """
    global _default
    if not isinstance(d, dtype):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default = d


def of_number(kind: type) -> dtype:
    """Return the dtype a Python number of type ``kind`` becomes as a tensor."""
    if kind is float:
        return _default
    if kind is int:
        return int64
    if kind is bool:
        return bool_
    return _default.to_complex()


# PyTorch's order inside one kind; uint8 with a signed type gives the next signed type up.
_SIGNED = (int8, int16, int32, int64)
_FLOATS = (float16, float32, float64)


def promote_types(a: dtype, b: dtype) -> dtype:
    """Return the smallest dtype that holds both (c10/core/ScalarType.cpp, ``promoteTypes``).

    Raises:
        RuntimeError: the pair has no promotion in PyTorch (float8, unsigned of several bytes).
    """
    if a is b:
        return a
    if a is bool_ or b is bool_:
        return b if a is bool_ else a
    if a.is_complex or b.is_complex:
        real = promote_types(a.to_real(), b.to_real())
        return real.to_complex() if real.is_floating_point else (a if a.is_complex else b)
    if a.is_floating_point and b.is_floating_point:
        if "float8" in a.name + b.name:
            _no_promotion(a, b)
        if bfloat16 in (a, b):  # next to float16 neither holds the other
            other = a if b is bfloat16 else b
            return float32 if other is float16 else other
        return _FLOATS[max(_FLOATS.index(a), _FLOATS.index(b))]
    if a.is_floating_point or b.is_floating_point:
        return a if a.is_floating_point else b
    if a in (uint16, uint32, uint64) or b in (uint16, uint32, uint64):
        _no_promotion(a, b)
    if uint8 in (a, b):
        other = a if b is uint8 else b
        return int16 if other is int8 else other
    return _SIGNED[max(_SIGNED.index(a), _SIGNED.index(b))]


def _no_promotion(a: dtype, b: dtype) -> None:
    raise RuntimeError(f"Promotion for {a.name} and {b.name} types is not supported.")


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if higher is bool_ or lower.is_floating_point or lower.is_complex:
        return promote_types(higher, lower)
    return higher


def result_type(tensors, zero_dim, numbers) -> dtype:
    """Return the dtype of an operation on these dtypes, by PyTorch's three categories.

    Args:
        tensors: dtypes of operands with at least one dimension.
        zero_dim: dtypes of 0-dimensional tensor operands.
        numbers: dtypes of Python numbers (:func:`of_number`).
    """
    groups = []
    for group in (tensors, zero_dim, numbers):
        found = None
        for d in group:
            found = d if found is None else promote_types(found, d)
        groups.append(found)
    result = _combine(groups[0], _combine(groups[1], groups[2]))
    assert result is not None, "result_type of no operands"
    return result


def can_cast(from_: dtype, to: dtype) -> bool:
    """Return whether PyTorch lets a result of dtype ``from_`` be written into ``to``."""
    if from_.is_complex and not to.is_complex:
        return False
    if from_.is_floating_point and not (to.is_floating_point or to.is_complex):
        return False
    return from_ is bool_ or to is not bool_


class finfo:
    """Limits of a floating dtype: ``bits``, ``eps``, ``max``, ``min``, ``tiny``, ``resolution``."""

    def __init__(self, type: dtype | None = None) -> None:
        self._dtype = type or _default
        if not (self._dtype.is_floating_point or self._dtype.is_complex):
            raise TypeError(
                f"torch.finfo() requires a floating point input type. "
                f"Use torch.iinfo to handle '{self.dtype}'"
            )
        info = ml_dtypes.finfo(self._dtype.to_real().numpy)
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(info.resolution)

    @property
    def dtype(self) -> str:
        return self._dtype.name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: ``bits``, ``max``, ``min``."""

    def __init__(self, type: dtype) -> None:
        if type.is_floating_point or type.is_complex or type is bool_:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. "
                f"Use torch.finfo to handle '{type.name}'"
            )
        self._dtype = type
        info = np.iinfo(type.numpy)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)

    @property
    def dtype(self) -> str:
        return self._dtype.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

"""PyTorch's names for numpy's dtypes, and its errors for dtypes that a draw does not know."""

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = (np.dtype(np.float16), BFLOAT16)
FLOATS = (*HALVES, np.dtype(np.float32), np.dtype(np.float64))

# dtype -> (its name in PyTorch's messages, its name in messages that print the C++ type)
_NAMES = {
    np.dtype(dtype): names
    for dtype, names in {
        np.bool_: ("Bool", "bool"),
        np.uint8: ("Byte", "unsigned char"),
        np.int8: ("Char", "signed char"),
        np.int16: ("Short", "short int"),
        np.int32: ("Int", "int"),
        np.int64: ("Long", "long int"),
        np.uint16: ("UInt16", "short unsigned int"),
        np.uint32: ("UInt32", "unsigned int"),
        np.uint64: ("UInt64", "long unsigned int"),
        np.float16: ("Half", "c10::Half"),
        BFLOAT16: ("BFloat16", "c10::BFloat16"),
        np.float32: ("Float", "float"),
        np.float64: ("Double", "double"),
        np.complex64: ("ComplexFloat", "c10::complex<float>"),
        np.complex128: ("ComplexDouble", "c10::complex<double>"),
    }.items()
}


def scalar_name(dtype):
    """``Float`` for float32, and so on."""
    return _NAMES[dtype][0]


def cpp_name(dtype):
    """``float`` for float32, and so on."""
    return _NAMES[dtype][1]


def require(dtype, known, kernel):
    """Raise PyTorch's NotImplementedError unless ``dtype`` is one that ``kernel`` knows."""
    if dtype not in known:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(dtype)}'")


def real_part(dtype):
    """The dtype of the real and imaginary parts of a complex dtype, None for the others."""
    return np.zeros((), dtype).real.dtype if dtype.kind == "c" else None

"""torch.fft: discrete Fourier transforms."""

import functools
import math
from collections.abc import Callable, Sequence

from facade import aten, dtypes
from facade.binding import with_out
from facade.errors import bad_argument, wrap_dim, wrap_dims
from facade.functions.creation import arange, creation
from facade.tensor import Tensor

_Sizes = int | Sequence[int] | None
_BACK = {"backward": "forward", "forward": "backward"}  # the norm that undoes a norm


def _transform(function: Callable) -> Callable[..., Tensor]:
    """Give a transform its check of the input and ``out=``."""

    @functools.wraps(function)
    def call(input: Tensor, *args, **kwargs) -> Tensor:
        if not isinstance(input, Tensor):
            raise bad_argument(f"fft_{function.__name__}", "input", 1, "Tensor", input)
        return function(input, *args, **kwargs)

    return with_out(call)


# ---- one dimension ----


def _axis(input: Tensor, dim: int) -> int:
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(dim, input.ndim)


def _refuse_complex(name: str, input: Tensor, text: str) -> None:
    if input.is_complex():
        found = dtypes.SCALAR_NAMES[input.dtype]
        raise RuntimeError(f"{name} expects a {text} input tensor, but got {found}")


def _two_sided(input: Tensor, n: int | None, dim: int, norm: str | None, forward: bool) -> Tensor:
    dim = _axis(input, dim)
    size = (input.shape[dim] if n is None else n,)
    norm = norm or "backward"
    if input.is_complex():
        return aten._fft_c2c(input, (dim,), size, norm, forward)
    if forward:
        return aten._fft_r2c(input, (dim,), size, norm, False)
    return aten.conj(aten._fft_r2c(input, (dim,), size, _BACK.get(norm, norm), False))


@_transform
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Transform along one dimension, cut or padded with zeros to ``n``.

    Args:
        norm: ``"backward"`` (the default: the inverse divides by ``n``), ``"ortho"`` (both divide
            by its root) or ``"forward"``.
    Returns:
        Shape of ``input`` with ``n`` along ``dim``; complex.
    """
    return _two_sided(input, n, dim, norm, True)


@_transform
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Undo :func:`fft`."""
    return _two_sided(input, n, dim, norm, False)


@_transform
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Transform real numbers; only the first ``n // 2 + 1`` results are given."""
    _refuse_complex("rfft", input, "real")
    dim = _axis(input, dim)
    size = input.shape[dim] if n is None else n
    return aten._fft_r2c(input, (dim,), (size,), norm or "backward", True)


@_transform
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Undo :func:`rfft`; ``n`` is the size of the result, by default even."""
    dim = _axis(input, dim)
    size = 2 * (input.shape[dim] - 1) if n is None else n
    return aten._fft_c2r(input, (dim,), (size,), norm or "backward")


@_transform
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Transform a signal that is Hermitian in time, given by its first half; it is real."""
    norm = norm or "backward"
    return irfft(input.conj(), n, dim, norm=_BACK.get(norm, norm))


@_transform
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Undo :func:`hfft`."""
    _refuse_complex("ihfft", input, "real")
    norm = norm or "backward"
    return aten.conj(rfft(input, n, dim, norm=_BACK.get(norm, norm)))


# ---- several dimensions ----


def _axes(input: Tensor, s: _Sizes, dim: _Sizes) -> tuple[tuple[int, ...], list[int]]:
    """Return the dimensions to transform and the size to give each.

    Raises:
        RuntimeError: there are not as many of both, or more than there are dimensions.
    """
    sizes = (s,) if isinstance(s, int) else s
    if dim is not None:
        dims = _unique(dim, input.ndim)
        if sizes is not None and len(sizes) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    else:
        count = input.ndim if sizes is None else len(sizes)
        if count > input.ndim:
            raise RuntimeError(
                f"Got shape with {count} values but input tensor only has {input.ndim} dimensions."
            )
        dims = tuple(range(input.ndim - count, input.ndim))
    given = sizes or (-1,) * len(dims)
    return dims, [input.shape[d] if n == -1 else n for d, n in zip(dims, given, strict=True)]


def _unique(dim: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    asked = (dim,) if isinstance(dim, int) else tuple(dim)
    if asked and not ndim:
        raise IndexError(f"Dimension specified as {asked[0]} but tensor has no dimensions")
    dims = tuple(wrap_dim(d, ndim) for d in asked)
    if len(set(dims)) < len(dims):
        raise RuntimeError("FFT dims must be unique")
    return dims


def _some_axes(
    name: str, input: Tensor, s: _Sizes, dim: _Sizes
) -> tuple[tuple[int, ...], list[int]]:
    dims, sizes = _axes(input, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    return dims, sizes


def _last_size(input: Tensor, s: _Sizes, dims: tuple[int, ...]) -> int:
    """Return the size of the last dimension of a real result."""
    given = s if isinstance(s, int) or s is None else s[-1]
    return 2 * (input.shape[dims[-1]] - 1) if given in (None, -1) else given


@_transform
def fftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Transform along several dimensions, by default all; ``s`` are their sizes, -1 as they are."""
    dims, sizes = _axes(input, s, dim)
    return aten._fft_c2c(input, dims, tuple(sizes), norm or "backward", True)


@_transform
def ifftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Undo :func:`fftn`."""
    dims, sizes = _axes(input, s, dim)
    return aten._fft_c2c(input, dims, tuple(sizes), norm or "backward", False)


@_transform
def rfftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Transform real numbers along several dimensions; the last one is halved."""
    _refuse_complex("rfftn", input, "real-valued")
    dims, sizes = _some_axes("rfftn", input, s, dim)
    return aten._fft_r2c(input, dims, tuple(sizes), norm or "backward", True)


@_transform
def irfftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Undo :func:`rfftn`."""
    dims, sizes = _some_axes("irfftn", input, s, dim)
    sizes[-1] = _last_size(input, s, dims)
    return aten._fft_c2r(input, dims, tuple(sizes), norm or "backward")


@_transform
def hfftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Transform a signal that is Hermitian in time, given by its half along the last dimension."""
    dims, sizes = _some_axes("hfftn", input, s, dim)
    *others, last = dims
    size = _last_size(input, s, dims)
    norm = norm or "backward"
    if others:
        input = aten._fft_c2c(input, tuple(others), tuple(sizes[:-1]), norm, True)
    return hfft(input, size, last, norm=norm)


@_transform
def ihfftn(input: Tensor, s: _Sizes = None, dim: _Sizes = None, norm: str | None = None) -> Tensor:
    """Undo :func:`hfftn`."""
    dims, sizes = _some_axes("ihfftn", input, s, dim)
    if input.is_complex():
        found = dtypes.SCALAR_NAMES[input.dtype]
        raise RuntimeError(f"Only supports floating-point dtypes, but found: {found}")
    half = ihfft(input, sizes[-1], dims[-1], norm=norm)
    if len(dims) == 1:
        return half
    return aten._fft_c2c(half, dims[:-1], tuple(sizes[:-1]), norm or "backward", False)


def _of_two(several: Callable, name: str, doc: str) -> Callable[..., Tensor]:
    """Return a transform over the last two dimensions, unless told otherwise."""

    def function(
        input: Tensor, s: _Sizes = None, dim: _Sizes = (-2, -1), norm: str | None = None
    ) -> Tensor:
        return several(input, s, dim, norm=norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return _transform(function)


fft2 = _of_two(fftn, "fft2", "Transform two dimensions.")
ifft2 = _of_two(ifftn, "ifft2", "Undo :func:`fft2`.")
rfft2 = _of_two(rfftn, "rfft2", "Transform two dimensions of real numbers; the last is halved.")
irfft2 = _of_two(irfftn, "irfft2", "Undo :func:`rfft2`.")
hfft2 = _of_two(hfftn, "hfft2", "Transform two dimensions of a signal Hermitian in time.")
ihfft2 = _of_two(ihfftn, "ihfft2", "Undo :func:`hfft2`.")


# ---- frequencies ----


def _spaced(name: str, numbers: Tensor, n: int, d: float) -> Tensor:
    if not (numbers.is_floating_point() or numbers.is_complex()):
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    return numbers * (math.inf if n * d == 0 else 1 / (n * d))


@with_out
@creation
def fftfreq(n: int, d: float = 1.0, *, dtype, device) -> Tensor:
    """Return the frequencies that belong to :func:`fft`'s results, for samples ``d`` apart."""
    dtype = dtype or dtypes.get_default_dtype()
    numbers = arange(n, dtype=dtype, device=device)
    numbers[(n + 1) // 2 :] -= n
    return _spaced("fftfreq", numbers, n, d)


@with_out
@creation
def rfftfreq(n: int, d: float = 1.0, *, dtype, device) -> Tensor:
    """Return the frequencies that belong to :func:`rfft`'s results, for samples ``d`` apart."""
    dtype = dtype or dtypes.get_default_dtype()
    return _spaced("rfftfreq", arange(n // 2 + 1, dtype=dtype, device=device), n, d)


def _rolled(input: Tensor, dim: _Sizes, extra: int) -> Tensor:
    dims = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    wrapped = wrap_dims(dims, input.ndim)
    return input.roll(tuple((input.shape[d] + extra) // 2 for d in wrapped), wrapped)


def fftshift(input: Tensor, dim: _Sizes = None) -> Tensor:
    """Put the frequency 0 in the middle of the dimensions, by default of all."""
    return _rolled(input, dim, 0)


def ifftshift(input: Tensor, dim: _Sizes = None) -> Tensor:
    """Undo :func:`fftshift`."""
    return _rolled(input, dim, 1)

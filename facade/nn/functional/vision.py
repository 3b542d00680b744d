"""Maps at other sizes: padding, interpolation, sampling, shuffled pixels."""

import math
import warnings

from facade import aten
from facade.errors import bad_argument
from facade.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from facade.tensor import Tensor

# ---- padding ----


def pad(input: Tensor, pad, mode: str = "constant", value: float | None = None) -> Tensor:
    """Surround the last dimensions.

    Args:
        pad: Sizes before and after, the last dimension's first; negative ones cut off.
        mode: "constant", "reflect", "replicate" or "circular".
        value: What "constant" puts there, 0 by default.
    """
    sizes = tuple(pad)
    if mode == "constant":
        return aten.constant_pad_nd(input, sizes, 0 if value is None else value)
    if len(sizes) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(sizes) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(sizes)} and input of dimension {input.dim()}"
        )
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return aten.pad_around(input, sizes, mode)


# ---- interpolation ----

_MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"
_DIMS = {"linear": 1, "bilinear": 2, "trilinear": 3}
_ALIGNABLE = ("linear", "bilinear", "bicubic", "trilinear")
_AREA = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)


def interpolate(
    input: Tensor,
    size=None,
    scale_factor=None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Return ``(N, C, *size)`` at another size.

    Args:
        size: The new size, or
        scale_factor: the factor, one number or one per dimension.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "lanczos",
            "area".
        align_corners: Whether the corner pixels' centers stay where they are.
        recompute_scale_factor: Whether positions are computed from the sizes, not the factor.
        antialias: Whether to smooth before making a map smaller.
    """
    if mode in ("nearest", "area", "nearest-exact", "lanczos"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                f"{' | '.join(_ALIGNABLE)}"
            )
    elif align_corners is None:
        align_corners = False
    sizes, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    dims = input.dim() - 2
    if mode in _DIMS and _DIMS[mode] != dims and dims in (1, 2, 3):
        raise NotImplementedError(
            f"Got {dims + 2}D input, but {mode} mode needs {_DIMS[mode] + 2}D input"
        )
    known = mode in (*_DIMS, "nearest", "nearest-exact", "area")
    if dims not in (1, 2, 3) or not (known or (mode in ("bicubic", "lanczos") and dims == 2)):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.dim()}D) for the modes: {_MODES} (got {mode})"
        )
    if mode == "area":
        return _AREA[dims - 1](input, sizes)
    return aten.upsample(input, sizes, mode, bool(align_corners), scales, antialias)


def _sizes(input: Tensor, size, scale_factor, recompute: bool | None) -> tuple[tuple, tuple]:
    """Return the output's size and the factors that positions are computed with."""
    dims, spatial = input.dim() - 2, input.shape[2:]
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        row = tuple(size) if isinstance(size, tuple | list) else (size,) * dims
        if len(row) != dims:
            raise _other_dims("output", "output size", f"output size of {size}", "o", spatial)
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return tuple(_integer(s) for s in row), ()
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    factors = (
        tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor,) * dims
    )
    if len(factors) != dims:
        given = f"scale_factor of shape {scale_factor}"
        raise _other_dims("scale_factor", "scale_factor", given, "s", spatial)
    factors = tuple(float(f) for f in factors)
    row = tuple(math.floor(float(n) * f) for n, f in zip(spatial, factors, strict=True))
    return row, () if recompute else factors


def _integer(size) -> int:
    if isinstance(size, float):
        raise bad_argument("interpolate", "size", 2, "tuple of ints", size)
    return int(size)


def _other_dims(what: str, name: str, given: str, letter: str, spatial) -> ValueError:
    return ValueError(
        f"Input and {what} must have the same number of spatial dimensions, but got input with "
        f"spatial dimensions of {list(spatial)} and {given}. Please provide input tensor in "
        f"(N, C, d1, d2, ...,dK) format and {name} in "
        f"({letter}1, {letter}2, ...,{letter}K) format."
    )


def upsample(
    input: Tensor, size=None, scale_factor=None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """Return :func:`interpolate`'s result, under its old name."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """Return :func:`interpolate`'s result in mode "nearest", under its old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """Return :func:`interpolate`'s result with aligned corners, under its old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- sampling ----

_GRID_WARNING = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. "
    "See the documentation of grid_sample for details."
)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """Return ``(N, C, *size)`` read at the positions ``grid (N, *out, dims)``, from -1 to 1.

    Args:
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: What lies outside: "zeros", "border" or "reflection".
        align_corners: Whether -1 and 1 are the centers of the corner pixels, not their edges.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_GRID_WARNING, stacklevel=2)
    return aten.grid_sampler(input, grid, mode, padding_mode, bool(align_corners))


def affine_grid(theta: Tensor, size, align_corners: bool | None = None) -> Tensor:
    """Return the grid for :func:`grid_sample` of the affine maps ``theta (N, dims, dims + 1)``."""
    if align_corners is None:
        warnings.warn(_GRID_WARNING, stacklevel=2)
    row = tuple(size)
    dims = len(row) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if theta.dim() != 3 or theta.shape[-2] != dims or theta.shape[-1] != dims + 1:
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if min(row) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return aten.affine_grid_generator(theta, row, bool(align_corners))


# ---- pixels ----


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Turn ``(*, C * r * r, H, W)`` into ``(*, C, H * r, W * r)``."""
    return aten.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Turn ``(*, C, H * r, W * r)`` into ``(*, C * r * r, H, W)``."""
    return aten.pixel_unshuffle(input, downscale_factor)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Take one channel of each group in turn."""
    return aten.channel_shuffle(input, groups)


native_channel_shuffle = channel_shuffle

"""Fractional max pooling."""

from facade import aten
from facade.functions import rand
from facade.tensor import Tensor


def _sizes(value, dims: int) -> tuple:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * dims


def _declare(dims: int):
    name = f"fractional_max_pool{dims}d"

    def with_indices(
        input: Tensor, kernel_size, output_size=None, output_ratio=None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ):  # fmt: skip
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        if output_size is None:
            ratios = _sizes(output_ratio, dims)
            spatial = input.shape[-dims:]
            output_size = [int(n * ratio) for n, ratio in zip(spatial, ratios, strict=True)]
        if _random_samples is None:
            batch = input.size(0) if input.dim() == dims + 2 else 1
            channels = input.size(-dims - 1)
            _random_samples = rand(batch, channels, dims, dtype=input.dtype, device=input.device)
        return aten.fractional_max_pool(
            input, _random_samples, _sizes(kernel_size, dims), _sizes(output_size, dims)
        )

    def pool(
        input: Tensor, kernel_size, output_size=None, output_ratio=None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ):  # fmt: skip
        found = with_indices(
            input, kernel_size, output_size, output_ratio, return_indices, _random_samples
        )
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = "Return the greatest element of windows at random, nearly even distances."
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"Return what ``{name}`` does, and the elements' places."
    return pool, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _declare(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _declare(3)

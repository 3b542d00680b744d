"""``torch.autocast``: the region in which listed operations choose their dtype."""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from facade import dtypes
from facade.amp import settings
from facade.amp.settings import is_autocast_available as is_autocast_available
from facade.devices import available
from facade.tensor import Tensor

_NARROW = (dtypes.bfloat16, dtypes.float16)


class autocast:
    """A region, or a function as decorator, in which operations run in the dtype that suits them.

    Matrix products and convolutions run in ``dtype``; what needs range or precision runs in
    float32. Casts are part of the graph, so a float32 parameter's gradient is float32.

    Args:
        device_type: ``"cpu"``, ``"cuda"``, ``"tpu"``: whose tensors are cast.
        dtype: bfloat16 or float16; by default bfloat16 on a CPU or TPU, float16 on a GPU.
        enabled: False ends autocast inside the region.
        cache_enabled: Whether a parameter's cast is made once for the whole region.
    Raises:
        ValueError: ``device_type`` is no string.
        RuntimeError: the device type has no autocast.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _check_type(device_type)
        self.fast_dtype = settings.get_autocast_dtype(device_type) if dtype is None else dtype
        self.device = device_type
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        if cache_enabled is None:
            cache_enabled = settings.is_autocast_cache_enabled()
        self._cache_enabled = cache_enabled
        self._enabled = enabled and self._possible()
        self._outer: list[tuple] = []

    def _possible(self) -> bool:
        """Return whether this machine and dtype allow it; warn if not."""
        if self.device == "cuda":
            if available("cuda"):
                return True
            text = "CUDA is not available or torch_xla is imported. Disabling autocast."
        elif self.fast_dtype in _NARROW:
            return True
        else:
            name = self.device.upper()
            text = (
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently."
            )
        warnings.warn(text, stacklevel=3)
        return False

    def __enter__(self) -> "autocast":
        self._outer.append((
            settings.is_autocast_enabled(self.device),
            settings.get_autocast_dtype(self.device),
            settings.is_autocast_cache_enabled(),
        ))  # fmt: skip
        self._set(self._enabled, self.fast_dtype, self._cache_enabled)
        settings.autocast_increment_nesting()
        return self

    def __exit__(self, *exception: object) -> None:
        if not settings.autocast_decrement_nesting():
            settings.clear_autocast_cache()
        self._set(*self._outer.pop())

    def _set(self, enabled: bool, dtype: dtypes.dtype, caching: bool) -> None:
        settings.set_autocast_enabled(self.device, enabled)
        settings.set_autocast_dtype(self.device, dtype)
        settings.set_autocast_cache_enabled(caching)

    def __call__(self, func: Callable) -> Callable:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                "mean to use autocast as a context manager? For example:\n"
                "    with torch.autocast(device_type=...):\n"
                "        output = model(input)"
            )

        @functools.wraps(func)
        def decorated(*args, **kwargs):
            with self:
                return func(*args, **kwargs)

        return decorated


def _check_type(device_type) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


# ---- autograd.Function's methods ----


def custom_fwd(
    fwd: Callable | None = None, *, device_type: str, cast_inputs: dtypes.dtype | None = None
) -> Callable:
    """Return an ``autograd.Function``'s ``forward`` that knows what to do inside autocast.

    Args:
        cast_inputs: Cast floating tensors to this and run without autocast; None leaves all as is.
    """
    _check_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx, *args, **kwargs):
        ctx._dtype = settings.get_autocast_dtype(device_type)
        on = settings.is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = on and cast_inputs is None
        if not on or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            args, kwargs = _cast((args, kwargs), device_type, cast_inputs)
            return fwd(ctx, *args, **kwargs)

    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Return an ``autograd.Function``'s ``backward`` that runs in the autocast of its forward."""
    _check_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx, *args, **kwargs):
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return backward


def _cast(value: Any, device_type: str, dtype: dtypes.dtype) -> Any:
    """Return ``value`` with the floating tensors in it, but for float64, cast to ``dtype``."""
    if isinstance(value, Tensor):
        narrow = value.is_floating_point() and value.dtype is not dtypes.float64
        return value.to(dtype) if narrow and value.device.type == device_type else value
    if isinstance(value, str | bytes | np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()
        }
    if isinstance(value, Iterable):
        cast = (_cast(v, device_type, dtype) for v in value)
        return type(value)(cast) if isinstance(value, list | tuple) else cast  # type: ignore[call-arg]
    return value

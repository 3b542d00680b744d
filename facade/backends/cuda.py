"""``torch.backends.cuda``: whether float32 matrix products on a GPU may use TF32."""

from facade.devices import available
from facade.functions.linear_algebra import choose_precision
from facade.ops.linalg import chosen_precision

# fp32_precision's words for what set_float32_matmul_precision chose; other choices are TF32
_FP32_PRECISION = {None: "none", "highest": "ieee"}


def is_built() -> bool:
    """Return whether JAX sees a GPU."""
    return available("cuda") > 0


class cuBLASModule:
    """The settings of matrix products on a GPU.

    Attributes:
        allow_tf32: Whether float32 products are computed in TF32; the same setting as
            ``set_float32_matmul_precision``.
        fp32_precision: ``"tf32"``, ``"ieee"`` for full float32, or ``"none"`` for no choice,
            which is full float32 as well.
        allow_fp16_reduced_precision_reduction, allow_bf16_reduced_precision_reduction,
            allow_fp16_accumulation: Accepted; XLA sums in float32.
    """

    _accepted = (
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    )

    def __init__(self) -> None:
        values = dict.fromkeys(self._accepted, True) | {"allow_fp16_accumulation": False}
        self.__dict__.update(values)

    def __getattr__(self, name: str):
        if name in ("allow_tf32", "fp32_precision"):
            precision = _FP32_PRECISION.get(chosen_precision(), "tf32")
            return precision if name == "fp32_precision" else precision == "tf32"
        raise AttributeError(f"Unknown attribute {name}")

    def __setattr__(self, name: str, value) -> None:
        if name == "allow_tf32":
            check_bool(value)
            choose_precision("high" if value else "highest")
        elif name == "fp32_precision":
            check_precision(value)
            choose_precision({"none": None, "ieee": "highest", "tf32": "high"}[value])
        elif name in self._accepted:
            self.__dict__[name] = value
        else:
            raise AttributeError(f"Unknown attribute {name}")


def check_bool(value) -> None:
    """Raise PyTorch's error for an ``allow_tf32`` that is no bool."""
    if not isinstance(value, bool):
        raise RuntimeError(f"set_allow_tf32_cublas expects a bool, but got {type(value).__name__}")


def check_precision(value) -> None:
    """Raise PyTorch's error for an ``fp32_precision`` that a GPU doesn't have."""
    if value == "bf16":
        raise RuntimeError("backend 'cuda' does not support precision 'bf16'")
    if value not in ("ieee", "tf32", "none"):
        raise RuntimeError(f"Unknown precision: {value}")


matmul = cuBLASModule()


# ---- which attention kernels may be used: XLA chooses ----

_SDP = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def flash_sdp_enabled() -> bool:
    """Return what :func:`enable_flash_sdp` was told."""
    return _SDP["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Accepted for PyTorch's sake."""
    _SDP["flash"] = enabled


def mem_efficient_sdp_enabled() -> bool:
    """Return what :func:`enable_mem_efficient_sdp` was told."""
    return _SDP["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Accepted for PyTorch's sake."""
    _SDP["mem_efficient"] = enabled


def math_sdp_enabled() -> bool:
    """Return what :func:`enable_math_sdp` was told."""
    return _SDP["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Accepted for PyTorch's sake."""
    _SDP["math"] = enabled


def cudnn_sdp_enabled() -> bool:
    """Return what :func:`enable_cudnn_sdp` was told."""
    return _SDP["cudnn"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Accepted for PyTorch's sake."""
    _SDP["cudnn"] = enabled

"""Quantized tensors: whole numbers that stand for floating ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from facade import aten, dtypes, layouts, printing
from facade.avals import aval
from facade.binding import public
from facade.composed import ComposedTensor
from facade.errors import no_dimension
from facade.parts import Parts
from facade.recording import record
from facade.tensor import Tensor

_KEPT_IN = {
    dtypes.quint8: dtypes.uint8,
    dtypes.qint8: dtypes.int8,
    dtypes.qint32: dtypes.int32,
}
# Ops that move elements about, and ops that are asked of the numbers that the elements stand for
_MOVES = (
    "_reshape_alias", "alias", "clone", "contiguous_copy", "expand", "flip", "index_select",
    "permute", "reshape_copy", "select", "slice", "squeeze", "t", "transpose", "unsqueeze", "view",
)  # fmt: skip
_COMPARES = ("eq", "ge", "gt", "le", "lt", "ne")


@dataclass(frozen=True)
class Quantizer:
    """What codes stand for.

    Attributes:
        scale, zero_point: Numbers, or a tensor of a number for each place along ``axis``.
    """

    scheme: layouts.qscheme
    scale: Any
    zero_point: Any
    axis: int | None = None

    def along(self, ndim: int) -> tuple:
        """Return scale and zero point so that they broadcast to ``ndim`` dimensions."""
        if self.axis is None:
            return self.scale, self.zero_point
        shape = [1] * ndim
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)


class QuantizedCell(Parts):
    """The cell of a quantized tensor."""

    __slots__ = ()
    kind = "quantized"
    instead = "x.dequantize()"

    def record(self, spec, operands: tuple, static: tuple) -> Any:
        """Return what an op makes of quantized operands.

        Raises:
            NotImplementedError: nothing.
        """
        x, *rest = operands
        if spec.name in _COMPARES:
            return getattr(aten, spec.name)(*map(_dequantized, operands))
        if not isinstance(x, QuantizedTensor) or not (
            spec.name == "clone" or (x.quantizer.axis is None and spec.name in (*_MOVES, "relu"))
        ):
            raise self.refusal(spec.name)
        if spec.name == "relu":
            return x.like(aten.clamp_min(x.elements, x.quantizer.zero_point))
        return x.like(record(spec, (x.elements, *rest), static))


def _dequantized(x) -> Any:
    return x.dequantize() if isinstance(x, QuantizedTensor) else x


class QuantizedTensor(ComposedTensor):
    """A tensor of whole numbers that stand for floating ones: ``elements``, by a quantizer."""

    is_quantized = True
    quantizer: Quantizer

    @staticmethod
    def make(codes: Tensor, quantizer: Quantizer, dtype: dtypes.dtype) -> "QuantizedTensor":
        known = aval(codes._aval.shape, dtype, codes._aval.strides)
        made = QuantizedTensor._bare(QuantizedCell(codes.device), known, codes)
        made.quantizer = quantizer
        return made

    def like(self, elements: Tensor) -> "QuantizedTensor":
        return QuantizedTensor.make(elements, self.quantizer, self.dtype)

    def dequantize(self) -> Tensor:
        """Return what the codes stand for."""
        return aten.dequantize(self.elements, *self.quantizer.along(self.ndim))

    def int_repr(self) -> Tensor:
        """Return the codes."""
        return self.elements.clone()

    def qscheme(self) -> layouts.qscheme:
        """Return how the codes are to be read."""
        return self.quantizer.scheme

    def q_scale(self) -> float:
        """Return by how much a code is more than the one before."""
        self._check_scheme("quantizer->qscheme() == kPerTensorAffine", False)
        return self.quantizer.scale

    def q_zero_point(self) -> int:
        """Return the code that stands for zero."""
        self._check_scheme("quantizer->qscheme() == kPerTensorAffine", False)
        return self.quantizer.zero_point

    def q_per_channel_scales(self) -> Tensor:
        """Return the scale of each channel."""
        self._check_scheme(_PER_CHANNEL, True)
        return self.quantizer.scale

    def q_per_channel_zero_points(self) -> Tensor:
        """Return the zero point of each channel."""
        self._check_scheme(_PER_CHANNEL, True)
        return self.quantizer.zero_point

    def q_per_channel_axis(self) -> int:
        """Return the dimension of the channels."""
        self._check_scheme(_PER_CHANNEL, True)
        assert self.quantizer.axis is not None
        return self.quantizer.axis

    def _check_scheme(self, expected: str, per_channel: bool) -> None:
        if per_channel is (self.quantizer.axis is None):
            raise RuntimeError(
                f"Expected {expected} to be true, but got false.  (Could this error message be "
                "improved?  If so, please report an enhancement request to PyTorch.)"
            )

    def item(self):
        """Return the only element as a Python number."""
        return self.dequantize().item()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        raise TypeError(
            f"Got unsupported ScalarType {'QU' if self.dtype is dtypes.quint8 else 'Q'}"
            f"{'Int32' if self.dtype is dtypes.qint32 else 'Int8'}"
        )

    def write(self, value: Tensor, expanded: bool = False) -> "QuantizedTensor":
        raise self._cell.refusal("writing in place")

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        q = self.quantizer
        suffixes = [f"device='{self.device}'"] if self.device.type != "cpu" else []
        suffixes += [
            f"size={tuple(self.shape)}",
            f"dtype={self.dtype}",
            f"quantization_scheme={q.scheme}",
            f"scale={q.scale}",
            f"zero_point={q.zero_point}",
        ]
        if q.axis is not None:
            suffixes.append(f"axis={q.axis}")
        return printing.values_str(self.dequantize()._host(), suffixes)

    def __reduce_ex__(self, protocol):
        return QuantizedTensor.make, (self.elements, self.quantizer, self.dtype)


_PER_CHANNEL = (
    "quantizer->qscheme() == kPerChannelAffine || "
    "quantizer->qscheme() == kPerChannelAffineFloatQParams"
)

# ---- quantize ----


@public(method=False)
def quantize_per_tensor(input: Tensor, scale, zero_point, dtype: dtypes.dtype) -> Any:
    """Return the tensor in whole numbers that stand for ``(code - zero_point) * scale``.

    Raises:
        RuntimeError: the input is not float32, or ``dtype`` is not a quantized one.
    """
    scale, zero_point = (x.item() if isinstance(x, Tensor) else x for x in (scale, zero_point))
    low, high = _range("quantize_tensor_per_tensor_affine", input, dtype, [zero_point])
    codes = aten.quantize(input.detach(), float(scale), zero_point, low, high, _KEPT_IN[dtype])
    quantizer = Quantizer(layouts.per_tensor_affine, float(scale), zero_point)
    return QuantizedTensor.make(codes, quantizer, dtype)


@public(method=False)
def quantize_per_channel(
    input: Tensor, scales: Tensor, zero_points: Tensor, axis: int, dtype: dtypes.dtype
) -> Any:
    """Quantize each place along ``axis`` with a scale and a zero point of its own."""
    if zero_points.is_floating_point():
        raise NotImplementedError("quantize_per_channel: zero points must be whole numbers")
    if scales.shape != zero_points.shape:
        raise RuntimeError("number of elements in scales and zero_points must match")
    if not 0 <= axis < input.ndim:
        raise RuntimeError(
            f"Channel axis out of range in per channel affine quantization. Got: {axis}"
            f"Expected: [0, {input.ndim})"
        )
    if scales.numel() != input.shape[axis]:
        raise RuntimeError(
            f"length of scales must equal to channel, expected {input.shape[axis]} got, "
            f"{scales.numel()}"
        )
    name = "quantize_tensor_per_channel_affine"
    low, high = _range(name, input, dtype, zero_points.tolist())
    quantizer = Quantizer(
        layouts.per_channel_affine, scales.detach().double(), zero_points.long(), axis
    )
    along = quantizer.along(input.ndim)
    codes = aten.quantize(input.detach(), *along, low, high, _KEPT_IN[dtype])
    return QuantizedTensor.make(codes, quantizer, dtype)


def _range(name: str, input: Tensor, dtype: dtypes.dtype, zero_points: list) -> tuple[int, int]:
    """Return the least and the largest code, once the arguments were checked."""
    if dtype not in _KEPT_IN:
        raise RuntimeError(
            f"ScalarType {dtypes.SCALAR_NAMES[dtype]} is not supported in new_qtensor."
        )
    if input.dtype is not dtypes.float32:
        raise RuntimeError(
            f"Quantize only works on Float Tensor, got {dtypes.SCALAR_NAMES[input.dtype]}"
        )
    info = np.iinfo(dtype.numpy)
    for zero_point in zero_points:
        if zero_point > info.max:
            raise RuntimeError(f"{name} zero_point {zero_point} is above upper bound.")
        if zero_point < info.min:
            raise RuntimeError(f"{name} zero_point {zero_point} is below lower bound.")
    return int(info.min), int(info.max)


@public
def dequantize(input: Tensor) -> Tensor:
    """Return what the codes of a quantized tensor stand for; another tensor as float32."""
    return input.dequantize() if isinstance(input, QuantizedTensor) else input.float()


def _of_quantized(name: str, method: bool, module: bool) -> None:
    def function(input: Tensor) -> Any:
        if not isinstance(input, QuantizedTensor):
            raise NotImplementedError(f"{name} is implemented for quantized tensors only")
        return getattr(input, name)()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return ``{name}`` of a quantized tensor; others raise."
    public(function, method=method, module=module)


for _name in ("int_repr", "q_scale", "q_zero_point", "q_per_channel_scales",
              "q_per_channel_zero_points", "q_per_channel_axis"):  # fmt: skip
    _of_quantized(_name, True, True)
_of_quantized("qscheme", True, False)


# ---- pretend to ----


@public(method=False)
def fake_quantize_per_tensor_affine(
    input: Tensor, scale, zero_point, quant_min: int, quant_max: int
) -> Tensor:
    """Quantize and dequantize, with the gradient of the identity where no code is cut."""
    _check_order(quant_min, quant_max)
    name = "FakeQuantizePerTensorAffineCachemaskBackward0"
    if isinstance(scale, Tensor):
        name = "FakeQuantizePerTensorAffineCachemaskTensorQparamsBackward0"
        scale, zero_point = scale.detach(), zero_point.detach()
    elif not quant_min <= zero_point <= quant_max:
        raise _outside()
    return aten.fake_quantize(input, scale, zero_point, quant_min, quant_max, name)


@public(method=False)
def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """:func:`fake_quantize_per_tensor_affine` with a scale for each place along ``axis``."""
    if scale.dtype not in (dtypes.float32, dtypes.bfloat16):
        found = dtypes.SCALAR_NAMES[scale.dtype]
        raise RuntimeError(f"Scale must be Float or BFloat16, found {found}")
    if zero_point.dtype not in (dtypes.int32, dtypes.float32, dtypes.float16):
        found = dtypes.SCALAR_NAMES[zero_point.dtype]
        raise RuntimeError(f"Zero-point must be Int32, Float or Half, found {found}")
    if scale.ndim != 1 or zero_point.ndim != 1 or scale.shape != zero_point.shape:
        raise RuntimeError("scale and zero-point need to have the same dimensions")
    if not -input.ndim <= axis < input.ndim:
        raise no_dimension(axis, input.ndim)
    if scale.shape[0] != input.shape[axis]:
        raise RuntimeError(
            "dimensions of scale and zero-point are not consistent with input tensor"
        )
    _check_order(quant_min, quant_max)
    zero_points = zero_point.detach().float()
    if bool(((zero_points < quant_min) | (zero_points > quant_max)).any()):
        raise _outside()
    quantizer = Quantizer(layouts.per_channel_affine, scale.detach(), zero_points, axis)
    along = quantizer.along(input.ndim)
    name = "FakeQuantizePerChannelAffineCachemaskBackward0"
    return aten.fake_quantize(input, *along, quant_min, quant_max, name)


def _check_order(quant_min: int, quant_max: int) -> None:
    if quant_min > quant_max:
        raise RuntimeError("`quant_min` should be less than or         equal to `quant_max`.")


def _outside() -> RuntimeError:
    return RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")

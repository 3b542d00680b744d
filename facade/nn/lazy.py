"""Layers that learn their input's size from the first input."""

import inspect
import itertools
from typing import Any, ClassVar

from facade.autograd.grad_mode import no_grad
from facade.dtypes import int64
from facade.functions.construction import tensor
from facade.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from facade.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from facade.nn.instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from facade.nn.linear import Linear
from facade.nn.module import Module
from facade.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from facade.tensor import Tensor


def _materialize(tensor: Any, *shape: int) -> None:
    if is_lazy(tensor):
        tensor.materialize(shape)


class LazyModuleMixin(Module):
    """A layer that fills in its uninitialized parameters at its first call.

    Attributes:
        cls_to_become: The class it has from then on, if another.
    """

    cls_to_become: type | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self.register_load_state_dict_pre_hook(LazyModuleMixin._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            LazyModuleMixin._infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from the arguments of the first call."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Return whether a parameter or buffer has no shape yet."""
        return any(map(is_lazy, (*self._parameters.values(), *self._buffers.values())))

    def reset_parameters(self) -> None:
        """Set the initial values, once there are shapes."""
        if not self.has_uninitialized_params() and self._input_size():
            super().reset_parameters()  # type: ignore[misc]

    def _input_size(self) -> int:
        """Return the size that is learnt, 0 before."""
        return 1

    def _infer_parameters(self, args: tuple, kwargs: dict) -> None:
        self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become

    def _lazy_load_hook(self, state_dict, prefix, *_: Any) -> None:
        """Give parameters the shapes of what is loaded into them."""
        for name, param in itertools.chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if is_lazy(param) and given is not None and not is_lazy(given):
                with no_grad():
                    _materialize(param, *given.shape)

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, param in itertools.chain(self._parameters.items(), self._buffers.items()):
            if is_lazy(param) and prefix + name in destination:
                destination[prefix + name] = param  # not detached: that has no class of its own


# ---- layers ----


class LazyLinear(LazyModuleMixin, Linear):
    """A :class:`Linear` that learns ``in_features`` from its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(0, 0, False)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def _input_size(self) -> int:
        return self.in_features

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            with no_grad():
                self.in_features = input.shape[-1]
                _materialize(self.weight, self.out_features, self.in_features)
                _materialize(self.bias, self.out_features)
                self.reset_parameters()
        if self.in_features == 0:
            assert input.shape[-1] == self.weight.shape[-1], (
                f"The in_features inferred from input: {input.shape[-1]} is not equal to "
                f"in_features from self.weight: {self.weight.shape[-1]}"
            )
            self.in_features = input.shape[-1]


class _LazyConv(LazyModuleMixin):
    """What lazy convolutions share: the number of channels comes from the first input."""

    _dims: ClassVar[int]

    def __init__(self, out_channels: int, *args: Any, **kwargs: Any) -> None:
        layer: Any = self.cls_to_become
        given = inspect.signature(layer).bind(0, 0, *args, **kwargs).arguments
        bias = given.pop("bias", True)
        super().__init__(**given, bias=False)
        self.out_channels = out_channels
        options: Any = {name: given.get(name) for name in ("device", "dtype")}
        self.weight = UninitializedParameter(**options)
        if bias:
            self.bias = UninitializedParameter(**options)

    def _input_size(self) -> int:
        return self.in_channels

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():
            return
        self.in_channels = self._channels(input)
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        rows, columns = self.out_channels, self.in_channels
        if self.transposed:
            rows, columns = columns, rows
        _materialize(self.weight, rows, columns // self.groups, *self.kernel_size)
        _materialize(self.bias, self.out_channels)
        self.reset_parameters()

    def _channels(self, input: Tensor) -> int:
        unbatched, batched = self._dims + 1, self._dims + 2
        if input.dim() not in (unbatched, batched):
            raise RuntimeError(
                f"Expected {unbatched}D (unbatched) or {batched}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        return input.shape[1] if input.dim() == batched else input.shape[0]


class _LazyNorm(LazyModuleMixin):
    """What lazy normalizations share: the number of channels comes from the first input."""

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device=None, dtype=None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(0, eps, momentum, False, False, device, dtype)
        self.affine = affine
        self.track_running_stats = track_running_stats
        options: Any = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**options)
            if bias:
                self.bias = UninitializedParameter(**options)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**options)
            self.running_var = UninitializedBuffer(**options)
            self.num_batches_tracked = tensor(0, dtype=int64, device=device)

    def _input_size(self) -> int:
        return self.num_features

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for unknown in (self.weight, self.bias, self.running_mean, self.running_var):
            _materialize(unknown, self.num_features)
        self.reset_parameters()


def _lazy(shared: type, layer: type, **attributes: Any) -> Any:
    """Return the lazy form of a layer."""
    learnt = "in_channels" if shared is _LazyConv else "num_features"
    doc = f"A :class:`{layer.__name__}` that learns ``{learnt}`` from its first input."
    body = {"__doc__": doc, "__module__": __name__, "cls_to_become": layer, **attributes}
    if shared is _LazyConv:
        body["__init__"] = _without(layer, learnt)
    return type(f"Lazy{layer.__name__}", (shared, layer), body)


def _without(layer: type, learnt: str) -> Any:
    """Return the constructor of a lazy convolution: the layer's, without one parameter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _LazyConv.__init__(self, *args, **kwargs)

    full = inspect.signature(layer.__init__)
    kept = [p for name, p in full.parameters.items() if name != learnt]
    __init__.__signature__ = full.replace(parameters=kept)  # type: ignore[attr-defined]
    return __init__


LazyConv1d = _lazy(_LazyConv, Conv1d, _dims=1)
LazyConv2d = _lazy(_LazyConv, Conv2d, _dims=2)
LazyConv3d = _lazy(_LazyConv, Conv3d, _dims=3)
LazyConvTranspose1d = _lazy(_LazyConv, ConvTranspose1d, _dims=1)
LazyConvTranspose2d = _lazy(_LazyConv, ConvTranspose2d, _dims=2)
LazyConvTranspose3d = _lazy(_LazyConv, ConvTranspose3d, _dims=3)
LazyBatchNorm1d = _lazy(_LazyNorm, BatchNorm1d)
LazyBatchNorm2d = _lazy(_LazyNorm, BatchNorm2d)
LazyBatchNorm3d = _lazy(_LazyNorm, BatchNorm3d)
LazyInstanceNorm1d = _lazy(_LazyNorm, InstanceNorm1d)
LazyInstanceNorm2d = _lazy(_LazyNorm, InstanceNorm2d)
LazyInstanceNorm3d = _lazy(_LazyNorm, InstanceNorm3d)

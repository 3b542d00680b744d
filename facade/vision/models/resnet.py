"""Residual networks (He et al., arXiv:1512.03385) with torchvision's names and initialisation.

As in torchvision the stride of a bottleneck is on its 3x3 convolution ("ResNet V1.5"). Wide ResNet
is arXiv:1605.07146, ResNeXt arXiv:1611.05431.
"""

from collections.abc import Callable
from typing import Any

from facade import nn
from facade.tensor import Tensor
from facade.vision.models.registry import Weights, register

Norm = Callable[[int], nn.Module]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """3x3 convolution with padding, without bias."""
    return nn.Conv2d(
        in_planes, out_planes, 3, stride, dilation, groups=groups, bias=False, dilation=dilation
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """1x1 convolution without bias."""
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: ``(N, C, H, W)`` to ``(N, planes, H/s, W/s)``."""

    expansion: int = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: ``C`` to ``4 * planes`` channels."""

    expansion: int = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A residual network of four stages.

    Args:
        block: :class:`BasicBlock` or :class:`Bottleneck`.
        layers: Blocks per stage.
        num_classes: Size of the result.
        zero_init_residual: Start every residual branch at zero (arXiv:1706.02677).
        groups, width_per_group: Of the bottlenecks' 3x3 convolutions.
        replace_stride_with_dilation: For stages 2 to 4, dilate instead of striding.
        norm_layer: Makes the normalisation of a number of channels.
    Raises:
        ValueError: ``replace_stride_with_dilation`` hasn't three items.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: list[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: list[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilate = replace_stride_with_dilation or [False, False, False]
        if len(dilate) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None "
                f"or a 3-element tuple, got {replace_stride_with_dilation}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d | nn.GroupNorm):
                for parameter, value in ((m.weight, 1), (m.bias, 0)):
                    if parameter is not None:
                        nn.init.constant_(parameter, value)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, Bottleneck) and m.bn3.weight is not None:
                    nn.init.constant_(m.bn3.weight, 0)
                elif isinstance(m, BasicBlock) and m.bn2.weight is not None:
                    nn.init.constant_(m.bn2.weight, 0)

    def _make_layer(
        self, block, planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        norm, previous_dilation = self._norm_layer, self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        out_planes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out_planes:
            downsample = nn.Sequential(conv1x1(self.inplanes, out_planes, stride), norm(out_planes))
        common = {"groups": self.groups, "base_width": self.base_width, "norm_layer": norm}
        first = block(
            self.inplanes, planes, stride, downsample, dilation=previous_dilation, **common
        )
        self.inplanes = out_planes
        rest = [
            block(out_planes, planes, dilation=self.dilation, **common) for _ in range(1, blocks)
        ]
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, C, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))  # (N, num_classes)


_BASE = "https://download.pytorch.org/models/"


def _weights(name: str, **files: str) -> type[Weights]:
    """Return the enum of a model's checkpoints, the last one being the default."""
    members = {k: (_BASE + file, {"min_size": (1, 1)}) for k, file in files.items()}
    members["DEFAULT"] = list(members.values())[-1]  # an alias, since the value is the same
    made: Any = Weights(name, members, module=__name__)  # type: ignore[call-arg]
    return made


ResNet18_Weights = _weights("ResNet18_Weights", IMAGENET1K_V1="resnet18-f37072fd.pth")
ResNet34_Weights = _weights("ResNet34_Weights", IMAGENET1K_V1="resnet34-b627a593.pth")
ResNet50_Weights = _weights(
    "ResNet50_Weights",
    IMAGENET1K_V1="resnet50-0676ba61.pth",
    IMAGENET1K_V2="resnet50-11ad3fa6.pth",
)
ResNet101_Weights = _weights(
    "ResNet101_Weights",
    IMAGENET1K_V1="resnet101-63fe2227.pth",
    IMAGENET1K_V2="resnet101-cd907fc2.pth",
)
ResNet152_Weights = _weights(
    "ResNet152_Weights",
    IMAGENET1K_V1="resnet152-394f9c45.pth",
    IMAGENET1K_V2="resnet152-f82ba261.pth",
)
ResNeXt50_32X4D_Weights = _weights(
    "ResNeXt50_32X4D_Weights",
    IMAGENET1K_V1="resnext50_32x4d-7cdf4587.pth",
    IMAGENET1K_V2="resnext50_32x4d-1a0047aa.pth",
)
ResNeXt101_32X8D_Weights = _weights(
    "ResNeXt101_32X8D_Weights",
    IMAGENET1K_V1="resnext101_32x8d-8ba56ff5.pth",
    IMAGENET1K_V2="resnext101_32x8d-110c445d.pth",
)
Wide_ResNet50_2_Weights = _weights(
    "Wide_ResNet50_2_Weights",
    IMAGENET1K_V1="wide_resnet50_2-95faca4d.pth",
    IMAGENET1K_V2="wide_resnet50_2-9ba9bcbe.pth",
)
Wide_ResNet101_2_Weights = _weights(
    "Wide_ResNet101_2_Weights",
    IMAGENET1K_V1="wide_resnet101_2-32ee1156.pth",
    IMAGENET1K_V2="wide_resnet101_2-d733dc28.pth",
)


def _model(name: str, weights: type[Weights], block, layers: list[int], **fixed: Any):
    """Declare a model: a function ``name(*, weights=None, progress=True, **kwargs)``."""

    def build(*, weights: Weights | None = None, progress: bool = True, **kwargs: Any) -> ResNet:
        model = ResNet(block, layers, **{**kwargs, **fixed})
        if weights is not None:
            model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
        return model

    build.__name__ = name
    build.__doc__ = f"""Build {name}.

    Args:
        weights: A member of :class:`{weights.__name__}`, its name, or None for random weights.
        progress: Show a bar while downloading.
        **kwargs: For :class:`ResNet`.
    """
    return register(weights, weights["IMAGENET1K_V1"])(build)


resnet18 = _model("resnet18", ResNet18_Weights, BasicBlock, [2, 2, 2, 2])
resnet34 = _model("resnet34", ResNet34_Weights, BasicBlock, [3, 4, 6, 3])
resnet50 = _model("resnet50", ResNet50_Weights, Bottleneck, [3, 4, 6, 3])
resnet101 = _model("resnet101", ResNet101_Weights, Bottleneck, [3, 4, 23, 3])
resnet152 = _model("resnet152", ResNet152_Weights, Bottleneck, [3, 8, 36, 3])
resnext50_32x4d = _model(
    "resnext50_32x4d", ResNeXt50_32X4D_Weights, Bottleneck, [3, 4, 6, 3],
    groups=32, width_per_group=4,
)  # fmt: skip
resnext101_32x8d = _model(
    "resnext101_32x8d", ResNeXt101_32X8D_Weights, Bottleneck, [3, 4, 23, 3],
    groups=32, width_per_group=8,
)  # fmt: skip
wide_resnet50_2 = _model(
    "wide_resnet50_2", Wide_ResNet50_2_Weights, Bottleneck, [3, 4, 6, 3], width_per_group=128
)
wide_resnet101_2 = _model(
    "wide_resnet101_2", Wide_ResNet101_2_Weights, Bottleneck, [3, 4, 23, 3], width_per_group=128
)

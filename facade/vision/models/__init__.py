"""torchvision.models: the architectures and their pretrained weights."""

from facade.vision.models.registry import get_model as get_model
from facade.vision.models.registry import get_model_weights as get_model_weights
from facade.vision.models.registry import list_models as list_models
from facade.vision.models.resnet import ResNet as ResNet
from facade.vision.models.resnet import ResNet18_Weights as ResNet18_Weights
from facade.vision.models.resnet import ResNet34_Weights as ResNet34_Weights
from facade.vision.models.resnet import ResNet50_Weights as ResNet50_Weights
from facade.vision.models.resnet import ResNet101_Weights as ResNet101_Weights
from facade.vision.models.resnet import ResNet152_Weights as ResNet152_Weights
from facade.vision.models.resnet import ResNeXt50_32X4D_Weights as ResNeXt50_32X4D_Weights
from facade.vision.models.resnet import ResNeXt101_32X8D_Weights as ResNeXt101_32X8D_Weights
from facade.vision.models.resnet import Wide_ResNet50_2_Weights as Wide_ResNet50_2_Weights
from facade.vision.models.resnet import Wide_ResNet101_2_Weights as Wide_ResNet101_2_Weights
from facade.vision.models.resnet import resnet18 as resnet18
from facade.vision.models.resnet import resnet34 as resnet34
from facade.vision.models.resnet import resnet50 as resnet50
from facade.vision.models.resnet import resnet101 as resnet101
from facade.vision.models.resnet import resnet152 as resnet152
from facade.vision.models.resnet import resnext50_32x4d as resnext50_32x4d
from facade.vision.models.resnet import resnext101_32x8d as resnext101_32x8d
from facade.vision.models.resnet import wide_resnet50_2 as wide_resnet50_2
from facade.vision.models.resnet import wide_resnet101_2 as wide_resnet101_2

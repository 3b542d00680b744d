"""PyTorch's ``torch.nn.modules``: the layers under the paths that programs import them by."""

import sys

from facade import nn
from facade.nn import (
    activation,
    adaptive,
    batchnorm,
    containers,
    conv,
    dropout,
    embedding,
    flatten,
    fold,
    instancenorm,
    lazy,
    linear,
    loss,
    module,
    normalization,
    padding,
    pairs,
    pooling,
    recurrent,
    resampling,
    transformer,
)

_FILES = {
    "activation": activation,
    "adaptive": adaptive,
    "batchnorm": batchnorm,
    "channelshuffle": resampling,
    "container": containers,
    "conv": conv,
    "distance": pairs,
    "dropout": dropout,
    "flatten": flatten,
    "fold": fold,
    "instancenorm": instancenorm,
    "lazy": lazy,
    "linear": linear,
    "loss": loss,
    "module": module,
    "normalization": normalization,
    "padding": padding,
    "pixelshuffle": resampling,
    "pooling": pooling,
    "rnn": recurrent,
    "sparse": embedding,
    "transformer": transformer,
    "upsampling": resampling,
}
for _name, _file in _FILES.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _file
globals().update({name: value for name, value in vars(nn).items() if isinstance(value, type)})

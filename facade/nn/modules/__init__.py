"""PyTorch's ``torch.nn.modules``: the layers under the paths that programs import them by."""

import sys

from facade import nn
from facade.nn import (
    activation,
    batchnorm,
    containers,
    conv,
    dropout,
    embedding,
    flatten,
    linear,
    loss,
    module,
    normalization,
    pooling,
    recurrent,
)

_FILES = {
    "activation": activation,
    "batchnorm": batchnorm,
    "container": containers,
    "conv": conv,
    "dropout": dropout,
    "flatten": flatten,
    "linear": linear,
    "loss": loss,
    "module": module,
    "normalization": normalization,
    "pooling": pooling,
    "rnn": recurrent,
    "sparse": embedding,
}
for _name, _file in _FILES.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _file
globals().update({name: value for name, value in vars(nn).items() if isinstance(value, type)})

"""PyTorch's ``torch.optim``: optimizers and learning rate schedulers."""

from facade.optim import lr_scheduler as lr_scheduler
from facade.optim.optimizer import Optimizer as Optimizer
from facade.optim.sgd import SGD as SGD

"""PyTorch's ``torch.optim.lr_scheduler``: learning rates that follow a schedule."""

from facade.optim.lr_scheduler.chains import ChainedScheduler as ChainedScheduler
from facade.optim.lr_scheduler.chains import SequentialLR as SequentialLR
from facade.optim.lr_scheduler.cosine import CosineAnnealingLR as CosineAnnealingLR
from facade.optim.lr_scheduler.cosine import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from facade.optim.lr_scheduler.cycles import CyclicLR as CyclicLR
from facade.optim.lr_scheduler.cycles import OneCycleLR as OneCycleLR
from facade.optim.lr_scheduler.factors import ConstantLR as ConstantLR
from facade.optim.lr_scheduler.factors import ExponentialLR as ExponentialLR
from facade.optim.lr_scheduler.factors import LinearLR as LinearLR
from facade.optim.lr_scheduler.factors import MultiStepLR as MultiStepLR
from facade.optim.lr_scheduler.factors import PolynomialLR as PolynomialLR
from facade.optim.lr_scheduler.factors import StepLR as StepLR
from facade.optim.lr_scheduler.functions import LambdaLR as LambdaLR
from facade.optim.lr_scheduler.functions import MultiplicativeLR as MultiplicativeLR
from facade.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from facade.optim.lr_scheduler.scheduler import LRScheduler as LRScheduler


class _LRScheduler(LRScheduler):
    """The base class's old name, which older code still subclasses."""

"""PyTorch's ``torch.optim``: optimizers and learning rate schedulers."""

from facade.optim import lr_scheduler as lr_scheduler
from facade.optim.adadelta import Adadelta as Adadelta
from facade.optim.adagrad import Adagrad as Adagrad
from facade.optim.adam import Adam as Adam
from facade.optim.adam import AdamW as AdamW
from facade.optim.adamax import Adamax as Adamax
from facade.optim.asgd import ASGD as ASGD
from facade.optim.lbfgs import LBFGS as LBFGS
from facade.optim.nadam import NAdam as NAdam
from facade.optim.optimizer import Optimizer as Optimizer
from facade.optim.radam import RAdam as RAdam
from facade.optim.rmsprop import RMSprop as RMSprop
from facade.optim.rprop import Rprop as Rprop
from facade.optim.sgd import SGD as SGD

"""facade: PyTorch's way of writing code on JAX's way of running it."""

from facade import autograd as autograd
from facade import dtypes as _dtypes
from facade import functions as _functions
from facade.autograd.grad_mode import enable_grad as enable_grad
from facade.autograd.grad_mode import inference_mode as inference_mode
from facade.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from facade.autograd.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
from facade.autograd.grad_mode import no_grad as no_grad
from facade.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from facade.devices import device as device
from facade.dtypes import dtype as dtype
from facade.dtypes import finfo as finfo
from facade.dtypes import iinfo as iinfo
from facade.size import Size as Size
from facade.tensor import Tensor as Tensor

globals().update(_functions.FUNCTIONS)
globals().update({d.name: d for d in _dtypes.ALL} | _dtypes.ALIASES)

"""facade: PyTorch's way of writing code on JAX's way of running it."""

from facade import autograd as autograd
from facade import cuda as cuda
from facade import dtypes as _dtypes
from facade import fft as fft
from facade import functions as _functions
from facade import hub as hub
from facade import linalg as linalg
from facade import nn as nn
from facade import optim as optim
from facade import random as random
from facade import serialization as serialization
from facade import special as special
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
from facade.interop.pure import to_jax as to_jax
from facade.layouts import channels_last as channels_last
from facade.layouts import channels_last_3d as channels_last_3d
from facade.layouts import contiguous_format as contiguous_format
from facade.layouts import layout as layout
from facade.layouts import memory_format as memory_format
from facade.layouts import preserve_format as preserve_format
from facade.layouts import sparse_coo as sparse_coo
from facade.layouts import sparse_csr as sparse_csr
from facade.layouts import strided as strided
from facade.random import Generator as Generator
from facade.random import default_generator as default_generator
from facade.random import get_rng_state as get_rng_state
from facade.random import initial_seed as initial_seed
from facade.random import manual_seed as manual_seed
from facade.random import seed as seed
from facade.random import set_rng_state as set_rng_state
from facade.serialization import load as load
from facade.serialization import save as save
from facade.size import Size as Size
from facade.tensor import Tensor as Tensor
from facade.typename import typename as typename

globals().update(_functions.FUNCTIONS)
globals().update({d.name: d for d in _dtypes.ALL} | _dtypes.ALIASES)

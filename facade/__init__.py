"""facade: PyTorch's way of writing code on JAX's way of running it."""

import math as _math

from facade import _C as _C
from facade import __config__ as __config__
from facade import _dynamo as _dynamo
from facade import _inductor as _inductor
from facade import accelerator as accelerator
from facade import amp as amp
from facade import autograd as autograd
from facade import backends as backends
from facade import compiler as compiler
from facade import cpu as cpu
from facade import cuda as cuda
from facade import dtypes as _dtypes
from facade import export as export
from facade import fft as fft
from facade import func as func
from facade import functions as _functions
from facade import hub as hub
from facade import linalg as linalg
from facade import masked as masked
from facade import nested as nested
from facade import nn as nn
from facade import onnx as onnx
from facade import optim as optim
from facade import overrides as overrides
from facade import profiler as profiler
from facade import quantized as quantized
from facade import random as random
from facade import serialization as serialization
from facade import signal as signal
from facade import sparse as sparse
from facade import special as special
from facade import utils as utils
from facade.amp.autocast_mode import autocast as autocast
from facade.amp.settings import autocast_decrement_nesting as autocast_decrement_nesting
from facade.amp.settings import autocast_increment_nesting as autocast_increment_nesting
from facade.amp.settings import clear_autocast_cache as clear_autocast_cache
from facade.amp.settings import get_autocast_cpu_dtype as get_autocast_cpu_dtype
from facade.amp.settings import get_autocast_dtype as get_autocast_dtype
from facade.amp.settings import get_autocast_gpu_dtype as get_autocast_gpu_dtype
from facade.amp.settings import get_autocast_ipu_dtype as get_autocast_ipu_dtype
from facade.amp.settings import get_autocast_xla_dtype as get_autocast_xla_dtype
from facade.amp.settings import is_autocast_cache_enabled as is_autocast_cache_enabled
from facade.amp.settings import is_autocast_cpu_enabled as is_autocast_cpu_enabled
from facade.amp.settings import is_autocast_enabled as is_autocast_enabled
from facade.amp.settings import is_autocast_ipu_enabled as is_autocast_ipu_enabled
from facade.amp.settings import is_autocast_xla_enabled as is_autocast_xla_enabled
from facade.amp.settings import set_autocast_cache_enabled as set_autocast_cache_enabled
from facade.amp.settings import set_autocast_cpu_dtype as set_autocast_cpu_dtype
from facade.amp.settings import set_autocast_cpu_enabled as set_autocast_cpu_enabled
from facade.amp.settings import set_autocast_dtype as set_autocast_dtype
from facade.amp.settings import set_autocast_enabled as set_autocast_enabled
from facade.amp.settings import set_autocast_gpu_dtype as set_autocast_gpu_dtype
from facade.amp.settings import set_autocast_ipu_dtype as set_autocast_ipu_dtype
from facade.amp.settings import set_autocast_ipu_enabled as set_autocast_ipu_enabled
from facade.amp.settings import set_autocast_xla_dtype as set_autocast_xla_dtype
from facade.amp.settings import set_autocast_xla_enabled as set_autocast_xla_enabled
from facade.autograd.anomaly_mode import (
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
)
from facade.autograd.anomaly_mode import is_anomaly_enabled as is_anomaly_enabled
from facade.autograd.anomaly_mode import set_anomaly_enabled as set_anomaly_enabled
from facade.autograd.grad_mode import enable_grad as enable_grad
from facade.autograd.grad_mode import inference_mode as inference_mode
from facade.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from facade.autograd.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
from facade.autograd.grad_mode import no_grad as no_grad
from facade.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from facade.capture import jit as jit
from facade.compiler import compile as compile
from facade.deferred import set_value_checks as set_value_checks
from facade.devices import device as device
from facade.dtypes import dtype as dtype
from facade.dtypes import finfo as finfo
from facade.dtypes import iinfo as iinfo
from facade.errors import absent as _absent
from facade.explanation import explain as explain
from facade.explanation import no_flush as no_flush
from facade.func import vmap as vmap
from facade.func.control_flow import cond as cond
from facade.functions.legacy import TYPES as _TYPES
from facade.functions.memory import TypedStorage as TypedStorage
from facade.functions.memory import UntypedStorage as UntypedStorage
from facade.interop.functions import from_jax as from_jax
from facade.interop.pure import to_jax as to_jax
from facade.layouts import channels_last as channels_last
from facade.layouts import channels_last_3d as channels_last_3d
from facade.layouts import contiguous_format as contiguous_format
from facade.layouts import jagged as jagged
from facade.layouts import layout as layout
from facade.layouts import memory_format as memory_format
from facade.layouts import per_channel_affine as per_channel_affine
from facade.layouts import (
    per_channel_affine_float_qparams as per_channel_affine_float_qparams,
)
from facade.layouts import per_channel_symmetric as per_channel_symmetric
from facade.layouts import per_tensor_affine as per_tensor_affine
from facade.layouts import per_tensor_symmetric as per_tensor_symmetric
from facade.layouts import preserve_format as preserve_format
from facade.layouts import qscheme as qscheme
from facade.layouts import sparse_bsc as sparse_bsc
from facade.layouts import sparse_bsr as sparse_bsr
from facade.layouts import sparse_coo as sparse_coo
from facade.layouts import sparse_csc as sparse_csc
from facade.layouts import sparse_csr as sparse_csr
from facade.layouts import strided as strided
from facade.printing import set_printoptions as set_printoptions
from facade.random import Generator as Generator
from facade.random import default_generator as default_generator
from facade.random import get_rng_state as get_rng_state
from facade.random import initial_seed as initial_seed
from facade.random import manual_seed as manual_seed
from facade.random import seed as seed
from facade.random import set_rng_state as set_rng_state
from facade.serialization import load as load
from facade.serialization import save as save
from facade.settings import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
)
from facade.settings import get_deterministic_debug_mode as get_deterministic_debug_mode
from facade.settings import get_num_interop_threads as get_num_interop_threads
from facade.settings import get_num_threads as get_num_threads
from facade.settings import (
    is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled,
)
from facade.settings import is_warn_always_enabled as is_warn_always_enabled
from facade.settings import set_deterministic_debug_mode as set_deterministic_debug_mode
from facade.settings import set_flush_denormal as set_flush_denormal
from facade.settings import set_num_interop_threads as set_num_interop_threads
from facade.settings import set_num_threads as set_num_threads
from facade.settings import set_warn_always as set_warn_always
from facade.settings import use_deterministic_algorithms as use_deterministic_algorithms
from facade.size import Size as Size
from facade.tensor import Tensor as Tensor
from facade.typename import typename as typename

__version__ = "2.13.0"  # of the PyTorch whose interface this is
e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi


def _assert(condition, message: str) -> None:
    """Assert a condition."""
    assert condition, message


def __getattr__(name: str):
    """Say what to use instead of a function that there isn't."""
    raise _absent(name)


globals().update(_functions.FUNCTIONS | _TYPES)
globals().update({d.name: d for d in (*_dtypes.ALL, *_dtypes.QUANTIZED)} | _dtypes.ALIASES)

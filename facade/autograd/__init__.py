"""torch.autograd: gradients of tensors, by the graph that recording leaves."""

from facade.autograd import diagnosis as diagnosis
from facade.autograd import forward_ad as forward_ad
from facade.autograd import function as function
from facade.autograd import functional as functional
from facade.autograd import graph as graph
from facade.autograd import packing as packing
from facade.autograd import profiler as profiler
from facade.autograd import saved_values as saved_values
from facade.autograd import variable as variable
from facade.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from facade.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from facade.autograd.derivatives import backward as backward
from facade.autograd.derivatives import grad as grad
from facade.autograd.function import Function as Function
from facade.autograd.grad_mode import enable_grad as enable_grad
from facade.autograd.grad_mode import inference_mode as inference_mode
from facade.autograd.grad_mode import no_grad as no_grad
from facade.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from facade.autograd.grad_mode import set_multithreading_enabled as set_multithreading_enabled
from facade.autograd.gradcheck import GradcheckError as GradcheckError
from facade.autograd.gradcheck import gradcheck as gradcheck
from facade.autograd.gradcheck import gradgradcheck as gradgradcheck
from facade.autograd.variable import Variable as Variable
from facade.graph import AccumulateGrad as AccumulateGrad

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]

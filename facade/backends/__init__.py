"""``torch.backends``: how exact a GPU computes, and which libraries PyTorch would use."""

from facade.backends import cpu as cpu
from facade.backends import cuda as cuda
from facade.backends import cudnn as cudnn
from facade.backends import mkl as mkl
from facade.backends import mkldnn as mkldnn
from facade.backends import mps as mps
from facade.backends import openmp as openmp

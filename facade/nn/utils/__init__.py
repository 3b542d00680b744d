"""PyTorch's ``torch.nn.utils``: public names only."""

from facade.nn.utils import parametrizations as parametrizations
from facade.nn.utils import parametrize as parametrize
from facade.nn.utils import rnn as rnn
from facade.nn.utils import stateless as stateless
from facade.nn.utils.clip_grad import clip_grad_norm as clip_grad_norm
from facade.nn.utils.clip_grad import clip_grad_norm_ as clip_grad_norm_
from facade.nn.utils.clip_grad import clip_grad_value_ as clip_grad_value_
from facade.nn.utils.clip_grad import clip_grads_with_norm_ as clip_grads_with_norm_
from facade.nn.utils.clip_grad import get_total_norm as get_total_norm
from facade.nn.utils.convert_parameters import parameters_to_vector as parameters_to_vector
from facade.nn.utils.convert_parameters import vector_to_parameters as vector_to_parameters
from facade.nn.utils.fusion import fuse_conv_bn_eval as fuse_conv_bn_eval
from facade.nn.utils.fusion import fuse_conv_bn_weights as fuse_conv_bn_weights
from facade.nn.utils.fusion import fuse_linear_bn_eval as fuse_linear_bn_eval
from facade.nn.utils.fusion import fuse_linear_bn_weights as fuse_linear_bn_weights
from facade.nn.utils.init import skip_init as skip_init
from facade.nn.utils.spectral_norm import remove_spectral_norm as remove_spectral_norm
from facade.nn.utils.spectral_norm import spectral_norm as spectral_norm
from facade.nn.utils.weight_norm import remove_weight_norm as remove_weight_norm
from facade.nn.utils.weight_norm import weight_norm as weight_norm

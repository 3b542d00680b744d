"""PyTorch's ``torch.nn.functional``: public names only."""

from facade.nn.functional import native as _native  # noqa: F401 - functions of facade itself
from facade.nn.functional import reduction as _Reduction  # noqa: F401 - layers ask it
from facade.nn.functional.activation import _threshold as _threshold
from facade.nn.functional.activation import celu as celu
from facade.nn.functional.activation import celu_ as celu_
from facade.nn.functional.activation import elu as elu
from facade.nn.functional.activation import elu_ as elu_
from facade.nn.functional.activation import gelu as gelu
from facade.nn.functional.activation import glu as glu
from facade.nn.functional.activation import gumbel_softmax as gumbel_softmax
from facade.nn.functional.activation import hardshrink as hardshrink
from facade.nn.functional.activation import hardsigmoid as hardsigmoid
from facade.nn.functional.activation import hardswish as hardswish
from facade.nn.functional.activation import hardtanh as hardtanh
from facade.nn.functional.activation import hardtanh_ as hardtanh_
from facade.nn.functional.activation import leaky_relu as leaky_relu
from facade.nn.functional.activation import leaky_relu_ as leaky_relu_
from facade.nn.functional.activation import log_softmax as log_softmax
from facade.nn.functional.activation import logsigmoid as logsigmoid
from facade.nn.functional.activation import mish as mish
from facade.nn.functional.activation import prelu as prelu
from facade.nn.functional.activation import relu as relu
from facade.nn.functional.activation import relu6 as relu6
from facade.nn.functional.activation import relu_ as relu_
from facade.nn.functional.activation import rrelu as rrelu
from facade.nn.functional.activation import rrelu_ as rrelu_
from facade.nn.functional.activation import selu as selu
from facade.nn.functional.activation import selu_ as selu_
from facade.nn.functional.activation import sigmoid as sigmoid
from facade.nn.functional.activation import silu as silu
from facade.nn.functional.activation import softmax as softmax
from facade.nn.functional.activation import softmin as softmin
from facade.nn.functional.activation import softplus as softplus
from facade.nn.functional.activation import softshrink as softshrink
from facade.nn.functional.activation import softsign as softsign
from facade.nn.functional.activation import tanh as tanh
from facade.nn.functional.activation import tanhshrink as tanhshrink
from facade.nn.functional.activation import threshold as threshold
from facade.nn.functional.activation import threshold_ as threshold_
from facade.nn.functional.attention import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from facade.nn.functional.convolution import bilinear as bilinear
from facade.nn.functional.convolution import conv1d as conv1d
from facade.nn.functional.convolution import conv2d as conv2d
from facade.nn.functional.convolution import conv3d as conv3d
from facade.nn.functional.convolution import conv_tbc as conv_tbc
from facade.nn.functional.convolution import conv_transpose1d as conv_transpose1d
from facade.nn.functional.convolution import conv_transpose2d as conv_transpose2d
from facade.nn.functional.convolution import conv_transpose3d as conv_transpose3d
from facade.nn.functional.convolution import fold as fold
from facade.nn.functional.convolution import linear as linear
from facade.nn.functional.convolution import unfold as unfold
from facade.nn.functional.distance import cosine_similarity as cosine_similarity
from facade.nn.functional.distance import pairwise_distance as pairwise_distance
from facade.nn.functional.distance import pdist as pdist
from facade.nn.functional.dropout import alpha_dropout as alpha_dropout
from facade.nn.functional.dropout import dropout as dropout
from facade.nn.functional.dropout import dropout1d as dropout1d
from facade.nn.functional.dropout import dropout2d as dropout2d
from facade.nn.functional.dropout import dropout3d as dropout3d
from facade.nn.functional.dropout import feature_alpha_dropout as feature_alpha_dropout
from facade.nn.functional.fractional import fractional_max_pool2d as fractional_max_pool2d
from facade.nn.functional.fractional import (
    fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices,
)
from facade.nn.functional.fractional import fractional_max_pool3d as fractional_max_pool3d
from facade.nn.functional.fractional import (
    fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices,
)
from facade.nn.functional.linear_loss import linear_cross_entropy as linear_cross_entropy
from facade.nn.functional.loss import binary_cross_entropy as binary_cross_entropy
from facade.nn.functional.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from facade.nn.functional.loss import cosine_embedding_loss as cosine_embedding_loss
from facade.nn.functional.loss import cross_entropy as cross_entropy
from facade.nn.functional.loss import ctc_loss as ctc_loss
from facade.nn.functional.loss import gaussian_nll_loss as gaussian_nll_loss
from facade.nn.functional.loss import hinge_embedding_loss as hinge_embedding_loss
from facade.nn.functional.loss import huber_loss as huber_loss
from facade.nn.functional.loss import kl_div as kl_div
from facade.nn.functional.loss import l1_loss as l1_loss
from facade.nn.functional.loss import margin_ranking_loss as margin_ranking_loss
from facade.nn.functional.loss import mse_loss as mse_loss
from facade.nn.functional.loss import multi_margin_loss as multi_margin_loss
from facade.nn.functional.loss import multilabel_margin_loss as multilabel_margin_loss
from facade.nn.functional.loss import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from facade.nn.functional.loss import nll_loss as nll_loss
from facade.nn.functional.loss import poisson_nll_loss as poisson_nll_loss
from facade.nn.functional.loss import smooth_l1_loss as smooth_l1_loss
from facade.nn.functional.loss import soft_margin_loss as soft_margin_loss
from facade.nn.functional.loss import triplet_margin_loss as triplet_margin_loss
from facade.nn.functional.loss import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from facade.nn.functional.multihead import (
    multi_head_attention_forward as multi_head_attention_forward,
)
from facade.nn.functional.normalization import batch_norm as batch_norm
from facade.nn.functional.normalization import group_norm as group_norm
from facade.nn.functional.normalization import instance_norm as instance_norm
from facade.nn.functional.normalization import layer_norm as layer_norm
from facade.nn.functional.normalization import local_response_norm as local_response_norm
from facade.nn.functional.normalization import normalize as normalize
from facade.nn.functional.normalization import rms_norm as rms_norm
from facade.nn.functional.pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from facade.nn.functional.pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from facade.nn.functional.pooling import adaptive_avg_pool3d as adaptive_avg_pool3d
from facade.nn.functional.pooling import adaptive_max_pool1d as adaptive_max_pool1d
from facade.nn.functional.pooling import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
)
from facade.nn.functional.pooling import adaptive_max_pool2d as adaptive_max_pool2d
from facade.nn.functional.pooling import (
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
)
from facade.nn.functional.pooling import adaptive_max_pool3d as adaptive_max_pool3d
from facade.nn.functional.pooling import (
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
)
from facade.nn.functional.pooling import avg_pool1d as avg_pool1d
from facade.nn.functional.pooling import avg_pool2d as avg_pool2d
from facade.nn.functional.pooling import avg_pool3d as avg_pool3d
from facade.nn.functional.pooling import lp_pool1d as lp_pool1d
from facade.nn.functional.pooling import lp_pool2d as lp_pool2d
from facade.nn.functional.pooling import lp_pool3d as lp_pool3d
from facade.nn.functional.pooling import max_pool1d as max_pool1d
from facade.nn.functional.pooling import max_pool1d_with_indices as max_pool1d_with_indices
from facade.nn.functional.pooling import max_pool2d as max_pool2d
from facade.nn.functional.pooling import max_pool2d_with_indices as max_pool2d_with_indices
from facade.nn.functional.pooling import max_pool3d as max_pool3d
from facade.nn.functional.pooling import max_pool3d_with_indices as max_pool3d_with_indices
from facade.nn.functional.pooling import max_unpool1d as max_unpool1d
from facade.nn.functional.pooling import max_unpool2d as max_unpool2d
from facade.nn.functional.pooling import max_unpool3d as max_unpool3d
from facade.nn.functional.sparse import embedding as embedding
from facade.nn.functional.sparse import embedding_bag as embedding_bag
from facade.nn.functional.sparse import one_hot as one_hot
from facade.nn.functional.vision import affine_grid as affine_grid
from facade.nn.functional.vision import channel_shuffle as channel_shuffle
from facade.nn.functional.vision import grid_sample as grid_sample
from facade.nn.functional.vision import interpolate as interpolate
from facade.nn.functional.vision import native_channel_shuffle as native_channel_shuffle
from facade.nn.functional.vision import pad as pad
from facade.nn.functional.vision import pixel_shuffle as pixel_shuffle
from facade.nn.functional.vision import pixel_unshuffle as pixel_unshuffle
from facade.nn.functional.vision import upsample as upsample
from facade.nn.functional.vision import upsample_bilinear as upsample_bilinear
from facade.nn.functional.vision import upsample_nearest as upsample_nearest

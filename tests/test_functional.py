"""nn.functional: values, gradients, strides, grad_fn's names, errors and warnings."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional
from tables import called, check, check_gradients, compare

import facade


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def gradients(cases):
    """Compare ``F.`` expressions of x, y and z with random float64 operands of these shapes."""
    rows = [
        (f"torch.nn.functional.{code}", *(numbers(10 * i + j, *s) for j, s in enumerate(shapes)))
        for i, (code, *shapes) in enumerate(cases)
    ]
    check_gradients(rows)


def names(module):
    """Return what the expressions of wrong calls may use: ``r(*shape)`` is a random tensor."""
    return {
        "F": module.nn.functional,
        "r": lambda *shape: module.tensor(np.asarray(numbers(0, *shape), np.float32)),
    }


# ---- convolutions ----

CONVOLUTIONS = [
    ("conv1d(x, y, z)", (2, 4, 9), (6, 4, 3), (6,)),
    ("conv1d(x, y, None, 2, 1, 2, 2)", (2, 4, 11), (6, 2, 3)),
    ("conv1d(x, y, padding='same')", (4, 9), (6, 4, 4)),
    ("conv2d(x, y, z)", (2, 4, 6, 7), (3, 4, 3, 3), (3,)),
    ("conv2d(x, y, None, 2, 1)", (8, 8, 16, 15), (3, 8, 3, 3)),
    ("conv2d(x, y)", (8, 8, 16, 15), (3, 8, 3, 3)),
    ("conv2d(x, y, z, (2, 1), (1, 0), (1, 2))", (4, 7, 8), (3, 4, 3, 2), (3,)),
    ("conv2d(x, y, None, 1, 1)", (2, 16, 2, 2), (8, 16, 3, 3)),
    ("conv2d(x, y, None, 1, 1, 1, 4)", (2, 4, 6, 7), (4, 1, 3, 3)),
    ("conv2d(x, y, None, 2, 1, 1, 4)", (2, 4, 6, 7), (8, 1, 3, 3)),
    ("conv2d(x, y, None, 2, 1, 1, 2)", (2, 32, 6, 7), (6, 16, 3, 3)),
    ("conv2d(x, y, None, 1, 1, 1, 16)", (2, 64, 6, 7), (32, 4, 4, 4)),
    ("conv2d(x, y, None, [2])", (2, 64, 9, 7), (3, 64, 1, 1)),
    ("conv2d(x, y, padding='same', dilation=2)", (2, 4, 6, 7), (3, 4, 3, 2)),
    ("conv2d(x, y)", (0, 4, 6, 7), (3, 4, 3, 3)),
    ("conv3d(x, y, z, 2, 1)", (2, 3, 4, 5, 6), (4, 3, 3, 2, 3), (4,)),
    ("conv_transpose1d(x, y, None, 2, 1, 1, 2, 2)", (2, 4, 9), (4, 3, 3)),
    ("conv_transpose2d(x, y, z, 2, 1, 1)", (2, 4, 5, 6), (4, 3, 3, 3), (3,)),
    ("conv_transpose2d(x, y, None, 3, 0, 0, 2, 1)", (4, 3, 3), (4, 2, 2, 3)),
    ("conv_transpose3d(x, y, None, 2)", (1, 2, 3, 2, 3), (2, 3, 2, 2, 2)),
    ("conv_tbc(x, y, z, 1)", (5, 2, 3), (3, 3, 4), (4,)),
    ("linear(x, y, z)", (3, 5), (4, 5), (4,)),
    ("bilinear(x, y, z)", (3, 5), (3, 4), (2, 5, 4)),
    ("unfold(x, (2, 3), 1, 1, 2)", (2, 3, 5, 6)),
    ("fold(x, (4, 5), 2, 1, 1)", (2, 8, 30)),
    ("pixel_shuffle(x, 2)", (2, 8, 3, 4)),
    ("pixel_unshuffle(x, 2)", (2, 2, 4, 6)),
    ("channel_shuffle(x, 2)", (2, 4, 3, 3)),
]  # fmt: skip


def test_convolutions():
    gradients(CONVOLUTIONS)


def second(module, code, *arrays):
    """Return the gradients of the sum of squared gradients."""
    inputs = [module.tensor(a, requires_grad=True) for a in arrays]
    y = eval(code, {"F": module.nn.functional, **dict(zip("xyz", inputs, strict=False))})
    y = y[0] if isinstance(y, tuple) else y
    first = module.autograd.grad((y**3).sum(), inputs, create_graph=True)
    found = module.autograd.grad(sum((g**2).sum() for g in first), inputs)
    return [g.contiguous() for g in found]


@pytest.mark.parametrize(
    ("code", "shapes"),
    [
        ("F.conv2d(x, y, z, 2, 1)", [(2, 3, 6, 5), (4, 3, 3, 3), (4,)]),
        ("F.conv2d(x, y, None, 1, 1, 1, 4)", [(2, 4, 5, 5), (4, 1, 3, 3)]),
        ("F.batch_norm(x, None, None, y, z, True)", [(4, 3, 5), (3,), (3,)]),
        ("F.layer_norm(x, (5,), y, z)", [(3, 5), (5,), (5,)]),
        ("F.max_pool2d(x, 3, 2, 1)", [(2, 3, 6, 5)]),
        ("F.softmax(x, 1) + F.log_softmax(x, 1) + F.gelu(x)", [(3, 5)]),
    ],
)
def test_second_derivatives(code, shapes):
    arrays = [numbers(i, *s) for i, s in enumerate(shapes)]
    compare(code, second(facade, code, *arrays), second(torch, code, *arrays))


# ---- pooling ----

POOLING = [
    *((f"max_pool1d(x, {a})", (2, 3, 9)) for a in ("2", "3, 1, 1, 2", "3, 2, 1, 1, True")),
    *((f"max_pool2d(x, {a})", (3, 8, 9)) for a in ("2", "(2, 3), (1, 2), (1, 0)", "2, None, 0, 2")),
    ("max_pool2d(x, 3, 2, 1, 1, True, True)", (2, 3, 8, 9)),
    ("max_pool3d(x, 3, 2, 1)", (1, 2, 5, 6, 7)),
    *((f"avg_pool1d(x, {a})", (3, 9)) for a in ("2", "3, 2, 1, True, False")),
    *((f"avg_pool2d(x, {a})", (2, 3, 8, 9)) for a in (
        "2", "(2, 3), (1, 2), (1, 0)", "3, 2, 1, True", "3, 2, 1, True, False",
        "2, divisor_override=3")),
    ("avg_pool3d(x, 3, 2, 1)", (1, 2, 5, 6, 7)),
    *((f"adaptive_avg_pool2d(x, {o})", (2, 3, 8, 9)) for o in (
        "1", "(1, 2)", "(3, 4)", "(None, 3)", "(11, 3)")),
    *((f"adaptive_max_pool2d(x, {o}, True)", (3, 8, 9)) for o in ("1", "(3, 4)", "(8, 3)")),
    ("adaptive_avg_pool1d(x, 3)", (2, 3, 8)), ("adaptive_max_pool1d(x, 3)", (2, 3, 8)),
    ("adaptive_avg_pool3d(x, 2)", (2, 4, 5, 6)), ("adaptive_max_pool3d(x, 2)", (2, 4, 5, 6)),
    ("lp_pool2d(x, 2, 2)", (2, 3, 8, 6)),
    ("fractional_max_pool2d(x, (2, 3), (4, 3), _random_samples=torch.tensor([[[.3, .6]] * 3] * 2)"
     ".double())", (2, 3, 8, 9)),
    ("fractional_max_pool3d(x, 2, output_ratio=(.5, .5, .7), _random_samples="
     "torch.tensor([[[.3, .6, .1]] * 3]).double())", (3, 6, 7, 6)),
    ("max_unpool2d(x, torch.tensor([[[[0, 3], [8, 11]]]]), 2)", (1, 1, 2, 2)),
    ("max_unpool1d(x, torch.tensor([[[0, 3]]]), 2, output_size=(5,))", (1, 1, 2)),
]  # fmt: skip


def test_pooling():
    gradients(POOLING)


def test_greatest_of_equal_and_missing_numbers():
    """The first of equals, the last nan, and a place even where all is -inf."""
    values = np.round(numbers(0, 2, 3, 8, 9))
    values[0, 0, 2, 3:5] = np.nan
    values[0, 1] = -np.inf
    check(
        ["F.max_pool2d(t, 3, 2, 1, return_indices=True)", "F.max_pool2d(t, 2, 1, 0, 2, True, True)",
         "F.adaptive_max_pool2d(t, (3, 4), True)", "F.max_pool2d(t.nan_to_num().long(), 3, 2, 1)"],
        lambda module: {**names(module), "t": module.tensor(values)},
    )  # fmt: skip


# ---- normalization ----

STATISTICS = "torch.tensor([.1, .2, .3]).double(), torch.tensor([1., 2, 3]).double()"
NORMALIZATIONS = [
    ("batch_norm(x, None, None, y, z, True)", (4, 3, 5), (3,), (3,)),
    (f"batch_norm(x, {STATISTICS}, y, z)", (4, 3, 2, 2), (3,), (3,)),
    ("layer_norm(x, (5,), y, z)", (3, 5), (5,), (5,)),
    ("layer_norm(x, [2, 5])", (3, 2, 5)),
    ("group_norm(x, 2, y, z)", (3, 4, 5), (4,), (4,)),
    ("instance_norm(x, None, None, y, z)", (2, 3, 5), (3,), (3,)),
    (f"instance_norm(x, {STATISTICS}, y, z, False)", (2, 3, 5), (3,), (3,)),
    ("rms_norm(x, (5,), y)", (3, 5), (5,)),
    ("normalize(x)", (3, 5)), ("normalize(x, 3., -1)", (2, 3, 5)),
    ("local_response_norm(x, 3)", (2, 5, 4)),
]  # fmt: skip


def test_normalization():
    gradients(NORMALIZATIONS)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics(name):
    def run(module):
        mean, var = module.tensor([0.1, 0.2, 0.3]), module.tensor([1.0, 2.0, 3.0])
        function = getattr(module.nn.functional, name)
        for seed in range(3):
            x = module.tensor(numbers(seed, 4, 3, 5).astype("float32"), requires_grad=True)
            y = function(x, mean, var, None, None, True, 0.3)
        return [y, mean, var, function(x, mean, var, None, None, False)]

    compare(name, run(facade), run(torch))


def test_variance_of_large_numbers_keeps_its_digits():
    def run(module):
        x = module.tensor((numbers(0, 64, 3, 5) + 1e4).astype("float32"))
        return [module.nn.functional.batch_norm(x, None, None, training=True).std()]

    (ours,), (theirs,) = run(facade), run(torch)
    assert abs(ours.item() - theirs.item()) < 1e-3


# ---- activations ----

ACTIVATIONS = [
    "relu(x)", "relu6(x * 5)", "leaky_relu(x, 0.2)", "elu(x, 0.7)", "selu(x)", "gelu(x)",
    "gelu(x, approximate='tanh')", "silu(x)", "mish(x)", "hardtanh(x, -0.3, 0.4)",
    "hardswish(x * 3)", "softplus(x, 2, 1)", "softsign(x)", "tanhshrink(x)",
    "threshold(x, 0.1, 20)", "hardshrink(x)", "softshrink(x, 0.3)", "logsigmoid(x)",
    "sigmoid(x)", "tanh(x)", "rrelu(x)", "softmax(x, 0)", "softmax(x, -1)", "log_softmax(x, 1)",
    "softmin(x, 1)", "glu(x, 0)", "relu(x * 1, True)", "elu(x * 1, 0.5, True)",
    "leaky_relu(x * 1, 0.1, True)", "celu(x * 1, 0.5, True)", "threshold(x * 1, 0.1, 2., True)",
    "silu(x * 1, True)", "hardtanh(x * 1, inplace=True)",
]  # fmt: skip
EDGES = [-1e3, -100.0, -6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 100.0, 1e3]


def test_activations():
    gradients([(code, (4, 5)) for code in ACTIVATIONS])
    gradients([("prelu(x, y)", (2, 3, 4), (3,)), ("prelu(x, y)", (2, 3), (1,))])


def test_activations_at_their_edges():
    codes = [*ACTIVATIONS, "celu(x)", "hardtanh(x)", "relu6(x)", "hardswish(x)"]
    edges = np.array([EDGES] * 2)
    check_gradients([(f"torch.nn.functional.{code}", edges) for code in codes])
    # in float64 PyTorch's own gradient has float32's sixth
    check_gradients([("torch.nn.functional.hardsigmoid(x)", EDGES)])


def test_softmax_of_other_dtypes():
    check(
        ["F.softmax(r(2, 3), 1, dtype=torch.float64)", "F.softmax(r(2, 3).bfloat16(), 0)",
         "F.log_softmax(r(2, 3).half(), -1)", "F.softmax(torch.tensor([1, 2]), 0, 3, torch.float)",
         "F.softmax(r(), 0)", "F.softmax(r(0, 3), 0)", "F.gelu(r(5).bfloat16())",
         "F.softmax(torch.full((2, 3), -inf), 1)", "torch.softmax(r(2, 3), 1)", "r(2).softmax(0)"],
        names,
    )  # fmt: skip


# ---- losses ----

ELEMENTWISE_LOSSES = [
    "mse_loss(x, y, {})", "l1_loss(x, y, {})", "smooth_l1_loss(x, y, {}, beta=0.5)",
    "huber_loss(x, y, {}, delta=0.7)", "soft_margin_loss(x, y.sign().detach(), {})",
    "kl_div(x, y.abs(), {})", "kl_div(x, y, {}, log_target=True)",
    "binary_cross_entropy(x.sigmoid(), y.sigmoid(), {})",
    "binary_cross_entropy_with_logits(x, y, {}, pos_weight=torch.arange(1., 6).double())",
    "margin_ranking_loss(x, y, torch.ones(3, 5).double(), 0.3, {})",
    "cosine_embedding_loss(x, y, torch.tensor([1., -1, 1]).double(), 0.1, {})",
    "poisson_nll_loss(x, y.abs(), {})", "gaussian_nll_loss(x, y, 2., True, {})",
    "triplet_margin_loss(x, y, z, {})",
    "multilabel_soft_margin_loss(x, (y > 0).double(), {})",
    "cross_entropy(x, y.softmax(1), {}, label_smoothing=0.2)",
    "hinge_embedding_loss(x, y.sign().detach(), {})",
]  # fmt: skip
WEIGHT = "torch.arange(1., 6).double()"
CLASS_LOSSES = [
    ("cross_entropy(x, torch.tensor([1, 0, 4]), {})", (3, 5)),
    ("cross_entropy(x, torch.tensor(2), {})", (5,)),
    (f"cross_entropy(x, torch.tensor([1, 0, 4]), {WEIGHT}, ignore_index=0, {{}})", (3, 5)),
    ("cross_entropy(x, torch.tensor([[1, 0], [2, -100]]), {}, label_smoothing=0.1)", (2, 3, 2)),
    (f"cross_entropy(x, torch.tensor([1, 0, 4]), {WEIGHT}, {{}}, label_smoothing=0.1)", (3, 5)),
    ("nll_loss(x, torch.tensor([[[1, 0]], [[2, 2]]]), {})", (2, 3, 1, 2)),
    ("nll_loss(x, torch.tensor([[[[1, 0]]], [[[2, -100]]]]), {})", (2, 3, 1, 1, 2)),
    (f"multi_margin_loss(x, torch.tensor([1, 0, 4]), 2, 0.5, {WEIGHT}, {{}})", (3, 5)),
    ("multilabel_margin_loss(x, torch.tensor([[1, 2, -1, 0, 0], [0, -1, 0, 0, 0]]), {})", (2, 5)),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction):
    how = f"reduction='{reduction}'"
    rows = [(c.format(how), *[(3, 5)] * (3 if "z" in c else 2)) for c in ELEMENTWISE_LOSSES]
    rows += [(code.format(how), *shapes) for code, *shapes in CLASS_LOSSES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradients(rows)


def test_ctc_loss():
    gradients([
        ("ctc_loss(x.log_softmax(-1), torch.tensor([[1, 2, 2], [2, 3, 0]]), (6, 5), (3, 2))",
         (6, 2, 4)),
        ("ctc_loss(x, torch.tensor([1, 2, 2, 2, 3]), (6, 5), (3, 2), reduction='sum')", (6, 2, 4)),
    ])  # fmt: skip


# ---- tables, distances, attention ----

ATTENTION = ((2, 2, 4, 8),) * 3
LOOKUPS = [
    ("embedding(torch.tensor([[1, 2], [4, 1]]), x)", (5, 3)),
    ("embedding(torch.tensor([1, 2, 1]), x, -2, scale_grad_by_freq=True)", (5, 3)),
    ("embedding_bag(torch.tensor([[1, 2], [4, 1]]), x)", (5, 3)),
    ("embedding_bag(torch.tensor([1, 2, 4]), x, torch.tensor([0, 2, 2]), mode='max')", (5, 3)),
    ("embedding_bag(torch.tensor([1, 2, 4]), x, torch.tensor([0, 1]), mode='sum', "
     "per_sample_weights=y)", (5, 3), (3,)),
    ("cosine_similarity(x, y)", (3, 5), (3, 5)), ("cosine_similarity(x, y, 0)", (3, 5), (5,)),
    ("pairwise_distance(x, y)", (3, 5), (3, 5)), ("pdist(x)", (4, 3)), ("pdist(x, 1.)", (4, 3)),
    ("scaled_dot_product_attention(x, y, z)", *ATTENTION),
    ("scaled_dot_product_attention(x, y, z, is_causal=True, scale=0.3)", *ATTENTION),
    ("scaled_dot_product_attention(x, y, z, torch.eye(4).bool())", *ATTENTION),
    ("scaled_dot_product_attention(x, y, z, torch.arange(16.).reshape(4, 4).double())", *ATTENTION),
    ("scaled_dot_product_attention(x, y, z)", (4, 8), (4, 8), (4, 8)),
    ("scaled_dot_product_attention(x, y, z, enable_gqa=True)", (2, 4, 3, 8), (2, 2, 5, 8),
     (2, 2, 5, 8)),
]  # fmt: skip


def test_tables_distances_and_attention():
    gradients(LOOKUPS)


HEADS = [
    {}, {"need_weights": False}, {"need_weights": False, "is_causal": True, "attn_mask": "causal"},
    {"attn_mask": "causal", "key_padding_mask": "padding", "add_zero_attn": True},
    {"attn_mask": "causal", "key_padding_mask": "padding", "need_weights": False},
    {"average_attn_weights": False}, {"is_causal": True},
]  # fmt: skip


@pytest.mark.parametrize("options", HEADS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("alone", [True, False])
def test_multi_head_attention(options, alone):
    """Self-attention of ``(length, batch, embed)``, and of ``(length, embed)``."""
    shapes = [(4, 8)] if alone else [(4, 2, 8)]
    shapes += [(24, 8), (24,), (8, 8), (8,)]
    padding = [False, False, False, True]

    def run(module):
        masks = {
            "causal": module.ones(4, 4).triu(1).bool(),
            "padding": module.tensor(padding if alone else [padding, [False] * 4]),
        }
        x, w, b, out, bias = (
            module.tensor(numbers(i, *s), requires_grad=True) for i, s in enumerate(shapes)
        )
        chosen = {k: masks.get(v, v) if isinstance(v, str) else v for k, v in options.items()}
        zero = chosen.pop("add_zero_attn", False)
        y, weights = module.nn.functional.multi_head_attention_forward(
            x, x, x, 8, 2, w, b, None, None, zero, 0.0, out, bias, **chosen
        )
        y.sum().backward()
        return [y.detach(), weights, *(t.grad for t in (x, w, b, out, bias))]

    compare(options, called(run, facade), called(run, torch))


def test_embedding_scales_long_rows_in_place():
    def run(module):
        weight = module.tensor(numbers(0, 5, 3))
        y = module.nn.functional.embedding(module.tensor([1, 3, 1]), weight, max_norm=0.5)
        return [y, weight]

    compare("max_norm", run(facade), run(torch))


# ---- maps at other sizes ----

RESAMPLING = [
    ("pad(x, (1, 2, -1, 1), value=2.5)", (2, 3)), ("pad(x, (1, 2), mode='reflect')", (3, 5)),
    *((f"pad(x, (1, 2, 2, 0), mode='{mode}')", (2, 3, 4, 5)) for mode in (
        "reflect", "replicate", "circular")),
    ("pad(x, (1, -1, 2, 0), mode='replicate')", (2, 3, 4, 5)),
    *((f"interpolate(x, {how}, mode='{mode}')", shape) for mode, shape in (
        ("nearest", (2, 3, 5, 6)), ("linear", (2, 3, 7)), ("bilinear", (2, 3, 5, 6)),
        ("bicubic", (2, 3, 5, 6)), ("trilinear", (1, 2, 3, 4, 5)), ("area", (2, 3, 5, 6)))
        for how in ("scale_factor=2", "scale_factor=0.7")),
    ("interpolate(x, (9, 4), mode='bilinear', align_corners=True)", (2, 3, 5, 6)),
    ("interpolate(x, (9, 4), mode='nearest-exact')", (2, 3, 5, 6)),
    ("interpolate(x, (3, 4), mode='bicubic', antialias=True)", (2, 3, 9, 7)),
    *((f"grid_sample(x, y * 1.3, '{mode}', '{outside}', {align})", (2, 3, 5, 6), (2, 3, 4, 2))
      for mode, outside, align in (
          ("bilinear", "zeros", False), ("bilinear", "border", True), ("nearest", "zeros", False),
          ("bilinear", "reflection", False), ("bicubic", "zeros", False))),
    ("affine_grid(x, (2, 3, 4, 5), False)", (2, 2, 3)),
]  # fmt: skip


def test_resampling():
    gradients(RESAMPLING)


# ---- wrong calls ----

WRONG = """
F.conv2d(r(2, 5, 6, 6), r(3, 4, 3, 3))
F.conv2d(r(4, 6), r(3, 4, 3, 3))
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3), r(4))
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3).double())
F.conv2d(r(2, 4, 2, 2), r(3, 4, 3, 3), dilation=2)
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3), stride=0)
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3), padding=-1)
F.conv2d(r(2, 4, 6, 6), r(3, 2, 3, 3), groups=2)
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3), padding='same', stride=2)
F.conv2d(r(2, 4, 6, 6), r(3, 4, 3, 3), stride=(1, 2, 3))
F.conv_transpose2d(r(2, 4, 6, 6), r(4, 3, 3, 3), stride=2, output_padding=2)
F.conv_transpose2d(r(2, 4, 6, 6), r(3, 3, 3, 3))
F.max_pool2d(r(4, 4), 2)
F.max_pool2d(r(2, 3, 4, 4), 5)
F.max_pool2d(r(2, 3, 4, 4), 2, padding=2)
F.max_pool2d(r(2, 3, 4, 4), (1, 2, 3))
F.max_pool1d(r(2, 3, 4), 5)
F.avg_pool2d(r(2, 3, 4, 4), 2, divisor_override=0)
F.adaptive_avg_pool2d(r(2, 3, 4, 4), (1, 2, 3))
F.batch_norm(r(2, 3), torch.zeros(4), torch.ones(4), training=True)
F.batch_norm(r(2, 3), None, None)
F.batch_norm(r(1, 3), None, None, training=True)
F.layer_norm(r(2, 3), (2,))
F.layer_norm(r(2, 3), (3,), torch.ones(2))
F.group_norm(r(2, 4), 3)
F.instance_norm(r(2, 3, 1))
F.softmax(r(2, 3), 5)
F.softmax(r(2, 3).long(), 1)
F.elu(r(2).long())
F.celu(r(2), 0.)
F.prelu(r(2, 3), torch.ones(4))
F.hardtanh(r(2), 1., -1.)
F.glu(r(2, 3))
F.gelu(r(2), approximate='foo')
F.mse_loss(r(2, 3), r(4))
F.mse_loss(r(2, 3), r(2, 3), reduction='foo')
F.smooth_l1_loss(r(2, 3), r(2, 3), beta=-1)
F.cross_entropy(r(3, 5), torch.tensor([1, 5, 0]))
F.cross_entropy(r(3, 5), torch.tensor([1, -1, 0]))
F.cross_entropy(r(3, 5), torch.tensor([1, 2]))
F.cross_entropy(r(3, 5), torch.tensor([1., 2, 3]))
F.cross_entropy(r(3, 5), torch.tensor([1, 2, 3]), weight=torch.ones(4))
F.cross_entropy(r(3, 5), torch.tensor([1, 2, 3]), label_smoothing=1.5)
F.cross_entropy(r(2, 5, 4), torch.tensor([[0, 0, 0]] * 2))
F.nll_loss(r(2, 5, 4, 3), torch.tensor([[[9] * 3] * 4] * 2))
F.binary_cross_entropy(torch.tensor([0.5, 2.]), torch.tensor([0., 1.]))
F.binary_cross_entropy_with_logits(r(3), r(3, 1))
F.cosine_embedding_loss(r(3, 5), r(5), torch.ones(3))
F.multi_margin_loss(r(3, 5), torch.tensor([1, 5, 0]))
F.triplet_margin_loss(r(3, 5), r(3, 5), r(3, 5), margin=-1)
F.gaussian_nll_loss(r(3, 5), r(3, 5), torch.ones(4))
F.embedding(torch.tensor([1, 7]), r(5, 3))
F.embedding(torch.tensor([1.]), r(5, 3))
F.embedding(torch.tensor([1]), r(5, 3), padding_idx=7)
F.one_hot(torch.tensor([1, 2]), 2)
F.one_hot(torch.tensor([-1, 2]), 2)
F.pad(r(2, 3), (1,))
F.pad(r(2, 3), (3, 1), mode='reflect')
F.pad(r(2, 3, 4), (1, 1), mode='foo')
F.interpolate(r(2, 3), scale_factor=2)
F.interpolate(r(2, 3, 4, 4), size=5, mode='linear')
F.interpolate(r(2, 3, 4), size=2, scale_factor=2)
F.interpolate(r(2, 3, 4), size=(2, 3))
F.grid_sample(r(2, 3, 4, 4), r(1, 3, 3, 2), align_corners=False)
F.unfold(r(2, 3, 4, 4), 5)
F.fold(r(1, 8, 8), 4, 2)
F.pixel_shuffle(r(2, 3, 4), 2)
F.scaled_dot_product_attention(r(8), r(4, 8), r(4, 8))
F.dropout(r(2), 1.5)
F.dropout1d(r(2))
""".strip().split("\n")


def test_wrong_calls():
    check(WRONG, names)


WARNED = """
F.mse_loss(r(2, 3), r(2, 1))
F.mse_loss(r(2, 3), r(2, 3), size_average=False)
F.l1_loss(r(2, 3), r(2, 3), reduce=False)
F.softmax(r(2, 3))
F.kl_div(r(3), r(3).abs())
F.dropout2d(r(2, 3, 4), 0.)
F.upsample(r(2, 3, 4, 4), scale_factor=2)
F.grid_sample(r(2, 3, 4, 4), r(2, 3, 3, 2))
""".strip().split("\n")


@pytest.mark.parametrize("code", WARNED)
def test_warnings(code):
    def said(module):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            eval(code, names(module))
        return [(w.category.__name__, str(w.message)) for w in caught]

    assert said(facade) == said(torch)


def test_one_hot_and_dropout():
    check(
        ["F.one_hot(torch.tensor([[1, 2], [0, 2]]))", "F.one_hot(torch.tensor([1, 2]), 4)",
         "F.dropout(torch.ones(50), 0.3)", "F.dropout(torch.ones(5), 0.3, False)",
         "F.dropout2d(torch.ones(2, 3, 2, 2))", "F.alpha_dropout(torch.ones(9), 0.3, True)",
         "F.gumbel_softmax(r(3, 5), hard=True)"],
        lambda module: (module.manual_seed(0), names(module))[1],
    )  # fmt: skip


def test_every_function_is_there():
    missing = {
        n for n in dir(torch.nn.functional)
        if not n.startswith("_") and n.islower() and not hasattr(facade.nn.functional, n)
        and callable(getattr(torch.nn.functional, n))
    }  # fmt: skip
    assert missing == NOT_OFFERED


# helpers of PyTorch's own file, and functions for low-precision formats
NOT_OFFERED = {
    "assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "grouped_mm", "scaled_mm",
    "scaled_grouped_mm",
}  # fmt: skip

"""What ``torch`` itself offers of nn, with arguments in the order of PyTorch's kernels."""

import numpy as np
import pytest
import torch
from parity import both, grads

import facade


def given(module, *shapes):
    """Return float64 leaves of these shapes."""
    draw = np.random.default_rng(0)
    return [module.as_tensor(draw.standard_normal(s)).requires_grad_() for s in shapes]


NORMS = [
    ("native_layer_norm(x, (5,), w, b, 1e-5)", (3, 4, 5), (5,), (5,)),
    ("native_layer_norm(x, (4, 5), None, None, 1e-5)", (3, 4, 5)),
    ("native_batch_norm(x, w, b, None, None, True, 0.1, 1e-5)", (3, 4, 5), (4,), (4,)),
    ("native_batch_norm(x, w, b, zeros, ones, False, 0.1, 1e-5)", (3, 4, 5), (4,), (4,)),
    ("layer_norm(x, (5,), w, b)", (3, 4, 5), (5,), (5,)),
    ("batch_norm(x, w, b, zeros, ones, True, 0.1, 1e-5, False)", (3, 4, 5), (4,), (4,)),
    ("instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False)", (3, 4, 5), (4,), (4,)),
]
OTHERS = [
    ("_softmax_backward_data(x, w, 1, torch.float64)", (3, 4), (3, 4)),
    ("_log_softmax_backward_data(x, w, 0, torch.float64)", (3, 4), (3, 4)),
    ("grid_sampler(x, w.tanh(), 0, 1, True)", (1, 2, 4, 4), (1, 3, 3, 2)),
    ("grid_sampler_2d(x, w.tanh(), 2, 0, False)", (1, 2, 4, 4), (1, 3, 3, 2)),
    ("affine_grid_generator(x, (1, 1, 2, 3), False)", (1, 2, 3)),
    ("embedding(x, torch.tensor([1, 0, 1]), 0)", (3, 4)),
    ("poisson_nll_loss(x, w.abs(), True, False, 1e-8, 0)", (3, 4), (3, 4)),
    ("triplet_margin_loss(x, w, b, reduction=2)", (3, 4), (3, 4), (3, 4)),
    ("binary_cross_entropy_with_logits(x, w.sigmoid())", (3, 4), (3, 4)),
    ("ctc_loss(x.log_softmax(-1), torch.tensor([[1, 2]]), (5,), (2,))", (5, 1, 3)),
    ("norm_except_dim(x, 2, 1)", (3, 4, 2)),
]


@pytest.mark.parametrize(("code", "shapes"), [(code, shapes) for code, *shapes in NORMS + OTHERS])
def test_values_and_gradients(code, shapes):
    def run(module):
        leaves = given(module, *shapes)
        numbers = {"zeros": module.zeros(4).double(), "ones": module.ones(4).double()}
        scope = {"torch": module} | numbers
        results = eval(f"torch.{code}", scope | dict(zip("xwb", leaves, strict=False)))
        first, *rest = results if isinstance(results, tuple) else (results,)
        return grads(lambda *_: first, *leaves), [t.detach() for t in rest]

    both(run)


def test_group_statistics_have_gradients():
    def run(module):
        x, w = given(module, (3, 4, 5), (4,))
        results = module.native_group_norm(x, w, None, 3, 4, 5, 2, 1e-5)
        return results, module.autograd.grad(sum((r * r).sum() for r in results), (x, w))

    both(run)


@pytest.mark.parametrize(("p", "train"), [(0.3, True), (0.3, False), (1, True)])
def test_dropout(p, train):
    def run(module):
        (x,) = given(module, (30, 4))
        result, mask = module.native_dropout(x, p, train)
        return grads(lambda x: result, x), mask

    both(run)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_drawn_as_pytorch_draws_them(dtype):
    def run(module):
        x = module.as_tensor(np.random.default_rng(0).standard_normal(999)).to(
            getattr(module, dtype)
        )
        written = x.clone()
        drawn = module.rrelu_(written, 0.2, 0.7, True), module.rand(2)
        return drawn, grads(lambda x: module.rrelu(x, -1, 1, True), x.clone().requires_grad_())

    ours, theirs = run(facade_seeded()), run(torch_seeded())
    assert (ours[0][0].numpy() == theirs[0][0].numpy()).all()
    assert (ours[0][1].numpy() == theirs[0][1].numpy()).all()
    assert (ours[1][0].detach().numpy() == theirs[1][0].detach().numpy()).all()


def facade_seeded():
    """Return facade with its generator at a known state."""
    facade.manual_seed(5)
    return facade


def torch_seeded():
    """Return torch with its generator at a known state."""
    torch.manual_seed(5)
    return torch


LINEAR = "torch.nn.functional.linear_cross_entropy"
OPTIONS = "torch.nn.LinearCrossEntropyOptions"


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options", ["None", f"{OPTIONS}()", f"{OPTIONS}(batch_chunk_size=3, chunking_method=None)"]
)
def test_linear_cross_entropy(reduction, options):
    def run(module):
        x, w, bias = given(module, (7, 4), (5, 4), (5,))
        target = module.tensor([0, 1, 4, 2, -100, 1, 3])
        loss = module.nn.functional.linear_cross_entropy(
            x, w, target, linear_bias=bias, weight=module.arange(1.0, 6).double(),
            reduction=reduction, options=eval(options, {"torch": module}),
        )  # fmt: skip
        return loss, module.autograd.grad((loss * loss).sum(), (x, w, bias))

    both(run)


@pytest.mark.parametrize(
    "code",
    [
        f"{LINEAR}(torch.ones(2, 2, 2), torch.ones(2, 2), torch.ones(2))",
        f"{LINEAR}(torch.ones(2, 2), torch.ones(2), torch.ones(2))",
        f"{LINEAR}(torch.ones(2, 2), torch.ones(3, 3), torch.ones(2))",
        f"{LINEAR}(torch.ones(2), torch.ones(3, 4, 2), torch.ones(2))",
        f"{LINEAR}(torch.ones(2, 2), torch.ones(3, 2), torch.ones(2), linear_bias=torch.ones(2))",
        f"{LINEAR}(torch.ones(2, 2), torch.ones(3, 2), torch.ones(2, 3), ignore_index=1)",
        f"{OPTIONS}(acc_policy='x')",
        f"{OPTIONS}(chunking_method='aspect_ratio:0')",
        f"{OPTIONS}(batch_chunk_size=0)",
        f"{OPTIONS}(acc_dtype=torch.int32)",
    ],
)
def test_errors(code):
    both(lambda module: eval(code, {"torch": module}))


@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
def test_padding_that_leaves_nothing(mode):
    rows = [
        ((2, 3, 4), (-1, -3)), ((2, 3, 4), (-3, -3)), ((2, 3, 4, 4), (-1, -3, 0, 0)),
        ((2, 3, 4, 4), (-1, -3, -2, -2)), ((1, 1, 2, 2, 2), (-1, -1, -2, 0, -2, 0)),
        ((2, 3, 0), (1, 1)), ((2, 0, 3), (1, 1)), ((0, 2, 3), (1, 1)),
    ]  # fmt: skip
    for shape, pad in rows:
        both(lambda module, s=shape, p=pad: module.nn.functional.pad(module.ones(s), p, mode))


def test_other_branches_of_padding_and_pooling():
    def run(module):
        f, (x,) = module.nn.functional, given(module, (2, 3, 4))
        mode = "replicate"
        padded = [f.pad(x, p, mode) for p in ((-3, 2), (3, -6), (-4, 2))]
        y, w = given(module, (1, 2, 3), (2, 2, 3))
        longer = f.conv_transpose1d(y, w, None, 2, 1, 2, 1, 3)
        one = module.tensor([[0, 0, 3]])
        raised = f.max_unpool1d(y[0, :1], one, 2)
        return padded, longer, raised.sum(), module.autograd.grad(raised.sum(), y)

    both(run)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resampled_bytes_are_exact(mode):
    def run(module):
        x = module.tensor(np.random.default_rng(0).integers(0, 255, (2, 3, 9, 11), np.uint8))
        resize = module.nn.functional.interpolate
        return [
            resize(x, size, mode=mode, align_corners=corners, antialias=smooth)
            for size in ((5, 7), (20, 13), (9, 20))
            for corners, smooth in ((False, False), (True, False), (False, True))
        ]

    both(run)


def test_convolutions_of_small_floats_and_whole_numbers():
    def run(module):
        x, w = (module.tensor(np.arange(1.0, n + 1).reshape(1, 2, -1)) for n in (36, 6))
        convolve, back = module.nn.functional.conv1d, module.nn.functional.conv_transpose1d
        small = convolve((x / 7).bfloat16(), (w / 3).bfloat16())
        near = module.nn.functional.pairwise_distance(x.byte(), x.byte() + 3)
        sign = module.tensor([1, -1])
        far = module.nn.functional.cosine_embedding_loss(x[0].int(), -x[0].int(), sign)
        return small, back(x[:, :1].long(), w.long()), convolve(x.long(), w.long()), near, far

    both(run)


BAGS = [
    (mode, False, None, last, padding)
    for mode in range(3)
    for padding in (None, 1)
    for last in (False, True)
]


@pytest.mark.parametrize("settings", BAGS, ids=str)
def test_bags_and_what_they_are_made_of(settings):
    def run(module):
        (w,) = given(module, (5, 3))
        indices, offsets = module.tensor([0, 1, 2, 1, 1]), module.tensor([0, 2, 2, 4])
        results = module.embedding_bag(w, indices, offsets, False, *settings)
        (grad,) = module.autograd.grad((results[0] ** 2).sum(), w)
        return results, grad

    both(run)


def test_bags_have_three_modes():
    def run(module):
        return module.embedding_bag(module.ones(2, 2), module.arange(2), module.arange(1), mode=3)

    both(run)


# ---- recurrent layers ----


def weights(module, gates, layers, projection=0):
    """Return the weights of layers in both directions; 2 inputs, states of size 3 or projected."""
    made = []
    for layer in range(layers):
        size = projection or 3
        shapes = [(3 * gates, 2 * size if layer else 2), (3 * gates, size), (3 * gates,)]
        shapes = [*shapes, shapes[-1], *([(projection, 3)] if projection else [])]
        made += [w for _ in range(2) for w in given(module, *shapes)]
    return made


LAYERS = {
    "lstm": "lstm(x, (h, c), weights(torch, 4, 2), True, 2, 0.0, True, True, False)",
    "projected": "lstm(x, (h[..., :2], c), weights(torch, 4, 2, 2), True, 2, 0, True, True, False)",
    "too few states": "lstm(x, (h,), weights(torch, 4, 2), True, 2, 0.0, True, True, False)",
    "too few weights": "lstm(x, (h, c), weights(torch, 4, 2)[:3], True, 2, 0.0, True, True, False)",
    "packed lstm": "lstm(data, sizes, (h, c), weights(torch, 4, 2), True, 2, 0.0, True, True)",
    "gru": "gru(x, h, weights(torch, 3, 2), True, 2, 0.0, True, True, False)",
    "packed gru": "gru(data, sizes, h, weights(torch, 3, 2), True, 2, 0.0, True, True)",
    "named": (
        "gru(input=x.transpose(0, 1), hx=h, params=weights(torch, 3, 2), has_biases=True, "
        "num_layers=2, dropout=0.5, train=False, bidirectional=True, batch_first=True)"
    ),
    "too few layers": "gru(x, h[:2], weights(torch, 3, 2), True, 2, 0.0, True, True, False)",
    "too few arguments": "gru(x, h)",
    "tanh": "rnn_tanh(x, h, weights(torch, 1, 2), True, 2, 0.0, True, True, False)",
    "relu": "rnn_relu(x, h, weights(torch, 1, 2), True, 2, 0.0, True, True, False)",
    "lstm_cell": "lstm_cell(x[0], (h[0], c[0]), *weights(torch, 4, 1)[:4])",
    "one state": "lstm_cell(x[0], (h[0],), *weights(torch, 4, 1)[:4])",
    "gru_cell": "gru_cell(x[0], h[0], *weights(torch, 3, 1)[:2])",
    "rnn_tanh_cell": "rnn_tanh_cell(x[0], h[0], *weights(torch, 1, 1)[:4])",
    "rnn_relu_cell": "rnn_relu_cell(x[0], h[0], *weights(torch, 1, 1)[:4])",
}


@pytest.mark.parametrize("code", LAYERS.values(), ids=LAYERS)
def test_recurrent_layers(code):
    def run(module):
        x, h, c, data = given(module, (4, 2, 2), (4, 2, 3), (4, 2, 3), (5, 2))
        scope = {"x": x, "h": h, "c": c, "data": data, "sizes": module.tensor([2, 2, 1])}
        results = eval(f"torch.{code}", scope | {"torch": module, "weights": weights})
        results = results if isinstance(results, tuple) else (results,)
        (grad,) = module.autograd.grad(sum((r * r).sum() for r in results), h)
        return [r.detach() for r in results], grad

    both(run)


def test_old_name_of_a_loss():
    def run(module):
        with pytest.warns(FutureWarning, match="NLLLoss2d"):
            made = module.nn.NLLLoss2d(reduction="sum")
        return repr(made), made.reduction

    both(run)


# ---- torch.ops.aten ----

KERNELS = """
slice(x, 1, 0, 2)
slice.Tensor(x, 0, 1, None, 2)
add.Tensor(x, x, alpha=2)
add_.Tensor(x * 1, x)
relu(x)
pow.Tensor_Scalar(x, 2)
view.default(x, [3, 2])
mm.default(x, x.t())
""".strip().splitlines()


@pytest.mark.parametrize("call", KERNELS)
def test_kernels_by_name(call):
    def run(module):
        (x,) = given(module, (2, 3))
        result = eval(f"torch.ops.aten.{call}", {"torch": module, "x": x})
        return result, module.autograd.grad((result * result).sum(), x)

    both(run)


def test_backward_of_max_pool_by_name():
    def run(module):
        (x,) = given(module, (1, 1, 4, 4))
        maxima, places = module.nn.functional.max_pool2d(x, 2, return_indices=True)
        grad = module.ones_like(maxima, requires_grad=True)
        arguments = (grad, x, [2, 2], [2, 2], [0, 0], [1, 1], False, places)
        result = module.ops.aten.max_pool2d_with_indices_backward(*arguments)
        return result, module.autograd.grad((result * result).sum(), (grad, x))

    both(run)


def test_kernels_without_a_function_say_so():
    with pytest.raises(NotImplementedError, match=r"torch\.ops\.aten\.foo is the name of a kernel"):
        facade.ops.aten.foo(1)


@pytest.mark.parametrize("name", ["solve", "native_norm", "nuclear_norm"])
def test_what_is_absent_says_what_to_use(name):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; use facade\.(.*)") as raised:
        getattr(facade, name)
    found = facade
    for part in str(raised.value).rpartition("facade.")[2].split("."):
        found = getattr(found, part)
    assert callable(found)


def test_misspelt_names_are_absent():
    assert not hasattr(facade, "soolve")

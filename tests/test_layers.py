"""The layers: constructors, printing, errors and forward, under PyTorch and facade."""

import importlib
import inspect

import pytest
import torch
from scenarios import assert_same, evaluate, expressions

import facade

# ---- printing ----


@expressions("""


nn.Module()
nn.Identity(3, whatever=4)
nn.Linear(3, 4)
nn.Linear(3, 4, bias=False)
nn.Conv1d(2, 4, 3)
nn.Conv2d(2, 4, 3)
nn.Conv2d(2, 4, (3, 5), stride=2, padding=(1, 2), dilation=2, groups=2, bias=False)
nn.Conv2d(2, 4, 3, padding='same', padding_mode='reflect')
nn.Conv2d(2, 4, 3, padding='valid')
nn.Conv3d(2, 4, (1, 2, 3), padding=1)
nn.BatchNorm1d(3)
nn.BatchNorm2d(3, eps=1e-3, momentum=None, affine=False)
nn.BatchNorm3d(3, track_running_stats=False, bias=False)
nn.LayerNorm(3)
nn.LayerNorm((2, 3), eps=1e-6, elementwise_affine=False)
nn.LayerNorm([2, 3], bias=False)
nn.GroupNorm(2, 4)
nn.GroupNorm(2, 4, eps=1e-3, affine=False)
nn.GroupNorm(2, 4, bias=False)
nn.ReLU()
nn.ReLU(inplace=True)
nn.SiLU()
nn.SiLU(True)
nn.ELU()
nn.ELU(0.5, inplace=True)
nn.LeakyReLU()
nn.LeakyReLU(0.2, True)
nn.GELU()
nn.GELU('tanh')
nn.Sigmoid()
nn.Tanh()
nn.Softmax()
nn.Softmax(dim=1)
nn.LogSoftmax(-1)
nn.Dropout()
nn.Dropout1d(0.1)
nn.Dropout2d(0.2, True)
nn.Dropout3d(0.3)
nn.Flatten()
nn.Flatten(0, 2)
nn.Unflatten(1, (2, 3))
nn.MaxPool1d(2)
nn.MaxPool2d(2)
nn.MaxPool2d((3, 2), stride=(2, 1), padding=(0, 1), dilation=2, ceil_mode=True)
nn.MaxPool3d(3, return_indices=True)
nn.AvgPool1d(2)
nn.AvgPool2d(3, stride=2, padding=1)
nn.AvgPool2d((2, 1), divisor_override=3)
nn.AvgPool3d(2, count_include_pad=False)
nn.AdaptiveAvgPool1d(4)
nn.AdaptiveAvgPool2d((None, 7))
nn.AdaptiveAvgPool3d((1, 2, 3))
nn.Embedding(5, 3)
nn.Embedding(5, 3, padding_idx=-1, max_norm=2.0, norm_type=1.0)
nn.Embedding(5, 3, padding_idx=0, scale_grad_by_freq=True, sparse=True)
nn.L1Loss()
nn.MSELoss(reduction='sum')
nn.SmoothL1Loss(beta=2.0)
nn.NLLLoss(ignore_index=3)
nn.CrossEntropyLoss(weight=torch.ones(3), label_smoothing=0.1)
nn.BCELoss()
nn.BCEWithLogitsLoss(pos_weight=torch.ones(2))
nn.ConvTranspose1d(2, 4, 3)
nn.ConvTranspose2d(4, 2, (3, 5), 2, (1, 2), 1, 2, False, 3)
nn.ConvTranspose3d(2, 4, 2, output_padding=1, stride=2)
nn.Mish(True)
nn.SELU()
nn.Hardsigmoid(True)
nn.Hardswish()
nn.CELU(0.5, True)
nn.Threshold(0.1, 20, True)
nn.RReLU()
nn.RReLU(0.1, 0.2, True)
nn.Hardtanh()
nn.Hardtanh(-2, 2, True)
nn.Hardtanh(min_value=-2.0, max_value=3.0)
nn.ReLU6(True)
nn.PReLU()
nn.PReLU(3, 0.1)
nn.Softmin(1)
nn.Softmax2d()
nn.GLU(0)
nn.LogSigmoid()
nn.Softplus(2, 10)
nn.Hardshrink(0.3)
nn.Softshrink()
nn.Softsign()
nn.Tanhshrink()
nn.CircularPad1d(1)
nn.CircularPad2d((1, 2, 3, 4))
nn.CircularPad3d(2)
nn.ConstantPad1d(1, 2.5)
nn.ConstantPad2d((1, 2, 3, 4), 0)
nn.ConstantPad3d(1, -1.0)
nn.ReflectionPad1d(1)
nn.ReflectionPad2d([1, 2, 3, 4])
nn.ReflectionPad3d(1)
nn.ReplicationPad1d((1, 0))
nn.ReplicationPad2d(1)
nn.ReplicationPad3d(1)
nn.ZeroPad1d(1)
nn.ZeroPad2d((1, 2, 3, 4))
nn.ZeroPad3d(1)
nn.Upsample(5)
nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)
nn.Upsample((4, 5), mode='bicubic')
nn.Upsample(scale_factor=(2, 1.5), recompute_scale_factor=True)
nn.UpsamplingNearest2d(scale_factor=2)
nn.UpsamplingBilinear2d((4, 5))
nn.PixelShuffle(2)
nn.PixelUnshuffle(3)
nn.ChannelShuffle(2)
nn.Unfold(3, stride=2)
nn.Fold((4, 5), (2, 2), 1, 0, (2, 1))
nn.PairwiseDistance(1, keepdim=True)
nn.CosineSimilarity()
nn.Bilinear(2, 3, 4)
nn.Bilinear(2, 3, 4, bias=False)
nn.AlphaDropout(0.1)
nn.FeatureAlphaDropout(0.2, True)
nn.RMSNorm(3)
nn.RMSNorm((2, 3), 1e-3, False)
nn.LocalResponseNorm(2)
nn.InstanceNorm1d(3)
nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
nn.InstanceNorm3d(3, 1e-3, None, True, bias=False)
nn.SyncBatchNorm(3)
nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))
nn.EmbeddingBag(5, 3)
nn.EmbeddingBag(5, 3, 2.0, 1.0, True, 'sum', padding_idx=-1)
nn.AdaptiveMaxPool1d(3)
nn.AdaptiveMaxPool2d((None, 2), True)
nn.AdaptiveMaxPool3d(2)
nn.LPPool1d(2, 3)
nn.LPPool2d(1.5, (2, 3), 2, True)
nn.LPPool3d(2, 2)
nn.MaxUnpool1d(2)
nn.MaxUnpool2d(2, 1, (0, 1))
nn.MaxUnpool3d(2)
nn.FractionalMaxPool2d(2, 3)
nn.FractionalMaxPool3d(2, output_ratio=0.5, return_indices=True)
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], 2.0, True)
nn.HuberLoss('sum', 2)
nn.KLDivLoss(log_target=True)
nn.PoissonNLLLoss(False)
nn.GaussianNLLLoss(full=True)
nn.SoftMarginLoss()
nn.MultiLabelMarginLoss()
nn.MultiLabelSoftMarginLoss(torch.ones(2))
nn.MultiMarginLoss(2, 0.5, torch.ones(3))
nn.HingeEmbeddingLoss()
nn.CosineEmbeddingLoss(0.5)
nn.MarginRankingLoss()
nn.TripletMarginLoss(2.0, 1, swap=True)
nn.CTCLoss(1, 'sum', True)


""")
def test_layers_print_keep_and_initialize_alike(source):
    def scenario(lib):
        module = evaluate(source)(lib)
        settings = {k: v for k, v in vars(module).items() if k[0] != "_" and k != "training"}
        return repr(module), module.state_dict(), module.state_dict()._metadata, settings

    assert_same(scenario)


def test_nested_modules_print_alike():
    def scenario(torch):
        nn = torch.nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
                self.nothing = None
                self.register_module("gone", None)

            def extra_repr(self):
                return "first=1\nsecond=2"

        class Short(Net):
            def extra_repr(self):
                return "one line"

        return repr(Net()), str(Short()), repr(nn.Sequential(Net()))

    assert_same(scenario)


@expressions("""
nn.Module(1, 2)
nn.Module(a=1)
nn.Module()(1)
nn.Linear(3)
nn.Conv2d(3, 4, 3, groups=0)
nn.Conv2d(3, 4, 3, groups=2)
nn.Conv2d(4, 3, 3, groups=2)
nn.Conv2d(3, 4, 3, stride=2, padding='same')
nn.Dropout(1.5)
nn.Dropout2d(-0.1)
nn.Unflatten(1, 'ab')
nn.Unflatten(1, (2, 3.0))
nn.Embedding(5, 3, padding_idx=5)
nn.Embedding(5, 3, _weight=torch.ones(3, 5))
nn.Embedding.from_pretrained(torch.ones(3))
nn.BatchNorm1d(3)(torch.ones(3))
nn.GroupNorm(3, 4)
nn.BatchNorm2d(3)(torch.ones(2, 3))
nn.BatchNorm3d(3)(torch.ones(2, 3, 4, 4))
nn.MSELoss(size_average=False)
nn.MSELoss(reduce=False)
nn.CrossEntropyLoss(None, True)
nn.ConvTranspose2d(2, 2, 3, padding_mode='reflect')
nn.ConvTranspose2d(3, 4, 3, groups=2)
nn.ConvTranspose2d(2, 2, 3, stride=2)(torch.ones(1, 2, 3, 3), output_size=(9, 7))
nn.ConvTranspose2d(2, 2, 3, stride=2)(torch.ones(1, 2, 3, 3), output_size=(7,))
nn.Hardtanh(1, 0)
nn.Softmax2d()(torch.ones(2))
nn.CircularPad2d(1)(torch.ones(2))
nn.AlphaDropout(2)
nn.InstanceNorm2d(3)(torch.ones(2, 3))
nn.InstanceNorm2d(3)(torch.ones(2, 4, 3, 3)).shape
nn.InstanceNorm2d(3, affine=True)(torch.ones(2, 4, 3, 3))
nn.SyncBatchNorm(3)(torch.ones(3))
nn.Bilinear(0, 2, 3)
nn.EmbeddingBag(5, 3, padding_idx=5)
nn.EmbeddingBag(5, 3, _weight=torch.ones(3, 5))
nn.EmbeddingBag.from_pretrained(torch.ones(3))
nn.EmbeddingBag.from_pretrained(torch.ones(3, 2)).weight
nn.FractionalMaxPool2d(2)
nn.FractionalMaxPool2d(2, 3, 0.5)
nn.FractionalMaxPool2d(2, output_ratio=1.5)
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [])
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [6, 3])
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [6, 10])
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3])(torch.ones(2, 8), torch.tensor([1, 10]))
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3])(torch.ones(2, 8), torch.tensor([1]))
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3])(torch.ones(2, 8), torch.tensor([[1]]))
nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3])(torch.ones(2, 8), torch.tensor(1))
nn.HuberLoss(delta='1')
nn.MultiMarginLoss(3)
nn.MultiMarginLoss(weight=torch.ones(1, 2))
nn.TripletMarginLoss(0)
nn.TripletMarginWithDistanceLoss(margin=-1.0)
nn.Linear(2, 2).train(1)
nn.Linear(2, 2).x
nn.Linear(2, 2).get_extra_state
""")
def test_errors_and_warnings_of_layers(source):
    def scenario(torch):
        result = evaluate(source)(torch)
        return result if not callable(result) or isinstance(result, torch.nn.Module) else "method"

    assert_same(scenario)


def test_padding_mode_error_names_every_mode():
    for lib in (torch, facade):
        with pytest.raises(
            ValueError, match=r"padding_mode must be one of \{.*'circular'.*\}, but"
        ):
            lib.nn.Conv2d(2, 2, 3, padding_mode="mirror")
        with pytest.raises(ValueError, match=r"Invalid padding string 'full', should be one of \{"):
            lib.nn.Conv2d(2, 2, 3, padding="full")


# ---- signatures ----

PUBLIC = [name for name in dir(facade.nn) if isinstance(getattr(facade.nn, name), type)]


@pytest.mark.parametrize("name", PUBLIC)
def test_constructors_have_pytorchs_signature(name):
    def parameters(lib):
        cls = getattr(lib.nn, name)
        make = (
            cls.__init__ if "__init__" in dir(cls) and name not in ("Parameter", "Buffer") else cls
        )
        found = inspect.signature(make).parameters.values()
        # a function by its name: F.relu is another one in each library
        return [(p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in found]

    assert parameters(facade) == parameters(torch)


@expressions("""
conv _ConvNd Conv2d
batchnorm _BatchNorm BatchNorm2d
dropout _DropoutNd Dropout
pooling _MaxPoolNd MaxPool2d
loss _WeightedLoss CrossEntropyLoss
container Sequential Sequential
linear Linear Linear
sparse Embedding Embedding
sparse EmbeddingBag EmbeddingBag
rnn RNNBase LSTM
rnn RNNCellBase GRUCell
padding _ReflectionPadNd ReflectionPad2d
upsampling Upsample UpsamplingNearest2d
pixelshuffle PixelShuffle PixelShuffle
instancenorm _InstanceNorm InstanceNorm2d
distance CosineSimilarity CosineSimilarity
fold Fold Fold
adaptive AdaptiveLogSoftmaxWithLoss AdaptiveLogSoftmaxWithLoss
module Module ReLU
""")
def test_paths_that_programs_import_from(source):
    file, base, layer = source.split()
    for lib in (facade, torch):
        found = importlib.import_module(f"{lib.__name__}.nn.modules.{file}")
        assert issubclass(getattr(lib.nn, layer), getattr(found, base))
        assert getattr(lib.nn.modules, layer) is getattr(lib.nn, layer)


# ---- forward ----


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ("nn.Linear(3, 4)", (2, 3)),
        ("nn.Linear(3, 4, bias=False)", (3,)),
        ("nn.Conv1d(2, 4, 3)", (2, 2, 7)),
        ("nn.Conv2d(2, 4, 3, padding=1, stride=2)", (1, 2, 6, 6)),
        ("nn.Conv2d(2, 4, (3, 2), padding='same', dilation=2)", (1, 2, 6, 6)),
        ("nn.Conv2d(2, 4, 3, padding=1, padding_mode='reflect')", (1, 2, 6, 6)),
        ("nn.Conv2d(2, 4, 4, padding='same', padding_mode='circular')", (1, 2, 6, 6)),
        ("nn.Conv3d(2, 2, 2)", (1, 2, 3, 3, 3)),
        ("nn.BatchNorm1d(3)", (4, 3)),
        ("nn.BatchNorm2d(3, momentum=None)", (4, 3, 2, 2)),
        ("nn.BatchNorm2d(3, affine=False)", (4, 3, 2, 2)),
        ("nn.BatchNorm2d(3, track_running_stats=False)", (4, 3, 2, 2)),
        ("nn.BatchNorm2d(3).eval()", (4, 3, 2, 2)),
        ("nn.BatchNorm2d(3, track_running_stats=False).eval()", (4, 3, 2, 2)),
        ("nn.LayerNorm((2, 2))", (3, 2, 2)),
        ("nn.GroupNorm(2, 4)", (3, 4, 5)),
        ("nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.SiLU())", (5,)),
        ("nn.Sequential(nn.ELU(0.5), nn.LeakyReLU(0.2), nn.GELU('tanh'))", (5,)),
        ("nn.Sequential(nn.Softmax(-1), nn.LogSoftmax(0))", (2, 3)),
        ("nn.Sequential(nn.Identity(), nn.Flatten(), nn.Unflatten(1, (3, 2)))", (2, 2, 3)),
        ("nn.MaxPool1d(2)", (1, 2, 5)),
        ("nn.MaxPool2d(3, 2, 1)", (1, 2, 6, 6)),
        ("nn.MaxPool3d(2)", (1, 2, 4, 4, 4)),
        ("nn.AvgPool1d(2)", (1, 2, 5)),
        ("nn.AvgPool2d(3, 2, 1, count_include_pad=False)", (1, 2, 6, 6)),
        ("nn.AvgPool3d(2)", (1, 2, 4, 4, 4)),
        ("nn.AdaptiveAvgPool1d(2)", (1, 2, 6)),
        ("nn.AdaptiveAvgPool2d((None, 1))", (1, 2, 4, 4)),
        ("nn.AdaptiveAvgPool3d(1)", (1, 2, 4, 4, 4)),
        ("nn.Dropout(0.5).eval()", (3,)),
        ("nn.Sequential(nn.Dropout(0.0), nn.Dropout1d(0.5).eval())", (2, 3, 2)),
        ("nn.Sequential(nn.Dropout2d(0.5).eval(), nn.Dropout3d(0.5).eval())", (2, 3, 2, 2, 2)),
        ("nn.ConvTranspose1d(2, 4, 3, stride=2, output_padding=1)", (2, 2, 5)),
        ("nn.ConvTranspose2d(4, 2, 3, 2, 1, groups=2, dilation=2)", (1, 4, 4, 4)),
        ("nn.ConvTranspose3d(2, 2, 2, bias=False)", (2, 2, 2, 2)),
        ("nn.Sequential(nn.Mish(), nn.SELU(), nn.Hardsigmoid(), nn.Hardswish())", (5,)),
        ("nn.Sequential(nn.CELU(0.5), nn.Threshold(-0.2, 2), nn.RReLU().eval())", (5,)),
        ("nn.Sequential(nn.Hardtanh(-0.5, 2), nn.ReLU6(), nn.PReLU(3))", (2, 3)),
        ("nn.PReLU(3)", (2, 3, 2)),
        ("nn.Sequential(nn.Softplus(2), nn.Softsign(), nn.Tanhshrink(), nn.LogSigmoid())", (5,)),
        ("nn.Sequential(nn.Hardshrink(0.1), nn.Softshrink(0.2), nn.Softmin(0))", (5,)),
        ("nn.Sequential(nn.GLU(1), nn.Softmax2d())", (2, 4, 2, 2)),
        ("nn.Sequential(nn.CircularPad2d(1), nn.ZeroPad2d(-1), nn.ReflectionPad2d(1))", (2, 3, 3)),
        ("nn.Sequential(nn.ReplicationPad3d(1), nn.ConstantPad3d(1, 2.0))", (1, 2, 2, 2, 2)),
        ("nn.Sequential(nn.ZeroPad1d(1), nn.ReflectionPad1d((2, 0)))", (1, 2, 4)),
        ("nn.Upsample(scale_factor=1.5, mode='bilinear')", (1, 2, 4, 4)),
        ("nn.Sequential(nn.UpsamplingNearest2d(6), nn.UpsamplingBilinear2d(3))", (1, 2, 4, 4)),
        (
            "nn.Sequential(nn.PixelShuffle(2), nn.ChannelShuffle(1), nn.PixelUnshuffle(2))",
            (4, 3, 3),
        ),
        ("nn.Sequential(nn.Unfold(2, padding=1), nn.Fold((3, 3), 2, padding=1))", (1, 2, 3, 3)),
        ("nn.RMSNorm((2, 2), 1e-3)", (3, 2, 2)),
        ("nn.LocalResponseNorm(3)", (2, 4, 3, 3)),
        ("nn.InstanceNorm1d(3)", (3, 4)),
        ("nn.InstanceNorm2d(3, affine=True, track_running_stats=True)", (2, 3, 4, 4)),
        ("nn.InstanceNorm2d(3, track_running_stats=True).eval()", (2, 3, 4, 4)),
        ("nn.SyncBatchNorm(3)", (4, 3, 2)),
        ("nn.Sequential(nn.AdaptiveMaxPool1d(3), nn.LPPool1d(2, 2))", (1, 2, 6)),
        ("nn.Sequential(nn.AdaptiveMaxPool2d((4, None)), nn.LPPool2d(2, 2, 1))", (1, 2, 5, 4)),
        ("nn.Sequential(nn.AdaptiveMaxPool3d(2), nn.LPPool3d(2, 2))", (1, 2, 4, 4, 4)),
        ("nn.Sequential(nn.FractionalMaxPool2d(2, 3))", (1, 2, 6, 6)),
        ("nn.Sequential(nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3))", (2, 3, 4)),
    ],
)
def test_forward_of_layers(source, shape):
    def run(lib):
        lib.manual_seed(0)
        module = eval(source, {"nn": lib.nn})
        x = lib.randn(shape).requires_grad_()
        module(x)
        out = module(x)
        out.pow(2).sum().backward()
        results = [out, x.grad, *(p.grad for p in module.parameters()), *module.buffers()]
        return [t.detach().numpy() for t in results]

    for mine, reference in zip(run(facade), run(torch), strict=True):
        assert mine.dtype == reference.dtype
        torch.testing.assert_close(
            torch.tensor(mine), torch.tensor(reference), rtol=1e-4, atol=1e-5
        )


def both_ways(run):
    """Compare what ``run`` returns under both libraries, tensors as numpy arrays, from seed 0."""
    results = []
    for lib in (facade, torch):
        lib.manual_seed(0)
        results.append([t.detach().numpy() for t in run(lib)])
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(
            torch.tensor(mine), torch.tensor(reference), rtol=1e-4, atol=1e-5
        )


@expressions("""
nn.TripletMarginLoss(swap=True)(x, y, z)
nn.TripletMarginWithDistanceLoss(margin=2.0)(x, y, z)
nn.CosineEmbeddingLoss(0.2)(x, y, signs)
nn.MarginRankingLoss(0.5)(x[0], y[0], signs[:3])
nn.HingeEmbeddingLoss()(x[0], signs[:3])
nn.PairwiseDistance()(x, y).sum()
nn.CosineSimilarity()(x, y).sum()
nn.GaussianNLLLoss(full=True)(x, y, z.exp())
nn.PoissonNLLLoss()(x, y.exp())
nn.HuberLoss(delta=0.3)(x, y)
nn.KLDivLoss(reduction='batchmean')(x.log_softmax(1), y.softmax(1))
nn.SoftMarginLoss()(x, signs[:, None])
nn.MultiMarginLoss(2)(x, classes)
nn.MultiLabelMarginLoss()(x, torch.tensor([[0, 2, -1], [1, -1, 0], [0, -1, 1], [-1, 0, 1]]))
nn.MultiLabelSoftMarginLoss()(x, (y > 0).float())
nn.CTCLoss()(x[:, None].log_softmax(-1), classes[None, 1:3], torch.tensor([4]), torch.tensor([2]))
nn.AdaptiveLogSoftmaxWithLoss(3, 6, [2, 4], 1.5)(x, torch.tensor([0, 3, 5, 2])).loss
nn.AdaptiveLogSoftmaxWithLoss(3, 6, [2, 4], 1.5).log_prob(x).sum()
nn.EmbeddingBag(5, 3, mode='sum')(classes, torch.tensor([0, 2])).mul(y[:2]).sum()
nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x[None, None, :, :2])).sum()
nn.ConvTranspose1d(4, 2, 3, stride=2)(x[None], output_size=(8,)).sum()
""")
def test_layers_of_several_inputs(source):
    def run(lib):
        x, y, z = (lib.randn(4, 3).requires_grad_() for _ in range(3))
        signs = lib.tensor([1.0, -1.0, -1.0, 1.0])
        classes = lib.tensor([0, 2, 1, 0])
        names = {"nn": lib.nn, "torch": lib, "signs": signs, "classes": classes}
        loss = eval(source, names | {"x": x, "y": y, "z": z})
        loss.backward()
        return [loss, *(t.grad for t in (x, y, z) if t.grad is not None)]

    both_ways(run)


def test_bilinear_layer_and_prediction_of_the_adaptive_softmax():
    def run(lib):
        layer = lib.nn.Bilinear(2, 3, 4)
        x, y = lib.randn(5, 2), lib.randn(5, 3)
        layer(x, y).pow(2).sum().backward()
        softmax = lib.nn.AdaptiveLogSoftmaxWithLoss(3, 6, [1, 4], 1.5)
        output, loss = softmax(y[0], lib.tensor(5))
        return [layer.weight.grad, layer.bias.grad, softmax.predict(y * 5), output, loss]

    both_ways(run)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("nn.MSELoss()", "rand(4, 3)"),
        ("nn.L1Loss(reduction='sum')", "rand(4, 3)"),
        ("nn.SmoothL1Loss(beta=0.5, reduction='none')", "rand(4, 3)"),
        ("nn.CrossEntropyLoss()", "tensor([0, 2, 1, 0])"),
        ("nn.CrossEntropyLoss(torch.tensor([1., 2., 3.]), ignore_index=0)", "tensor([0, 2, 1, 0])"),
        ("nn.CrossEntropyLoss(label_smoothing=0.1)", "rand(4, 3)"),
        ("nn.NLLLoss(reduction='sum')", "tensor([0, 2, 1, 0])"),
        ("nn.BCELoss()", "rand(4, 3)"),
        ("nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1., 2., 3.]))", "rand(4, 3)"),
    ],
)
def test_forward_of_losses(source, target):
    def run(lib):
        lib.manual_seed(0)
        x = lib.rand(4, 3).requires_grad_()
        loss = eval(source, {"nn": lib.nn, "torch": lib})(x, eval(f"lib.{target}", {"lib": lib}))
        loss.sum().backward()
        return [t.detach().numpy() for t in (loss, x.grad)]

    for mine, reference in zip(run(facade), run(torch), strict=True):
        torch.testing.assert_close(
            torch.tensor(mine), torch.tensor(reference), rtol=1e-4, atol=1e-5
        )

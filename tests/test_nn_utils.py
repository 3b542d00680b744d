"""``nn.utils`` under PyTorch and facade: clipping, vectors, normalized weights, parametrization."""

import copy
import math
import pickle

import pytest
import torch
from scenarios import assert_same, expressions

import facade


def both_ways(run, tolerance=1e-5):
    """Compare the tensors that ``run`` returns under both libraries, from seed 0."""
    results = []
    for lib in (facade, torch):
        lib.manual_seed(0)
        results.append([t.detach().numpy() for t in run(lib)])
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(
            torch.tensor(mine), torch.tensor(reference), rtol=1e-4, atol=tolerance
        )


# ---- gradients ----


@expressions("""
clip_grad_norm_(params, 1.0)
clip_grad_norm_(params, 1, 1)
clip_grad_norm_(params, 100.0)
clip_grad_norm_(params, 1.0, inf, foreach=True)
clip_grad_norm_(params, 1.0, -inf)
clip_grad_norm_(params, 0.5, 3.5, error_if_nonfinite=True)
clip_grad_norm_(params, 0.5, 0)
clip_grad_norm_(params[0], 0.1)
clip_grad_norm_(iter(params), 0.1)
get_total_norm([p.grad for p in params if p.grad is not None], 2)
clip_grads_with_norm_(params, 1.0, torch.tensor(8.0))
clip_grad_value_(params, 0.5)
clip_grad_value_(params[0], 1)
clip_grad_norm(params, 1.0)
""")
def test_clipping(source):
    def run(lib):
        params = [lib.zeros(2, 3), lib.zeros(4), lib.zeros(2, dtype=lib.float64), lib.zeros(1)]
        for i, p in enumerate(params[:3], 1):
            p.requires_grad_()
            p.grad = lib.arange(p.numel(), dtype=p.dtype).view(p.shape) * i - 2
        names = vars(lib.nn.utils) | {"params": params, "inf": math.inf, "torch": lib}
        found = eval(source, names)
        return [] if found is None else [found, *(p.grad for p in params[:3])]

    both_ways(run)


def test_clipping_complaints():
    def scenario(torch):
        p = torch.nn.Parameter(torch.ones(2))
        p.grad = torch.tensor([float("inf"), 1.0])
        empty = torch.nn.utils.clip_grad_norm_((p for p in ()), 1.0)
        torch.nn.utils.clip_grad_norm([], 1.0)
        torch.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
        return empty

    assert_same(scenario)


def test_a_clipped_training_step_is_one_program():
    from counting import compilations

    layer = facade.nn.Linear(3, 2)
    optimizer = facade.optim.SGD(layer.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        layer(facade.ones(5, 3)).sum().backward()
        facade.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()

    step()
    step()
    with compilations() as seen:
        step()
    assert seen == [0]


def test_vectors():
    def scenario(torch):
        layer = torch.nn.Linear(2, 3)
        vector = torch.nn.utils.parameters_to_vector(layer.parameters())
        torch.nn.utils.vector_to_parameters(torch.arange(9.0), layer.parameters())
        return vector.shape, vector.requires_grad, layer.state_dict()

    assert_same(scenario)
    assert_same(lambda torch: torch.nn.utils.vector_to_parameters([1.0], []))


# ---- normalized weights ----


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@expressions("""
u.weight_norm(nn.Linear(3, 4))
u.weight_norm(nn.Linear(3, 4), dim=None)
u.weight_norm(nn.Linear(3, 4), dim=1)
u.weight_norm(nn.Linear(3, 4), 'bias')
p.weight_norm(nn.Linear(3, 4))
p.weight_norm(nn.Linear(3, 4), dim=None)
u.spectral_norm(nn.Linear(3, 4))
u.spectral_norm(nn.Linear(3, 4), n_power_iterations=3).eval()
p.spectral_norm(nn.Linear(3, 4))
p.spectral_norm(nn.Linear(3, 4), dim=1, n_power_iterations=2)
p.spectral_norm(nn.Linear(3, 4), 'bias')
u.remove_weight_norm(u.weight_norm(nn.Linear(3, 4)))
u.remove_spectral_norm(u.spectral_norm(nn.Linear(3, 4)))
u.parametrize.remove_parametrizations(p.weight_norm(nn.Linear(3, 4)), 'weight')
u.parametrize.remove_parametrizations(p.spectral_norm(nn.Linear(3, 4)), 'weight')
""")
def test_normalized_weights(source):
    def module(lib):
        return eval(source, {"nn": lib.nn, "u": lib.nn.utils, "p": lib.nn.utils.parametrizations})

    def run(lib):
        layer = module(lib)
        x = lib.ones(2, 3, requires_grad=True)
        layer(x)
        out = layer(x)
        out.pow(2).sum().backward()
        gradients = [p.grad for p in layer.parameters()]
        return [out, x.grad, *gradients, *layer.state_dict().values()]

    both_ways(run)

    def printed(lib):
        layer = module(lib)
        return repr(layer), list(layer.state_dict()), [n for n, _ in layer.named_parameters()]

    assert_same(printed)


def test_weight_norm_of_convolutions():
    def run(lib):
        results = []
        for layer in (lib.nn.Conv2d(2, 3, 2), lib.nn.ConvTranspose2d(2, 3, 2)):
            lib.nn.utils.parametrizations.weight_norm(layer, dim=1)
            out = layer(lib.ones(1, 2, 3, 3))
            out.sum().backward()
            results += [out, *(p.grad for p in layer.parameters())]
        layer = lib.nn.utils.parametrizations.spectral_norm(lib.nn.ConvTranspose2d(2, 3, 2))
        return [*results, layer(lib.ones(1, 2, 3, 3))]

    both_ways(run)


@expressions("""
u.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
u.spectral_norm(u.spectral_norm(nn.Linear(2, 2)))
u.spectral_norm(nn.Linear(2, 2, bias=False), 'bias')
u.remove_spectral_norm(nn.Linear(2, 2))
u.weight_norm(u.weight_norm(nn.Linear(2, 2)))
u.remove_weight_norm(nn.Linear(2, 2))
p.spectral_norm(nn.Linear(2, 2), 'gain')
p.spectral_norm(nn.Linear(2, 2), dim=2)
p.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
u.parametrize.register_parametrization(nn.Linear(2, 2), 'gain', nn.Identity())
u.parametrize.register_parametrization(nn.Linear(2, 2), 'weight', nn.Linear(2, 3))
u.parametrize.register_parametrization(p.spectral_norm(nn.Linear(2, 2)), 'weight', nn.Linear(2, 3))
u.parametrize.remove_parametrizations(nn.Linear(2, 2), 'weight')
u.parametrize.remove_parametrizations(p.weight_norm(nn.Linear(2, 2)), 'weight', False)
u.parametrize.ParametrizationList([], torch.ones(2))
setattr(u.parametrize.register_parametrization(nn.Linear(2, 2), 'bias', nn.ReLU()), 'bias', x)
u.skip_init(nn.ReLU)
u.skip_init(dict)
""")
def test_complaints(source):
    def scenario(lib):
        utils = lib.nn.utils
        names = {"nn": lib.nn, "u": utils, "p": utils.parametrizations, "torch": lib}
        return eval(source, names | {"x": lib.ones(2)})

    assert_same(scenario)


def test_old_state_dicts_of_weight_norm_are_read():
    def scenario(torch):
        new = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 3))
        old = torch.nn.utils.weight_norm(torch.nn.Linear(2, 3))
        new.load_state_dict(old.state_dict())
        state = new.state_dict()
        return list(state), state["parametrizations.weight.original1"]

    assert_same(scenario)


# ---- parametrize ----


def symmetric(torch):
    class Symmetric(torch.nn.Module):
        def forward(self, X):
            return X.triu() + X.triu(1).transpose(-1, -2)

        def right_inverse(self, A):
            return A.triu()

    return Symmetric()


def test_a_parametrized_weight():
    def scenario(torch):
        parametrize = torch.nn.utils.parametrize
        layer = torch.nn.Linear(2, 2)
        parametrize.register_parametrization(layer, "weight", symmetric(torch))
        seen = [repr(layer), layer.weight, layer.state_dict(), parametrize.is_parametrized(layer)]
        with parametrize.cached():
            seen.append(layer.weight is layer.weight)
        layer.weight = torch.tensor([[1.0, 2.0], [2.0, 3.0]])
        twin = copy.deepcopy(layer)
        parametrize.register_parametrization(layer, "weight", torch.nn.Tanh(), unsafe=True)
        layer(torch.ones(1, 2)).sum().backward()
        seen += [layer.weight > 0.9, layer.parametrizations.weight.original.grad.numel()]
        before = parametrize.type_before_parametrizations(layer)
        seen += [twin.weight, type(layer).__name__, before.__name__]
        parametrize.remove_parametrizations(layer, "weight")
        return [*map(str, seen), layer.weight.requires_grad, type(layer).__name__]

    assert_same(scenario)


def test_transfer_and_pickling():
    def scenario(torch):
        parametrize = torch.nn.utils.parametrize
        one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        parametrize.register_parametrization(one, "weight", symmetric(torch))
        parametrize.transfer_parametrizations_and_params(one, other)
        same = (one.weight == other.weight).all()
        pickle.dumps(one)
        return same

    assert_same(scenario)


# ---- others ----


def test_fusion():
    def run(lib):
        conv, linear = lib.nn.Conv2d(2, 3, 2, bias=False), lib.nn.Linear(3, 4)
        transposed = lib.nn.ConvTranspose2d(2, 3, 2)
        norms = [lib.nn.BatchNorm2d(3), lib.nn.BatchNorm1d(4), lib.nn.BatchNorm2d(3, affine=False)]
        for norm in norms:
            norm.running_mean.uniform_()
            norm.running_var.uniform_()
        layers = [m.eval() for m in (conv, linear, transposed, *norms)]
        fused = [
            lib.nn.utils.fuse_conv_bn_eval(layers[0], layers[3]),
            lib.nn.utils.fuse_linear_bn_eval(layers[1], layers[4]),
            lib.nn.utils.fuse_conv_bn_eval(layers[2], layers[5], transpose=True),
        ]
        return [p for layer in fused for p in layer.parameters()]

    both_ways(run)
    assert_same(lambda torch: torch.nn.utils.fuse_conv_bn_eval(torch.nn.Conv2d(1, 1, 1), None))


def test_skip_init_draws_nothing():
    facade.manual_seed(0)
    before = facade.get_rng_state()
    layer = facade.nn.utils.skip_init(facade.nn.Linear, 2, 3)
    assert layer.weight.shape == (3, 2)
    assert facade.equal(facade.get_rng_state(), before)

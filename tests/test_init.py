"""nn.init and the initial values of layers: bit for bit PyTorch's under the same seed."""

import numpy as np
import torch
from scenarios import assert_same, evaluate, expressions

import facade


@expressions("""
nn.init.calculate_gain('linear')
nn.init.calculate_gain('conv_transpose2d')
nn.init.calculate_gain('sigmoid')
nn.init.calculate_gain('tanh')
nn.init.calculate_gain('relu')
nn.init.calculate_gain('selu')
nn.init.calculate_gain('leaky_relu')
nn.init.calculate_gain('leaky_relu', 0.2)
nn.init.calculate_gain('leaky_relu', 1)
nn.init.calculate_gain('leaky_relu', True)
nn.init.calculate_gain('leaky_relu', 'x')
nn.init.calculate_gain('gelu')
nn.init._calculate_fan_in_and_fan_out(torch.empty(3, 4, 5, 6))
nn.init._calculate_fan_in_and_fan_out(torch.empty(3))
nn.init._calculate_correct_fan(torch.empty(3, 4), 'FAN_OUT')
""")
def test_gains_and_fans(source):
    assert_same(evaluate(source))


@expressions("""
nn.init.uniform_(torch.empty(3, 5))
nn.init.uniform_(torch.empty(3, 5), -2, 0.5)
nn.init.normal_(torch.empty(3, 5))
nn.init.normal_(torch.empty(4, 5), 1.5, 0.3)
nn.init.constant_(torch.empty(3), 0.3)
nn.init.ones_(torch.empty(3, dtype=torch.float64))
nn.init.zeros_(torch.empty(2, 2))
nn.init.eye_(torch.empty(3, 5))
nn.init.eye_(torch.empty(5, 3))
nn.init.dirac_(torch.empty(4, 2, 3))
nn.init.dirac_(torch.empty(4, 6, 3, 4), groups=2)
nn.init.dirac_(torch.empty(3, 3, 1, 2, 3))
nn.init.xavier_uniform_(torch.empty(4, 5))
nn.init.xavier_uniform_(torch.empty(4, 5, 3), gain=2.0)
nn.init.xavier_normal_(torch.empty(4, 5))
nn.init.kaiming_uniform_(torch.empty(4, 5))
nn.init.kaiming_uniform_(torch.empty(4, 5, 3, 3), a=0.3, mode='fan_out')
nn.init.kaiming_uniform_(torch.empty(4, 5), nonlinearity='relu')
nn.init.kaiming_normal_(torch.empty(4, 5))
nn.init.kaiming_normal_(torch.empty(4, 5, 3, 3), mode='fan_out', nonlinearity='relu')
nn.init.trunc_normal_(torch.empty(20, 5))
nn.init.trunc_normal_(torch.empty(20, 5), 0.5, 2.0, -1.0, 1.0)
nn.init.trunc_normal_(torch.empty(20, 5), 0.0, 1.0, 1.0, 4.0)
nn.init.trunc_normal_(torch.empty(20, 5), 5.0, 1.0)
nn.init.sparse_(torch.empty(6, 4), 0.4)
nn.init.sparse_(torch.empty(3, 2), 0.0)
nn.init.sparse_(torch.empty(3, 0), 0.5)
nn.init.dirac_(torch.empty(3, 0, 2))
nn.init.kaiming_uniform_(nn.Parameter(torch.empty(4, 5)))
nn.init.xavier_normal_(torch.empty(4, 5, dtype=torch.float64))
nn.init.normal_(torch.empty(7, dtype=torch.bfloat16))
nn.init.uniform_(torch.empty(4, 6)[:, ::2])
nn.init.uniform_(torch.empty(4, 6).t())
nn.init.kaiming_uniform_(torch.empty(0, 5))
nn.init.kaiming_normal_(torch.empty(5, 0))
""")
def test_values_are_pytorchs(source):
    assert_same(evaluate(source))


@expressions("""
nn.init.uniform_(torch.empty(4), generator=g)
nn.init.normal_(torch.empty(20), generator=g)
nn.init.trunc_normal_(torch.empty(30), generator=g)
nn.init.xavier_uniform_(torch.empty(4, 5), generator=g)
nn.init.xavier_normal_(torch.empty(4, 5), generator=g)
nn.init.kaiming_uniform_(torch.empty(4, 5), generator=g)
nn.init.kaiming_normal_(torch.empty(4, 5), generator=g)
nn.init.sparse_(torch.empty(4, 5), 0.5, generator=g)
""")
def test_generator_argument(source):
    def scenario(torch):
        torch.manual_seed(1)
        names = {"torch": torch, "nn": torch.nn, "g": torch.Generator().manual_seed(7)}
        # The next draw of each stream shows how much was taken from it.
        return eval(source, names), torch.rand(1), torch.rand(1, generator=names["g"])

    assert_same(scenario)


@expressions("""
nn.init.eye_(torch.empty(3))
nn.init.dirac_(torch.empty(3, 3))
nn.init.dirac_(torch.empty(3, 3, 3), groups=2)
nn.init.xavier_uniform_(torch.empty(3))
nn.init.xavier_normal_(torch.empty(()))
nn.init.kaiming_uniform_(torch.empty(3))
nn.init.kaiming_uniform_(torch.empty(3, 3), mode='fan_avg')
nn.init.kaiming_normal_(torch.empty(3, 3), nonlinearity='swish')
nn.init.orthogonal_(torch.empty(3))
nn.init.orthogonal_(torch.empty(0, 3))
nn.init.sparse_(torch.empty(3), 0.5)
""")
def test_errors(source):
    assert_same(evaluate(source))


@expressions("""
uniform(torch.empty(3))
normal(torch.empty(3))
constant(torch.empty(3), 2)
eye(torch.empty(3, 3))
dirac(torch.empty(3, 3, 3))
xavier_uniform(torch.empty(3, 3))
xavier_normal(torch.empty(3, 3))
kaiming_uniform(torch.empty(3, 3))
kaiming_normal(torch.empty(3, 3))
sparse(torch.empty(3, 3), 0.5)
""")
def test_old_names_warn(source):
    assert_same(evaluate(f"nn.init.{source}"))


@expressions("""
(5, 3)
(3, 5)
(4, 4)
(4, 2, 3)
""")
def test_orthogonal(source):
    shape = eval(source)
    made = []
    for lib in (facade, torch):
        lib.manual_seed(0)
        made.append(lib.nn.init.orthogonal_(lib.empty(shape), gain=2.0).numpy())
    # Another LAPACK rounds differently; the signs and the draws are the same.
    np.testing.assert_allclose(*made, rtol=1e-4, atol=1e-5)
    flat = made[0].reshape(shape[0], -1) / 2
    flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-5)


@expressions("""
nn.Linear(4, 3)
nn.Linear(30, 20, bias=False)
nn.Linear(4, 3, dtype=torch.float64)
nn.Linear(0, 3)
nn.Conv1d(3, 4, 5)
nn.Conv2d(3, 8, 3)
nn.Conv2d(4, 8, (3, 2), groups=2)
nn.Conv3d(2, 3, 2, bias=False)
nn.BatchNorm2d(3)
nn.LayerNorm(3)
nn.Embedding(5, 3)
nn.Embedding(10, 8, padding_idx=2)
nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4), nn.Linear(4, 2))
""")
def test_layers_start_with_pytorchs_values(source):
    def scenario(lib):
        module = evaluate(source)(lib)
        return module.state_dict(keep_vars=True), lib.rand(1)

    assert_same(scenario)


def test_golden_values():
    facade.manual_seed(0)
    linear = facade.nn.Linear(4, 3)
    assert linear.weight[0].tolist() == [
        float(np.float32(v)) for v in (-0.00374341, 0.2682218, -0.41152257, -0.3679695)
    ]
    assert linear.bias.tolist() == [
        float(np.float32(v)) for v in (-0.47767425, -0.33114105, -0.20611155)
    ]

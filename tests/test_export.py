"""Export: the program runs in a process without facade; pending tapes can be looked at."""

import subprocess
import sys

import numpy as np
import pytest

import facade as torch
from facade.export import export, hlo, jaxpr

RUN = """
import sys
sys.modules["facade"] = sys.modules["torch"] = None
import jax, jax.export, numpy as np
jax.config.update("jax_enable_x64", True)
program = jax.export.deserialize(bytearray(open(sys.argv[1] + "/program.bin", "rb").read()))
stored, args = np.load(sys.argv[1] + "/state.npz"), np.load(sys.argv[1] + "/args.npz")
tree = program.in_tree
(state, *_), _ = jax.tree.unflatten(tree, [*stored.values(), *args.values()])
for _ in range(3):
    result, state = program.call(state, *[args[k] for k in args.files])
    print(np.asarray(result).ravel().tolist())
"""


def elsewhere(exported, args, folder):
    """Run an exported program three times in a new process; return what it computes."""
    exported.save(folder / "program.bin")
    exported.save_state(folder / "state.npz")
    np.savez(folder / "args.npz", *[x.numpy() for x in args])
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [[float(v) for v in line.strip("[]").split(",")] for line in done.stdout.splitlines()]


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    )


def data():
    generator = np.random.default_rng(0)
    return [torch.from_numpy(generator.normal(size=(8, k)).astype(np.float32)) for k in (3, 1)]


def test_inference(tmp_path):
    net, (x, _) = network().eval(), data()
    found = elsewhere(export(net, (x,)), (x,), tmp_path)
    np.testing.assert_allclose(found[0], net(x).detach().numpy().ravel(), rtol=1e-5)
    assert found[0] == found[2]


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), (torch.optim.Adam, {"lr": 0.1})],
)
def test_a_training_step(tmp_path, kind, options):
    net, args = network(), data()
    optimizer = kind(net.parameters(), **options)

    def step(x, y):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    if kind is torch.optim.Adam:
        with pytest.raises(RuntimeError, match="once before"):
            export(step, args)
    step(*args)
    found = elsewhere(export(step, args), args, tmp_path)
    expected = [[step(*args).item()] for _ in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_random_numbers_are_drawn_from_the_state(tmp_path):
    dropout = torch.nn.Dropout(0.5)
    ones = torch.ones(1000)
    made = export(lambda x: (dropout(x), torch.randperm(4)), (ones,))
    (first, order), state = made(made.state, ones)
    (second, _), _ = made(state, ones)
    (again, _), _ = made(made.state, ones)
    assert 400 < (np.asarray(first) == 0).sum() < 600
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)
    assert sorted(np.asarray(order)) == [0, 1, 2, 3]


def test_what_only_python_can_do_is_refused():
    found = []
    with pytest.raises(RuntimeError, match="can't be exported: it changes found"):
        export(lambda x: found.append(x) or x + 1, (torch.ones(3),))


def test_stablehlo_text():
    made = export(lambda x: x.sin(), (torch.ones(3),))
    assert "stablehlo.sine" in made.stablehlo
    result, _ = made(made.state, torch.ones(3))
    np.testing.assert_allclose(result, np.sin(np.ones(3)), rtol=1e-6)


def test_a_pending_tape_is_shown():
    x = torch.ones(3)
    y = (x * 2).sin()
    assert "sin" in str(jaxpr(y))
    assert "sine(" in hlo(y)
    assert "HloModule" in hlo(y, optimized=True)
    assert y.tolist() == pytest.approx(np.sin([2.0] * 3).tolist())
    with pytest.raises(RuntimeError, match="not read yet"):
        jaxpr(y)

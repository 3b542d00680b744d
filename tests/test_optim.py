"""Optimizers, trained side by side with PyTorch's, and what a training step costs."""

import copy
import importlib
import pickle
import warnings

import jax
import numpy as np
import pytest
import torch
from parity import assert_same, both, outcome, to_numpy

import facade
import facade.optim
import facade.program
import facade.tape

# ---- training the same little model under both ----------------------------------------------

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(5, 3))
SHAPES = {"weight": (3, 4), "bias": (4,), "scale": (1,), "unused": (2,)}
VALUES = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}


def parameters(torch, dtype="float32"):
    """Return the model's parameters, ``unused`` among them."""
    made = [torch.tensor(v).to(getattr(torch, dtype)) for v in VALUES.values()]
    return [p.requires_grad_() for p in made]


def loss_of(torch, params):
    """Return the loss of the model ``weight, bias, scale``."""
    weight, bias, scale = params[:3]
    out = torch.tensor(INPUTS).to(weight.dtype) @ weight + bias
    out = out * scale
    return (out * out).mean() if not weight.is_complex() else (out * out.conj()).real.mean()


def train(torch, optimizer, params, steps=4, each=lambda step: None):
    """Take steps; return the losses, the parameters, their gradients and the state dict."""
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(torch, params)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        each(step)
    return losses, params, [p.grad for p in params], optimizer.state_dict()


SGD_OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"maximize": True},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "maximize": True},
    {"momentum": 0.9, "weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    {"dampening": 0.5},
    {"foreach": True, "momentum": 0.5},
    {"fused": True, "momentum": 0.5},
]


@pytest.mark.parametrize("options", SGD_OPTIONS, ids=repr)
def test_sgd(options):
    def code(torch):
        params = parameters(torch)
        return train(torch, torch.optim.SGD(params, lr=0.1, **options), params)

    both(code)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "complex64"])
def test_dtypes(dtype):
    def code(torch):
        params = parameters(torch, dtype)
        optimizer = torch.optim.SGD(params, 0.05, momentum=0.9, weight_decay=0.1, nesterov=True)
        return train(torch, optimizer, params, steps=2)[1:]

    both(code)


def test_parameter_groups():
    def code(torch):
        weight, bias, scale, unused = params = parameters(torch)
        groups = [{"params": [weight, unused]}, {"params": bias, "lr": 0.5, "nesterov": True}]
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
        first = train(torch, optimizer, params)
        optimizer.add_param_group({"params": [scale], "momentum": 0, "weight_decay": 0.3})
        return first, train(torch, optimizer, params)

    both(code)


def test_hyperparameters_change_between_steps():
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)

        def change(step):
            group = optimizer.param_groups[0]
            group["lr"] *= 0.5
            group["momentum"] = [0.8, 0, 0.7, np.float32(0.6), 0.5][step]
            group["weight_decay"] = [0.1, 0, 0, 1, 0][step]
            group["maximize"] = step == 2

        return train(torch, optimizer, params, 5, change)[:3]

    both(code)


def test_learning_rate_as_tensor():
    def code(torch):
        params = parameters(torch)
        rate = torch.tensor([0.1])
        optimizer = torch.optim.SGD(params, lr=rate, momentum=0.9)
        return train(torch, optimizer, params, each=lambda step: rate.mul_(0.5))

    both(code)


def test_parameters_that_come_and_go():
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.2)
        for step in range(4):
            optimizer.zero_grad()
            loss_of(torch, params).backward()
            params[step % 3].grad = None
            optimizer.step()
        return params, optimizer.state_dict()

    both(code)


def test_parameters_that_share_a_storage():
    def code(torch):
        base = torch.ones(4)
        first, second = base.detach().requires_grad_(), base.detach().requires_grad_()
        head = base[:2].detach().requires_grad_()
        optimizer = torch.optim.SGD([first, second, head], lr=0.1, weight_decay=0.1)
        (first.sum() + 2 * second.sum() + 3 * head.sum()).backward()
        optimizer.step()
        return base, first, second, head

    both(code)


def test_duplicates_are_updated_twice():
    def code(torch):
        p = torch.ones(2, requires_grad=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            optimizer = torch.optim.SGD([p, p], lr=0.1)
        p.sum().backward()
        optimizer.step()
        return p, [str(w.message) for w in caught], optimizer.state_dict()

    both(code)


def test_differentiable():
    def code(torch):
        rate = torch.tensor(0.1, requires_grad=True)
        start = torch.tensor([1.0, 2.0], requires_grad=True)
        p = start.clone()
        optimizer = torch.optim.SGD([p], lr=rate, weight_decay=0.5, differentiable=True)
        for _ in range(2):
            p.grad = p * 3
            optimizer.step()
        (p * p).sum().backward()
        return p.detach(), start.grad, rate.grad

    both(code)


def test_a_differentiable_step_writes_no_leaf():
    def code(torch):
        p = leaf(torch)
        optimizer = torch.optim.SGD([p], differentiable=True)
        p.sum().backward()
        optimizer.step()

    both(code)


def test_closure():
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)

        def closure():
            optimizer.zero_grad()
            loss = loss_of(torch, params)
            loss.backward()
            return loss

        with torch.no_grad():
            losses = [optimizer.step(closure) for _ in range(3)]
        return [loss.detach() for loss in losses], params

    both(code)


# ---- the interface --------------------------------------------------------------------------


def base(torch):
    """Return the module that PyTorch hides behind ``optim.Optimizer``."""
    return importlib.import_module(f"{torch.__name__}.optim.optimizer")


def leaf(torch):
    return torch.ones(2, requires_grad=True)


ERRORS = [
    lambda torch: torch.optim.SGD([]),
    lambda torch: torch.optim.SGD(leaf(torch)),
    lambda torch: torch.optim.SGD([leaf(torch) * 2]),
    lambda torch: torch.optim.SGD([3]),
    lambda torch: torch.optim.SGD(["weight"]),
    lambda torch: torch.optim.SGD([{"params": {leaf(torch)}}]),
    lambda torch: torch.optim.SGD([("a", leaf(torch)), leaf(torch)]),
    lambda torch: torch.optim.SGD([{"params": leaf(torch)}, [leaf(torch)]]),
    lambda torch: torch.optim.SGD([leaf(torch)], lr=-1),
    lambda torch: torch.optim.SGD([leaf(torch)], lr=torch.tensor(-1.0)),
    lambda torch: torch.optim.SGD([leaf(torch)], lr=torch.ones(2)),
    lambda torch: torch.optim.SGD([leaf(torch)], momentum=-0.5),
    lambda torch: torch.optim.SGD([leaf(torch)], weight_decay=-0.5),
    lambda torch: torch.optim.SGD([leaf(torch)], nesterov=True),
    lambda torch: torch.optim.SGD([leaf(torch)], momentum=0.9, dampening=0.1, nesterov=True),
    lambda torch: torch.optim.SGD([leaf(torch)], fused=True, foreach=True),
    lambda torch: torch.optim.SGD([leaf(torch)], fused=True, differentiable=True),
    lambda torch: torch.optim.SGD([p := leaf(torch)]).add_param_group({"params": p}),
    lambda torch: torch.optim.SGD([leaf(torch)]).add_param_group({"params": ("a", leaf(torch))}),
    lambda torch: torch.optim.SGD([leaf(torch)]).add_param_group({"params": [("a", leaf(torch))]}),
    lambda torch: torch.optim.SGD([leaf(torch)]).add_param_group([leaf(torch)]),
    lambda torch: torch.optim.SGD([leaf(torch)]).load_state_dict({"state": {}, "param_groups": []}),
    lambda torch: torch.optim.SGD([leaf(torch)]).load_state_dict(
        torch.optim.SGD([leaf(torch), leaf(torch)]).state_dict()
    ),
    lambda torch: torch.optim.Optimizer([leaf(torch)], {"lr": base(torch).required}),
    lambda torch: torch.optim.Optimizer([leaf(torch)], {}).step(),
]


@pytest.mark.parametrize("code", ERRORS)
def test_errors(code):
    assert isinstance(outcome(code, torch), Exception)
    both(code)


def test_repr_and_groups():
    def code(torch):
        named = [("a", leaf(torch)), ("b", leaf(torch))]
        optimizer = torch.optim.SGD(named, lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": [("c", leaf(torch))], "lr": torch.tensor(0.5)})
        names = [group["param_names"] for group in optimizer.param_groups]
        return repr(optimizer), names, optimizer.state_dict(), repr(base(torch).required)

    both(code)


def test_zero_grad():
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params)
        loss_of(torch, params).backward()
        held = params[0].grad
        optimizer.zero_grad(set_to_none=False)
        zeros = [p.grad for p in params]
        loss_of(torch, params).backward()
        optimizer.zero_grad()
        return held, zeros, [p.grad for p in params]

    both(code)


def test_state_dict_goes_on_where_it_was():
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
        train(torch, optimizer, params)
        saved = copy.deepcopy(optimizer.state_dict())
        other = torch.optim.SGD([{"params": params}], lr=3.0)
        other.load_state_dict(saved)
        return train(torch, other, params)

    both(code)


def test_loading_casts_to_the_parameter():
    def code(torch):
        first, second = leaf(torch), torch.ones(2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([first], momentum=0.9)
        first.sum().backward()
        optimizer.step()
        other = torch.optim.SGD([second])
        other.load_state_dict(optimizer.state_dict())
        return other.state_dict(), other.state[second]["momentum_buffer"]

    both(code)


def test_pytorchs_state_dict():
    """A checkpoint that PyTorch wrote goes on in facade as it does in PyTorch."""
    theirs = parameters(torch)
    optimizer = torch.optim.SGD(theirs, lr=0.1, momentum=0.9)
    train(torch, optimizer, theirs)
    saved = optimizer.state_dict()
    state = {
        k: {n: facade.tensor(to_numpy(t)) for n, t in s.items()} for k, s in saved["state"].items()
    }
    ours = [facade.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
    restored = facade.optim.SGD(ours)
    restored.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    assert_same(train(facade, restored, ours), train(torch, optimizer, theirs))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
        train(torch, optimizer, params)
        twin = copied(optimizer)
        own = twin.param_groups[0]["params"]
        result = train(torch, twin, own)
        return result[1:], params, repr(twin), sorted(vars(twin)) == sorted(vars(optimizer))

    ours, theirs = outcome(code, facade), outcome(code, torch)
    assert_same(ours[:3], theirs[:3])
    assert ours[3]


def test_hooks():
    def code(torch):
        seen = []

        def note(*what):
            return lambda *args: seen.append((*what, len(args)))

        p = leaf(torch)
        optimizer = torch.optim.SGD([p], lr=0.1)
        everywhere = base(torch).register_optimizer_step_pre_hook(note("all before"))
        afterwards = base(torch).register_optimizer_step_post_hook(note("all after"))
        optimizer.register_step_pre_hook(note("before"))
        gone = optimizer.register_step_pre_hook(note("gone"))
        optimizer.register_step_post_hook(note("after"))
        optimizer.register_state_dict_pre_hook(note("saving"))
        optimizer.register_state_dict_post_hook(lambda o, d: d | {"more": 1})
        optimizer.register_state_dict_post_hook(note("saved first"), prepend=True)
        optimizer.register_load_state_dict_pre_hook(lambda o, d: d["more"] and None)
        optimizer.register_load_state_dict_post_hook(note("loaded"))
        gone.remove()
        p.sum().backward()
        optimizer.step()
        everywhere.remove(), afterwards.remove()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        return seen, p

    both(code)


def test_pre_hook_gives_arguments():
    def code(torch):
        p = leaf(torch)
        optimizer = torch.optim.SGD([p], lr=0.1)
        optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 7}))
        return optimizer.step()

    both(code)


def test_pre_hook_with_a_wrong_result():
    def code(torch):
        optimizer = torch.optim.SGD([leaf(torch)], lr=0.1)
        optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
        optimizer.step()

    assert str(outcome(code, facade)).endswith("a tuple of (new_args, new_kwargs), but got 3.")


def test_an_optimizer_of_ones_own():
    def code(torch):
        class Halving(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                            p.mul_(group["by"]).add_(p.grad, alpha=-group["lr"])

        params = parameters(torch)
        optimizer = Halving(params, {"lr": 0.1, "by": 0.5})
        return train(torch, optimizer, params)

    both(code)


# ---- what a step costs ----------------------------------------------------------------------


@pytest.fixture
def compilations():
    """The seconds of each compilation since the test began."""
    seconds = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration)

    facade.program.flush(facade.tape.state.tape)  # what another test has left on it
    facade.program.clear()  # other tests train the same model
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seconds
    jax.monitoring.unregister_event_duration_listener(listen)


def buffers(tensors):
    """Return where the values lie in memory."""
    return {t._cell.array.unsafe_buffer_pointer() for t in tensors}


def numpy_parameters():
    """Return parameters whose values exist already."""
    return [facade.tensor(v.astype("f"), requires_grad=True) for v in VALUES.values()]


def test_one_program_per_step(compilations):
    """Forward, backward and update are one program, whatever the learning rate is."""
    params = numpy_parameters()
    optimizer = facade.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=1e-3)
    counts = []

    def change(step):
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 2)
        optimizer.param_groups[0]["momentum"] = 0.9 - 0.01 * step
        counts.append(len(compilations))

    train(facade, optimizer, params, 6, change)
    assert counts == [1] * 6


def test_a_dampened_first_step_is_a_program_of_its_own(compilations):
    params = numpy_parameters()
    optimizer = facade.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5)
    counts = []
    train(facade, optimizer, params, 4, lambda step: counts.append(len(compilations)))
    assert counts == [1, 2, 2, 2]


def test_parameters_and_momentum_are_given_to_the_program():
    params = parameters(facade)
    optimizer = facade.optim.SGD(params, lr=0.1, momentum=0.9)
    train(facade, optimizer, params, 2)
    kept = [*params[:3], *(optimizer.state[p]["momentum_buffer"] for p in params[:3])]
    before = buffers(kept)
    train(facade, optimizer, params, 1)
    assert before <= buffers([*kept, *(p.grad for p in params[:3])])


def test_an_array_somebody_holds_is_not_given_away():
    params = parameters(facade)
    optimizer = facade.optim.SGD(params, lr=0.1, momentum=0.9)
    train(facade, optimizer, params, 2)
    held = params[0]._cell.array
    before = np.array(held)
    train(facade, optimizer, params, 2)
    assert not held.is_deleted()
    np.testing.assert_array_equal(held, before)

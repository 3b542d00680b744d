"""Learning rate schedules, followed side by side with PyTorch's."""

import copy
import math
import warnings

import pytest
import torch
from parity import both, outcome

import facade
import facade.optim


class Decay:
    """A callable object: a state dict keeps its attributes."""

    def __init__(self):
        self.rate = 0.9

    def __call__(self, epoch):
        return self.rate**epoch


SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR, per group": lambda s, o: s.LambdaLR(o, [Decay(), lambda epoch: 1 / (1 + epoch)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9 + epoch / 100),
    "StepLR": lambda s, o: s.StepLR(o, step_size=3),
    "StepLR, gamma": lambda s, o: s.StepLR(o, 2, 0.7),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], gamma=0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR, short": lambda s, o: s.ConstantLR(o, 0.5, 2),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR, down": lambda s, o: s.LinearLR(o, 1.0, 0.1, 7),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o),
    "PolynomialLR, square": lambda s, o: s.PolynomialLR(o, total_iters=8, power=2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, T_max=4),
    "CosineAnnealingLR, eta_min": lambda s, o: s.CosineAnnealingLR(o, 5, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3),
    "CosineAnnealingWarmRestarts, T_mult": lambda s, o: s.CosineAnnealingWarmRestarts(
        o, T_0=2, T_mult=2, eta_min=0.001
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, max_lr=0.5, total_steps=13),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.2], epochs=4, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.5
    ),
    "OneCycleLR, three phases": lambda s, o: s.OneCycleLR(
        o, 0.5, 20, three_phase=True, cycle_momentum=False, div_factor=5, final_div_factor=10
    ),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=4),
    "CyclicLR, triangular2": lambda s, o: s.CyclicLR(
        o, [0.01, 0.02], [0.1, 0.3], 2, 3, mode="triangular2", base_momentum=0.7
    ),
    "CyclicLR, exp_range": lambda s, o: s.CyclicLR(
        o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9, cycle_momentum=False
    ),
    "CyclicLR, scale_fn": lambda s, o: s.CyclicLR(
        o, 0.01, 0.1, 3, scale_fn=Decay(), scale_mode="iterations"
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], milestones=[3]
    ),
    "SequentialLR of three": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1), s.CosineAnnealingLR(o, 4), s.StepLR(o, 2)], [4, 8]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)], optimizer=o
    ),
    "SequentialLR of chains": lambda s, o: s.SequentialLR(
        o,
        [s.ChainedScheduler([s.LinearLR(o, 0.5), s.StepLR(o, 2)]), s.ExponentialLR(o, 0.5)],
        milestones=[5],
    ),
}


def make(torch, rate=0.05):
    """Return an optimizer with two groups."""
    ps = [torch.ones(1, requires_grad=True) for _ in range(2)]
    return torch.optim.SGD([{"params": ps[0]}, {"params": ps[1], "lr": 0.5}], rate, momentum=0.9)


def options(optimizer):
    """Return what a schedule may change."""
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


def plain(state):
    """Return a state dict without functions, which the two libraries can't share."""
    if isinstance(state, dict):
        return {k: plain(v) for k, v in state.items() if not callable(v)}
    return [plain(v) for v in state] if isinstance(state, list) else state


def follow(optimizer, scheduler, steps):
    """Take steps; return what each sets."""
    seen = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append((options(optimizer), scheduler.get_last_lr(), scheduler.last_epoch))
    return seen


def last_epoch(scheduler):
    """Return a chained scheduler's epoch too, which has none of its own."""
    return getattr(scheduler, "last_epoch", None)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    def code(torch):
        optimizer = make(torch)
        scheduler = SCHEDULES[name](torch.optim.lr_scheduler, optimizer)
        seen = [options(optimizer), scheduler.get_last_lr()]
        for _ in range(12):
            optimizer.step()
            scheduler.step()
            seen += [options(optimizer), scheduler.get_last_lr(), last_epoch(scheduler)]
        return seen, plain(scheduler.state_dict())

    both(code)


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_dicts_go_on(name):
    """A scheduler that loads a state goes on where the other was."""

    def code(torch):
        optimizer = make(torch)
        scheduler = SCHEDULES[name](torch.optim.lr_scheduler, optimizer)
        for _ in range(5):
            optimizer.step()
            scheduler.step()
        state, rates = copy.deepcopy((scheduler.state_dict(), optimizer.state_dict()))
        again = make(torch, rate=1.0)
        follower = SCHEDULES[name](torch.optim.lr_scheduler, again)
        follower.load_state_dict(state)
        again.load_state_dict(rates)
        seen = []
        for _ in range(5):
            again.step()
            follower.step()
            seen += [options(again), plain(follower.state_dict())]
        return seen

    both(code)


CLOSED = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"]
CLOSED += ["CosineAnnealingLR, eta_min", "LambdaLR", "CosineAnnealingWarmRestarts, T_mult"]


@pytest.mark.parametrize("name", CLOSED)
def test_going_to_an_epoch(name):
    def code(torch):
        optimizer = make(torch)
        scheduler = SCHEDULES[name](torch.optim.lr_scheduler, optimizer)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            optimizer.step()
            rates = []
            for epoch in (7, 2, 4, 11):
                scheduler.step(epoch)
                rates.append(scheduler.get_last_lr())
        return rates, [str(w.message) for w in caught]

    both(code)


@pytest.mark.parametrize("name", ["ExponentialLR", "CosineAnnealingLR", "LinearLR", "LambdaLR"])
def test_learning_rate_as_tensor(name):
    def code(torch):
        rate = torch.tensor([0.05])
        optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=rate)
        scheduler = SCHEDULES[name](torch.optim.lr_scheduler, optimizer)
        seen = follow(optimizer, scheduler, 6)
        return seen, rate, optimizer.param_groups[0]["lr"] is rate

    both(code)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 1, "factor": 0.5},
        {"patience": 0, "cooldown": 2, "min_lr": 0.02},
        {"patience": 1, "mode": "max", "threshold_mode": "abs", "threshold": 0.1},
        {"patience": 1, "mode": "max", "min_lr": [0.01, 0.3], "eps": 0.01},
        {"patience": 0, "threshold_mode": "abs", "threshold": 0.5},
    ],
    ids=repr,
)
def test_plateau(options):
    def code(torch):
        optimizer = make(torch)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        metrics = [3.0, 2.0, 2.1, 2.0, 1.99, 2.5, 2.5, 1.0, 1.2, 1.1, 1.3, math.nan, 0.9]
        seen = []
        for metric in metrics:
            scheduler.step(torch.tensor(metric))
            seen.append((scheduler.get_last_lr(), scheduler.state_dict()))
        again = torch.optim.lr_scheduler.ReduceLROnPlateau(make(torch))
        again.load_state_dict(scheduler.state_dict())
        again.step(5.0)
        return seen, again.state_dict()

    both(code)


def test_plateau_with_a_new_group():
    def code(torch):
        optimizer = make(torch)
        schedulers = torch.optim.lr_scheduler
        scheduler = schedulers.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
        optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
        scheduler.step(1.0)
        scheduler.step(2.0)

    both(code)


def test_a_schedule_of_ones_own():
    def code(torch):
        class Warmup(torch.optim.lr_scheduler.LRScheduler):
            def get_lr(self):
                return [base * min(1, (self.last_epoch + 1) / 4) for base in self.base_lrs]

        optimizer = make(torch)
        return follow(optimizer, Warmup(optimizer), 6)

    both(code)


def test_resuming_at_an_epoch():
    def code(torch):
        schedulers = torch.optim.lr_scheduler
        optimizer = make(torch)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"] * 2
        made = [
            schedulers.StepLR(optimizer, 3, last_epoch=4),
            schedulers.CosineAnnealingLR(optimizer, 9, last_epoch=4),
            schedulers.LambdaLR(optimizer, lambda epoch: 0.5**epoch, last_epoch=4),
        ]
        return [follow(optimizer, scheduler, 3) for scheduler in made]

    both(code)


def test_warnings():
    def code(torch):
        optimizer = make(torch)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
            scheduler.step()
            scheduler.step()
            scheduler.get_lr()
            late = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
            optimizer.step = lambda: None
            late.step()
        return [(w.category.__name__, str(w.message)) for w in caught]

    both(code)


def test_a_copied_optimizer_has_its_own_step():
    optimizer = make(facade)
    facade.optim.lr_scheduler.StepLR(optimizer, 3)
    twin = copy.deepcopy(optimizer)
    own = twin.param_groups[0]["params"][0]
    own.grad = facade.ones(1)
    twin.step()
    assert own.item() != 1
    assert not hasattr(twin, "_opt_called")


ERRORS = [
    lambda s, o: s.StepLR(3, 2),
    lambda s, o: s.CyclicLR(3, 2, 2),
    lambda s, o: s.StepLR(o, 2, last_epoch=3),
    lambda s, o: s.LambdaLR(o, [lambda epoch: 1]),
    lambda s, o: s.MultiplicativeLR(o, [3, 4]),
    lambda s, o: s.ConstantLR(o, factor=2),
    lambda s, o: s.LinearLR(o, start_factor=0),
    lambda s, o: s.LinearLR(o, end_factor=2),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0.5),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, eta_min="0"),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 1).step(-1),
    lambda s, o: s.OneCycleLR(o, 1),
    lambda s, o: s.OneCycleLR(o, 1, total_steps=0),
    lambda s, o: s.OneCycleLR(o, 1, epochs=2, steps_per_epoch=0),
    lambda s, o: s.OneCycleLR(o, 1, epochs=-2, steps_per_epoch=3),
    lambda s, o: s.OneCycleLR(o, 1, 5, pct_start=2.0),
    lambda s, o: s.OneCycleLR(o, 1, 5, anneal_strategy="steep"),
    lambda s, o: s.OneCycleLR(o, [1], 5),
    lambda s, o: follow(o, s.OneCycleLR(o, 1, 5), 6),
    lambda s, o: s.CyclicLR(o, 1, 2, mode="square"),
    lambda s, o: s.CyclicLR(o, [1, 2, 3], 2),
    lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    lambda s, o: s.ReduceLROnPlateau(3),
    lambda s, o: s.ReduceLROnPlateau(o, mode="best"),
    lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="sum"),
    lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]),
    lambda s, o: s.SequentialLR(o, [], []),
    lambda s, o: s.SequentialLR(o, [3], []),
    lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]),
    lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    lambda s, o: s.ChainedScheduler([]),
    lambda s, o: s.ChainedScheduler([3], o),
    lambda s, o: s.LRScheduler(o),
]


@pytest.mark.parametrize("code", ERRORS)
def test_errors(code):
    def run(torch):
        return code(torch.optim.lr_scheduler, make(torch))

    assert isinstance(outcome(run, torch), Exception)
    both(run)


def test_schedulers_of_two_optimizers():
    """The text prints an optimizer; both print the same."""

    def code(torch):
        schedulers = torch.optim.lr_scheduler
        return schedulers.ChainedScheduler([schedulers.StepLR(make(torch), 1)], make(torch))

    both(code)


def test_every_scheduler_is_there():
    schedulers = facade.optim.lr_scheduler
    for name in torch.optim.lr_scheduler.__all__:
        assert issubclass(getattr(schedulers, name), schedulers.LRScheduler)

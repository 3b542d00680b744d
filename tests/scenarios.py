"""Run the same code under PyTorch and under facade, and compare everything that can be seen."""

import re
import warnings

import pytest
import torch

import facade

BOTH = {"torch": torch, "facade": facade}


def assert_same(scenario) -> None:
    """Check that ``scenario(torch)`` returns, raises and warns alike under both libraries.

    It runs from seed 0. It may return tensors, modules (compared by what they print), containers
    and plain values. Of an exception the class and the text count.
    """
    mine, theirs = _outcome(scenario, facade), _outcome(scenario, torch)
    assert mine == theirs, f"\nfacade: {mine}\ntorch:  {theirs}"


def expressions(sources: str):
    """Parametrize a test with ``source``, the lines of a text."""
    return pytest.mark.parametrize("source", sources.strip().splitlines())


def evaluate(source: str):
    """Return the scenario that evaluates ``source``."""
    return lambda lib: eval(source, {"torch": lib, "nn": lib.nn})


def net(torch):
    """A module with a parameter, buffers of both kinds, children, and an absent one of each."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.ones(2))
            self.absent = nn.Parameter(torch.ones(1))
            self.absent = None
            self.register_buffer("b", torch.zeros(3))
            self.register_buffer("temporary", torch.ones(1), persistent=False)
            self.register_buffer("no_buffer", None)
            self.child = nn.Linear(2, 1)
            self.twin = self.child
            self.deep = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU())
            self.plain = 5
            for p in self.parameters():
                nn.init.constant_(p, 0.5)

        def forward(self, x, scale=1):
            return self.child(x * self.p) * scale

    return Net()


def _outcome(scenario, lib):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lib.manual_seed(0)
        try:
            result = plain(scenario(lib))
        except Exception as error:
            result = type(error).__name__, _neutral(str(error))
    return result, [(w.category.__name__, _neutral(str(w.message))) for w in caught]


def plain(value):
    """Return ``value`` in terms that do not depend on the library."""
    for lib in BOTH.values():
        if isinstance(value, lib.Tensor):
            kind = "Parameter" if isinstance(value, lib.nn.Parameter) else "Tensor"
            values = value.detach().to(lib.float64) if value.is_floating_point() else value
            return kind, str(value.dtype), tuple(value.shape), value.requires_grad, values.tolist()
        if isinstance(value, lib.nn.Module):
            return repr(value)
        if isinstance(value, lib.Size):
            return tuple(value)
    if hasattr(value, "_fields"):
        return repr(value)
    if isinstance(value, dict):
        return [(key, plain(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _neutral(value) if isinstance(value, str) else value


def _neutral(text: str) -> str:
    """Return ``text`` without the names of the files that classes live in."""
    text = re.sub(r"\b(torch\.nn\.modules|facade\.nn|torch\.nn)\.\w+\.(?=[A-Z])", "nn.", text)
    return text.replace("facade.tensor.Tensor", "torch.Tensor")

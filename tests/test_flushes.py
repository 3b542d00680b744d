"""Which ops make the tape run? Those whose result's shape or whose errors need values."""

import itertools

import pytest
import torch
from opinfo import checks, translate
from opinfo.entries import entries, main_dtype
from torch.utils import _pytree as pytree

import facade

SHAPES = {
    "argwhere", "bincount", "index_put", "masked_select", "nonzero", "unique", "unique_consecutive",
}  # fmt: skip
NUMBERS = {"allclose", "equal"}  # they return a number of Python's
FACTORS = {  # they raise if there is none
    "cholesky", "linalg.cholesky", "linalg.inv", "linalg.ldl_factor", "linalg.lu_factor",
    "linalg.matrix_power", "linalg.solve", "linalg.tensorinv", "linalg.tensorsolve", "lu",
}  # fmt: skip


def _flushes(entry) -> bool:
    """Return whether one of an entry's first samples makes the tape run."""
    function = translate.function(entry)
    samples = entry.sample_inputs("cpu", main_dtype(entry), requires_grad=False)
    for sample in itertools.islice(samples, 6):
        trees = translate.values((sample.input, sample.args, sample.kwargs))
        for x in pytree.tree_leaves(trees):
            if isinstance(x, facade.Tensor):
                x.to_dense()._value()
        try:
            with facade.no_flush():
                checks._call(function, trees)
        except Exception as error:  # whether it fails otherwise is the scoreboard's question
            if "makes the tape run" in str(error):
                return True
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_other_op_flushes():
    found = set()
    for entry in entries():
        try:
            if _flushes(entry):
                found.add(entry.name)
        except translate.Missing:
            continue
    assert found == SHAPES | NUMBERS | FACTORS


CALLS = {
    "normal": lambda t, x: t.normal(x, x.exp()),
    "gaussian_nll_loss": lambda t, x: t.nn.functional.gaussian_nll_loss(x, x, x.exp()),
    "ctc_loss": lambda t, x: t.nn.functional.ctc_loss(
        x.log_softmax(-1)[:, None], t.tensor([[1, 2]]), (4,), (2,)
    ),
    "istft": lambda t, x: t.istft(t.complex(x, x).T, 4, 1),
    "nonzero_static": lambda t, x: t.nonzero_static(x > 0, size=3),
}


@pytest.mark.parametrize("name", CALLS)
def test_these_do_not(name):
    results = []
    for module in (facade, torch):
        module.manual_seed(0)
        x = module.linspace(-1, 1, 12).reshape(4, 3) * 2
        if module is facade:
            with facade.no_flush():
                results.append(CALLS[name](facade, x))
        else:
            results.append(CALLS[name](torch, x))
    ours, theirs = results
    assert ours.dtype.itemsize == theirs.dtype.itemsize
    torch.testing.assert_close(torch.from_numpy(ours.numpy()), theirs)


def test_nothing_is_filled_up():
    for shape in ((0,), (2, 0), ()):
        assert (
            facade.nonzero_static(facade.zeros(shape), size=2, fill_value=5).tolist()
            == torch.nonzero_static(torch.zeros(shape), size=2, fill_value=5).tolist()
        )


def test_normal_rounds_as_op_by_op():
    found = []
    for module in (facade, torch):
        module.manual_seed(0)
        mean, std = module.linspace(-1, 1, 1000), module.linspace(0.1, 3, 1000)
        found.append(module.normal(mean, std).tolist())
    assert found[0] == found[1]


def test_late_errors():
    for call in (
        lambda x: facade.normal(x, x),
        lambda x: facade.nn.functional.gaussian_nll_loss(x, x, x),
    ):
        result = call(facade.full((2, 2), -2.0) * 1)
        with pytest.raises((RuntimeError, ValueError), match=r"std >= 0|negative"):
            result.tolist()
    nan = facade.full((2, 2), float("nan")) * 1
    assert facade.nn.functional.gaussian_nll_loss(nan, nan, nan).isnan()

"""``out=``: dtypes it takes, sizes, strides, several results, warnings."""

import warnings

import pytest
from parity import both

CALLS = """
torch.add(x, x, out=torch.empty(2, 3, dtype=torch.float64))
torch.add(x, 1, out=torch.zeros(3, 2).t())
torch.add(x, 1, out=torch.zeros(2, 3, 2)[..., 0])
torch.add(x, 1, out=torch.zeros(3, 4))
torch.add(x, 1, out=torch.zeros(0))
torch.mul(x, x, out=torch.zeros(2, 3, dtype=torch.int32))
torch.neg(x, out=torch.zeros(2, 3, dtype=torch.float64))
torch.mm(x, x.t(), out=torch.zeros(2, 2, dtype=torch.float64))
torch.amax(x, 1, out=torch.zeros(2, dtype=torch.float64))
torch.argmax(x, 1, out=torch.zeros(2, dtype=torch.int32))
torch.max(x, 1, out=(torch.zeros(2), torch.zeros(2, dtype=torch.int64)))
torch.max(x, 1, out=(torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)))
torch.max(x, out=torch.zeros((), dtype=torch.float64))
torch.all(x > 0, 1, out=torch.zeros(2, dtype=torch.uint8))
torch.all(x > 0, 1, out=torch.zeros(2))
torch.frexp(x, out=(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int32)))
torch.mean(x, out=torch.zeros((), dtype=torch.int64))
torch.float_power(x, 2, out=torch.zeros(2, 3))
torch.float_power(x, 2, out=torch.zeros(2, 3, dtype=torch.int64))
torch.softmax(x, 1, out=torch.zeros(2, 3))
torch.log_softmax(x, 1, out=torch.zeros(2, 3))
torch.logit(x / 10, out=torch.zeros(2, 3))
torch.complex(x, x, out=torch.zeros(2, 3, dtype=torch.complex128))
torch.where(x > 1, x, x[0], out=torch.zeros(2, 3, dtype=torch.float64))
torch.dot(x[0], x[1], out=torch.zeros((), dtype=torch.float64))
torch.signbit(x, out=torch.zeros(2, 3))
torch.cumsum(x / 2, 1, out=torch.zeros(2, 3, dtype=torch.int64))
torch.prod(x / 2, 1, out=torch.zeros(2, dtype=torch.int64))
torch.sum(x / 2, 1, out=torch.zeros(2, dtype=torch.int64))
torch.take(x, torch.tensor([1]), out=torch.zeros(1).expand(4))
torch.where(x > 1, x, x[0], out=torch.zeros(1).expand(4))
""".strip().splitlines()


@pytest.mark.parametrize("call", CALLS)
def test_call(call):
    def run(torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = eval(call, {"torch": torch, "x": torch.arange(6.0).reshape(2, 3)})
        return result, [str(w.message).partition(" (Triggered")[0] for w in caught]

    both(run)

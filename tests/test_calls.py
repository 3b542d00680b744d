"""Calls with missing or unknown arguments: PyTorch's words."""

import pytest
from parity import both

CALLS = (
    """
x.float(foo=1)|x.half(foo=1)|x.long(foo=1)|x.bool(foo=1)|x.double(foo=1)|x.reshape(foo=1)|x.reshape()
x.reshape((4,), foo=1)|x.permute()|x.permute(foo=1)|x.permute((1, 0), foo=1)|torch.permute(x)
torch.reshape(x)|x.expand(foo=1)|x.expand()|x.expand((2, 2), foo=1)|x.repeat(foo=1)|x.repeat()
x.repeat((2, 2), foo=1)|x.tile()|x.tile(foo=1)|x.flip(foo=1)|x.flip()|torch.flip(x)
x.reshape(shape=(4,))|x.permute(dims=(1, 0))|x.expand(size=(2, 2))|x.repeat(repeats=(1, 2))
x.tile(dims=(1, 2))|x.flip(dims=(0,))|x.reshape(())|x.view()|x.view(size=(4,))|x.permute(())
torch.eq(1, x)|torch.eq(x, "a")|torch.fmod(1, x)|torch.fmod(x, [1])|torch.remainder(1, 1)
torch.remainder(1, x)|torch.remainder(x, "a")|torch.pow(1, 2)|torch.pow(2, x)
torch.float_power(1, 2)|torch.lerp(x, 1, 2)|torch.clamp_min(1, x)|torch.bitwise_and(1, 1)
torch.xlogy(1, 1)|torch.rsub(1, x)|torch.max(1, x)|torch.rsub(x, 1)|torch.Tensor.__radd__(1, x)
x.__rdiv__(3)|torch.copysign(1, x)
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("call", CALLS)
def test_call(call):
    both(lambda module: eval(call, {"torch": module, "x": module.ones(2, 2)}))

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
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("call", CALLS)
def test_call(call):
    both(lambda module: eval(call, {"torch": module, "x": module.ones(2, 2)}))

"""torch.masked: parity with PyTorch, gradients included."""

from expressions import check, groups
from pytest import mark

MASKED = """
    torch.masked.sum(m, 0, mask=m > 0)
    torch.masked.sum(m, mask=m > 0)
    torch.masked.sum(i, 0, mask=i > 1)
    torch.masked.sum(i > 0, 0, mask=i > 1)
    torch.masked.sum(m, (0, 1), keepdim=True, mask=v[:4] > 0)
    torch.masked.sum(m, 0)
    torch.masked.sum(m, (0, 0))
    torch.masked.sum(m, 2)
    torch.masked.sum(v, mask=m > 0)
    torch.masked.prod(m, (0, 1), mask=m > 0)
    torch.masked.prod(i, 0, mask=i > 1)
    torch.masked.amax(m, 1, mask=m > 0.5)
    torch.masked.amin(i, 0, mask=i > 1)
    torch.masked.amax(i > 0, 0, mask=i > 1)
    torch.masked.argmax(m, 1, mask=m < 0.5)
    torch.masked.argmin(m, mask=m < 0.5)
    torch.masked.mean(m, 1, mask=m > 0)
    torch.masked.mean(m, dtype=torch.float64)
    torch.masked.mean(i)
    torch.masked.mean(m, dtype=torch.int64)
    torch.masked.median(m, 1, mask=m > 0)
    torch.masked.median(i.reshape(1, -1), 1)
    torch.masked.norm(m, 3.0, 1, mask=m > 0)
    torch.masked.norm(m, -float("inf"), 1, mask=m > 0)
    torch.masked.var(m, 1, mask=m > 0)
    torch.masked.var(m, 1, False, keepdim=True)
    torch.masked.var(m, 1, True, correction=1)
    torch.masked.std(m, 0, correction=0, mask=m > 0)
    torch.masked.std(i, 0)
    torch.masked.logsumexp(m, 1, mask=m > 0)
    torch.masked.logaddexp(m, m * 2, input_mask=m > 0)
    torch.masked.softmax(m, 1, mask=m > -1)
    torch.masked.log_softmax(m, 1, mask=v[:4] > -5)
    torch.masked.softmin(m, 0, dtype=torch.float64)
    torch.masked.cumsum(m, 1, mask=m > 0)
    torch.masked.cumprod(m, 1, mask=m > 0)
    torch.masked.normalize(m, 2.0, 1, mask=v[:4] > -5)
"""


@mark.parametrize("group", groups(MASKED), ids=lambda g: g[0])
def test_masked(group):
    check(group)

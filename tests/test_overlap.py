"""Writes to tensors whose elements share memory, with each other or with another operand."""

import pytest
from expressions import check, groups

EXPANDED = "\n".join(
    f"t = torch.arange(3.)[:, None].expand(3, 4); t.{call.strip()}; t"
    for call in """
    add_(1)
    mul_(torch.ones(3, 4))
    relu_()
    clamp_(0, 1)
    zero_()
    fill_(2.0)
    copy_(torch.ones(3, 4))
    __setitem__(0, 1)
    masked_fill_(torch.ones(3, 4) > 0, 2.0)
    index_fill_(0, torch.tensor([0]), 1.0)
    index_put_((torch.tensor([0]),), torch.ones(4))
    scatter_(0, torch.zeros(1, 4, dtype=torch.int64), 1.0)
    index_add_(0, torch.tensor([0]), torch.ones(1, 4))
    index_copy_(0, torch.tensor([0]), torch.ones(1, 4))
    masked_scatter_(torch.ones(3, 4) > 0, torch.ones(12))
    put_(torch.tensor([0]), torch.ones(1))
    cumsum_(0)
    tril_()
    uniform_()
    bernoulli_(0.5)
    t_()
    """.strip().split("\n")
)

PARTLY_THE_SAME = """
    q.sub_(q.t())
    q.copy_(q.t())
    q.mul_(q)
    q.t().mul_(q)
    q.t().mul_(q.t())
    q.view(9).add_(q.view(9))
    q.view(9).add_(q)
    q.addcmul_(q.t(), q)
    q.lerp_(q.t(), 0.5)
    q.pow_(q.t())
    q.div_(q.t(), rounding_mode="floor")
    q.masked_fill_(q.t() > 3, 0.0)
    q += q.t(); q
    q.add_(other=q.t())
    q[0].add_(q[:, 0])
    q[0].copy_(q[:, 0])
    q[0].copy_(q[1])
    q[1:].copy_(q[:-1])
    q[1:] = q[:-1]; q
    q[0] = q[0]; q
    q[0] = q[1]; q
    q[:, 0] = q[:, 1]; q
    q.add_(q[1, 1])
    q.add_(q[:0].sum())
    q[:2].add_(q[2])
    d[1:].lt_(d[:-1])
    d[:4].add_(d[4:8])
    d[0:0].add_(d[0:0])
    d.add_(d.detach())
    d.detach().add_(d[1:2])
    d.index_add_(0, torch.arange(9), d)
    d.index_copy_(0, torch.arange(9), d)
    d.scatter_(0, torch.arange(9), d)
    d.scatter_add_(0, torch.arange(9), d)
    torch.add(q, q.t(), out=q)
    torch.exp(q.t(), out=q)
    torch.mul(q, q, out=q)
    e = torch.empty(0); torch.cat([e, q], out=e)
    e = torch.empty(0); torch.add(e, e, out=e)
    g = q * 1; g.requires_grad_(); g.add_(g.t())
    g = q * torch.ones((), requires_grad=True); g.sub_(g.t())
"""

# ... and functions that are given their own operand, part of it, or an expanded tensor as out=
OUTS = "\n".join(
    f"d = torch.arange(6.); i = torch.tensor([2, 1, 0]); m = d < 3; torch.{call.strip()[:-1]}, out="
    + (f"({given}, torch.empty(3, dtype=torch.int64)))[0] * 1" if pair else f"{given}) * 1")
    for calls, pair in (
        (
            """
    take(d, i)
    gather(d, 0, i)
    index_select(d, 0, i)
    masked_select(d, m)
    cat([d[:1], d[1:3]])
    scatter(d[:3], 0, i, d[:3])
    index_add(d[:3], 0, i, d[:3])
    index_copy(d[:3], 0, i, d[:3])
    take_along_dim(d, i, 0)
    where(m[:3], d[:3], d[3:])
            """,
            False,
        ),
        (
            """
    kthvalue(d.view(3, 2), 1, 1)
    topk(d, 3)
    mode(d.view(3, 2), 1)
    median(d.view(3, 2), 1)
    max(d.view(3, 2), 1)
            """,
            True,
        ),
    )
    for call in calls.strip().split("\n")
    for given in ("d[:3]", "d[1:4]", "torch.zeros(1).expand(3)")
)


@pytest.mark.parametrize("group", groups(OUTS))
def test_out_that_overlaps(group):
    check(group)


@pytest.mark.parametrize("group", groups(EXPANDED))
def test_writes_to_expanded_tensors(group):
    check(group)


@pytest.mark.parametrize("group", groups(PARTLY_THE_SAME))
def test_operands_that_overlap(group):
    check([f"q = torch.arange(9.).reshape(3, 3); d = torch.arange(9.); {line}" for line in group])

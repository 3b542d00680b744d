"""Reading and writing by indices and masks: parity with PyTorch."""

import numpy as np
import pytest
from expressions import check, groups
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import both
from pytest import mark

import facade

BASIC = """
x[0]
x[-1]
x[:, 1]
x[..., 1]
x[0, 1]
x[0, 1, 2]
x[0, ..., 1]
x[None]
x[None, 0]
x[:, None, 1]
x[...]
x[()]
x[:]
x[:, :]
x[..., ...]
x[..., None]
x[:, 1:2]
x[::2]
x[::3]
x[1::2, ::2]
x[-9:9, 1:0]
x[5:9]
x[-1:]
x[:-1]
x.T[:, 1]
x[torch.tensor(0):torch.tensor(2)]
m[np.int64(1)]
m[np.array(1)]
m[torch.tensor(1)]
m[torch.tensor(1), torch.tensor(0)]
m[[slice(0, 1), 0]]
m[[None]]
s[()]
s[...]
s[None]
list(v)
[row for row in m]
list(reversed(m.detach()))
len(x)
"""

ADVANCED = """
m[i]
m[[0, 1]]
m[[0, 1], [1, 2]]
m[[[0, 1], [1, 2]]]
m[[-1, 0]]
m[range(2)]
m[np.array([2, 0])]
m[i.int()]
m[:, i]
m[i, 1:]
m[i, :, None]
m[None, i]
m[[]]
m[torch.tensor([], dtype=torch.long)]
x[:, i]
x[:, :, i]
x[..., i]
x[0, :, i]
x[:, 0, i]
x[0, i]
x[None, :, i]
x[j]
x[:, j]
x[j, 0]
x[j, :, 0]
x[j, :, j]
x[1:, j, ::2]
x[i // 2, :, i]
x[[0, 1], :, [0, 3]]
T[i]
T[:, i]
T[:, :, [1, 0]]
L[:, i]
L[[1, 0]]
m[mask]
m[row]
m[[True, False, True]]
m[mask.numpy()]
m[mask, None]
m[row, 1]
m[row, [0, 1]]
m[row][0]
x[:, row]
x[:, mask]
x[0, mask]
x[mask[:2, :3]]
x[mask[:2, :3], 1]
x[mask[:2, :3], :2]
x[1, row, 1:]
m[True]
m[False]
m[None, True]
m[True, i]
m[True, True]
s[True]
s[torch.tensor(True)]
m[torch.tensor(1, dtype=torch.uint8)]
m[torch.tensor([1, 0, 1], dtype=torch.uint8)]
"""

SET = """
y = zeros(3, 4); y[0] = 1; y
y = zeros(3, 4); y[0] = v; y
y = zeros(3, 4); y[0] = v.double(); y
y = zeros(3, 4); y[0, 1] = v[0]; y
y = zeros(3, 4); y[:, 1:3] = m[:, :2]; y
y = zeros(3, 4); y[::2] = torch.tensor(5); y
y = zeros(3, 4); y[...] = v; y
y = zeros(3, 4); y[()] = 2; y
y = zeros(3, 4); y[None] = v; y
y = zeros(3, 4); y[0] = torch.ones(1, 4); y
y = zeros(3, 4); y[0] = torch.ones(1, 1, 4); y
y = zeros(3, 4); y[True] = 1; y
y = zeros(3, 4); y[False] = 1; y
y = zeros(3, 4); y[torch.tensor(True)] = 1.0; y
y = zeros(3, 4); y[torch.tensor(1)] = 1; y
y = zeros(3, 4); y[i] = 1.0; y
y = zeros(3, 4); y[i] = v; y
y = zeros(3, 4); y[i] = m[:2]; y
y = zeros(3, 4); y[i] = m[:1][None]; y
y = zeros(3, 4); y[:, i] = 1; y
y = zeros(3, 4); y[1:, i] = v[:2]; y
y = zeros(3, 4); y[i, i] = v[0]; y
y = zeros(3, 4); y[[0, 1], [2, 3]] = v[:2]; y
y = zeros(3, 4); y[[[0, 1], [1, 2]]] = 1.0; y
y = zeros(3, 4); y[i.new_tensor([0, 0])] = m[:2]; y
y = zeros(2, 3, 4); y[:, row] = 1; y
y = zeros(2, 3, 4); y[0, :, i] = m[:, :2].t(); y
y = zeros(3, 4); y[mask] = 1.0; y
y = zeros(3, 4); y[mask] = s; y
y = zeros(3, 4); y[mask] = torch.tensor(2); y
y = zeros(3, 4); y[mask] = random(int(mask.sum())); y
y = zeros(3, 4); y[(mask,)] = 1; y
y = zeros(3, 4); y[row] = v; y
y = zeros(3, 4); y[row, 1] = 3; y
y = zeros(3, 4); y[~row] = m[1]; y
y = zeros(2, 3, 4); y[:, mask] = 1; y
y = zeros(2, 3, 4); y[mask[:2, :3]] = v; y
y = zeros(3, 4); y[0] += v; y
y = zeros(3, 4); y[i] += v; y
y = zeros(3, 4); y[mask] -= 1; y
y = m * 1; y[0] = 0; y
y = m * 1; y[mask] = 0; y
y = m * 1; y[i] = 0; y
y = m * 1; y[1] *= 2; y * 1
y = m * 1; y.t()[i] = v[:3]; y * 1
y = m * 1; y[1:][mask[1:]] = s; y * 1
y = m.half(); y[0] = 1e6; y.detach()
y = torch.zeros(3, dtype=torch.int64); y[0] = 2.7; y
y = torch.zeros(3, dtype=torch.bool); y[1] = 2; y
y = torch.zeros(3, dtype=torch.cfloat); y[1] = 2j; y
"""

ALONG = """
(m[0] > 0).scatter_reduce(0, k[0, :2], m[1, :2] > 0, "amax")
(m[0] > 0).scatter_reduce(0, k[0, :2], m[1, :2] > 0, "amin", include_self=False)
(m[0] > 0).scatter_reduce(0, k[0, :2], m[1, :2] > 0, "prod")
torch.nonzero(m > 0, out=torch.empty(0, dtype=torch.int64))
torch.gather(m, 1, torch.empty(0))
x.gather(0, k)
x.gather(1, k[:, :2])
x.gather(0, k[:, :2].int())
torch.gather(input=m, dim=1, index=long(3, 1))
m.gather(0, long(9, 4))
m.gather(0, long(0, 4))
v.gather(0, long())
s.gather(0, long())
x.take_along_dim(k, 1)
torch.take_along_dim(m, long(3, 1), 1)
torch.take_along_dim(m, long(3, 1) - 7, 1)
m.take_along_dim(long(2))
x.scatter(0, k, x)
x.scatter(1, k, 1.0)
x.scatter(-1, k, value=2)
m.scatter(0, long(1, 4), torch.ones(2, 4))
m.detach().scatter(0, k[0], torch.ones(3, 4), reduce="add")
m.detach().scatter(0, k[0], 2.0, reduce="multiply")
x.scatter_add(1, k, x)
m.scatter_add(0, k[0], m)
x.scatter_reduce(0, k, x, "sum")
x.scatter_reduce(0, k, x, "prod")
x.scatter_reduce(1, k, x, "mean")
x.scatter_reduce(1, k, x, "amax")
x.scatter_reduce(1, k, random(2, 3, 4), "amin", include_self=False)
x.scatter_reduce(1, k, x, "mean", include_self=False)
x.scatter_reduce(1, k, x, "prod", include_self=False)
m.round().scatter_reduce(0, k[0], m.round(), "amax")
torch.tensor([1, 2, 3]).scatter_reduce(0, i, torch.tensor([5, 6]), "mean")
m.index_select(0, i)
T.index_select(0, i)
torch.index_select(m, dim=0, index=i)
m.index_select(0, long())
m.index_add(0, i, random(2, 4))
m.index_add(1, i, m[:, :2], alpha=2)
m.index_copy(0, i, m[:2])
m.index_fill(0, i, 1.0)
m.index_fill(0, i - 1, 1.0)
m.T.index_fill(0, i, 1.0)
m.index_fill(0, i, s)
m.index_fill(0, torch.tensor([1, 1]), s)
m.index_reduce(0, i, m[:2], "amax")
m.index_reduce(1, i, m[:, :2], "mean", include_self=False)
m.index_put((i,), s)
m.index_put((i,), s, accumulate=True)
m.index_put((i.new_tensor([0, 0]),), v, accumulate=True)
m.index_put((row,), v)
m.index_put((mask,), s)
m.T.index_put((i,), m.T[:2])
m.take(i)
m.T.take(j)
m.take(i - 1)
m.put(i, random(2))
m.put(i, random(2), accumulate=True)
m.masked_fill(mask, 1.0)
m.T.masked_fill(mask.T, 1.0)
m.masked_fill(mask[0], 1.0)
v.masked_fill(mask, 1.0)
m.masked_fill(mask, float("-inf")).detach()
m.masked_fill(mask, s)
m.masked_fill(mask, torch.tensor(1.0, dtype=torch.double))
m.masked_fill(mask, True)
torch.tensor([1, 2]).masked_fill(torch.tensor([True, False]), 1.5)
torch.masked_fill(m, mask=mask, value=0.0)
m.masked_scatter(mask, random(12))
m.masked_scatter(row[:, None], random(12))
m.masked_select(mask)
m.masked_select(mask[0])
v.masked_select(mask)
m.select_scatter(v, 0, 1)
m.select_scatter(v, 0, -1)
m.slice_scatter(m[:1], 0, 2)
m.slice_scatter(m[:, :2], 1, 0, 4, 2)
m.diagonal_scatter(v[:3])
m.diagonal_scatter(v[:2], 2)
y = zeros(3, 4); y.scatter_(0, long(1, 4), 1)
y = zeros(3, 4); y.scatter_(0, long(3, 4), src=m); y
y = zeros(3, 4); y.scatter_add_(0, long(3, 4), m); y
y = zeros(3, 4); y.masked_fill_(mask, 1); y
y = zeros(3, 4); y.masked_fill_(mask, v[0]); y
y = zeros(3, 4); y.masked_scatter_(mask, m.detach()); y
y = zeros(3, 4); y.index_fill_(0, i, s); y
y = zeros(3, 4); y.index_add_(0, i, m[:2]); y
y = zeros(3, 4); y.index_copy_(0, i, m[:2]); y
y = zeros(3, 4); y.index_put_((i,), s); y
y = zeros(3, 4); y.put_(i, random(2)); y
y = zeros(3, 4); y[1:].index_fill_(1, i, 2); y
y = m * 1; y[0].masked_fill_(mask[0], 0); y * 1
m.nonzero()
m.nonzero(as_tuple=True)
mask.nonzero()
torch.nonzero(mask, as_tuple=True)
torch.tensor(3).nonzero()
torch.tensor(0).nonzero()
torch.tensor(3).nonzero(as_tuple=True)
zeros(0, 3).nonzero()
torch.argwhere(m > 9)
torch.where(mask)
torch.isin(i, j)
torch.isin(i, 2)
torch.isin(i, i, invert=True)
"""

ERRORS = """
m[5]
m[-4]
m[0, 9]
m[0, 0, 0]
m[::-1]
m[::0]
m[0:2.5]
m["0":]
m[1.0]
m["a"]
s[0]
s[:]
m[torch.tensor([0, 7])]
m[:, torch.tensor([0, -7])]
m[i, torch.tensor([0, 9])]
m[torch.tensor([0.5])]
m[torch.tensor([])]
m[i.to(torch.int16)]
m[torch.tensor([True])]
m[torch.tensor([[True]])]
m[zeros(4, 4).bool()]
m[zeros(1, 1, 1).bool()]
x[mask]
x[:, mask, 0]
m[[0, 1], [0, 1, 2]]
y = zeros(3, 4); y[5] = 1
y = zeros(3, 4); y[0, 0, 0] = 1
y = zeros(3, 4); y[0] = torch.ones(2)
y = zeros(3, 4); y[0] = torch.ones(2, 4)
y = zeros(3, 4); y[i] = torch.ones(3)
y = zeros(3, 4); y[mask] = torch.ones(99)
y = zeros(3, 4); y[i] = torch.ones(2, 4).double()
y = zeros(3, 4); y[0] = "a"
y = zeros(3, 4); y[0] = None
y = zeros(3, 4); y[0] = [1, 2, 3, 4]
y = zeros(3, 4); y[0] = np.ones(4)
y = zeros(3, 4); y[0] = 1j
y = zeros(3, 4); y[i] = 1j
y = zeros(3, 4); y[1.5] = 1
y = zeros(3, 4); y[::-1] = 1
y = zeros(3, 4); y[torch.tensor([9])] = 1
y = torch.zeros(3, dtype=torch.uint8); y[0] = 300
y = torch.zeros(3, dtype=torch.int64); y[0] = float("nan")
m[0] = 1
m[0].mul_(2)
m[i] = 0
m.gather(0, long(3))
m.gather(0, long(3, 5))
m.gather(0, long(2, 2).float())
m.gather(0, torch.tensor([[5]]))
m.gather(0, torch.tensor([[-1]]))
m.gather(5, long(2, 2))
m.scatter(0, long(3), m)
m.scatter(0, long(4, 4), m)
m.scatter(0, long(3, 5), 1.0)
m.scatter(0, long(2, 2), m.double())
m.scatter(0, torch.tensor([[5]]), m)
m.scatter(0, long(2, 2).float(), m)
m.scatter(0, long(2, 2), v)
m.scatter(0, long(2, 2), s)
m.scatter(0, long(2, 2), m, reduce="foo")
m.scatter(0, long(2, 2), 1j)
m.scatter_add(0, long(4, 5), m)
m.scatter_reduce(0, long(2, 2), m, "foo")
m.index_select(0, long(2, 2))
m.index_select(0, i.float())
m.index_select(0, torch.tensor([5]))
m.index_select(1, torch.tensor([5]))
m.index_select(1, torch.tensor([-1]))
m[:, :0].index_select(0, torch.tensor([5]))
m[:0].index_select(0, i)
m[:0].take(i)
m[:0].put(i, zeros(2))
m[:0][i]
m[:, :0][:, i]
m[torch.tensor([0])] = torch.tensor(1)
m[i] = torch.tensor(1.0).double()
m.index_select(3, i)
s.index_select(0, long(2))
m.index_add(0, i, m)
m.index_add(0, i, m[:2].double())
m.index_add(0, torch.tensor([5]), m[:1])
m.index_add(0, long(2, 2), m[:2])
m.index_add(0, i.float(), m[:2])
m.index_add(0, i, m[:2, :3])
m.index_copy(0, i, m)
m.index_copy(0, i, m[:2].double())
m.index_copy(0, torch.tensor([5]), m[:1])
m.index_copy(0, i.int(), m[:2])
m.index_copy(0, i, m[:2, :3])
m.index_copy(0, i, m[0])
m.index_fill(0, i, m)
m.index_fill(0, torch.tensor([5]), 1.0)
m.index_fill(0, long(2, 2), 1.0)
m.index_fill(0, i.int(), 1.0)
m.index_fill(0, i, 1j)
m.index_reduce(0, i, m[:2], "sum")
m.index_reduce(0, torch.tensor([5]), m[:1], "prod")
m.index_put((i,), zeros(3))
m.index_put((i, i, i), zeros(2))
m.index_put(i, zeros(4))
m.index_put((mask,), zeros(3))
m.index_put((i.float(),), zeros(3))
m.index_put((i,), zeros(4).double())
m.masked_fill(i, 1.0)
m.masked_fill(mask[:2], 1.0)
m.masked_fill(mask, v)
m.masked_fill(mask, 1j)
m.masked_fill(mask.byte(), 1.0)
torch.tensor([1]).masked_fill(torch.tensor([True]), float("inf"))
m.masked_scatter(mask, zeros(2))
m.masked_scatter(mask, zeros(99).double())
m.masked_select(i)
m.masked_select(mask[:2])
m.take(i.float())
m.take(torch.tensor([50]))
torch.take_along_dim(m, i, 1)
torch.take_along_dim(m, long(2, 1).float(), 1)
torch.take_along_dim(m, long(2, 1), 1)
m.put(i, zeros(3))
m.put(i, zeros(2).double())
m.put(torch.tensor([50]), zeros(1))
m.select_scatter(v, 0, 5)
m.slice_scatter(m[:1])
m.diagonal_scatter(v)
m.narrow_copy(0, 2, 2)
m.narrow_copy(0, 0, -1)
m.narrow(0, 0, -1)
m.narrow(0, torch.tensor(1), 1)
m.narrow(0, torch.tensor(True), 1)
m.narrow(0, torch.tensor([1]), 1)
m.narrow_copy(2, 0, 1)
torch.narrow_copy(m, 0, 1.5, 1)
torch.narrow(m, 0, 1.5, 1)
m.narrow(0, torch.tensor(1.5), 1)
m.narrow(0, torch.tensor([1]), 1)
"""


@mark.parametrize("group", groups(BASIC), ids=lambda g: g[0])
def test_basic_indexing(group):
    check(group)


@mark.parametrize("group", groups(ADVANCED), ids=lambda g: g[0])
def test_advanced_indexing(group):
    check(group)


@mark.parametrize("group", groups(SET), ids=lambda g: g[0])
def test_assignment(group):
    check(group)


@mark.parametrize("group", groups(ALONG), ids=lambda g: g[0])
def test_gather_scatter_and_kin(group):
    check(group)


@mark.parametrize("group", groups(ERRORS), ids=lambda g: g[0])
def test_error(group):
    check(group)


def test_a_moving_position_is_one_program():
    from facade.program import program_count

    x = facade.arange(1000.0)
    for i in (1, 2):
        float(x[i]), float(x[i : i + 32].sum())
    known = program_count()
    for i in range(5, 20):
        assert float(x[i]) == i
        assert float(x[i : i + 32].sum()) == sum(range(i, i + 32))
    assert program_count() == known


def test_an_index_that_is_not_computed_yet_is_checked_at_the_next_read():
    x = facade.zeros(3)
    index = facade.tensor([0, 1]) + 5
    y = x[index]
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 3"):
        y.sum().item()
    assert x.sum().item() == 0


@st.composite
def keys(draw):
    """Draw a shape and a key of slices, integers, None, ``...``, index tensors and masks."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    key, dim = [], 0
    common = draw(st.sampled_from([(), (1,), (2,), (2, 1)]))
    ellipsis = False
    while dim < len(shape) and draw(st.integers(0, 5)):
        size = shape[dim]
        kind = draw(st.sampled_from(["int", "slice", "none", "ellipsis", "index", "mask", "full"]))
        if kind == "none":
            key.append("None")
        elif kind == "ellipsis" and not ellipsis:
            ellipsis = True
            key.append("...")
        elif kind == "int":
            key.append(str(draw(st.integers(-size, size - 1))))
        elif kind == "slice":
            start, stop = draw(st.integers(-5, 5)), draw(st.integers(-5, 5))
            key.append(f"{start}:{stop}:{draw(st.integers(1, 3))}")
        elif kind == "index":
            values = st.integers(-size, size - 1)
            data = [draw(values) for _ in range(int(np.prod(common)))]
            key.append(f"torch.tensor({np.array(data, int).reshape(common).tolist()})")
        elif kind == "mask" and common == ():
            data = draw(st.lists(st.booleans(), min_size=size, max_size=size))
            key.append(f"torch.tensor({data})")
        else:
            key.append(":")
        dim += kind not in ("none", "ellipsis")
        if ellipsis:
            break
    return shape, ", ".join(key) or "..."


@settings(max_examples=15, deadline=None, derandomize=True)
@given(keys())
def test_any_key(drawn):
    shape, key = drawn

    def code(torch):
        leaf = (torch.arange(int(np.prod(shape))) * 0.5 - 1.2).reshape(shape).requires_grad_()
        part = eval(f"leaf[{key}]", {"leaf": leaf, "torch": torch})
        written = torch.zeros(shape)
        scope = {"written": written, "torch": torch, "value": part.detach() + 10}
        exec(f"written[{key}] = value", scope)
        (part * torch.arange(1.0, part.numel() + 1).reshape(part.shape)).sum().backward()
        return part, leaf.grad, written

    both(code)

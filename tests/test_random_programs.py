"""Random programs: views, writes, indexing, reductions, Python's own decisions."""

import hypothesis
import numpy as np
import pytest
import torch as pytorch
from hypothesis import strategies as st
from parity import both, to_numpy

import facade

# Roundings of thirty operations add up
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}
MOST = 200  # elements of a tensor

# What docs/differences.md tells: PyTorch refuses, facade doesn't
REFUSED = (
    "modified by an inplace operation",
    "is a view and is being modified inplace",
    "is a view and its base or another view of its base has been modified inplace",
)
REFUSAL = "refused by PyTorch alone"


# ---- what a step does: (module, tensor, tensor, number, number) -> tensor, None or a number ----


def fitting(x, y):
    """Return ``y``, or its sum if it can't be broadcast with ``x``."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return y if all(m == n or 1 in (m, n) for m, n in pairs) else y.sum()


def inside(x, y):
    """Return ``y``, or its sum if it can't be broadcast to ``x``'s shape."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return y if y.ndim <= x.ndim and all(n in (1, m) for m, n in pairs) else y.sum()


def dim(x, a):
    return a % max(x.ndim, 1)


def half(x, d):
    return max(x.shape[d] // 2, 1) if x.ndim else 1


def places(torch, x, d, a):
    """Return some indices along a dimension."""
    size = max(x.shape[d] if x.ndim else 1, 1)
    return torch.tensor([a % size, 0, -1 % size])


def by_value(torch, x, y, a, b):
    if x.sum() > y.sum() + 0.0123:
        return x * 2
    return y - 1


def halved(torch, x, y, a, b):
    x = x.double()
    while x.numel() and x.abs().max() > 1:
        x = x / 2
    return x


def looped(torch, x, y, a, b):
    for i in range(a % 4):
        x = x * 0.5 + i
    return x


def row_by_row(torch, x, y, a, b):
    return torch.stack([row.sum() for row in x]) if x.ndim and len(x) else None


def assign(place):
    """Return the step that writes into the part of a tensor that ``place`` picks."""

    def step(torch, x, y, a, b):
        if 0 in x.stride():
            return  # what stays of several values for one place is not defined
        where = place(torch, x, y, a)
        x[where] = inside(x[where], y).to(x.dtype) if b % 2 else a % 7

    return step


def written(name):
    """Return the step of an in-place method of two tensors."""

    def step(torch, x, y, a, b):
        getattr(x, name)(inside(x, y))

    return step


def unseen(torch, x, y, a, b):
    with torch.no_grad():
        x.mul_(0.5)


STEPS = {
    # views
    "t": lambda torch, x, y, a, b: x.transpose(dim(x, a), dim(x, b)),
    "narrow": lambda torch, x, y, a, b: x.narrow(dim(x, a), b % 2, half(x, dim(x, a))),
    "select": lambda torch, x, y, a, b: x.select(dim(x, a), b % 3 - 1),
    "stride": lambda torch, x, y, a, b: x[a % 2 :: 1 + b % 3],
    "ellipsis": lambda torch, x, y, a, b: x[..., a % 2 :],
    "unsqueeze": lambda torch, x, y, a, b: x.unsqueeze(dim(x, a)) if x.ndim < 4 else None,
    "squeeze": lambda torch, x, y, a, b: x.squeeze(),
    "expand": lambda torch, x, y, a, b: x.expand(2, *x.shape) if x.ndim < 4 else None,
    "flatten": lambda torch, x, y, a, b: x.flatten(),
    "view": lambda torch, x, y, a, b: x.view(-1),
    "reshape": lambda torch, x, y, a, b: x.reshape(-1, 1 + a % 3),
    "diagonal": lambda torch, x, y, a, b: x.diagonal(a % 3 - 1),
    "unbind": lambda torch, x, y, a, b: x.unbind(dim(x, a))[b % 2],
    "chunk": lambda torch, x, y, a, b: x.chunk(2, dim(x, a))[-1],
    "movedim": lambda torch, x, y, a, b: x.movedim(dim(x, a), dim(x, b)) if x.ndim else None,
    "unfold": lambda torch, x, y, a, b: (
        x.unfold(dim(x, a), 1 + b % 2, 1 + b % 2) if x.ndim < 4 else None
    ),
    "detach": lambda torch, x, y, a, b: x.detach(),
    # writes
    **{n: written(n) for n in ("add_", "sub_", "mul_", "copy_", "clamp_min_", "atan2_")},
    "zero_": lambda torch, x, y, a, b: x.zero_() and None,
    "fill_": lambda torch, x, y, a, b: x.fill_(a % 5) and None,
    "tanh_": lambda torch, x, y, a, b: x.tanh_() and None,
    "unseen": unseen,
    "set row": assign(lambda torch, x, y, a: a % 3),
    "set part": assign(lambda torch, x, y, a: slice(a % 3, None, 2)),
    "set last": assign(lambda torch, x, y, a: (Ellipsis, -1)),
    "set places": assign(lambda torch, x, y, a: places(torch, x, 0, a)[:2]),
    "set mask": lambda torch, x, y, a, b: x.__setitem__(x > 0, a % 3),
    "masked_fill_": lambda torch, x, y, a, b: x.masked_fill_(x > 0, a % 3) and None,
    "index_add_": lambda torch, x, y, a, b: (
        x.index_add_(0, places(torch, x, 0, a), x[places(torch, x, 0, b)]) and None
    ),
    # indexing
    "mask": lambda torch, x, y, a, b: x[x > 0],
    "places": lambda torch, x, y, a, b: x[places(torch, x, 0, a)],
    "last places": lambda torch, x, y, a, b: x[..., places(torch, x, -1, a)],
    "index_select": lambda torch, x, y, a, b: x.index_select(
        dim(x, a), places(torch, x, dim(x, a), b)
    ),
    "gather": lambda torch, x, y, a, b: x.gather(dim(x, a), x.argsort(dim=dim(x, a), stable=True)),
    # elementwise
    "add": lambda torch, x, y, a, b: x + fitting(x, y),
    "sub": lambda torch, x, y, a, b: x - fitting(x, y),
    "mul": lambda torch, x, y, a, b: x * fitting(x, y).clamp(-2, 2),
    "div": lambda torch, x, y, a, b: x / (1 + fitting(x, y) ** 2),
    "scale": lambda torch, x, y, a, b: x * 0.5 + a % 3,
    "maximum": lambda torch, x, y, a, b: torch.maximum(x, fitting(x, y)),
    "where": lambda torch, x, y, a, b: torch.where(x > 0, x, fitting(x, y)),
    "tanh": lambda torch, x, y, a, b: x.tanh(),
    "abs": lambda torch, x, y, a, b: x.abs(),
    "greater": lambda torch, x, y, a, b: x > fitting(x, y),
    "clone": lambda torch, x, y, a, b: x.clone(),
    "contiguous": lambda torch, x, y, a, b: x.contiguous(),
    "float": lambda torch, x, y, a, b: x.float(),
    "double": lambda torch, x, y, a, b: x.double(),
    "cat": lambda torch, x, y, a, b: torch.cat([x, x], dim(x, a)),
    "stack": lambda torch, x, y, a, b: torch.stack([x, x], dim(x, a)) if x.ndim < 4 else None,
    "flip": lambda torch, x, y, a, b: x.flip(dim(x, a)),
    "roll": lambda torch, x, y, a, b: x.roll(a % 3, dim(x, b)) if x.ndim else None,
    # reductions
    "sum": lambda torch, x, y, a, b: x.sum(dim(x, a), keepdim=b % 2 == 0),
    "sum all": lambda torch, x, y, a, b: x.sum(),
    "mean": lambda torch, x, y, a, b: x.mean(dim(x, a)),
    "max": lambda torch, x, y, a, b: x.max(dim(x, a))[b % 2],
    "amax": lambda torch, x, y, a, b: x.amax(dim(x, a)),
    "argmin": lambda torch, x, y, a, b: x.argmin(dim(x, a)),
    "any": lambda torch, x, y, a, b: (x > 1).any(dim(x, a)),
    "var": lambda torch, x, y, a, b: x.var(dim(x, a), correction=0),
    "cumsum": lambda torch, x, y, a, b: x.cumsum(dim(x, a)),
    "sort": lambda torch, x, y, a, b: x.sort(dim=dim(x, a), stable=True)[b % 2],
    "mm": lambda torch, x, y, a, b: x.tanh() @ x.tanh().transpose(-1, -2),
    # Python decides
    "by value": by_value,
    "halved": halved,
    "looped": looped,
    "row by row": row_by_row,
    "item": lambda torch, x, y, a, b: x.sum().item(),
    "list": lambda torch, x, y, a, b: x.tolist(),
}


# ---- programs ----


def leaves(torch):
    """Return the tensors that a program starts from; all sums of them are exact."""
    eighths = torch.arange(-12.0, 12.0, dtype=torch.float64) / 8
    return [
        eighths[:12].reshape(3, 4).clone().requires_grad_(),
        eighths[5:9].clone().requires_grad_(),
        eighths[::4].clone().reshape(2, 3).t(),
        torch.tensor([3, -1, 2, 0]),
    ]


def run(torch, program):
    """Return all tensors of a program, and what Python saw of each step: values, error classes."""
    tensors, seen = leaves(torch), []
    for name, i, j, a, b in program:
        x, y = tensors[i % len(tensors)], tensors[j % len(tensors)]
        try:
            result = STEPS[name](torch, x, y, a, b)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            seen.append(REFUSAL if refuses(error) else type(error).__name__)
            continue
        if isinstance(result, torch.Tensor) and result.numel() <= MOST:
            tensors.append(result)
            result = tuple(result.shape)
        seen.append(result if isinstance(result, tuple | list | float | int) else None)
    return tensors, seen


def gradients(torch, tensors):
    """Return the leaves' gradients of a weighted sum of all that depends on them."""
    inputs = [t for t in tensors[:2] if t.requires_grad and t.is_leaf]
    loss = 0
    for t in tensors:
        if t.requires_grad and t.numel():
            weights = torch.arange(1.0, t.numel() + 1, dtype=torch.float64).reshape(t.shape)
            loss = loss + (t * weights / t.numel()).sum()
    return torch.autograd.grad(loss, inputs, allow_unused=True)


def check(program):
    """Run a program in both libraries and compare all that there is to see."""
    tensors, seen = run(pytorch, program)
    if REFUSAL in seen:
        program = program[: seen.index(REFUSAL)]
        tensors, seen = run(pytorch, program)
    our_tensors, our_seen = run(facade, program)
    assert len(our_seen) == len(seen)
    for step, ours, theirs in zip(program, our_seen, seen, strict=True):
        assert same_value(ours, theirs), f"{step}: {ours} is not {theirs}"
    assert len(our_tensors) == len(tensors)
    for number, (ours, theirs) in enumerate(zip(our_tensors, tensors, strict=True)):
        try:
            theirs.requires_grad  # noqa: B018 - the history of a view is derived when asked for
            theirs.grad_fn  # noqa: B018
        except RuntimeError as error:
            assert refuses(error), error
            continue
        assert_same(ours, theirs, f"tensor {number}")
    try:
        wanted = gradients(pytorch, tensors)
    except RuntimeError as error:
        assert refuses(error), error
        return
    for number, pair in enumerate(zip(gradients(facade, our_tensors), wanted, strict=True)):
        if pair[1] is None:
            assert pair[0] is None or not pair[0].any()
        else:
            assert_same(*pair, f"gradient {number}", bound=narrowest(tensors))


def narrowest(tensors) -> float:
    """Return the tolerance of gradients, which may have been rounded to float32 on their way."""
    return max(TOLERANCES.get(repr(t.dtype)[6:], 0) for t in tensors)


def refuses(error: Exception) -> bool:
    return any(text in str(error) for text in REFUSED)


def same_value(ours, theirs) -> bool:
    if isinstance(theirs, float | list):
        return np.allclose(ours, theirs, rtol=1e-4, atol=1e-4, equal_nan=True)
    return ours == theirs


def assert_same(ours, theirs, what: str, bound: float | None = None) -> None:
    """Compare two tensors; the values by the greatest, which sums are as far off as.

    Args:
        bound: The tolerance of a gradient, whose strides may be other.
    """
    facts = [(tuple(t.shape), repr(t.dtype), t.requires_grad, t.is_leaf) for t in (ours, theirs)]
    assert facts[0] == facts[1], f"{what}: {facts[0]} is not {facts[1]}"
    if bound is None and theirs.numel() > 1:
        assert ours.stride() == theirs.stride(), f"{what}: strides {ours.stride()}"
    mine, other = to_numpy(ours.detach()), to_numpy(theirs.detach())
    if bound is None:
        bound = TOLERANCES.get(repr(theirs.dtype)[6:], 0)
    scale = np.abs(other[np.isfinite(other)]).max(initial=1) if bound else 1
    np.testing.assert_allclose(mine, other, rtol=0, atol=bound * scale, err_msg=what)


number = st.integers(0, 11)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(list(STEPS)), number, number, number, number),
    min_size=5,
    max_size=30,
)


@hypothesis.settings(derandomize=True, max_examples=60, deadline=None, database=None)
@hypothesis.given(PROGRAMS)
def test_programs(program):
    check(program)


@pytest.mark.parametrize("write", ["x[0] = 2", "x.view(-1)[::2].fill_(2)", "x[:, 1] += 1"])
def test_leaf_that_is_a_view_is_not_written(write):
    both(lambda torch: exec(write, {"x": torch.arange(12.0).reshape(3, 4).requires_grad_()}))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(100))
def test_many_programs(chunk):
    @hypothesis.seed(chunk)
    @hypothesis.settings(max_examples=100, deadline=None, database=None)
    @hypothesis.given(PROGRAMS)
    def run_chunk(program):
        check(program)

    run_chunk()

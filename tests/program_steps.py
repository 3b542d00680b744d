"""What the steps of random programs do: views, writes, indexing, reductions, gradients."""

import copy

import numpy as np

# ---- what a step does: (state, tensor, tensor, number, number) -> tensor, None or a number ----


def fitting(x, y):
    """Return ``y``, or its sum if it can't be broadcast with ``x``."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return y if all(m == n or 1 in (m, n) for m, n in pairs) else y.sum()


def inside(x, y):
    """Return ``y`` to be written into ``x``, or its sum if it can't be broadcast to its shape."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    if y.ndim > x.ndim or any(n not in (1, m) for m, n in pairs):
        return y.sum()
    return apart(x, y)


def apart(x, y):
    """Return ``y``, or a copy if it shares places with ``x``, which is written, unnoticed."""
    memory = [t.untyped_storage().data_ptr() for t in (x, y)]
    shared = memory[0] == memory[1] and y is not x
    return y.clone() if shared and not (is_dense(x) and is_dense(y)) else y


def is_dense(x) -> bool:
    """Return whether the elements fill their memory, in any order."""
    last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    return last + 1 == x.numel() and not overlaps(x)


def dim(x, a):
    return a % max(x.ndim, 1)


def half(x, d):
    return max(x.shape[d] // 2, 1) if x.ndim else 1


def places(torch, x, d, a):
    """Return some indices along a dimension."""
    size = max(x.shape[d] if x.ndim else 1, 1)
    return torch.tensor([a % size, 0, -1 % size])


def overlaps(x) -> bool:
    """Return whether several elements are one place: what stays of several values is undefined."""
    seen = {0}
    for size, stride in zip(x.shape, x.stride(), strict=True):
        more = {place + i * stride for place in seen for i in range(size)}
        if len(more) < len(seen) * size:
            return True
        seen = more
    return False


def weighted(torch, x):
    """Return a sum that tells the elements of a tensor apart."""
    weights = torch.arange(1.0, x.numel() + 1, dtype=torch.float64).reshape(x.shape)
    return (x * weights / x.numel()).sum()


def by_value(s, x, y, a, b):
    if x.sum() > y.sum() + 0.0123:
        return x * 2
    return y - 1


def halved(s, x, y, a, b):
    x = x.double()
    while x.numel() and 1 < x.abs().max() < 1e9:
        x = x / 2
    return x


def looped(s, x, y, a, b):
    for i in range(a % 4):
        x = x * 0.5 + i
    return x


def row_by_row(s, x, y, a, b):
    return s.torch.stack([row.sum() for row in x]) if x.ndim and len(x) else None


def write(step):
    """Return a step that writes into a tensor whose elements are places of their own."""

    def guarded(s, x, y, a, b):
        if not overlaps(x):
            step(s, x, y, a, b)

    return guarded


def assign(place):
    """Return the step that writes into the part of a tensor that ``place`` picks."""

    def step(s, x, y, a, b):
        where = place(s.torch, x, y, a)
        x[where] = inside(x[where], y).to(x.dtype) if b % 2 else a % 7

    return write(step)


def written(name):
    """Return the step of an in-place method of two tensors."""
    return write(lambda s, x, y, a, b: getattr(x, name)(inside(x, y)))


@write
def unseen(s, x, y, a, b):
    with s.torch.no_grad():
        x.mul_(0.5)


@write
def detached_write(s, x, y, a, b):
    x.detach().add_(1)


@write
def late_view(s, x, y, a, b):
    """Write a base, then a view of a view that was there before."""
    view = x.unsqueeze(0).transpose(0, -1)
    x.mul_(0.5)
    view.add_(1)
    s.add(view)


@write
def overlapping_windows(s, x, y, a, b):
    windows = x.unfold(dim(x, a), 2, 1)
    part = windows[..., b % 2] if a % 2 else windows.select(dim(x, a), 0)
    part.mul_(2)
    s.add(windows)


@write
def index_put(s, x, y, a, b):
    at = places(s.torch, x, 0, a)
    values = x.new_ones(()) * 0.5 if x.is_floating_point() else x.new_ones(())
    x.index_put_((at,), values, accumulate=b % 2 == 0)


@write
def index_fill(s, x, y, a, b):
    if x.numel():  # of an empty tensor PyTorch complains in words of its storage
        x.index_fill_(0, places(s.torch, x, 0, a), b % 3)


@write
def put_two(s, x, y, a, b):
    if x.ndim > 1:
        at = places(s.torch, x, 0, a)[:2], places(s.torch, x, 1, b)[:2]
        x[at] = a % 5


def out_of(function):
    """Return the step that writes a function's result over a tensor of its shape."""

    def step(s, x, y, a, b):
        other = fitting(x, y)
        shape = np.broadcast_shapes(x.shape, other.shape)
        fits = [t for t in s.tensors if tuple(t.shape) == shape and not overlaps(t)]
        out = fits[b % len(fits)] if fits and a % 3 else s.torch.empty(0, dtype=s.torch.float64)
        operands = [apart(out, t) for t in (x, other)]
        function(s.torch, *operands, out)
        return out.clone()

    return step


def backward(s, x, y, a, b):
    weighted(s.torch, x).backward(retain_graph=b % 2 == 0)


def gradient(s, x, y, a, b):
    """Return a gradient that can be differentiated again."""
    found = s.torch.autograd.grad(
        weighted(s.torch, x * x), s.tensors[a % 2], create_graph=True, allow_unused=True
    )
    return None if found[0] is None else found[0].contiguous() * 1


def hook(s, x, y, a, b):
    if x._is_view():
        return  # facade's hook sees what a write through the view does with its gradient
    number = s.now

    def note(g):
        if g is None:  # PyTorch, of a piece that has none
            return None
        s.noted.append((number, g.sum().item()))
        return g * 2 if a % 2 else None

    x.grad_fn  # noqa: B018 - PyTorch crashes at a view whose history it has not derived yet
    x.register_hook(note)


def retained(s, x, y, a, b):
    x.grad_fn  # noqa: B018
    x.retain_grad()


def split(s, x, y, a, b):
    pieces = x.split(1 + b % 2, dim(x, a))
    s.add(pieces[0])
    return pieces[-1]


def quiet(s, x, y, a, b):
    s.quiet = 1 + a % 4


STEPS = {
    # views
    "t": lambda s, x, y, a, b: x.transpose(dim(x, a), dim(x, b)),
    "narrow": lambda s, x, y, a, b: x.narrow(dim(x, a), b % 2, half(x, dim(x, a))),
    "select": lambda s, x, y, a, b: x.select(dim(x, a), b % 3 - 1),
    "stride": lambda s, x, y, a, b: x[a % 2 :: 1 + b % 3],
    "ellipsis": lambda s, x, y, a, b: x[..., a % 2 :],
    "unsqueeze": lambda s, x, y, a, b: x.unsqueeze(dim(x, a)),
    "squeeze": lambda s, x, y, a, b: x.squeeze() if a % 2 else x.squeeze(dim(x, b)),
    "expand": lambda s, x, y, a, b: x.expand(2, *x.shape),
    "flatten": lambda s, x, y, a, b: x.flatten(),
    "view": lambda s, x, y, a, b: x.view(-1),
    "reshape": lambda s, x, y, a, b: x.reshape(-1, 1 + a % 3),
    "diagonal": lambda s, x, y, a, b: x.diagonal(a % 3 - 1),
    "unbind": lambda s, x, y, a, b: x.unbind(dim(x, a))[b % 2],
    "chunk": lambda s, x, y, a, b: x.chunk(2, dim(x, a))[-1],
    "split": split,
    "movedim": lambda s, x, y, a, b: x.movedim(dim(x, a), dim(x, b)) if x.ndim else None,
    "unfold": lambda s, x, y, a, b: x.unfold(dim(x, a), 1 + b % 2, 1 + a % 2),
    "as_strided": lambda s, x, y, a, b: x.as_strided((2, 1 + a % 2), (1 + b % 3, 1), a % 2),
    "view_as": lambda s, x, y, a, b: x.view_as(x),
    "detach": lambda s, x, y, a, b: x.detach(),
    # writes
    **{n: written(n) for n in ("add_", "sub_", "mul_", "copy_", "clamp_min_", "atan2_")},
    "zero_": write(lambda s, x, y, a, b: x.zero_()),
    "fill_": write(lambda s, x, y, a, b: x.fill_(a % 5)),
    "tanh_": write(lambda s, x, y, a, b: x.tanh_()),
    "new leaf": lambda s, x, y, a, b: x.detach().clone().requires_grad_(),
    "detach_": lambda s, x, y, a, b: (x.view_as(x) if a % 2 else x * 1).detach_(),
    "unseen": unseen,
    "detached write": detached_write,
    "late view": late_view,
    "overlapping windows": overlapping_windows,
    "set row": assign(lambda torch, x, y, a: a % 3),
    "set part": assign(lambda torch, x, y, a: slice(a % 3, None, 2)),
    "set last": assign(lambda torch, x, y, a: (Ellipsis, -1)),
    "set places": assign(lambda torch, x, y, a: places(torch, x, 0, a)[:2]),
    "set two": put_two,
    "set mask": write(lambda s, x, y, a, b: x.__setitem__(x > 0, a % 3)),
    "add to row": write(lambda s, x, y, a, b: x[a % 3].add_(inside(x[a % 3], y))),
    "masked_fill_": write(lambda s, x, y, a, b: x.masked_fill_(x > 0, a % 3)),
    "index_put_": index_put,
    "index_fill_": index_fill,
    "index_add_": write(
        lambda s, x, y, a, b: x.index_add_(0, places(s.torch, x, 0, a), x[places(s.torch, x, 0, b)])
    ),
    "add out": out_of(lambda torch, x, y, out: torch.add(x, y, out=out)),
    "mul out": out_of(lambda torch, x, y, out: torch.mul(x, y, out=out)),
    # indexing
    "mask": lambda s, x, y, a, b: x[x > 0],
    "places": lambda s, x, y, a, b: x[places(s.torch, x, 0, a)],
    "last places": lambda s, x, y, a, b: x[..., places(s.torch, x, -1, a)],
    "index_select": lambda s, x, y, a, b: x.index_select(
        dim(x, a), places(s.torch, x, dim(x, a), b)
    ),
    "gather": lambda s, x, y, a, b: x.gather(dim(x, a), x.argsort(dim=dim(x, a), stable=True)),
    # elementwise
    "add": lambda s, x, y, a, b: x + fitting(x, y),
    "sub": lambda s, x, y, a, b: x - fitting(x, y),
    "mul": lambda s, x, y, a, b: x * fitting(x, y).clamp(-2, 2),
    "div": lambda s, x, y, a, b: x / (1 + fitting(x, y) ** 2),
    "scale": lambda s, x, y, a, b: x * 0.5 + a % 3,
    "maximum": lambda s, x, y, a, b: s.torch.maximum(x, fitting(x, y)),
    "where": lambda s, x, y, a, b: s.torch.where(x > 0, x, fitting(x, y)),
    "where number": lambda s, x, y, a, b: s.torch.where(x > 0, x, a % 3),
    "tanh": lambda s, x, y, a, b: x.tanh(),
    "abs": lambda s, x, y, a, b: x.abs(),
    "greater": lambda s, x, y, a, b: x > fitting(x, y),
    "clone": lambda s, x, y, a, b: x.clone(),
    "deepcopy": lambda s, x, y, a, b: copy.deepcopy(x),
    "contiguous": lambda s, x, y, a, b: x.contiguous(),
    "float": lambda s, x, y, a, b: x.float(),
    "double": lambda s, x, y, a, b: x.double(),
    "bfloat16": lambda s, x, y, a, b: x.bfloat16(),
    "bool": lambda s, x, y, a, b: x.bool(),
    "cat": lambda s, x, y, a, b: s.torch.cat([x, x], dim(x, a)),
    "cat two": lambda s, x, y, a, b: s.torch.cat([x.flatten(), y.flatten()]),
    "stack": lambda s, x, y, a, b: s.torch.stack([x, x], dim(x, a)),
    "flip": lambda s, x, y, a, b: x.flip(dim(x, a)),
    "roll": lambda s, x, y, a, b: x.roll(a % 3, dim(x, b)) if x.ndim else None,
    # reductions
    "sum": lambda s, x, y, a, b: x.sum(dim(x, a), keepdim=b % 2 == 0),
    "sum all": lambda s, x, y, a, b: x.sum(),
    "mean": lambda s, x, y, a, b: x.mean(dim(x, a)),
    "max": lambda s, x, y, a, b: x.max(dim(x, a))[b % 2],
    "amax": lambda s, x, y, a, b: x.amax(dim(x, a)),
    "argmin": lambda s, x, y, a, b: x.argmin(dim(x, a)),
    "any": lambda s, x, y, a, b: (x > 1).any(dim(x, a)),
    "var": lambda s, x, y, a, b: x.var(dim(x, a), correction=0),
    "cumsum": lambda s, x, y, a, b: x.cumsum(dim(x, a)),
    "sort": lambda s, x, y, a, b: x.sort(dim=dim(x, a), stable=True)[b % 2],
    "mm": lambda s, x, y, a, b: x.tanh() @ x.tanh().transpose(-1, -2),
    # gradients on the way
    "backward": backward,
    "gradient": gradient,
    "hook": hook,
    "retain_grad": retained,
    "no_grad": quiet,
    # Python decides
    "by value": by_value,
    "halved": halved,
    "looped": looped,
    "row by row": row_by_row,
    "item": lambda s, x, y, a, b: x.sum().item(),
    "list": lambda s, x, y, a, b: x.tolist(),
}

"""Views, copies in other shapes, writes through views: parity with PyTorch."""

import torch
from expressions import check, groups
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import both
from pytest import mark

VIEWS = """
x.view(6, 4)
x.view(-1)
x.view((6, 4))
x.view([6, 4])
x.view(size=(6, 4))
x.view(torch.Size([6, 4]))
x.view(torch.int32)
x.view(torch.uint8)
x.view(dtype=torch.float16)
m.detach().T.view(torch.int32)
s.view(1, 1)
zeros(0, 3).view(-1, 3)
zeros(0, 3).view(3, -1)
x.view_as(x)
m[:, :1].view(3)
x[:, None].view(2, 3, 2, 2)
x.reshape(6, 4)
x.reshape((6, -1))
x.reshape(shape=(6, 4))
torch.reshape(x, (6, -1))
x.reshape_as(x.view(6, 4))
T.reshape(-1)
T.reshape(12, 2)
T.reshape(4, 3, 2, 1)
x.flatten()
x.flatten(1)
x.flatten(start_dim=1)
torch.flatten(x, 1, 2)
T.flatten()
s.flatten()
v.flatten()
x.ravel()
T.ravel()
x.unflatten(1, (3, 1))
m.unflatten(0, (-1, 3))
x.transpose(0, 2)
T.transpose(0, 1)
x.swapaxes(0, 1)
torch.swapdims(x, 0, 1)
m.t()
v.t()
s.t()
m.t().t()
m.T
v.T
x.T
x.mT
m.H
x.mH
c.H * 1
c.mH * 1
torch.adjoint(c) * 1
x.adjoint()
x.permute(2, 0, 1)
x.permute((2, 1, 0))
x.permute(dims=(2, 1, 0))
torch.permute(x, (0, 2, 1))
x.movedim(0, -1)
x.movedim((0, 1), (1, 0))
x[0, 0, 0].movedim(0, -1)
x[0, 0, 0].movedim((), ())
torch.moveaxis(x, 0, 1)
x.squeeze()
x[None].squeeze(0)
x[None].squeeze((0, 1))
x[None].squeeze(0, 1)
x[None].squeeze(dim=0)
x.squeeze(-1)
x.unsqueeze(0)
x.unsqueeze(-1)
T.unsqueeze(1)
m.expand(2, 3, 4)
m.expand(1, 3, 4)
m.expand(2, -1, -1)
m.expand(size=(2, 3, 4))
s.expand(2)
s.expand(1, 1)
v[:, None].expand(4, 3)
m.expand_as(x)
torch.broadcast_to(m, (2, 3, 4))
torch.broadcast_tensors(m, x)
torch.meshgrid(v, p, indexing="ij")
torch.meshgrid(v, p, indexing="xy")
x.select(1, 0)
x.select(-1, 1)
x.narrow(1, 0, 2)
x.narrow(0, -1, 1)
x.narrow(0, torch.tensor(1), 1)
x.split(2, 1)
x.split([1, 2], 1)
x.split(split_size=2)
torch.split(x, split_size_or_sections=2, dim=1)
torch.split(x, 1)
x.split_with_sizes([1, 2], 1)
x.unsafe_split(2, 1)
x.chunk(2, 1)
x.chunk(5, 1)
x.unsafe_chunk(2, 1)
x.tensor_split(2, 1)
x.tensor_split((1, 2), 1)
x.tensor_split(torch.tensor([1, 2]), 1)
m.tensor_split(5, 1)
x.unbind(1)
torch.unbind(x, -1)
[row for row in x]
m.hsplit(2)
m.vsplit(3)
x.dsplit((1, 3))
v.hsplit(2)
m.diagonal()
m.diagonal(5)
m.diagonal(-1)
x.diagonal(1, 0, 2)
x.diagonal(-1, -1, 0)
x.unfold(2, 2, 1)
v.unfold(0, 2, 3)
s.unfold(0, 1, 1)
m.as_strided((2, 2), (1, 2))
m.as_strided((2, 2), (4, 1), 5)
m[1:].as_strided((2,), (4,))
m.t().as_strided((3, 4), (4, 1))
torch.view_as_real(c)
torch.view_as_complex(random(3, 2))
torch.atleast_1d(s)
torch.atleast_2d([v, m])
torch.atleast_3d(v, m)
L[0]
L[:, 1:]
L[:, :, 0]
L.squeeze()
L.flatten(1)
"""

ERRORS = """
x.view(5, 5)
x.view(-1, -1)
x.view(-1, 5)
x.view(-2, 4)
T.view(-1)
L.view(2, -1)
zeros(0).view(-1, 0)
m.view_as(v)
m.T.view(torch.float16)
m.T.view(torch.float64)
zeros(3, 3).view(torch.float64)
s.view(torch.float16)
x.reshape(5, 5)
x.reshape(6, 4, 1.0)
m.flatten(1, 0)
m.flatten(0, 5)
m.unflatten(0, (2, 2))
m.unflatten(0, ())
m.unflatten(0, (-1, 2))
x.transpose(0, 3)
x.t()
x.H
v.H
v.mT
x.permute(0, 1)
x.permute(0, 1, 1)
x.permute(0, 1, 5)
x.movedim((0, 1), (1,))
x.movedim((0, 0), (1, 2))
x[0, 0, 0].movedim(1, 0)
x[0, 0, 0].movedim((0, 0), (0, 0))
m.squeeze(5)
x.squeeze((0, 0))
x.unsqueeze(5)
x.expand(3, 3, 4)
x.expand(3, 4)
x.expand(-1, 2, 3, 4)
x.expand(2, -2, 4)
m.double().expand(4)
torch.broadcast_to(m, (2, 4))
torch.broadcast_tensors(m, v[:3])
torch.meshgrid(v, v, indexing="zz")
x.select(0, 5)
x.select(3, 0)
s.select(0, 0)
x.narrow(0, 1, 2)
x.narrow(0, -5, 1)
x.narrow(0, 0, -1)
s.narrow(0, 0, 1)
x.split(0)
x.split(-1)
x.split([1, 2])
x.split([-1, 3])
s.split(1)
x.chunk(0)
x.tensor_split(0)
x.unbind(5)
s.unbind()
s.hsplit(1)
v.vsplit(1)
m.hsplit(3)
m.dsplit(1)
m.diagonal(0, 0, 0)
v.diagonal()
v.unfold(0, 5, 1)
v.unfold(0, 2, 0)
v.unfold(0, -2, 1)
m.as_strided((5, 5), (4, 1))
m.as_strided((2, 2), (4,))
m.as_strided((2, 2), (1, -1))
torch.view_as_real(m)
torch.view_as_complex(m)
torch.view_as_complex(s)
torch.view_as_complex(zeros(2, 2, dtype=torch.int32))
[e for e in s]
m.repeat(2)
m.repeat(-1, 2)
m.repeat()
m.repeat_interleave(torch.tensor([1, 2]), 0)
m.repeat_interleave(-1, 0)
m.repeat_interleave(torch.tensor([1.0, 2, 2]), 0)
m.flip(0, 0)
m.flip(5)
v.fliplr()
s.flipud()
m.roll((1, 2))
m.roll((1, 2), 0)
m.roll(1, 5)
m.rot90(1, (0, 0))
m.rot90(1, (0,))
v.rot90()
v.tril()
x.diag()
x.diag_embed(0, 0, 0)
torch.block_diag(x)
torch.cartesian_prod(m)
torch.combinations(m)
torch.combinations(v, -1)
m.contiguous(memory_format=formats.channels_last)
torch.cat([])
torch.cat([m, x])
torch.cat([m, m[:, :2]])
torch.cat([m, m], 2)
torch.cat([s, s])
torch.cat(m)
torch.cat([m, 1])
torch.stack([m, v])
torch.stack([])
torch.stack((m, m), dim=3)
torch.hstack([m, v])
torch.vstack([x, m])
m.t_()
zeros(3).expand(2, 3).mul_(2)
zeros(2).fill_(1j)
torch.zeros(2, dtype=torch.uint8).fill_(300)
torch.zeros(2, dtype=torch.int32).fill_(float("inf"))
zeros(3).fill_(v)
"""

COPIES = """
torch.alias_copy(m)
torch.expand_copy(v, (2, -1))
torch.permute_copy(x, (2, 0, 1))
torch.squeeze_copy(m[:1])
torch.squeeze_copy(m[:1], 0)
torch.squeeze_copy(m[:1], (0, 1))
torch.t_copy(m)
torch.transpose_copy(x, 0, 1)
torch.unsqueeze_copy(m, 0)
torch.unbind_copy(m)
torch.unfold_copy(m, 1, 2, 1)
torch.view_copy(m, (4, 3))
torch.view_copy(m, torch.int32)
torch.split_copy(m, 2)
torch.split_with_sizes_copy(m, [1, 2])
torch.split_copy(m.detach(), 2, out=[torch.empty(2, 4), torch.empty(1, 4)])
torch.as_strided_copy(m, (2, 2), (1, 4), 1)
torch.select_copy(m, 1, -1)
torch.slice_copy(m, 1, 1, None, 2)
torch.slice_copy(m, 1, 1, None, 0)
torch.slice_copy(s)
torch.detach_copy(m)
torch.view_as_real_copy(c)
torch.permute_copy(m.detach(), (1, 0), out=torch.empty(0))
torch.cat([x, x])
torch.cat([T, T], 1)
torch.cat((m, m), axis=1)
torch.cat([m, m.double()])
torch.cat([m, zeros(0)])
torch.cat([L, L], 1)
torch.cat([L, L.contiguous()])
torch.concat(tensors=[x, x], dim=-1)
torch.stack([x, x])
torch.stack([x, x], -1)
torch.stack([L, L])
torch.hstack([m, m])
torch.hstack([v, v])
torch.vstack([v, v])
torch.row_stack([m, v])
torch.dstack([m, m])
torch.column_stack([v, v])
x.repeat(2, 1, 1)
m.repeat(2, 2, 2)
m.repeat((1, 2))
s.repeat(2)
x.tile(2)
x.tile((2, 1))
m.tile(())
x.repeat_interleave(2)
x.repeat_interleave(2, 1)
x.repeat_interleave(torch.tensor([1, 2]), 0)
x.repeat_interleave(torch.tensor([1, 2]), 0, output_size=3)
torch.repeat_interleave(torch.tensor([1, 2]))
x.flip(0)
x.flip(0, 1)
m.flip([])
T.flip(0)
m[:, None].expand(3, 2, 4).flip(0)
x.permute(1, 2, 0)[:, ::2].flip(1)
x.fliplr()
x.flipud()
x.roll(1)
x.roll((1, 2), (0, 1))
T.roll(1, 0)
L.roll(1, 1)
m.rot90()
m.rot90(2)
m.rot90(-1)
L.rot90(1, (2, 3))
T.contiguous()
x.contiguous() is x
L.contiguous()
x[None].contiguous(memory_format=formats.channels_last)
x[None].clone(memory_format=formats.channels_last)
L.contiguous(memory_format=formats.channels_last) is L
L.is_contiguous(), L.is_contiguous(memory_format=formats.channels_last)
T.is_contiguous(), x[:, :1].is_contiguous()
T.clone()
T.clone(memory_format=formats.contiguous_format)
m.expand(2, 3, 4).clone()
m[:, None].expand(3, 2, 4).clone()
m.T[::2].clone()
x.transpose(0, 1)[:, :1].clone()
x.double()
T.double()
c.to(torch.complex128)
torch.tensor([1.7, -1.7, 300.0]).to(torch.uint8)
torch.tensor([1.7, -1.7, 70000.0]).to(torch.int16)
torch.tensor([-1, 300]).to(torch.uint8)
m.tril()
m.T.tril()
T.triu(1)
m.tril(-1)
v.diag()
v.diag(-1)
m.diag()
m.diag(1)
v.diag_embed()
m.diag_embed(1)
m.diag_embed(0, 0, 2)
v.diagflat()
m.diagflat(1)
torch.block_diag(m, v, s)
torch.cartesian_prod(v, p)
torch.cartesian_prod(v)
torch.combinations(v)
torch.combinations(v, 3)
torch.combinations(v, 2, True)
torch.combinations(v, 0)
x.narrow_copy(1, 0, 2)
torch.fill(m.T, s)
torch.fill(m, 2)
torch.broadcast_shapes((2, 1), (3,), 1)
"""

# the last value is the base, so that each shows what the write did to it
WRITES = """
y = m * 1; y[1].add_(1); y
y = m * 1; y.as_strided_((2, 2), (4, 1)); y.shape
m[1:].as_strided((2, 2), (4, 1))
m[1:].as_strided((2,), (1,), 0)
m[1:].as_strided((2,), (1,), 3)
y = m * 1; z = y[1:].as_strided((2,), (1,), 3); y.mul_(3); z
m.t()[1:].as_strided((2, 2), (1, 4))
y = m[:, 1:].detach().requires_grad_(); torch.autograd.grad(y.as_strided((2, 2), (4, 1)).sum(), y)
y = m * 1; y[1:].as_strided((2, 2), (4, 1)).mul_(3); y
y = m * 1; y.view(-1)[::2].mul_(3); y
y = m * 1; y.t()[1].copy_(v[:3]); y
y = m * 1; z = y[:, 1]; y.mul_(2); z * 1
y = m * 1; z = y[:, 1]; y.mul_(2); z.add_(1); y
y = m * 1; y.diagonal().zero_(); y
y = x * 1; y.permute(2, 0, 1)[1:3].fill_(7); y
y = x * 1; y.unbind(1)[2].data.add_(1); y.detach()
y = x.detach() * 1; y.split(2, 1)[1].add_(1); y
y = x.detach() * 1; y.split([1, 2], 1)[1].add_(1); y
y = x.detach() * 1; y.chunk(2, 2)[0].mul_(0); y
y = x.detach() * 1; [row.add_(n) for n, row in enumerate(y)]; y
y = x * 1; y.squeeze().unsqueeze(0)[0, 1] = 5; y
y = x * 1; y.unfold(2, 2, 2)[..., 1] = 0; y
y = m * 1; y.as_strided((2, 2), (4, 2)).mul_(2); y
y = m.detach() * 1; z = y.expand(2, 3, 4)[1]; z[0] = 9; y
y = x * 1; y.flatten(1)[:, 3] = 2; y
y = x * 1; y.movedim(0, 1).select(1, 1).add_(m); y
y = c * 1; torch.view_as_real(y)[..., 1].zero_(); y
y = m.detach() * 1; y.view(torch.int32)[0] = 0; y
y = m * 1; y.t_(); y
y = m * 1; y.transpose_(0, 1).mul_(2); y * 1
y = m * 1; y.unsqueeze_(0).squeeze_(0); y
y = m * 1; z = y.t(); y.t_(); z.add_(1); y * 1
y = m * 1; y.zero_(); y
y = m * 1; y.fill_(3); y
y = m * 1; y.fill_(s); y
y = m * 1; y.tril_(); y
y = zeros(3, 4); y[0].copy_(v); y[1:] += m[1:]; y
y = zeros(3, 4); y.T.add_(m.T); y
y = zeros(2, 3, dtype=torch.int64); y[0].fill_(2.7); y
"""


@mark.parametrize("group", groups(VIEWS), ids=lambda g: g[0])
def test_view(group):
    check(group)


@mark.parametrize("group", groups(COPIES), ids=lambda g: g[0])
def test_copy(group):
    check(group)


@mark.parametrize("group", groups(ERRORS), ids=lambda g: g[0])
def test_error(group):
    check(group)


@mark.parametrize("group", groups(WRITES), ids=lambda g: g[0])
def test_write_through_a_view(group):
    check(group)


def test_views_share_the_storage_and_reshape_does_when_it_can():
    def code(torch):
        base = torch.arange(12.0)
        square = base.view(3, 4)
        turned, flat = square.t(), square.t().reshape(-1)
        base[0] = 100
        return square, turned, flat, flat._base is None, turned._base is base

    both(code)


SIZES = """
repr(torch.Size([1, 2, 3]))
torch.Size([1, 2, 3]).numel()
torch.Size([1, 2, 3])[1:]
torch.Size([1, 2]) + (3,)
(0,) + torch.Size([1, 2])
torch.Size([1, 2]) * 2
torch.Size([1, 2]) == (1, 2)
x.shape[:1]
x.size(-1)
torch.Size([1.5])
torch.Size([1]) + [2]
torch.Size(5)
"""


@mark.parametrize("group", groups(SIZES), ids=lambda g: g[0])
def test_size(group):
    check(group)


# ---- any chain of views and writes ----

VIEW_STEPS = [
    "y.transpose(0, -1)", "y.T", "y.flatten()", "y.reshape(-1)", "y.unsqueeze({d})", "y.squeeze()",
    "y[None]", "y.select({d}, {i})", "y.select({d}, -1)", "y.narrow({d}, {i}, 1)", "y[..., ::2]",
    "y[{i}:]", "y[:, {i}:]", "y[..., :-1]", "y.unfold({d}, 1, 2)", "y.unfold({d}, 2, 1)",
    "y.diagonal()", "y.movedim(0, -1)", "y.split(2, {d})[-1]", "y.unbind({d})[{i}]",
    "y.chunk(2, {d})[0]", "y.expand(2, *y.shape)", "y.contiguous()", "y.view(y.shape)",
    "y.tensor_split(2, {d})[0]", "y[..., {i}]", "y[{i}, ..., None]",
]  # fmt: skip
WRITE_STEPS = [
    "y.mul_(2)", "y.add_(s)", "y.zero_()", "y.fill_(3)", "y[...] = y * 2", "y[0] = 1.5",
    "y[-1] = s", "y[..., 1:] += 1", "y.copy_(y.clone() * s)", "y[y > 0] = 0.5", "x.mul_(1.5)",
    "x[0] = x[-1].clone() * s",
]  # fmt: skip


@st.composite
def programs(draw):
    """Draw statements on ``x`` and its view ``y`` that PyTorch accepts."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    places = torch.arange(torch.Size(shape).numel()).reshape(shape)  # where y's elements lie in x
    program = []
    for _ in range(draw(st.integers(1, 6))):
        overlaps = places.unique().numel() < places.numel()
        # PyTorch forbids writes to one of several views that an op returned
        one_of_several = any(n in line for line in program for n in (".split", "unbind", "chunk"))
        fixed = overlaps or one_of_several
        steps = VIEW_STEPS if fixed else VIEW_STEPS + WRITE_STEPS
        step = draw(st.sampled_from(steps)).format(
            d=draw(st.integers(0, 2)), i=draw(st.integers(0, 2))
        )
        if step in WRITE_STEPS:
            program.append(step)
            continue
        try:
            places = eval(step, {"y": places})
        except (IndexError, RuntimeError):
            continue
        program.append(f"y = {step}")
    return shape, program


@settings(max_examples=15, deadline=None, derandomize=True)
@given(programs())
def test_any_chain_of_views_and_writes(drawn):
    shape, program = drawn

    def code(torch):
        leaf = (torch.arange(torch.Size(shape).numel()) * 0.5 - 1.2).reshape(shape).requires_grad_()
        s = torch.tensor(0.75, requires_grad=True)
        scope = {"torch": torch, "x": leaf * 1, "s": s}
        scope["y"] = scope["x"]
        for step in program:
            exec(step, scope)
        x, y = scope["x"], scope["y"]
        total = 0
        for part in (x, y):
            total = total + (part * torch.arange(1.0, part.numel() + 1).reshape(part.shape)).sum()
        total.backward()
        return x.detach(), y.detach(), leaf.grad, s.grad

    both(code)

"""The matmul family and einsum: parity with PyTorch."""

import numpy as np
from expressions import check, groups
from pytest import mark

import facade

PRODUCTS = """
m @ m.T
m @ v
v @ v
v @ m.T
x @ b
x @ v
x @ w.T
v @ x.mT
m @ b[:, :, :2]
x[None] @ b
x.expand(3, 2, 3, 4) @ b
x @ x.mT @ x
zeros(0, 3) @ zeros(3, 2)
zeros(2, 0) @ zeros(0, 2)
c @ c.T
m.double() @ m.double().T
torch.tensor([[1, 2], [3, 4]]) @ torch.tensor([[1, 2], [3, 4]])
torch.matmul(m, m.T)
torch.matmul(input=m, other=m.T)
torch.mm(m, m.T)
m.mm(mat2=m.T)
torch.mv(m, v)
torch.mv(input=m, vec=v)
torch.bmm(x, b)
torch.bmm(input=x, mat2=b)
torch.dot(v, v)
torch.vdot(c[0], c[1])
torch.inner(m, m)
torch.inner(v, v)
torch.inner(s, v)
torch.inner(x, m)
torch.outer(v, p)
torch.ger(v, vec2=p)
torch.addmm(m, random(3, 3), m)
torch.addmm(zeros(3, 3), m, m.T, beta=0.5, alpha=2)
torch.addmm(zeros(3), m, m.T)
m.addmm(m, zeros(4, 4), beta=2)
torch.addmm(torch.full((3, 3), float("nan")), m, m.T, beta=0)
torch.addmv(zeros(3), m, v)
torch.addmv(zeros(3), m, v, alpha=2)
torch.addr(m, random(3), v)
torch.addbmm(zeros(3, 5), x, b)
torch.baddbmm(zeros(5), x, b)
torch.baddbmm(zeros(2, 3, 5), x, b, beta=0, alpha=0.5)
linear(m, w)
linear(m, w, p)
linear(v, w)
linear(v, w, p)
linear(x, w)
linear(x, w, p)
linear(x[None], w, p)
linear(m.T, w[:, :3], p)
linear(x.transpose(0, 1), w)
linear(x.transpose(0, 1), w, p)
linear(x, w[0])
linear(m, w, zeros(1, 5))
torch.tensordot(m, m, ([1], [1]))
torch.tensordot(x, b, dims=0)
torch.tensordot(m, x, dims=([0], [1]))
torch.tensordot(m, m.T, 1)
torch.tensordot(m[:1].detach().int(), m.detach().int(), ([0], [0]))
torch.kron(m, m)
torch.kron(v, m)
torch.trace(m)
torch.trace(torch.zeros(3, 3, dtype=torch.int32))
torch.cross(m[:, :3], m[:, 1:], dim=1)
torch.cross(m, m[[1, 2, 0]])
torch.chain_matmul(m, m.T)
torch.chain_matmul(m)
y = zeros(3, 3); y.addmm_(m.detach(), m.detach().T, alpha=2)
"""

EINSUM = """
torch.einsum("ij,kj->ik", m, m)
torch.einsum("ij,kj->ik", m.detach().int(), m.detach().int())
torch.einsum("ij,k->ik", m.detach().int(), m[0].detach().int())
torch.einsum("ij,k->ik", m.detach() > 0, m[0].detach() > 0)
torch.einsum("ij,jk->ijk", m.detach().int(), m.T.detach().int().contiguous())
torch.einsum("ij,jk", m, m.T)
torch.einsum("ij,jk", [m, m.T])
torch.einsum("i j , j k -> i k", m, m.T)
torch.einsum(m, [0, 1], m, [2, 1], [0, 2])
torch.einsum("bij,bjk->bik", x, b)
torch.einsum("bij,bjk", x, b)
torch.einsum("...ij,...jk->...ik", x, b)
torch.einsum("bhid,bhjd->bhij", x[None], x[None])
torch.einsum("bij,kj->bik", x, w)
torch.einsum("bij,ij->b", x, m)
torch.einsum("i,j->ij", v, p)
torch.einsum("i,i->i", v, v)
torch.einsum("i,->i", v, s)
torch.einsum("ij,ij->ij", m, m)
torch.einsum("ij,ij->ij", m, zeros(1, 4) + 2)
torch.einsum("ij,ij->i", m, m)
torch.einsum("ij,ij->", m, m)
torch.einsum("ij,j->i", m, v)
torch.einsum("ij,j->ij", m, v)
torch.einsum("a,b,c->abc", v, v, v)
torch.einsum("ij->ji", m)
torch.einsum("ij->", m)
torch.einsum("ij->j", m)
torch.einsum("...i->...", m)
torch.einsum("ii->i", m[:, :3])
torch.einsum("ii", m[:, :3])
torch.einsum("bii->bi", random(2, 3, 3).requires_grad_())
torch.einsum("i", v)
"""

ERRORS = """
m @ m
m @ v[:3]
x @ x
v @ v[:3]
v @ zeros(5, 2)
x @ zeros(5)
x @ zeros(5, 6)
zeros(2, 2, 3, 4) @ zeros(2, 2, 5, 6)
zeros(2, 2, 3, 4) @ zeros(3, 1, 4, 6)
m @ s
s @ m
m @ 3
m @ m.T.double()
m @ v.double()
v @ v.double()
x @ b.double()
m.half() @ m.T
torch.tensor([[1]]) @ zeros(1, 1)
torch.tensor([[True]]) @ torch.tensor([[True]])
torch.mm(x, x)
torch.mm(m, v)
torch.mm(m, m)
torch.mm(m, 2)
torch.matmul(m, [1])
torch.mv(m, v[:3])
torch.mv(v, m)
torch.bmm(x, x)
torch.bmm(m, x)
torch.bmm(x, m)
torch.bmm(x, zeros(3, 4, 5))
torch.bmm(x, b.double())
torch.dot(m, v)
torch.dot(v, v[:3])
torch.vdot(v, m)
torch.inner(m, zeros(5))
torch.outer(m, v)
torch.outer(v, m)
torch.addmm(m, m, m)
torch.addmm(v[:2], m, m.T)
torch.addmm(zeros(2, 3, 3), m, m.T)
torch.addmm(zeros(3, 3), x, m)
torch.addmm(zeros(3, 3), m, v)
torch.addmm(m.double(), random(3, 3), m)
torch.addmv(zeros(3), m, zeros(5))
torch.addmv(zeros(4), m, v)
torch.addbmm(zeros(3, 5), x, zeros(3, 4, 5))
torch.addbmm(zeros(3, 9), x, b)
torch.baddbmm(zeros(9), x, b)
torch.baddbmm(zeros(2, 3, 5).double(), x, b)
torch.addr(m, v, v)
torch.addr(m, m, v)
linear(m, w[:, :3])
linear(m, w, p[:3])
linear(x, w[:, :3], p)
linear(x, w, zeros(3))
linear(m, w, zeros(2, 5))
linear(m, w.double())
linear(x, w.double(), p)
linear(m, zeros(5, 4, 4))
linear(s, w)
torch.tensordot(m, x, dims=2)
torch.tensordot(m, x, dims=([0, 1], [1]))
torch.trace(v)
torch.cross(v, v)
torch.cross(m[:, :3], v[:3])
torch.cross(m[:, :2], m[:, :2], dim=1)
torch.einsum("ij,jk->ik", m, m)
torch.einsum("ij,j", m)
torch.einsum("ij", m, m)
torch.einsum("ij,jk->il", m, m.T)
torch.einsum("ij->iij", m)
torch.einsum("ijk", m)
torch.einsum("ij;", m)
torch.einsum("ii->", m)
torch.einsum("ij,jk", m, m.T.double())
"""


@mark.parametrize("group", groups(PRODUCTS), ids=lambda g: g[0])
def test_product(group):
    check(group)


@mark.parametrize("group", groups(EINSUM), ids=lambda g: g[0])
def test_einsum(group):
    check(group)


@mark.parametrize("group", groups(ERRORS), ids=lambda g: g[0])
def test_error(group):
    check(group)


def test_precision_is_part_of_the_program():
    assert facade.get_float32_matmul_precision() == "highest"
    x = facade.ones(8, 8)
    try:
        facade.set_float32_matmul_precision("medium")
        assert facade.get_float32_matmul_precision() == "medium"
        lowered = (x @ x).numpy()
    finally:
        facade.set_float32_matmul_precision("highest")
    np.testing.assert_allclose((x @ x).numpy(), lowered, rtol=1e-2)

"""torch.linalg: parity with PyTorch, up to the signs that a factorization leaves open."""

from expressions import check, groups
from pytest import mark

RESULTS = """
la.norm(m)
la.norm(m, 1)
la.norm(m, 2)
la.norm(m, "nuc")
la.norm(m, dim=1)
la.norm(m, ord=float("inf"), dim=0)
la.norm(x, dim=(1, 2))
la.norm(x, 1, dim=(1, 2))
la.norm(v, 1)
la.vector_norm(m)
la.vector_norm(m, 1)
la.vector_norm(m, dim=1, keepdim=True)
la.vector_norm(m, float("inf"))
la.vector_norm(c)
la.matrix_norm(m)
la.matrix_norm(m, 1)
la.matrix_norm(m, -1)
la.matrix_norm(m, 2)
la.matrix_norm(m, -2)
la.matrix_norm(m, "nuc")
la.matrix_norm(m, float("inf"))
la.matrix_norm(x, "fro", (0, 1), True)
la.inv(A)
torch.inverse(A)
A.inverse()
la.inv(torch.stack([A, A * 2]))
la.inv_ex(A)
la.inv_ex(torch.zeros(3, 3)).info
la.solve(A, R)
la.solve(A, R[:, 0])
la.solve(A, R.T, left=False)
la.solve(torch.stack([A, A * 2]), R)
la.solve_triangular(A, R, upper=True)
la.solve_triangular(A, R, upper=False, unitriangular=True)
la.solve_triangular(A, R.T, upper=True, left=False)
la.det(A)
torch.det(A)
A.det()
la.slogdet(A)
torch.slogdet(A)
torch.logdet(A)
torch.logdet(torch.complex(A, A.T))
la.pinv(m)
torch.pinverse(m)
la.lstsq(m.T, random(4, 2)).solution.detach().contiguous()[0]
la.lstsq(torch.complex(m.T, m.T).detach(), torch.complex(random(4, 2), random(4, 2)))[1:]
la.lstsq(torch.complex(m.T, m.T).detach(), random(4, 2) + 0j, driver="gelsd")[1:]
la.cholesky(A)
la.cholesky(A, upper=True)
la.cholesky_ex(A)
la.cholesky_ex(-A).info
la.cholesky_ex(A - 3.0).info
torch.cholesky_solve(R, la.cholesky(A))
torch.cholesky_inverse(la.cholesky(A))
la.qr(A)
la.qr(m)
la.qr(m.T)
la.qr(m.T, "complete")[1].detach()
la.svdvals(m)
u, s, vh = la.svd(m, False); (u * s) @ vh
u, s, vh = la.svd(m); u.shape, s, vh.shape
u, s, v = torch.svd(m); (u * s) @ v.T
la.eigvalsh(A)
values, vectors = la.eigh(A); (vectors * values) @ vectors.T
la.eigvals(A).real.sort().values
la.lu(A)
la.matrix_exp(A / 4)
la.matrix_power(A, 3)
la.matrix_power(A, -2)
torch.matrix_power(A, 2)
la.matrix_rank(m)
la.cond(A).detach()
la.multi_dot([m, m.T, m])
la.cross(m[:, :3], m[:, 1:])
la.vecdot(m, v)
la.vecdot(c, c)
la.diagonal(m)
torch.cdist(m, m[:2] + 1)
torch.cdist(x, x)
torch.cdist(m, m + 1, p=1)
torch.cdist(m, m + 1, p=float("inf"))
torch.cdist(m, random(30, 4))
"""

ERRORS = """
la.inv(m)
la.inv(A.long())
la.inv(torch.zeros(3, 3))
la.solve(torch.zeros(3, 3), R)
la.solve(A, m.T)
la.solve(A, R, left=False)
la.cholesky(-A)
la.det(m)
la.det(v)
la.eigh(m)
la.qr(m, "x")
la.norm(x, 2)
la.matrix_norm(v)
la.matrix_norm(m, 3)
la.matrix_norm(m.long())
la.vector_norm(m.long())
la.vector_norm(m, dim=5)
la.cross(m, m)
torch.cdist(m, v)
torch.cdist(m, R)
"""


@mark.parametrize("group", groups(RESULTS), ids=lambda g: g[0])
def test_result(group):
    check(group)


@mark.parametrize("group", groups(ERRORS), ids=lambda g: g[0])
def test_error(group):
    check(group)

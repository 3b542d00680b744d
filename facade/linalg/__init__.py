"""torch.linalg: matrices factored, inverted, solved, measured."""

from facade import aten
from facade.functions.decompositions import LinAlgError as LinAlgError
from facade.functions.decompositions import cholesky as cholesky
from facade.functions.decompositions import cholesky_ex as cholesky_ex
from facade.functions.decompositions import cond as cond
from facade.functions.decompositions import det as det
from facade.functions.decompositions import eig as eig
from facade.functions.decompositions import eigh as eigh
from facade.functions.decompositions import eigvals as eigvals
from facade.functions.decompositions import eigvalsh as eigvalsh
from facade.functions.decompositions import inv as inv
from facade.functions.decompositions import inv_ex as inv_ex
from facade.functions.decompositions import lstsq as lstsq
from facade.functions.decompositions import lu as lu
from facade.functions.decompositions import matrix_exp as matrix_exp
from facade.functions.decompositions import matrix_norm as matrix_norm
from facade.functions.decompositions import matrix_power as matrix_power
from facade.functions.decompositions import matrix_rank as matrix_rank
from facade.functions.decompositions import norm as norm
from facade.functions.decompositions import pinv as pinv
from facade.functions.decompositions import qr as qr
from facade.functions.decompositions import slogdet as slogdet
from facade.functions.decompositions import solve as solve
from facade.functions.decompositions import solve_ex as solve_ex
from facade.functions.decompositions import solve_triangular as solve_triangular
from facade.functions.decompositions import svd as svd
from facade.functions.decompositions import svdvals as svdvals
from facade.functions.decompositions import vecdot as vecdot
from facade.functions.decompositions import vector_norm as vector_norm
from facade.functions.factors import householder_product as householder_product
from facade.functions.factors import lu_factor as lu_factor
from facade.functions.factors import lu_factor_ex as lu_factor_ex
from facade.functions.factors import lu_solve as lu_solve
from facade.functions.factors import tensorinv as tensorinv
from facade.functions.factors import tensorsolve as tensorsolve
from facade.functions.factors import vander as vander
from facade.functions.linear_algebra import chain_matmul as multi_dot
from facade.tensor import Tensor

matmul = aten.matmul


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Return the cross products of the 3-vectors along ``dim``."""
    return aten.linalg_cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """View the diagonals of the matrices in two dimensions."""
    return aten.diagonal(A, offset, dim1, dim2)


__all__ = ["matmul", "multi_dot"]

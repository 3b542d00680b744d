"""torch.linalg: matrices factored, inverted, solved, measured."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from facade import aten
from facade.binding import with_out
from facade.functions import decompositions, factors, linear_algebra
from facade.functions.decompositions import LinAlgError as LinAlgError
from facade.tensor import Tensor

_FUNCTIONS = {
    decompositions: """
        cholesky cholesky_ex cond det eig eigh eigvals eigvalsh inv inv_ex lstsq lu matrix_exp
        matrix_norm matrix_power matrix_rank norm pinv qr slogdet solve solve_ex solve_triangular
        svd svdvals vecdot vector_norm
    """,
    factors: """
        householder_product ldl_factor ldl_factor_ex ldl_solve lu_factor lu_factor_ex lu_solve
        tensorinv tensorsolve vander
    """,
}


def _offered(function: Callable, name: str) -> Callable[..., Any]:
    """Return a function as PyTorch offers it here: with ``out=`` and a name that errors say."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = f"linalg_{name}"
    return with_out(call)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Return the cross products of the 3-vectors along ``dim``."""
    return aten.linalg_cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """View the diagonals of the matrices in two dimensions."""
    return aten.diagonal(A, offset, dim1, dim2)


for _module, _names in _FUNCTIONS.items():
    for _name in _names.split():
        globals()[_name] = _offered(getattr(_module, _name), _name)
cross = _offered(cross, "cross")
matmul = _offered(aten.matmul, "matmul")
multi_dot = _offered(linear_algebra.chain_matmul, "multi_dot")

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Stand for the functions made above."""

"""What ops make of sparse tensors; an op that is not here raises NotImplementedError."""

from typing import Any

import numpy as np

from facade import aten
from facade.dtypes import SCALAR_NAMES
from facade.ops.registry import OPS
from facade.sparse.shapes import t
from facade.sparse.tensor import (
    HANDLERS,
    CooTensor,
    CsrTensor,
    SparseTensor,
    counted,
    handles,
    matches,
    picked,
    renamed,
    sparse_dimension,
)
from facade.tensor import Tensor

# Functions that leave zero zero: they are asked of the elements, added up if they are not linear
_LINEAR = ("_to_copy", "clone", "conj_physical", "neg")
_KEEP_ZERO = (
    "abs", "angle", "asin", "asinh", "atan", "atanh", "ceil", "deg2rad", "erf", "erfinv", "expm1",
    "floor", "frac", "isinf", "isnan", "isneginf", "isposinf", "log1p", "nan_to_num", "rad2deg",
    "relu", "round", "sgn", "sign", "signbit", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip


def _elementwise(name: str, linear: bool) -> None:
    operands = [p.name for p in OPS[name].operand_params]
    names = (operands + [p.name for p in OPS[name].static_params])[1:]

    def function(x: SparseTensor, *rest) -> SparseTensor:
        x = x if linear else x.once()
        return x.like(getattr(aten, name)(x.elements, **dict(zip(names, rest, strict=True))))

    HANDLERS[name] = function


for _name in (*_LINEAR, *_KEEP_ZERO):
    _elementwise(_name, _name in _LINEAR)


def _is_number(x) -> bool:
    return not isinstance(x, Tensor) or (x.ndim == 0 and not isinstance(x, SparseTensor))


def _sparse(*operands) -> Any:
    """Return the first sparse one."""
    return next(x for x in operands if isinstance(x, SparseTensor))


def _back(result: CooTensor, like: SparseTensor) -> Any:
    return CsrTensor.of(result) if type(like) is CsrTensor else result


# ---- arithmetic ----


@handles("mul", "mul_scalar")
def mul(input, other):
    """Multiply by a number, or by a tensor of the same size: zero where either is."""
    if _is_number(other):
        return input.like(aten.mul(input.elements, other))
    if _is_number(input):
        return other.like(aten.mul(input, other.elements))
    if isinstance(input, SparseTensor) and isinstance(other, SparseTensor):
        return _intersection(input, other)
    if not isinstance(input, SparseTensor):
        input, other = other, input
    if other.shape != input.shape:
        other = other.expand(input.shape)
    there = aten.sparse_gather(other, input.places(), "MulBackward0")
    return input.like(aten.mul(input.elements, there))


def _intersection(a: SparseTensor, b: SparseTensor) -> Any:
    _check_sizes("mul", a, b)
    left, right = a.coo().coalesce(), b.coo().coalesce()
    _, i, j = np.intersect1d(left.keys(), right.keys(), True, return_indices=True)
    products = aten.mul(picked(left, i), picked(right, j))
    coordinates = counted(left.coordinates._host()[:, i], a)
    return _back(CooTensor.make(coordinates, products, a.shape, True), a)


@handles("div", "div_scalar")
def div(input, other):
    """Divide by a number."""
    if not isinstance(input, SparseTensor):
        raise other._cell.refusal("div(dense, sparse)")
    if not _is_number(other):
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{list(other.shape)} for divisor)"
        )
    return input.like(aten.div(input.elements, other))


@handles("floor_divide")
def floor_divide(input, other):
    """Divide by a number and round down."""
    if not isinstance(input, SparseTensor) or not _is_number(other):
        raise _sparse(input, other)._cell.refusal("floor_divide")
    input = input.once()
    return input.like(aten.floor_divide(input.elements, other))


@handles("pow", "pow_scalar")
def pow(input, exponent):
    """Raise to the power of a positive number."""
    if not isinstance(exponent, int | float) or not exponent > 0:
        raise _sparse(input, exponent)._cell.refusal("pow but by a positive number")
    input = input.once()
    return input.like(input.elements**exponent)


@handles("add")
def add(input, other, alpha=None, name: str = "AddBackward0"):
    """Add sparse tensors of the same size, or a sparse one to a dense one."""
    if isinstance(input, CsrTensor) and not _is_number(other) and alpha is None:
        input, other = (other, input) if not isinstance(other, SparseTensor) else (input, other)
    if not isinstance(other, SparseTensor):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not isinstance(input, SparseTensor):
        if not isinstance(input, Tensor):
            raise other._cell.refusal("add(number, sparse)")
        return renamed(aten.add(input, other.to_dense(), alpha=alpha), name)
    _check_sizes("add", input, other)
    a, b = input.coo(), other.coo()
    scaled = b.elements if alpha is None else aten.mul(b.elements, alpha)
    coordinates = aten.cat((a.coordinates, b.coordinates), 1)
    both = CooTensor.make(coordinates, aten.cat((a.elements, scaled), 0), input.shape, False)
    return renamed(_back(both.coalesce(), input), name)


@handles("sub")
def sub(input, other, alpha=None):
    """Subtract sparse tensors of the same size, or a sparse one from a dense one."""
    return add(input, other, -1 if alpha is None else -alpha, "SubBackward0")


def _check_sizes(op: str, a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise RuntimeError(
            f"{op}: expected sizes of 'self' and 'other' to match, but "
            f"{list(a.shape)} != {list(b.shape)}"
        )


@handles("copy")
def copy(input, src):
    """Return what ``src`` becomes when it is written into ``input``."""
    if not isinstance(input, SparseTensor) or not isinstance(src, SparseTensor):
        raise _sparse(input, src)._cell.refusal("copy")
    return src.like(aten.clone(src.elements))


@handles("zeros_like", "zero_")
def zeros_like(input: SparseTensor, dtype=None) -> SparseTensor:
    """Return a tensor that keeps nothing."""
    coo = input.coo()
    none = aten.slice(coo.elements.detach(), 0, 0, 0, 1)
    none = none if dtype is None else none.to(dtype)
    kept = CooTensor.make(counted(np.empty((coo.sparse_dim(), 0)), coo), none, coo.shape, False)
    return _back(kept, input)


# ---- sums ----


@handles("sum")
def sum(input: Any, dim=None, keepdim: bool = False, dtype=None, name="SumBackward1"):
    """Add up everything, or along some dimensions."""
    if keepdim:
        raise input._cell.refusal("sum with keepdim=True")
    given = (dim,) if isinstance(dim, int) else dim or ()
    dims = {sparse_dimension(input, d) for d in given}
    elements = input.elements
    if not dims:
        return aten.sum(elements, dtype=dtype)
    sparse = input.sparse_dim()
    inner = tuple(d - sparse + 1 for d in dims if d >= sparse)
    kept = [d for d in range(sparse) if d not in dims]
    dims_of_elements = inner if kept else (0, *inner)
    if dims_of_elements:
        elements = aten.sum(elements, dims_of_elements, dtype=dtype)
    if not kept:
        return renamed(elements, name)
    shape = tuple(n for d, n in enumerate(input.shape) if d not in dims)
    coordinates = aten.index_select(input.places(), 0, counted(np.array(kept), input))
    return renamed(CooTensor.make(coordinates, elements, shape, False).coalesce(), name)


@handles("linalg_vector_norm")
def vector_norm(x: SparseTensor, ord, dim=None, keepdim: bool = False, dtype=None):
    """Return the norm of all elements."""
    if dim is not None or keepdim or ord <= 0:
        raise x._cell.refusal("vector_norm along dimensions or of such an order")
    found = aten.linalg_vector_norm(x.once().elements, ord, None, False, dtype=dtype)
    return renamed(found, "NormBackward1")


# ---- products ----


@handles("mm")
def mm(input, mat2, name: str = "MmBackward0"):
    """Multiply two matrices, of which the result is sparse if both are."""
    _check_product(input, mat2)
    if not isinstance(mat2, SparseTensor):
        return _product(input, mat2, name)
    if isinstance(input, SparseTensor):
        return _back(_sparse_product(input.coo(), mat2.coo(), name), input)
    return _times_turned(input, t(mat2.coo()), name, isinstance(mat2, CsrTensor))


def _check_product(a, b) -> None:
    if not isinstance(a, CooTensor) or a.ndim != 2 or b.ndim != 2:
        OPS["mm"].check(a._aval, b._aval)
    elif a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"addmm: Argument #3 (dense): Expected dim 0 size {a.shape[1]}, got {b.shape[0]}"
        )
    elif a.dtype is not b.dtype:
        wanted, found = (SCALAR_NAMES[x.dtype] for x in (a, b))
        raise RuntimeError(f"expected scalar type {wanted} but found {found}")


def _product(matrix: SparseTensor, dense: Tensor, name: str) -> Tensor:
    rows = matrix.shape[0]
    return aten.sparse_product(matrix.elements, matrix.places(), dense, rows, name)


def _times_turned(dense: Tensor, matrix: SparseTensor, name: str, in_rows: bool) -> Tensor:
    """Return ``dense @ matrix.T``, its elements in the order of rows or of columns."""
    found = _product(matrix, dense.t(), "").t()
    return renamed(found.contiguous() if in_rows else found, name)


def _sparse_product(a: CooTensor, b: CooTensor, name: str) -> CooTensor:
    """Add up the products of each element of ``a`` with those of ``b`` in its column's row."""
    rows, columns = b.coordinates._host()[0], a.coordinates._host()[1]
    j, i = matches(rows, columns)
    products = aten.mul(picked(a, i), picked(b, j))
    places = counted(np.stack([a.coordinates._host()[0][i], b.coordinates._host()[1][j]]), a)
    made = CooTensor.make(places, products, (a.shape[0], b.shape[1]), False)
    return renamed(made.coalesce(), name)


def mm_reduced(input: CsrTensor, dense: Tensor, reduce: str) -> Tensor:
    """Multiply, and reduce the products of each row's elements in another way than adding them."""
    name = "SparseMmReduceImplBackward0"
    if reduce == "prod":
        raise RuntimeError("sparse_mm_reduce: reduce type of prod has not been enabled.")
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in ("sum", "mean", "amax", "amin"):
        words = "reduce argument must be either sum, prod, mean, amax or amin"
        raise RuntimeError(f"{words}, got {reduce}")
    _check_reduced(input, dense)
    if reduce in ("amax", "amin"):
        operands = (input.elements, input.places(), dense, input.shape[0])
        return aten.sparse_extremum(*operands, reduce == "amax", name)
    product = _product(input, dense, name)
    if reduce == "sum":
        return product
    counts = np.maximum(np.diff(input.starts._host()), 1)[:, None]
    return renamed(aten.div(product, counted(counts, input)), name)


def _check_reduced(input: CsrTensor, dense: Tensor) -> None:
    checking = "(while checking arguments for sparse_mm_reduce)"
    for x, called in ((input, "SparseCsr"), (dense, "Strided")):
        found = x.called if isinstance(x, SparseTensor) else "Strided"
        if found != called:
            words = f"Expected tensor to have {called} Layout, but got tensor with {found} Layout"
            raise RuntimeError(f"{words} {checking}")
    if dense.ndim != 2 or dense.shape[0] != input.shape[1]:
        raise RuntimeError(
            f"Expected a tensor of dimension 2 and tensor.size[0] == {input.shape[1]} but got: "
            f"dimension {dense.ndim} and tensor.size[0] = {dense.shape[0]}"
        )
    if input.dtype is not dense.dtype:
        wanted, found = (SCALAR_NAMES[x.dtype] for x in (input, dense))
        raise RuntimeError(
            f"Expected tensor for argument #1 'other' to have scalar type {wanted}; "
            f"but got torch.{found}Tensor instead {checking}"
        )


def sampled_addmm(input: CsrTensor, mat1: Tensor, mat2: Tensor, beta, alpha) -> CsrTensor:
    """Return ``beta * input + alpha * (mat1 @ mat2)`` at the places of ``input``."""
    _check_sampled(input, mat1, mat2)
    rows, columns = input.places()
    sampled = aten.mul(aten.index_select(mat1, 0, rows), aten.index_select(mat2.t(), 0, columns))
    added = aten.mul(aten.sum(sampled, 1), alpha)
    kept = added if beta == 0 else aten.add(aten.mul(input.elements, beta), added)
    return renamed(input.like(kept), "SparseSampledAddmmBackward0")


def _check_sampled(input: Any, *matrices: Any) -> None:
    for name, x in zip(("mat1", "mat2"), matrices, strict=True):
        if isinstance(x, SparseTensor):
            raise _sampled(f"Expected {name} to have strided layout, but got {x.called}")
    if not isinstance(input, CsrTensor):
        raise NotImplementedError("sampled_addmm of an input that is not torch.sparse_csr")
    a, b = matrices
    for name, x in (("mat2", b), ("self", input)):
        if x.dtype is not a.dtype:
            found = f"{SCALAR_NAMES[a.dtype]} and {SCALAR_NAMES[x.dtype]}"
            raise _sampled(f"Expected mat1 and {name} to have the same dtype, but got {found}")
    for name, x in zip(("mat1", "mat2"), matrices, strict=True):
        if x.ndim != 2:
            raise _sampled(f"Expected {name} to be a matrix, got {x.ndim}-D tensor")
    if a.shape[1] != b.shape[0]:
        sizes = " and ".join("x".join(map(str, x.shape)) for x in matrices)
        raise _sampled(f"mat1 and mat2 shapes cannot be multiplied ({sizes})")
    if input.shape[0] != a.shape[0]:
        raise _sampled("self.shape[-2] must match mat1.shape[-2]")
    if input.shape[1] != b.shape[1]:
        raise _sampled("self.shape[-1] must match mat2.shape[-1]")


def _sampled(words: str) -> RuntimeError:
    return RuntimeError(f"sampled_addmm: {words}")


@handles("mv")
def mv(input, vec):
    """Multiply a sparse matrix and a vector."""
    if isinstance(vec, SparseTensor):
        raise vec._cell.refusal("mv by a sparse vector")
    if isinstance(input, CsrTensor) or vec.ndim != 1:
        OPS["mv"].check(input._aval, vec._aval)
    elif input.shape[-1] != vec.shape[0]:
        raise RuntimeError("mv: expected self.size(-1) == vec.size(-1)")
    return _product(input, vec, "MvBackward0")


@handles("matmul")
def matmul(input, other):
    """Multiply matrices, or a sparse matrix and a vector."""
    kinds = (input.ndim, other.ndim)
    if kinds == (2, 2):
        return mm(input, other)
    if kinds == (2, 1):
        return mv(input, other)
    raise _sparse(input, other)._cell.refusal("matmul")


@handles("addmm")
def addmm(input, mat1, mat2, beta=None, alpha=None, name: str = "AddmmBackward0"):
    """Return ``beta * input + alpha * (mat1 @ mat2)``."""
    if isinstance(input, SparseTensor):
        raise input._cell.refusal("addmm to a sparse tensor")
    added = input if beta is None else aten.mul(input, beta)
    product = mm(mat1, mat2, name)
    if isinstance(product, SparseTensor):
        product = product.to_dense()
    return renamed(aten.add(added, product, alpha=alpha), name)


@handles("linear")
def linear(input, weight, bias=None):
    """Return ``input @ weight.T + bias``, one of the first two a sparse matrix."""
    OPS["linear"].check(*(None if x is None else x._aval for x in (input, weight, bias)))
    if input.ndim != 2 or isinstance(input, SparseTensor) is isinstance(weight, SparseTensor):
        raise _sparse(input, weight)._cell.refusal("linear of such operands")
    if isinstance(input, SparseTensor):
        product = mm(input, weight.t())
    else:
        product = _times_turned(input, weight, "MmBackward0", isinstance(weight, CsrTensor))
    return product if bias is None else renamed(aten.add(product, bias), "AddmmBackward0")


# ---- softmax ----


def softmax_along(input: CooTensor, dim: int, log: bool, name: str) -> CooTensor:
    """Return the softmax over the elements kept along ``dim``, or its logarithm."""
    dim, input = sparse_dimension(input, dim), input.coalesce()
    sparse = input.sparse_dim()
    if dim >= sparse:
        inner = (aten.log_softmax if log else aten.softmax)(input.elements, dim - sparse + 1)
        return renamed(input.like(inner), name)
    found, groups = np.unique(input.keys(skip=dim), return_inverse=True)
    groups = counted(groups.reshape(-1), input)
    return input.like(aten.sparse_softmax(input.elements, groups, len(found), log, name))

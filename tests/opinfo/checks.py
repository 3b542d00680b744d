"""The columns of the scoreboard: each runs one entry's samples in PyTorch and here."""

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import parity
import torch
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree

import facade
from opinfo import translate

# What their results' values are is not defined
_NO_VALUES = {
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    "resize_", "resize_as_",
}  # fmt: skip


# Their vectors' signs and phases are free: compared is what the samples say is definite
_UP_TO_PHASE = {"linalg.eig", "linalg.eigh", "linalg.svd", "pca_lowrank", "svd", "svd_lowrank"}

# They read one triangle of a matrix. What tangents count that differ in the other is not defined:
# PyTorch's own tests of derivatives make the matrix symmetric, or triangular, first
_HALF_READ = {
    "cholesky",
    "linalg.cholesky",
    "linalg.cholesky_ex",
    "linalg.eigh",
    "triangular_solve",
}

_WIDE = {
    torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float32: torch.float64,
    torch.complex32: torch.complex64, torch.complex64: torch.complex128,
}  # fmt: skip
_WIDEST = {False: np.float64, True: np.complex128}


class Unequal(AssertionError):
    """facade gave something else than PyTorch."""


class Rounded(Unequal):
    """... in floats, which may be rounding."""


class Nothing(Exception):
    """The column says nothing about the entry: PyTorch itself has no such thing."""


# ---- running ----


class Pair:
    """A sample's arguments in both libraries."""

    def __init__(self, sample) -> None:
        self.theirs = (sample.input, sample.args, sample.kwargs)
        self.ours = translate.values(self.theirs)
        self.process = sample.output_process_fn_grad

    def widened(self) -> "Pair":
        """Return the same with PyTorch's floats of twice the precision."""
        wide = copy.copy(self)
        wide.theirs = pytree.tree_map(_widened, self.theirs)
        return wide

    def leaves(self, module) -> list:
        """Return the tensors that require grad, in the arguments' order."""
        trees = self.theirs if module is torch else self.ours
        return [x for x in pytree.tree_leaves(trees) if _is_float_leaf(x)]


def _widened(x):
    kind = _WIDE.get(x.dtype if isinstance(x, torch.Tensor) else x) if _has_dtype(x) else None
    if kind is None:
        return x
    return x.detach().to(kind).requires_grad_(x.requires_grad) if _is_tensor(x) else kind


def _has_dtype(x) -> bool:
    return isinstance(x, torch.Tensor | torch.dtype)


def _is_tensor(x) -> bool:
    return isinstance(x, torch.Tensor)


def _is_float_leaf(x) -> bool:
    return isinstance(x, torch.Tensor | facade.Tensor) and x.requires_grad


def _samples(entry, dtype, grad: bool) -> Iterator:
    try:
        yield from entry.sample_inputs("cpu", dtype, requires_grad=grad)
    except NotImplementedError as error:
        raise Nothing(str(error)) from error


def _call(f, trees):
    first, args, kwargs = trees
    return f(first, *args, **kwargs)


def _reference(f: Callable, *args):
    """Return what PyTorch gives, or None if it refuses."""
    try:
        torch.manual_seed(0)
        return f(*args)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError):
        return None


def _run(entry, dtype, most: int, grad: bool, theirs: Callable, ours: Callable) -> int:
    """Compare ``theirs(pair)`` with ``ours(pair)`` on samples; return on how many."""
    count = 0
    for sample in itertools.islice(_samples(entry, dtype, grad), most):
        pair = Pair(sample)
        expected = _reference(theirs, pair)
        if expected is None:
            continue
        facade.manual_seed(0)
        result = ours(pair)
        try:
            equal(result, expected, values=entry.name not in _NO_VALUES)
        except Rounded:
            exact = _reference(theirs, pair.widened())
            if exact is None or not _no_further(result, expected, exact):
                raise
        count += 1
    if not count:
        raise Nothing("no samples")
    return count


# ---- comparing ----


def equal(ours, theirs, values: bool = True) -> None:
    """Raise unless two trees of results agree in kind, shape, dtype and values."""
    mine, others = pytree.tree_leaves(_lists(ours)), pytree.tree_leaves(_lists(theirs))
    if len(mine) != len(others):
        raise Unequal(f"{len(mine)} results instead of {len(others)}")
    for a, b in zip(mine, others, strict=True):
        if isinstance(b, torch.Tensor):
            _equal_tensors(a, b, values)
        elif isinstance(b, torch.dtype | torch.device):
            if repr(a) != repr(b):
                raise Unequal(f"{a!r} instead of {b!r}")
        elif isinstance(b, float | complex):
            _equal_arrays(np.asarray(a), np.asarray(b), "float64")
        elif a != b:
            raise Unequal(f"{a!r} instead of {b!r}")


def _lists(tree):
    """Return a tree with named tuples of either library as lists."""
    if isinstance(tree, tuple | list):
        return [_lists(x) for x in tree]
    return {k: _lists(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def _equal_tensors(a, b, values: bool) -> None:
    if not isinstance(a, facade.Tensor):
        raise Unequal(f"{type(a).__name__} instead of a tensor")
    if tuple(a.shape) != tuple(b.shape):
        raise Unequal(f"shape {tuple(a.shape)} instead of {tuple(b.shape)}")
    if repr(a.dtype) != repr(b.dtype):
        raise Unequal(f"{a.dtype} instead of {b.dtype}")
    if values:
        _equal_arrays(translate.numpy(a), translate.numpy(b), repr(b.dtype)[6:])


def _equal_arrays(a: np.ndarray, b: np.ndarray, dtype: str) -> None:
    """Compare by norm: an element of a sum is as far off as the terms that it is made of."""
    if dtype in ("bfloat16", "float16"):
        a, b = a.astype(np.float64), b.astype(np.float64)
    if b.dtype.kind not in "fc":
        if not np.array_equal(a, b):
            raise Unequal(f"{_first(a, b, a != b)}")
        return
    rtol, atol = parity.TOLERANCES[dtype]
    finite = np.isfinite(b)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        scale = np.abs(b[finite]).max(initial=0)
        near = finite & (np.abs(a - b) <= atol + rtol * scale)
    if not (same | near).all():
        raise Rounded(f"{_first(a, b, ~(same | near))}")


def _no_further(ours, theirs, exact) -> bool:
    """Return whether results are as near as PyTorch's to those of twice the precision."""
    trees = (pytree.tree_leaves(_lists(x)) for x in (ours, theirs, exact))
    for a, b, c in zip(*trees, strict=True):
        if not isinstance(b, torch.Tensor):
            continue
        a, b, c = (translate.numpy(x).astype(_WIDEST[x.dtype.is_complex]) for x in (a, b, c))
        if not np.isfinite([a, b, c]).all():
            return False
        rtol, atol = parity.TOLERANCES["float32"]
        bound = 2 * np.abs(b - c).max(initial=0) + atol + rtol * np.abs(c).max(initial=0)
        if np.abs(a - c).max(initial=0) > bound:
            return False
    return True


def _first(a: np.ndarray, b: np.ndarray, wrong: np.ndarray) -> str:
    at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    return f"{a[at]} instead of {b[at]} at {at}, {int(wrong.sum())} of {wrong.size} wrong"


# ---- the columns ----


def forward(entry, dtype, most) -> int:
    """Compare results."""
    call = translate.function(entry)
    return _run(
        entry, dtype, most, False,
        lambda pair: _definite(entry, pair.process, _call(entry.op, pair.theirs)),
        lambda pair: _definite(entry, translate.rebound(pair.process), _call(call, pair.ours)),
    )  # fmt: skip


def _definite(entry, process: Callable, results):
    """Return results without what is a free choice."""
    return process(results) if entry.name in _UP_TO_PHASE else results


def _outputs(pair: Pair, f, module) -> list:
    result = _call(f, pair.theirs if module is torch else pair.ours)
    process = pair.process if module is torch else translate.rebound(pair.process)
    leaves = pytree.tree_leaves(_lists(process(result)))
    return [x for x in leaves if _is_float_leaf(x)]


def _cotangents(module, outputs: list, grad: bool = False) -> list:
    """Return weights for the outputs, the same in both libraries."""
    made = []
    for i, x in enumerate(outputs):
        draw = np.random.default_rng(i).standard_normal((2, *x.shape))
        array = draw[0] + 1j * draw[1] if x.dtype.is_complex else draw[0]
        made.append(module.as_tensor(array).to(x.dtype).requires_grad_(grad))
    return made


def _first_gradients(pair: Pair, f, module, again: bool) -> tuple[list, list, list]:
    outputs, leaves = _outputs(pair, f, module), pair.leaves(module)
    if not outputs or not leaves:
        return [], [], []
    weights = _cotangents(module, outputs, again)
    grads = module.autograd.grad(outputs, leaves, weights, allow_unused=True, create_graph=again)
    return _filled(module, grads, leaves), leaves, weights


def _second_gradients(pair: Pair, f, module) -> list:
    grads, leaves, weights = _first_gradients(pair, f, module, True)
    outputs, inputs = [g for g in grads if g.requires_grad], [*leaves, *weights]
    if not outputs:
        return [module.zeros_like(x) for x in inputs]
    cotangents = _cotangents(module, grads)
    cotangents = [w for g, w in zip(grads, cotangents, strict=True) if g.requires_grad]
    again = module.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    return _filled(module, again, inputs)


def backward(entry, dtype, most) -> int:
    """Compare gradients."""
    _require(entry.supports_autograd)
    call = translate.function(entry)
    return _run(
        entry, dtype, most, True,
        lambda pair: _first_gradients(pair, entry.op, torch, False)[0],
        lambda pair: _first_gradients(pair, call, facade, False)[0],
    )  # fmt: skip


def double_backward(entry, dtype, most) -> int:
    """Compare gradients of gradients."""
    _require(entry.supports_autograd and entry.supports_gradgrad)
    call = translate.function(entry)
    return _run(
        entry, dtype, most, True,
        lambda pair: _second_gradients(pair, entry.op, torch),
        lambda pair: _second_gradients(pair, call, facade),
    )  # fmt: skip


def _filled(module, grads, like) -> list:
    """Return gradients with zeros for None: to say the one or the other is the same."""
    pairs = zip(grads, like, strict=True)
    return [module.zeros_like(x) if g is None else g for g, x in pairs]


def forward_mode(entry, dtype, most) -> int:
    """Compare tangents of results."""
    _require(entry.supports_forward_ad)
    op, call = entry.op, translate.function(entry)
    if entry.name in _HALF_READ:
        op = functools.partial(entry.gradcheck_wrapper, op)
        call = functools.partial(translate.rebound(entry.gradcheck_wrapper), call)
    return _run(
        entry, dtype, most, True,
        lambda pair: _tangents(pair, op, torch, forward_ad),
        lambda pair: _tangents(pair, call, facade, facade.autograd.forward_ad),
    )  # fmt: skip


def _tangents(pair: Pair, f, module, ad) -> list:
    trees = pair.theirs if module is torch else pair.ours
    leaves = pair.leaves(module)
    if not leaves:
        return []
    with ad.dual_level():
        given = iter(_cotangents(module, leaves))
        duals = pytree.tree_map(
            lambda x: ad.make_dual(x.detach(), next(given)) if _is_float_leaf(x) else x, trees
        )
        process = pair.process if module is torch else translate.rebound(pair.process)
        results = pytree.tree_leaves(_lists(process(_call(f, duals))))
        kind = torch.Tensor if module is torch else facade.Tensor
        results = [x for x in results if isinstance(x, kind)]
        tangents = [ad.unpack_dual(x).tangent for x in results]
    return _filled(module, tangents, [x.detach() for x in results])


def method(entry, dtype, most) -> int:
    """Compare the method's results."""
    _require(entry.method_variant is not None)
    call = translate.method(entry, entry.method_variant)
    return _run(
        entry, dtype, most, False,
        lambda pair: _definite(entry, pair.process, _call(entry.method_variant, pair.theirs)),
        lambda pair: _definite(entry, translate.rebound(pair.process), _call(call, pair.ours)),
    )  # fmt: skip


def in_place(entry, dtype, most) -> int:
    """Compare what is written into the first argument."""
    variant = entry.inplace_variant
    _require(variant is not None)
    call = translate.method(entry, variant)

    def run(f, trees):
        first, args, kwargs = trees
        written = first.clone()
        result = f(written, *args, **kwargs)
        return written, result is written

    return _run(
        entry, dtype, most, False, lambda p: run(variant, p.theirs), lambda p: run(call, p.ours)
    )


def out(entry, dtype, most) -> int:
    """Compare what is written into ``out=``."""
    _require(entry.supports_out)
    call = translate.function(entry)

    def run(f, trees, kind, process):
        results = _call(f, trees)
        places = pytree.tree_map(
            lambda x: x.detach().clone().fill_(0) if isinstance(x, kind) else x, _tuples(results)
        )
        first, args, kwargs = trees
        given = f(first, *args, **kwargs, out=places)
        same = zip(pytree.tree_leaves(_lists(given)), pytree.tree_leaves(places), strict=True)
        return _definite(entry, process, given), all(a is b for a, b in same)

    return _run(
        entry, dtype, most, False,
        lambda p: run(entry.op, p.theirs, torch.Tensor, p.process),
        lambda p: run(call, p.ours, facade.Tensor, translate.rebound(p.process)),
    )  # fmt: skip


def _tuples(tree):
    """Return a named tuple as a plain one."""
    return tuple(tree) if isinstance(tree, tuple) else tree


def error_inputs(entry, dtype, most) -> int:
    """Compare the class of what wrong calls raise."""
    return _errors(entry, most, lambda mine, theirs: type(mine).__name__ == type(theirs).__name__)


def error_texts(entry, dtype, most) -> int:
    """Compare the first line of what wrong calls say."""
    return _errors(entry, most, lambda mine, theirs: _line(mine) == _line(theirs))


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _errors(entry, most: int, agree: Callable) -> int:
    _require(entry.error_inputs_func is not None)
    call, count = translate.function(entry), 0
    for wrong in itertools.islice(entry.error_inputs("cpu"), most):
        pair = Pair(wrong.sample_input)
        theirs = _raised(entry.op, pair.theirs)
        if theirs is None:
            continue
        mine = _raised(call, pair.ours)
        if mine is None or not agree(mine, theirs):
            raise Unequal(f"{mine!r} instead of {theirs!r}")
        count += 1
    if not count:
        raise Nothing("no error inputs")
    return count


def _raised(f, trees) -> Exception | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _call(f, trees)
    except Exception as error:  # whatever a wrong call raises is what is compared
        return error
    return None


def _require(there_is: bool) -> None:
    if not there_is:
        raise Nothing("PyTorch has none")


COLUMNS: dict[str, Callable] = {
    "forward": forward,
    "backward": backward,
    "double backward": double_backward,
    "forward mode": forward_mode,
    "method": method,
    "in-place": in_place,
    "out=": out,
    "errors": error_inputs,
    "error texts": error_texts,
}

"""Autocast: which ops run in which dtype, and the casts that see to it."""

import threading
from collections.abc import Callable

from facade import dtypes
from facade.dtypes import bfloat16, float16, float32
from facade.graph import AccumulateGrad
from facade.ops.registry import OPS
from facade.recording import TensorBase, record
from facade.storage import View
from facade.tape import state

Operands = tuple
Rule = Callable[[str, Operands, tuple], Operands]

# Device types that PyTorch knows autocast for, and JAX's TPUs; what they cast to by default
DEFAULTS = {
    "cpu": bfloat16, "cuda": float16, "tpu": bfloat16, "xla": bfloat16, "hpu": bfloat16,
    "mtia": float16, "maia": float16, "xpu": float16, "ipu": float16, "mps": float16,
    "privateuseone": float16,
}  # fmt: skip


class _Settings(threading.local):
    """What each thread chose; which types are on is in :data:`facade.tape.state`, read by each op.

    Attributes:
        dtypes: What a device type casts to.
        nesting: How many regions this is in.
        caching: Whether a parameter's cast is kept until the outermost region ends.
        kept: ``(id(parameter), dtype) -> (parameter, cast)``.
    """

    def __init__(self) -> None:
        self.dtypes = dict(DEFAULTS)
        self.nesting = 0
        self.caching = True
        self.kept: dict = {}


settings = _Settings()
# The threads that have autocast on. Listed ops look here: a tenth of the price of thread state.
switched_on: set[int] = set()


def switch(device_types: frozenset[str]) -> None:
    """Set the device types that this thread has autocast on for."""
    state.autocast = device_types
    (switched_on.add if device_types else switched_on.discard)(threading.get_ident())


def arguments(name: str, *operands, static: tuple = ()) -> Operands:
    """Return the operands of a listed function, cast as this thread's autocast regions say."""
    return casted(name, operands, static) if switched_on else operands


def casted(name: str, operands: Operands, static: tuple) -> Operands:
    """Return the operands of a listed op, cast as this thread's autocast regions say.

    Args:
        operands: Tensors, numbers or None; what is no floating tensor of the region's device, or
            is float64, stays what it is.
        static: The op's static arguments in order; some rules depend on them.
    """
    for x in operands:
        if isinstance(x, TensorBase):
            kind = x._cell.device.type
            if kind in state.autocast:
                rule = RULES["cpu" if kind == "cpu" else "cuda"].get(name)
                return rule(kind, operands, static) if rule else operands
    return operands


def without_autocast(call: Callable) -> Callable:
    """Return ``call`` as it is outside every autocast region."""

    def function(*args, **kwargs):
        was, state.autocast = state.autocast, frozenset()
        try:
            return call(*args, **kwargs)
        finally:
            state.autocast = was

    return function


# ---- rules: (device type, operands, static arguments) -> operands --------------------------------


def _lower(kind: str, operands: Operands, static: tuple) -> Operands:
    """Cast to the region's dtype."""
    return _all_to(settings.dtypes[kind], kind, operands)


def _float32(kind: str, operands: Operands, static: tuple) -> Operands:
    return _all_to(float32, kind, operands)


def _float32_result(kind: str, operands: Operands, static: tuple) -> Operands:
    """Cast to float32 unless the last static argument, the result's dtype, is given."""
    return operands if static[-1] is not None else _all_to(float32, kind, operands)


def _widest(kind: str, operands: Operands, static: tuple) -> Operands:
    """Cast operands of several dtypes to float32.

    Raises:
        RuntimeError: none of them is float32.
    """
    found = {x._aval.dtype for x in operands if _eligible(x, kind)}
    if len(found) < 2:
        return operands
    if float32 not in found:
        raise RuntimeError("Unexpected floating ScalarType in at::autocast::prioritize")
    return _all_to(float32, kind, operands)


def _like_hidden(kind: str, operands: Operands, static: tuple) -> Operands:
    """Cast to the dtype of the hidden state, or of the input if there is none.

    PyTorch multiplies in the region's dtype and adds to the hidden state in its own.
    """
    wanted = operands[0] if operands[1] is None else operands[1]
    return _all_to(wanted._aval.dtype, kind, operands)


def _banned(kind: str, operands: Operands, static: tuple) -> Operands:
    raise RuntimeError(
        "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n"
        "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
        "In this case, combine the two layers using "
        "torch.nn.functional.binary_cross_entropy_with_logits\n"
        "or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\n"
        "safe to autocast."
    )


def _only(condition: Callable[[tuple], bool], rule: Rule) -> Rule:
    """Return the rule of an op that PyTorch lists for some of its static arguments."""
    return lambda kind, operands, static: (
        rule(kind, operands, static) if condition(static) else operands
    )


def _eligible(x, kind: str) -> bool:
    if not isinstance(x, TensorBase):
        return False
    d = x._aval.dtype
    return d.is_floating_point and d is not dtypes.float64 and x._cell.device.type == kind


def _all_to(wanted: dtypes.dtype, kind: str, operands: Operands) -> Operands:
    return tuple([
        _cast(x, wanted) if _eligible(x, kind) and x._aval.dtype is not wanted else x
        for x in operands
    ])  # fmt: skip


def _cast(x, wanted: dtypes.dtype):
    """Return a tensor with another dtype; a parameter's cast is made once per region."""
    if not _keeps_cast(x, wanted):
        return record(OPS["_to_copy"], (x,), (wanted,))
    key = id(x), wanted
    found = settings.kept.get(key)
    if found is None:
        found = settings.kept[key] = (x, record(OPS["_to_copy"], (x,), (wanted,)))
    return found[1]


def _keeps_cast(x, wanted: dtypes.dtype) -> bool:
    return (
        type(x._node) is AccumulateGrad
        and x._aval.dtype is float32
        and wanted is not float32
        and type(x._cell) is not View
        and settings.caching
        and state.grad
    )


# ---- the lists -----------------------------------------------------------------------------------


def _table(*rows: tuple[Rule, str]) -> dict[str, Rule]:
    return {name: rule for rule, words in rows for name in words.split()}


# Names of ops, and of functions that ask for their arguments' casts themselves.
RULES: dict[str, dict[str, Rule]] = {
    "cpu": _table(
        (_lower, """
            addbmm addmm baddbmm bmm chain_matmul conv_tbc convolution inner linear lstm_layer
            matmul mm prelu rnn_cell rnn_layer scaled_dot_product_attention attention_weights
            tensordot vecdot
        """),
        (_like_hidden, "gru_cell gru_layer lstm_cell"),
        (_float32, """
            _cdist _fft_c2c _fft_c2r _fft_r2c binary_cross_entropy binary_cross_entropy_with_logits
            cholesky cholesky_inverse cholesky_solve cosine_embedding_loss cross_entropy ctc_loss
            fractional_max_pool geqrf grid_sampler hinge_embedding_loss huber_loss kl_div l1_loss
            linalg_cholesky_ex linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh
            linalg_householder_product linalg_inv_ex linalg_lstsq linalg_matrix_rank linalg_pinv
            linalg_qr linalg_solve_ex linalg_svd linalg_svdvals lu_solve margin_ranking_loss
            max_unpool
            mse_loss multi_margin_loss multilabel_margin_loss nll_loss ormqr poisson_nll_loss polar
            quantile smooth_l1_loss soft_margin_loss trace triplet_margin_loss view_as_complex
        """),
        (_float32_result, "prod"),
        (_widest, "cat index_copy stack"),
    ) | {
        "adaptive_avg_pool": _only(lambda static: len(static[0]) == 3, _float32),
        "adaptive_max_pool": _only(lambda static: len(static[0]) == 3, _float32),
        "avg_pool": _only(lambda static: static[-1] == 3, _float32),
        "max_pool": _only(lambda static: static[-2] == 3, _float32),
        "torch.einsum": _only(lambda static: _contracts(*static), _lower),
        "pad_around": _only(
            lambda static: static[1] == "replicate"
            or (static[1] == "reflect" and len(static[0]) <= 4),
            _float32,
        ),
    },
    "cuda": _table(
        (_lower, """
            addbmm addmm addmv addr attention_weights baddbmm bmm chain_matmul conv_tbc convolution
            gru_cell gru_layer linear lstm_cell lstm_layer matmul mm mv prelu rnn_cell rnn_layer
            scaled_dot_product_attention torch.einsum vecdot
        """),
        (_float32, """
            _cdist acos asin binary_cross_entropy_with_logits cosh cosine_embedding_loss
            cosine_similarity dist erfinv exp expm1 group_norm hinge_embedding_loss huber_loss
            kl_div l1_loss layer_norm log log10 log1p log2 logsumexp margin_ranking_loss mse_loss
            multi_margin_loss multilabel_margin_loss nll_loss pairwise_distance pdist
            poisson_nll_loss pow pow_scalar rdiv reciprocal renorm rms_norm rsqrt sinh
            smooth_l1_loss soft_margin_loss softplus tan triplet_margin_loss upsample
        """),
        (_float32_result, """
            cumprod cumsum linalg_vector_norm log_softmax prod softmax sum
        """),
        (_widest, """
            addcdiv addcmul atan2 bilinear dot grid_sampler index_put inner linalg_cross
            scatter_add tensordot vdot
        """),
        (_banned, "binary_cross_entropy"),
    ),
}  # fmt: skip

LISTED = frozenset(RULES["cpu"]) | frozenset(RULES["cuda"])


def _contracts(equation: str, operands: int) -> bool:
    """Return whether several operands are multiplied and summed, which is a matrix product."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    labels = [c for c in terms if c.isalpha()]
    summed = set(labels) - set(result) if arrow else {c for c in labels if labels.count(c) > 1}
    return operands > 1 and bool(summed)

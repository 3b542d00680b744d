"""What ``out=`` takes: whether a result may be written into a tensor, and writing it."""

import warnings
from typing import Any

from facade.devices import device
from facade.dtypes import C_NAMES, SCALAR_NAMES, can_cast, uint8
from facade.tape import state

_SAME = "Expected out tensor to have dtype {c_wanted}, but got {c_found} instead"
_FOUND = "Found dtype {found} but expected {wanted}"
_SCALAR_TYPE = "expected scalar_type {wanted} but found {found}"
_OBJECT = "Expected object of scalar type {wanted} but got scalar type {found} for argument 'out'"
_MATCH = (
    "Expected the dtype for input and out to match, but got {wanted} for input's dtype and "
    "{found} for out's dtype."
)
_PRODUCT = "result dtype {found} does not match input dtype {wanted}"
_TENSORDOT = (
    "tensordot: Expected the output tensor to have dtype {wanted}, but got an output tensor with "
    "dtype {found}"
)

_QUANTILE = "quantile() out tensor must be same dtype as the input tensor"


def _for_each(names: str, text: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), text)


# What PyTorch says where nothing but the result's own dtype will do; others are cast to
_EXACT = {
    **_for_each(
        "addmm addmv aminmax argmax argmin baddbmm bmm cross diag gather index_add index_copy "
        "index_reduce isin log_softmax matmul max.dim min.dim mm msort norm renorm scatter "
        "scatter_add scatter_reduce softmax sort take_along_dim topk triangular_solve tril triu",
        _SAME,
    ),
    **_for_each("abs bitwise_not ceil conj_physical floor frac neg round sgn sign trunc", _FOUND),
    **_for_each("cummax cummin diff logcumsumexp", _SCALAR_TYPE),
    **_for_each("amax amin", _MATCH),
    **_for_each("complex polar", _OBJECT),
    **_for_each("dot vdot", _PRODUCT),
    **_for_each("inner tensordot", _TENSORDOT),
    **_for_each("nanquantile quantile", _QUANTILE),
    **_for_each("isneginf isposinf signbit", "{name} does not support non-boolean outputs."),
    **_for_each("all any", "{name} only supports bool tensor for result, got: {found}"),
    "addbmm": "self and mat2 must have the same dtype, but got {found} and {wanted}",
    "float_power": (
        "the output given to float_power has dtype {found} but the operation's result requires "
        "dtype {wanted}"
    ),
    "frexp": "torch.frexp() expects mantissa to have dtype {c_wanted} but got {c_found}",
    "hash_tensor": "Expected result to be of dtype uint64, but got {found}",
    "heaviside": "heaviside is not yet implemented for tensors with different dtypes.",
    "index_select": "index_select(): self and result must have the same scalar type",
    "kthvalue": "output values must be of same type as input",
    "masked_select": "masked_select(): self and result must have the same scalar type",
    "mode": "expected scalar type '{wanted}' but got '{found}' for values output",
    "multinomial": "multinomial expects Long tensor out, got: {found}",
    "mv": "addmv input tensors must have the same dtype, but got {found}, {wanted}, and {wanted}",
    "nan_to_num": "nan_to_num: dtype of out: {found} should be same as input: {wanted}",
    "nonzero": "nonzero: Expected out tensor to have scalar type Long but got scalar type{found}",
    "take": (
        "take(): self and out expected to have the same dtype, but got self.dtype = {wanted} and "
        "out.dtype = {found}"
    ),
    "where": "Expected out type to be {wanted} but got {found}",
}

# ... and where a result can't be cast, if it is not said as elsewhere
_UNCASTABLE = {
    "ldexp": "ldexp can't be cast to the desired output type {found}",
    "logsumexp": "logsumexp(): Expected floating point type for result tensor, but got: {found}",
    "mean": "mean.dtype_out(): input types can't be cast to the desired output type {found}",
}


def check_out(name: str, out: Any, dtype, where) -> None:
    """Check ``out=`` of a creation function.

    Raises:
        RuntimeError: another dtype or device is asked for, or ``out`` requires grad.
    """
    if dtype is not None and dtype is not out.dtype:
        raise RuntimeError(
            f"dtype {SCALAR_NAMES[dtype]} does not match dtype of out parameter "
            f"({SCALAR_NAMES[out.dtype]})"
        )
    if where is not None and device(where).type != out.device.type:
        raise RuntimeError(
            f"device type {device(where).type} does not match device type of out parameter "
            f"({out.device.type})"
        )
    if state.grad and out.requires_grad:
        raise RuntimeError(
            f"aten::{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )


def write_out(name: str, out: Any, result: Any) -> Any:
    """Write a result into ``out``, resizing it as PyTorch does.

    Raises:
        RuntimeError: the dtype doesn't fit, or autograd is asked to go through.
    """
    if isinstance(result, tuple):
        own = f"{name}.dim" if f"{name}.dim" in _EXACT else name
        for o, r in zip(out, result, strict=True):
            write_out(own, o, r)
        return type(result)(*out) if type(result) is not tuple else tuple(out)
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    if out.dtype is not result.dtype:
        _check_dtype(name, result.dtype, out.dtype)
    if out.shape == result.shape:
        return out.write(result)
    if out.numel():
        _warn_of_resizing(list(out.shape), list(result.shape))
    out.data = result.to(out.dtype)
    return out


def _check_dtype(name: str, wanted, found) -> None:
    text = _EXACT.get(name)
    if name in ("all", "any") and found is uint8:
        return
    if text is None:
        if can_cast(wanted, found):
            return
        text = _UNCASTABLE.get(
            name, "result type {wanted} can't be cast to the desired output type {found}"
        )
    raise RuntimeError(
        text.format(
            name=name, wanted=SCALAR_NAMES[wanted], found=SCALAR_NAMES[found],
            c_wanted=C_NAMES[wanted], c_found=C_NAMES[found],
        )
    )  # fmt: skip


def _warn_of_resizing(old: list[int], new: list[int]) -> None:
    warnings.warn(
        f"An output with one or more elements was resized since it had shape {old}, which does "
        f"not match the required output shape {new}. This behavior is deprecated, and in a future "
        "PyTorch release outputs will not be resized unless they have zero elements. You can "
        "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
        "t.resize_(0).",
        stacklevel=4,
    )

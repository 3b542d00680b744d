"""What an entry of PyTorch's operator database is here: its function, and its samples."""

import dataclasses
import functools
import operator
import types

import ml_dtypes
import numpy as np
import torch
from torch.testing._internal.opinfo.core import OpInfo
from torch.utils import _pytree as pytree

import facade


class Missing(Exception):
    """facade has no such function."""


def function(entry):
    """Return what ``entry.op`` is here.

    Raises:
        Missing: there is none.
    """
    if entry.name.startswith("__") and hasattr(operator, entry.name):
        return _found(facade.Tensor, entry.name)
    if isinstance(entry.op, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return _found(facade.ops, str(entry.op))
    if isinstance(entry.op, types.FunctionType) and _is_local(entry.op):
        return rebound(entry.op)
    found = functools.reduce(lambda x, name: getattr(x, name, None), entry.name.split("."), facade)
    if callable(found):
        return found
    return _found(facade if "." in entry.name else facade.Tensor, entry.name)


def method(entry, variant):
    """Return the method that ``variant``, one of PyTorch's, is here."""
    if isinstance(variant, functools.partial):
        return rebound(variant)
    if isinstance(variant, types.FunctionType) and _is_local(variant):
        return rebound(variant)
    return _found(facade.Tensor, variant.__name__)


def _is_local(f: types.FunctionType) -> bool:
    return f.__name__ == "<lambda>" or f.__module__.startswith("torch.testing")


def _found(place, name: str):
    try:
        return functools.reduce(getattr, name.split("."), place)
    except (AttributeError, NotImplementedError) as error:
        raise Missing(str(error)) from error


def rebound(f):
    """Return a function of the database's own file with ``torch`` meaning facade in it."""
    if isinstance(f, functools.partial):
        return functools.partial(rebound(f.func), *f.args, **f.keywords)
    if not isinstance(f, types.FunctionType) or f.__module__ == "torch.nn.functional":
        return _same_named(f)
    names = {
        **f.__globals__, "torch": facade, "F": facade.nn.functional,
        "wrapper_set_seed": _with_seed, "GRADCHECK_NONDET_TOL": 0,
    }  # fmt: skip
    cells = tuple(types.CellType(_inside(c.cell_contents)) for c in f.__closure__ or ())
    copy = types.FunctionType(f.__code__, names, f.__name__, f.__defaults__, cells)
    copy.__kwdefaults__ = f.__kwdefaults__
    return copy


def _inside(x):
    if isinstance(x, OpInfo):  # an entry of the database, which samples ask for its name
        return x
    return rebound(x) if callable(x) and not isinstance(x, type) else value(x)


def _same_named(f):
    """Return what a function of ``torch`` itself is here."""
    for theirs, ours in (
        (torch, facade), (torch.Tensor, facade.Tensor), (torch.linalg, facade.linalg),
        (torch.nn.functional, facade.nn.functional), (torch.special, facade.special),
    ):  # fmt: skip
        if getattr(theirs, f.__name__, None) is f:
            return _found(ours, f.__name__)
    return f


def _with_seed(f, *args, **kwargs):
    facade.manual_seed(42)
    return f(*args, **kwargs)


def value(x, storages: dict | None = None):
    """Return an argument as facade has it: a tensor, dtype, device, layout, or what it is."""
    if isinstance(x, torch.Tensor):
        return tensor(x, {} if storages is None else storages)
    if isinstance(x, torch.dtype | torch.memory_format | torch.layout):
        return getattr(facade, str(x).removeprefix("torch."))
    if isinstance(x, torch.device):
        return facade.device(str(x))
    if isinstance(x, torch.Size):
        return facade.Size(x)
    if isinstance(x, torch.nn.Module):  # what has no parameters, as it is by default
        return _found(facade.nn, type(x).__name__)()
    if dataclasses.is_dataclass(x) and type(x).__module__.startswith("torch."):
        return _found(facade.nn, type(x).__name__)(
            **{f.name: value(getattr(x, f.name)) for f in dataclasses.fields(x)}
        )
    return x


def values(tree):
    """Return a tree of arguments as facade has them; what shares memory shares it here, too."""
    storages: dict = {}
    known: dict = {}  # the same object is the same here, too

    def once(x):
        if id(x) not in known:
            known[id(x)] = x, value(x, storages)
        return known[id(x)][1]

    return pytree.tree_map(once, tree)


def tensor(x: torch.Tensor, storages: dict) -> "facade.Tensor":
    """Return an equal leaf, with the same strides.

    Args:
        storages: Those that exist here already: ``(address, dtype)`` -> all their elements.
    """
    if x.layout is torch.sparse_csr and x.ndim == 2:
        parts = (x.crow_indices(), x.col_indices(), x.values())
        starts, columns, elements = (tensor(part.detach(), storages) for part in parts)
        shape, grad = tuple(x.shape), x.requires_grad
        return facade.sparse_csr_tensor(starts, columns, elements, shape, requires_grad=grad)
    if x.layout is not torch.strided:
        raise Missing(f"{x.layout} tensors")
    if x.is_meta:
        return facade.empty_strided(x.shape, x.stride(), dtype=value(x.dtype), device="meta")
    plain = x.detach().resolve_conj().resolve_neg()
    count = plain.untyped_storage().nbytes() // plain.element_size()
    key = (plain.untyped_storage().data_ptr(), plain.dtype)
    made = storages.get(key)
    if made is None:
        whole = torch.as_strided(plain, (count,), (1,), 0)
        made = facade.as_tensor(numpy(whole.clone()))  # numpy() forbids that PyTorch resizes
        if count:
            storages[key] = made
    if not plain.is_contiguous() or plain.storage_offset() or count != plain.numel():
        made = made.as_strided(plain.shape, plain.stride(), plain.storage_offset()).detach()
    else:
        made = made.reshape(tuple(plain.shape))
    return made.requires_grad_() if x.requires_grad else made


def numpy(x) -> np.ndarray:
    """Return the values of a tensor of either library."""
    x = x.detach().cpu()
    if str(x.layout) != "torch.strided":
        x = x.to_dense()
    x = x.resolve_conj().resolve_neg()
    if isinstance(x, torch.Tensor) and x._is_zerotensor():
        x = x.clone()
    if x.dtype is torch.bfloat16:
        return x.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if x.dtype is facade.bfloat16:
        return np.asarray(x.float().numpy())
    return x.numpy()

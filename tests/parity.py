"""The same code under PyTorch and facade, compared in everything a user can see."""

import numpy as np
import torch

import facade

# Relative and absolute tolerance per dtype: a few roundings of the type at hand. One table for all.
TOLERANCES = {
    "float64": (1e-12, 1e-12),
    "complex128": (1e-12, 1e-12),
    "float32": (2e-5, 1e-6),
    "complex64": (2e-5, 1e-6),
    "float16": (2e-3, 1e-3),
    "bfloat16": (1.6e-2, 1e-2),
}


class Cases(dict):
    """Functions of a library, by name. Called as a decorator, this adds one."""

    def __call__(self, function):
        self[function.__name__] = function
        return function


def leaf(module, *values, **kwargs):
    """Return a tensor of these values that requires grad."""
    return module.tensor(values, requires_grad=True, **kwargs)


def both(code):
    """Run ``code(torch)`` and ``code(facade)``; their results or their exceptions must agree."""
    theirs, ours = outcome(code, torch), outcome(code, facade)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert_same_error(ours, theirs)
    else:
        assert_same(ours, theirs)


def outcome(code, module):
    """Return what ``code(module)`` returns, or the exception it raises, from seed 0."""
    module.manual_seed(0)
    try:
        return code(module)
    except Exception as error:
        return error


def assert_same_error(ours, theirs):
    """Compare class and the text a user reads (PyTorch appends C++ traces after a blank line)."""
    if not isinstance(theirs, Exception):
        raise AssertionError(f"facade raised, PyTorch did not: {ours!r}") from ours
    assert isinstance(ours, Exception), f"PyTorch raised {theirs!r}, facade gave {ours!r}"
    same = type(ours).__name__ == type(theirs).__name__
    first = [str(e).split("\nException raised from")[0].strip() for e in (ours, theirs)]
    if not same or first[0] != first[1]:
        raise AssertionError(
            f"\nours:   {type(ours).__name__}: {first[0]}"
            f"\ntheirs: {type(theirs).__name__}: {first[1]}"
        ) from ours


def assert_same(ours, theirs, tolerance=None):
    """Compare two results: tensors, numbers, strings, or containers of them."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, facade.Tensor), f"not a tensor: {ours!r}"
        assert_same_tensor(ours, theirs, tolerance)
    elif isinstance(theirs, torch.Size):
        assert isinstance(ours, facade.Size)
        assert tuple(ours) == tuple(theirs)
    elif isinstance(theirs, torch.dtype | torch.device | torch.layout):
        assert repr(ours) == repr(theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key], tolerance)
    elif isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, tolerance)
    elif isinstance(theirs, float | complex):
        assert type(ours) is type(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    elif isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    else:
        assert ours == theirs, f"{ours!r} is not {theirs!r}"


def assert_same_tensor(ours, theirs, tolerance=None):
    """Compare shape, dtype, strides, requires_grad, grad_fn's name and the values."""
    if theirs.is_nested:
        assert repr(ours) == repr(theirs), f"{ours!r} is not {theirs!r}"
        return assert_same(ours.unbind(), theirs.unbind(), tolerance)
    assert tuple(ours.shape) == tuple(theirs.shape), f"{ours.shape} is not {theirs.shape}"
    assert repr(ours.dtype) == repr(theirs.dtype), f"{ours.dtype} is not {theirs.dtype}"
    assert ours.requires_grad == theirs.requires_grad
    assert ours.is_leaf == theirs.is_leaf
    names = [t.grad_fn and t.grad_fn.name() for t in (ours, theirs)]
    assert names[0] == names[1], f"grad_fn {names[0]} is not {names[1]}"
    if theirs.layout == torch.strided and theirs.numel() > 1:
        assert ours.stride() == theirs.stride(), f"stride {ours.stride()} is not {theirs.stride()}"
    if theirs.layout != torch.strided or theirs.is_quantized:
        assert repr(ours) == repr(theirs), f"{ours!r} is not {theirs!r}"
        ours, theirs = dense(ours), dense(theirs)
    rtol, atol = tolerance or TOLERANCES.get(repr(theirs.dtype)[6:], (0, 0))
    np.testing.assert_allclose(
        to_numpy(ours.detach()), to_numpy(theirs.detach()), rtol=rtol, atol=atol, equal_nan=True
    )


def dense(tensor):
    """A sparse or quantized tensor's values, in strides."""
    return tensor.dequantize() if tensor.is_quantized else tensor.to_dense()


def to_numpy(tensor):
    """Values as numpy, the small floats widened (numpy has no bfloat16)."""
    if repr(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
        tensor = tensor.float()
    return np.asarray(tensor.resolve_conj().numpy())


def grads(function, *inputs):
    """Return ``function(*inputs)`` and the gradients of its weighted sum at the inputs.

    ``inputs`` require grad already; the weights vary by element, so that a gradient put at the
    wrong place shows.
    """
    result = function(*inputs)
    module = torch if isinstance(result, torch.Tensor) else facade
    weights = module.arange(1, result.numel() + 1, dtype=result.dtype).reshape(result.shape)
    (result * weights).sum().backward()
    return result, [x.grad for x in inputs]

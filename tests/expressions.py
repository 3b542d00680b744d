"""Tables of expressions: each is run under both libraries, with its gradients at the same tensors.

A line is an expression, or statements separated by ``;`` and at the end an expression.
"""

import warnings

import numpy as np
import torch
from parity import both

from facade import aten, layouts, linalg

LEAVES = "xmvscbwpAR"


def lines(text):
    """Return the lines of a table, without empty ones and comments."""
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def check(line):
    """Run a line under both libraries and compare everything a user can see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both(lambda module: run(line, names(module)))


def run(line, scope):
    """Return the line's value and the gradients of its weighted sum at every leaf."""
    *statements, expression = line.split(";")
    for statement in statements:
        exec(statement.strip(), scope)
    result = eval(expression.strip(), scope)
    module = scope["torch"]
    total = 0
    for part in result if isinstance(result, list | tuple) else [result]:
        if isinstance(part, module.Tensor) and part.requires_grad:
            real = module.view_as_real(part.resolve_conj()) if part.is_complex() else part
            weights = module.arange(1, real.numel() + 1, dtype=real.dtype).reshape(real.shape)
            total = total + (real * weights).sum()
    if isinstance(total, int):
        return result, []
    total.backward()
    return result, [scope[name].grad for name in LEAVES]


def names(module):
    """Return the tensors that the tables use: small, the same numbers in both libraries."""
    rng = np.random.default_rng(0)

    def random(*shape):
        return module.tensor(rng.standard_normal(shape).astype("float32").tolist())

    formats = torch if module is torch else layouts
    scope = {"torch": module, "np": np, "random": random, "formats": formats}
    scope["linear"] = torch.nn.functional.linear if module is torch else aten.linear
    for name, shape in {
        "x": (2, 3, 4), "m": (3, 4), "v": (4,), "s": (), "b": (2, 4, 5), "w": (5, 4), "p": (5,),
    }.items():  # fmt: skip
        scope[name] = random(*shape).requires_grad_()
    scope["A"] = module.tensor([[4.0, 1, 2], [1, 5, 3], [2, 3, 6]], requires_grad=True)
    scope["R"] = random(3, 2).requires_grad_()
    scope["la"] = torch.linalg if module is torch else linalg
    parts = rng.standard_normal((2, 3, 4)).astype("float32")
    scope["c"] = module.tensor(parts[0] + 1j * parts[1]).requires_grad_()
    scope |= {
        "T": scope["x"].transpose(0, 2),  # strides (1, 4, 12)
        "L": random(2, 3, 4, 5).contiguous(memory_format=formats.channels_last),
        "i": module.tensor([0, 2]),
        "j": module.tensor([[0, 1], [1, 0]]),
        "k": module.tensor(rng.integers(0, 2, (2, 3, 4))),
        "mask": module.tensor((parts[0] > 0).tolist()),
        "row": module.tensor([True, False, True]),
        "zeros": module.zeros,
        "long": lambda *shape: module.tensor(np.zeros(shape, np.int64)),
    }
    return scope

"""Tables of expressions: each is run under both libraries, with its gradients at the same tensors.

A line is an expression, or statements separated by ``;`` and at the end an expression.
"""

import warnings
from functools import partial

import numpy as np
import torch
from parity import assert_same, assert_same_error, outcome

import facade
from facade import aten, layouts, linalg

LEAVES = "xmvscbwpAR"


def groups(text, size=20):
    """Return the lines of a table, without empty ones and comments, in groups.

    A group is computed in one program, which is most of the time that a table takes.
    """
    stripped = (line.strip() for line in text.splitlines())
    kept = [line for line in stripped if line and not line.startswith("#")]
    return [kept[i : i + size] for i in range(0, len(kept), size)]


def check(group):
    """Run lines under both libraries and compare everything a user can see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [outcome(partial(run, line), torch) for line in group]
        ours = [outcome(partial(run, line), facade) for line in group]
        for line, a, b in zip(group, ours, theirs, strict=True):
            try:
                failed = isinstance(a, Exception) or isinstance(b, Exception)
                (assert_same_error if failed else assert_same)(a, b)
            except AssertionError as error:
                error.add_note(f"in the line: {line}")
                raise


def run(line, module):
    """Return the line's value and the gradients of its weighted sum at every leaf."""
    scope = names(module)
    *statements, expression = line.split(";")
    for statement in statements:
        exec(statement.strip(), scope)
    result = eval(expression.strip(), scope)
    total = 0
    for part in result if isinstance(result, list | tuple) else [result]:
        if isinstance(part, module.Tensor) and part.requires_grad:
            real = module.view_as_real(part.resolve_conj()) if part.is_complex() else part
            weights = np.arange(1.0, real.numel() + 1).reshape(tuple(real.shape))
            total = total + (real * module.tensor(weights, dtype=real.dtype)).sum()
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

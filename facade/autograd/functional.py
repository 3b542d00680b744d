"""torch.autograd.functional: Jacobians, Hessians and their products with vectors."""

from typing import Any

from facade import aten
from facade.autograd.derivatives import grad
from facade.autograd.function import zeros as zeros_of
from facade.autograd.grad_mode import enable_grad, set_grad_enabled
from facade.tape import state
from facade.tensor import Tensor


def vjp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """Return ``func(*inputs)`` and ``v`` times its Jacobian.

    Args:
        inputs: A tensor, or a tuple of tensors; the product is of the same kind.
        v: Of the shapes of the results; may be left out for a result of one element.
        create_graph: Make results and product differentiable.
        strict: Raise where a result is independent of an input.
    Raises:
        RuntimeError: ``v`` doesn't fit, or as ``strict`` says.
    """
    with enable_grad():
        many, inputs = _tuple(inputs, "inputs", "vjp")
        inputs = _taken(inputs, create_graph, True)
        many_out, outputs = _tuple(func(*inputs), _RESULTS, "vjp")
        _check(outputs, "outputs", strict)
        if v is not None:
            v = _taken(_tuple(v, "v", "vjp")[1], create_graph, False)
            _check_fit(v, outputs, many_out)
        elif len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single "
                "Tensor with a single element."
            )
    with set_grad_enabled(create_graph or state.grad):
        found = _gradients(outputs, inputs, v, create_graph)
        product = _filled(found, inputs, strict, create_graph, "back")
    return _given(outputs, many_out, create_graph), _given(product, many, create_graph)


def jvp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """Return ``func(*inputs)`` and its Jacobian times ``v``; as :func:`vjp`.

    The product is the gradient, by the cotangents, of the gradients.
    """
    with enable_grad():
        many, inputs = _tuple(inputs, "inputs", "jvp")
        inputs = _taken(inputs, create_graph, True)
        if v is not None:
            v = _taken(_tuple(v, "v", "jvp")[1], create_graph, False)
            _check_fit(v, inputs, many)
        elif len(inputs) != 1 or inputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a "
                "single Tensor with a single element."
            )
        many_out, outputs = _tuple(func(*inputs), _RESULTS, "jvp")
        _check(outputs, "outputs", strict)
        cotangents = tuple(_zeros_like(x).requires_grad_() for x in outputs)
        pulled = _gradients(outputs, inputs, cotangents, create_graph=True)
        _check(pulled, "grad_inputs", strict)
    with set_grad_enabled(create_graph or state.grad):
        found = _gradients(pulled, cotangents, v, create_graph)
        product = _filled(found, outputs, strict, create_graph, "back_trick")
    return _given(outputs, many_out, create_graph), _given(product, many_out, create_graph)


def jacobian(
    func,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
):
    """Return the Jacobian of ``func`` at ``inputs``.

    Args:
        vectorize, strategy: As in PyTorch; the rows are computed in one program in any case.
    Returns:
        A tensor of the result's shape followed by the input's; a tuple of them for a tuple of
        inputs, and of results.
    Raises:
        RuntimeError: as ``strict`` says.
    """
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        _check_forward(create_graph, strict, vectorize)
    with enable_grad():
        many, inputs = _tuple(inputs, "inputs", "jacobian")
        inputs = _taken(inputs, create_graph, True)
        many_out, outputs = _tuple(func(*inputs), _RESULTS, "jacobian")
        _check(outputs, "outputs", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
                "supported together. Please either set `strict=False` or `vectorize=False`."
            )
        blocks = [_rows(i, out, inputs, create_graph, strict) for i, out in enumerate(outputs)]
    if not create_graph:
        blocks = [tuple(b.detach() for b in row) for row in blocks]
    rows = tuple(row if many else row[0] for row in blocks)
    return rows if many_out else rows[0]


def _check_forward(create_graph: bool, strict: bool, vectorize: bool) -> None:
    for name, given in (("create_graph", create_graph), ("strict", strict)):
        if given:
            kind = NotImplementedError if name == "create_graph" else RuntimeError
            raise kind(
                f"torch.autograd.functional.jacobian: `{name}=True` and `strategy="
                f'"forward-mode"` are not supported together (yet). Please either set '
                f'`{name}=False` or `strategy="reverse-mode"`.'
            )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is"
            "only implemented for `vectorize=True`."
        )


def _rows(number: int, out: Tensor, inputs: tuple, create_graph: bool, strict: bool) -> tuple:
    """Return the Jacobian of one result by each input."""
    rows: list[list] = [[] for _ in inputs]
    for j in range(out.numel()):
        found = _gradients((out.reshape(-1)[j],), inputs, None, create_graph, retain_graph=True)
        for i, (row, g, x) in enumerate(zip(rows, found, inputs, strict=True)):
            if g is None and strict:
                raise RuntimeError(
                    f"Output {number} of the user-provided function is independent of input {i}. "
                    "This is not allowed in strict mode."
                )
            if g is not None and strict and create_graph and not g.requires_grad:
                raise RuntimeError(
                    "The jacobian of the user-provided function is independent of input "
                    f"{number}. This is not allowed in strict mode when create_graph=True."
                )
            row.append(_zeros_like(x) if g is None else g)
    return tuple(
        aten.stack(tuple(row)).view(*out.shape, *x.shape)
        if row
        else x.new_zeros((*out.shape, *x.shape))
        for row, x in zip(rows, inputs, strict=True)
    )


def hessian(
    func,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
):
    """Return the Hessian of a function with one result of one element.

    Args:
        vectorize, outer_jacobian_strategy: As in PyTorch.
    Returns:
        As :func:`jacobian` of the gradient.
    """
    many, inputs = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def single(*given):
        return _one_element(func(*given), "hessian", strict)

    def gradient(*given):
        if outer_jacobian_strategy == "forward-mode":
            given = tuple(x.requires_grad_() for x in given)
        found: Any = jacobian(single, given, create_graph=True)
        _check(found, "jacobian", strict)
        return found

    found = jacobian(
        gradient, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )  # fmt: skip
    return found if many else found[0][0]


def vhp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """Return ``func(*inputs)`` and ``v`` times its Hessian; as :func:`vjp`."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """Return ``func(*inputs)`` and its Hessian times ``v``; as :func:`vjp`."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name: str, func, inputs, v, create_graph: bool, strict: bool):
    with enable_grad():
        many, inputs = _tuple(inputs, "inputs", name)
        inputs = _taken(inputs, create_graph, True)
        if v is not None:
            v = _taken(_tuple(v, "v", name)[1], create_graph, False)
            _check_fit(v, inputs, many)
        elif len(inputs) != 1 or inputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a "
                "single Tensor with a single element."
            )
        outputs = func(*inputs)
        out = _one_element(outputs, name, strict)
        gradient, at, stage = (
            _gradients((out,), inputs, None, create_graph=True),
            inputs,
            "double_back",
        )
        _check(gradient, "jacobian", strict)
        if name == "hvp":  # by the cotangents, of vhp, which is linear in them
            at, stage = tuple(_zeros_like(x).requires_grad_() for x in inputs), "double_back_trick"
            gradient = _gradients(gradient, inputs, at, create_graph=True)
    with set_grad_enabled(create_graph or state.grad):
        found = _gradients(gradient, at, v, create_graph)
        product = _filled(found, inputs, strict, create_graph, stage)
    return _given((out,), False, create_graph), _given(product, many, create_graph)


# ---- arguments and results ---------------------------------------------------------------------

_RESULTS = "outputs of the user-provided function"
_STRATEGIES = ("forward-mode", "reverse-mode")


def _tuple(given, argument: str, function: str) -> tuple[bool, tuple]:
    """Return whether ``given`` is a tuple, and it as one."""
    many = isinstance(given, tuple)
    values = given if many else (given,)
    for i, x in enumerate(values):
        if not isinstance(x, Tensor):
            where = f"value at index {i}" if many else f"given {argument}"
            raise TypeError(
                f"The {argument} given to {function} must be either a Tensor or a tuple of "
                f"Tensors but the {where} has type {type(x)}."
            )
    return many, values


def _one_element(outputs, function: str, strict: bool) -> Tensor:
    many, values = _tuple(outputs, _RESULTS, function)
    _check(values, "outputs", strict)
    if many:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if values[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {function} should contain a single "
            "element"
        )
    return values[0].squeeze()


def _taken(inputs: tuple, create_graph: bool, need_graph: bool) -> tuple:
    """Return the inputs as tensors that nobody else has, so that only their use here counts."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_(need_graph)
        for x in inputs
    )


def _given(values: tuple, many: bool, create_graph: bool):
    values = values if create_graph else tuple(x.detach() for x in values)
    return values if many else values[0]


def _check_fit(v: tuple, other: tuple, many: bool) -> None:
    if len(v) != len(other):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(other)} but got {len(v)}."
            if many
            else "The given v should contain a single Tensor."
        )
    for i, (a, b) in enumerate(zip(v, other, strict=True)):
        if a.shape != b.shape:
            entry = f"Entry {i} in " if many else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")


_INDEPENDENT = {
    "hessian": "The hessian of the user-provided function with respect to input {} is independent "
    "of the input. This is not allowed in strict mode. You should ensure that your function is "
    "thrice differentiable and that the hessian depends on the inputs.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function"
    " with respect to input {} is independent of the input. This is not allowed in strict mode. "
    "You should ensure that your function is twice differentiable and that the jacobian depends on "
    "the inputs (this would be violated by a linear function for example).",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the "
    "user-provided function. This is not allowed in strict mode.",
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs "
    "must be computed in a differentiable manner from the input when running in strict mode.",
}


def _check(tensors, kind: str, strict: bool) -> None:
    """Raise in strict mode where a tensor depends on nothing."""
    if not strict:
        return
    for i, x in enumerate(tensors):
        if x is None:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}. This is "
                "not allowed in strict mode."
            )
        if not x.requires_grad:
            raise RuntimeError(_INDEPENDENT[kind].format(i))


_ABSENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not "
    "allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the "
    "grad_outputs when using the double backward trick to compute forward mode gradients. This is "
    "not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {}. This is "
    "not allowed in strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in "
    "the grad_jacobian. This is not allowed in strict mode as it prevents from using the double "
    "backward trick to replace forward mode AD.",
}


def _filled(gradients, refs: tuple, strict: bool, create_graph: bool, stage: str) -> tuple:
    """Return the gradients, zeros where there is none."""
    for i, g in enumerate(gradients):
        if strict and g is None:
            raise RuntimeError(_ABSENT[stage].format(i))
        if strict and create_graph and not g.requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise RuntimeError(
                f"The {what} of the user-provided function is independent of input {i}. This is "
                "not allowed in strict mode when create_graph=True."
            )
    return tuple(_zeros_like(x) if g is None else g for g, x in zip(gradients, refs, strict=True))


def _gradients(outputs, inputs, cotangents, create_graph: bool, retain_graph=None) -> tuple:
    """Return the gradients, None where an input has no part in any output."""
    cotangents = (None,) * len(outputs) if cotangents is None else cotangents
    pairs = [
        (x, c)
        for x, c in zip(outputs, cotangents, strict=True)
        if x is not None and x.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    outputs, cotangents = zip(*pairs, strict=True)
    return grad(outputs, inputs, cotangents, retain_graph, create_graph, allow_unused=True)


def _zeros_like(x: Tensor) -> Tensor:
    return zeros_of(x._aval, x.device)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

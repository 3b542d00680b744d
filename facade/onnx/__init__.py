"""``torch.onnx``: write a module as an ONNX file, by jax2onnx (``pip install facade[onnx]``)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from facade.interop.pure import to_jax
from facade.nn.module import Module
from facade.tensor import Tensor


def export(
    model: Module | Callable,
    args: Any = (),
    f: str | Path | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamic_axes: Any = None,
    **options: Any,
) -> Any:
    """Write what ``model`` computes for arguments of these shapes to ``f``; return the ONNX model.

    Raises:
        NotImplementedError: ``dynamic_axes`` are given; the shapes are those of ``args``.
        ModuleNotFoundError: jax2onnx is not installed.
    """
    import jax2onnx  # type: ignore[import-not-found]  # a dependency of this function alone

    if dynamic_axes or options.get("dynamic_shapes"):
        raise NotImplementedError("onnx.export: shapes are those of args; none can be dynamic")
    args = args if isinstance(args, tuple) else (args,)
    arrays = [x.__jax_array__() if isinstance(x, Tensor) else x for x in args]
    apply, state = to_jax(model) if isinstance(model, Module) else (None, None)
    function = (lambda *xs: apply(state, *xs)[0]) if apply else to_jax(model)
    jaxpr = jax.make_jaxpr(function)(*arrays)

    def traced(*xs):
        results = _evaluate(jaxpr.jaxpr, jaxpr.consts, xs)
        return results[0] if len(results) == 1 else tuple(results)

    names = {"input_names": input_names, "output_names": output_names}
    given: dict[str, Any] = {key: list(value) for key, value in names.items() if value}
    if opset_version:
        given["opset"] = opset_version
    shapes: list = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
    made: Any = jax2onnx.to_onnx(traced, shapes, **given)
    if f is not None:
        Path(f).write_bytes(made.SerializeToString())
    return made


_CALLS = ("jit", "custom_jvp_call", "custom_vjp_call")


def _evaluate(jaxpr: Any, consts: Sequence, args: Sequence) -> list:
    """Evaluate a jaxpr, with JAX's own convolutions in place of facade's."""
    from jax.extend.core import Literal

    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(x: Any) -> Any:
        return x.val if isinstance(x, Literal) else known[x]

    for eqn in jaxpr.eqns:
        operands = [read(x) for x in eqn.invars]
        inner = eqn.params.get("call_jaxpr" if "custom" in eqn.primitive.name else "jaxpr")
        if inner is not None and eqn.primitive.name in _CALLS:
            results = _evaluate(inner.jaxpr, inner.consts, operands)
        elif eqn.primitive.name.startswith("convolution_"):
            results = eqn.primitive.impl(*operands, **eqn.params)
        else:
            results = eqn.primitive.bind(*operands, **eqn.params)
        results = results if isinstance(results, list | tuple) else [results]
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


__all__ = ["export"]

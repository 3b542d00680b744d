"""Call modules as functions of their parameters and buffers."""

from collections.abc import Sequence
from typing import Any

from facade import functions
from facade.nn.module import Module
from facade.nn.utils import stateless
from facade.tensor import Tensor


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters and buffers; see :mod:`facade.nn.utils.stateless`.

    Args:
        parameter_and_buffer_dicts: By name: one dict, or several that share no name.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict | list | tuple):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(given)}"
        )
    dicts = [given] if isinstance(given, dict) else given
    if not all(isinstance(d, dict) for d in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    names = [name for d in dicts for name in d]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
            "ambiguous"
        )
    merged = {name: t for d in dicts for name, t in d.items()}
    return stateless.functional_call(
        module, merged, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters and the buffers of models of one kind, each stacked by name."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    return (
        _stacked([dict(m.named_parameters()) for m in models]),
        _stacked([dict(m.named_buffers()) for m in models]),
    )


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: _leaf([s[name] for s in states], name) for name in states[0]}


def _leaf(tensors: list[Tensor], name: str) -> Tensor:
    requires = {t.requires_grad for t in tensors}
    if len(requires) > 1:
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    stacked = functions.stack(tensors).detach()
    return stacked.requires_grad_(requires.pop())


def functionalize(func, *, remove: str = "mutations"):
    """Return ``func``: what facade records has no mutations or views left anyway.

    Args:
        remove: ``"mutations"`` or ``"mutations_and_views"``.
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            "functionalize(f, remove='mutations'): received invalid argument for "
            f"remove={remove}. Valid options are:\n"
            "     remove='mutations': all inplace and out= operators will be removed from the "
            "program, and replaced with their out-of-place equivalents.\n"
            "     remove='mutations_and_views': In addition to the above, all aliasing operators "
            "{view} will be replaced with their non-aliasing counterparts, {view}_copy.\n"
        )
    return func


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let no batch norm in ``root`` keep running statistics; return it."""
    for module in root.modules():
        if "running_mean" in module._buffers:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


__all__ = [
    "functional_call", "functionalize", "replace_all_batch_norm_modules_", "stack_module_state",
]  # fmt: skip

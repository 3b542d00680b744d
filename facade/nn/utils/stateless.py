"""Call a module with other parameters and buffers than its own."""

from typing import Any

from facade.nn.module import Module
from facade.tensor import Tensor


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call ``module`` with tensors that take the place of its parameters and buffers.

    Args:
        parameters_and_buffers: By name. What the module writes in place is written to these.
        args: The arguments; anything but a tuple is the only one.
        tie_weights: Also replace what is the same tensor under another name.
        strict: Raise unless all parameters and buffers are given.
    Raises:
        RuntimeError: ``strict``, and names are missing or unknown.
        ValueError: tied names are given different tensors.
    """
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    places = _places(module)
    given = parameters_and_buffers
    if tie_weights:
        given = _with_tied(places, given)
    if strict:
        _check_names(module, set(places), given)
    new = [(*places[name], t) for name, t in given.items() if name in places]
    before = [(table, key, table[key]) for table, key, _ in new]
    try:
        _put(new)
        return module(*args, **kwargs or {})
    finally:
        _put(before)


def _places(module: Module) -> dict[str, tuple[dict, str]]:
    """Return where each parameter and buffer is: name -> table of its module, key."""
    found = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for table in (owner._parameters, owner._buffers):
            found.update((prefix + k, (table, k)) for k, t in table.items() if t is not None)
    return found


def _put(tensors: list[tuple]) -> None:
    for table, key, t in tensors:
        table[key] = t


def _with_tied(places: dict, given: dict[str, Tensor]) -> dict[str, Tensor]:
    groups: dict[int, list[str]] = {}
    for name, (table, key) in places.items():
        groups.setdefault(id(table[key]), []).append(name)
    if len(groups) == len(places):
        return given
    found = dict(given)
    for names in groups.values():
        named = [name for name in names if name in given]
        if len(names) < 2 or not named:
            continue
        if len({id(given[name]) for name in named}) != 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(named)}, which are tied. "
                "Consider using tie_weights=False"
            )
        found.update(dict.fromkeys(names, given[named[0]]))
    return found


def _check_names(module: Module, known: set[str], given: dict) -> None:
    missing, unexpected = sorted(known - set(given)), sorted(set(given) - known)
    errors = []
    for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            listed = ", ".join(map(repr, names))
            errors.append(f"{kind} key(s): {listed}.")
    if errors:
        raise RuntimeError(
            "Error(s) in reparametrizing for {}:\n\t{}".format(
                module._get_name(), "\n\t".join(errors)
            )
        )

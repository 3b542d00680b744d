"""Nested containers of tensors: take them apart and put them together again."""

from collections.abc import Iterator
from typing import Any

from facade.tensor import Tensor

LEAF = "*"


def flatten(tree: Any) -> tuple[list, Any]:
    """Return the leaves of nested tuples, lists and dicts, and their structure.

    The structure is hashable. None is a leaf, as in PyTorch; dicts keep their order.
    """
    leaves: list = []
    return leaves, _structure(tree, leaves)


def _structure(tree: Any, leaves: list):
    kind = type(tree)
    if kind is tuple or kind is list or hasattr(kind, "_fields"):
        return (kind, tuple([_structure(x, leaves) for x in tree]))
    if issubclass(kind, dict):
        return (kind, tuple([(k, _structure(v, leaves)) for k, v in tree.items()]))
    leaves.append(tree)
    return LEAF


def unflatten(structure: Any, leaves) -> Any:
    """Return nested containers of a structure."""
    return _built(structure, iter(leaves))


def _built(structure: Any, leaves: Iterator) -> Any:
    if structure is LEAF:
        return next(leaves)
    kind, parts = structure
    if kind is tuple or kind is list:
        return kind([_built(part, leaves) for part in parts])
    if issubclass(kind, dict):
        items = [(k, _built(part, leaves)) for k, part in parts]
        return dict(items) if kind is dict else _filled(kind(), items)
    return kind(*[_built(part, leaves) for part in parts])


def _filled(made, items: list):
    made.update(items)
    return made


def tensors_of(tree: Any) -> list[Tensor]:
    """Return the tensors in nested containers."""
    if isinstance(tree, Tensor):
        return [tree]
    return [x for x in flatten(tree)[0] if isinstance(x, Tensor)]


def broadcast_prefix(prefix: Any, tree: Any) -> list | None:
    """Return a leaf of ``prefix`` per leaf of ``tree``; None if it is no prefix of it."""
    if not isinstance(prefix, tuple | list | dict):
        return [prefix] if isinstance(tree, Tensor) else [prefix] * len(flatten(tree)[0])
    if type(prefix) is not type(tree) or len(prefix) != len(tree):
        return None
    if isinstance(prefix, dict):
        if set(prefix) != set(tree):
            return None
        pairs = [(prefix[k], tree[k]) for k in tree]
    else:
        pairs = list(zip(prefix, tree, strict=True))
    parts = [broadcast_prefix(p, t) for p, t in pairs]
    return None if None in parts else [x for part in parts for x in part or []]

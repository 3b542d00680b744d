"""Which results of a checkpointed function are kept, and not computed again: a policy by op."""

import enum
import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from facade import recording
from facade.autograd.engine import own
from facade.ops.overloads import OpOverload, OpOverloadPacket, overload_of
from facade.ops.registry import Entry
from facade.tensor import Tensor


class CheckpointPolicy(enum.Enum):
    """What to do with the result of an op; "offload" keeps it where it is."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_RECOMPUTED = (False, CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)


class SelectiveCheckpointContext(NamedTuple):
    """What a policy is told besides the op and its arguments."""

    is_recompute: bool
    op_output: Any


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Callable | list, allow_cache_entry_mutation: bool = False
) -> tuple["_FirstRun", "_SecondRun"]:
    """Return the contexts of both runs; for ``context_fn`` of ``checkpoint``.

    Args:
        policy_fn_or_list: ``policy(context, op, *args) -> CheckpointPolicy``, or the ops whose
            results are kept, such as ``torch.ops.aten.mm.default``.
        allow_cache_entry_mutation: Accepted: a kept value is the one the op gave in any case.
    """
    policy: Any = policy_fn_or_list
    if isinstance(policy, list):
        ops = policy
        for op in ops:
            _check_op(op)
        policy = functools.partial(_is_listed, ops)
    elif not callable(policy):
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    kept: list[tuple] = []
    return _FirstRun(policy, kept), _SecondRun(kept)


def _is_listed(ops: list, context: SelectiveCheckpointContext, op: OpOverload, *args) -> bool:
    return op in ops


def _check_op(op: Any) -> None:
    if isinstance(op, OpOverload):
        return
    hint = ""
    if isinstance(op, OpOverloadPacket):
        hint = (
            "Please update the OpOverloadPacket to a specific OpOverload.For example, if you have "
            "`torch.ops.aten.mm`, change it to `torch.ops.aten.mm.default`."
        )
    raise ValueError(
        f"Expected op in `op_list` to be an OpOverload but got: {op} of type {type(op)}. {hint}"
    )


class _Watch:
    """A block in which this thread's ops are seen as they are recorded."""

    def __enter__(self) -> None:
        self.outer = _thread.watch
        recording.observe(_show)
        _thread.watch = self

    def __exit__(self, *exception: object) -> None:
        _thread.watch = self.outer
        recording.unobserve(_show)

    def see(self, op: OpOverload, operands: tuple, result: Any) -> None:
        raise NotImplementedError


class _FirstRun(_Watch):
    """Asks the policy, and keeps what it says.

    Attributes:
        kept: Per op recorded: its name and its results, None if they are computed again.
    """

    def __init__(self, policy: Callable, kept: list[tuple]) -> None:
        self.policy, self.kept = policy, kept

    def see(self, op: OpOverload, operands: tuple, result: Any) -> None:
        said = self.policy(SelectiveCheckpointContext(False, result), op, *operands)
        values = None if said in _RECOMPUTED else [own(t.detach()) for t in _tensors(result)]
        self.kept.append((op, values))


class _SecondRun(_Watch):
    """Puts the values kept in the place of results, which then nobody computes."""

    def __init__(self, kept: list[tuple]) -> None:
        self.kept, self.used = kept, False

    def __enter__(self) -> None:
        if self.used and any(values is not None for _, values in self.kept):
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any "
                "region computed under selective activation checkpoint."
            )
        self.used, self.at = True, 0
        super().__enter__()

    def see(self, op: OpOverload, operands: tuple, result: Any) -> None:
        known, values = self.kept[self.at] if self.at < len(self.kept) else (None, None)
        if known is not op:
            raise RuntimeError(
                f"{op} encountered during backward but not found in storage. This can happen if "
                "the operations in the checkpointed region are nondeterministic or depend on "
                "global state that changed between forward and backward."
            )
        self.at += 1
        for t, value in zip(_tensors(result), values or (), strict=values is not None):
            t._cell = value._cell


def _tensors(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


class _Thread(threading.local):
    watch: _Watch | None = None


_thread = _Thread()


def _show(entry: Entry, operands: tuple, result: Any) -> None:
    """Show a result to this thread's watch, whose own ops nobody sees."""
    watch = _thread.watch
    if watch is not None and entry.view is None:
        _thread.watch = None
        try:
            watch.see(overload_of(entry), operands, result)
        finally:
            _thread.watch = watch

"""Record once: turn JAX's profiler on, note who recorded what, and put both together."""

import re
import tempfile
import threading
from collections import defaultdict
from typing import Any

import jax

from facade import program as programs
from facade.autograd.profiler import Label, Labels, labels_of, open_labels, set_labels, watch
from facade.nn.module_hooks import register_module_forward_hook, register_module_forward_pre_hook
from facade.ops.registry import OPS
from facade.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from facade.profiler.events import DeviceType, EventList, FunctionEvent
from facade.profiler.trace import Ran, read
from facade.pullback import Pull
from facade.storage import flush
from facade.tape import Tape, state

_NUMBER = re.compile(r"(\.\d+)+$")  # by which XLA tells its instructions apart
_OTHER_DEVICES = {"GPU": (DeviceType.CUDA, "cuda"), "TPU": (DeviceType.XLA, "xla")}


class Watch:
    """Notes which instructions belong to which module, block or optimizer, while it is on."""

    def __init__(self) -> None:
        # program -> its runs: (instructions, the labels of each)
        self.runs: defaultdict[str, list[tuple[list, list[Labels]]]] = defaultdict(list)
        self._local = threading.local()
        self._handles = [
            register_module_forward_pre_hook(self._enter_module),
            register_module_forward_hook(self._leave_module, always_call=True),
            register_optimizer_step_pre_hook(self._enter_step),
            register_optimizer_step_post_hook(self._leave_step),
        ]
        watch(True)

    def off(self) -> None:
        """Take the hooks back."""
        watch(False)
        for handle in self._handles:
            handle.remove()

    @property
    def _calls(self) -> list:
        """The module calls that this thread is in: ``(module, labels outside)``."""
        if not hasattr(self._local, "calls"):
            self._local.calls, self._local.names = [], {}
        return self._local.calls

    def _enter_module(self, module, args) -> None:
        calls, labels = self._calls, open_labels()
        if not calls:
            self._local.names = {m: name for name, m in module.named_modules()}
        name = self._local.names.get(module) or type(module).__name__
        calls.append((module, labels))
        set_labels((*labels, Label(name, True)))

    def _leave_module(self, module, args, output) -> None:
        calls = self._calls
        # a call that began before the hooks were there has none to leave
        while any(called is module for called, _ in calls):
            left, labels = calls.pop()
            set_labels(labels)
            if left is module:
                return

    def _enter_step(self, optimizer, args, kwargs) -> None:
        kind = type(optimizer).__name__
        self._local.outside = open_labels()
        set_labels((*self._local.outside, Label(f"Optimizer.step#{kind}.step", True)))

    def _leave_step(self, optimizer, args, kwargs) -> None:
        set_labels(self._local.outside)

    def ran(self, tape: Tape, runner) -> None:
        """Note that a tape is run, by a program or op by op."""
        if runner.name:
            self.runs[runner.name].append((tape.code, labels_of(tape)))


class Session:
    """One recording."""

    def __init__(self, watch: Watch, *, record_shapes: bool, with_stack: bool) -> None:
        self.record_shapes, self.with_stack = record_shapes, with_stack
        self.watch = watch
        self.folder = tempfile.TemporaryDirectory(prefix="facade_profile_")
        _finish_pending()
        watch.runs.clear()
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = int(with_stack)
        jax.profiler.start_trace(self.folder.name, profiler_options=options)
        programs.observer = watch.ran

    def stop(self) -> EventList:
        """End the recording and return its events."""
        try:
            _finish_pending()
        finally:
            programs.observer = None
            jax.profiler.stop_trace()
        ran = read(self.folder.name)
        self.folder.cleanup()
        return self._events(ran)

    def _events(self, ran: list[Ran]) -> EventList:
        ops = _labelled(ran, self.watch.runs)
        devices = {op.device for op, _, _ in ops if op.device != "cpu"}
        use_device = _device_of(devices.pop())[1] if devices else None
        made: list[FunctionEvent] = []
        by_thread = defaultdict(list)
        for op in ops:
            by_thread[op[0].device, op[0].thread].append(op)
        counted: set = set()
        for of_thread in by_thread.values():
            made += _label_ranges(of_thread, counted)
        first: dict = {}  # of what XLA makes of an instruction, one counts
        for op, entry, labels in ops:
            event = self._op_event(op, entry, labels)
            if op.instruction is not None:
                key = op.module, op.run, op.instruction
                event.count = int(first.setdefault(key, op.op) == op.op)
            made.append(event)
        made += [_host_event(r) for r in _outermost_programs(ran)]
        made.sort(key=lambda event: (event.time_range.start, -event.time_range.end))
        for number, event in enumerate(made, 1):
            event.id, event.use_device = number, use_device
        events = EventList(made, use_device)
        events.build_tree()
        return events

    def _op_event(self, op: Ran, entry, labels: Labels) -> FunctionEvent:
        event = FunctionEvent(
            0, _op_name(op, entry), op.thread, op.start, op.end, _device_of(op.device)[0],
            args={"hlo_op": op.op, "hlo_module": op.module, "path": op.path},
        )  # fmt: skip
        if labels:
            event.args["module"] = labels[-1].name
        if self.record_shapes and entry is not None:
            inputs = (entry.forward if type(entry) is Pull else entry).inputs
            event.input_shapes = [list(a.shape) if a is not None else [] for a in inputs]
        if self.with_stack:
            event.stack = [label.name for label in reversed(labels)]
        return event


def _finish_pending() -> None:
    """Run what this thread recorded, and wait for what is running."""
    for tape in list(state.tapes.values()):
        flush(tape)
    jax.block_until_ready([x for x in jax.live_arrays() if not x.is_deleted()])


def _device_of(plane: str) -> tuple[DeviceType, str | None]:
    return next((d for name, d in _OTHER_DEVICES.items() if name in plane), (DeviceType.CPU, None))


def _labelled(ran: list[Ran], runs) -> list[tuple[Ran, Any, Labels]]:
    """Return the ops with the instructions they come from, None if unknown, and its labels.

    The runs of a program are those that were noted, in their order.
    """
    order: defaultdict[str, dict[int, int]] = defaultdict(dict)
    found = []
    for op in ran:
        if op.kind != "op":
            continue
        noted = runs.get(op.module.removeprefix("jit_"))
        number = order[op.module].setdefault(op.run, len(order[op.module]))
        at = op.instruction
        entry, labels = None, ()
        if noted and at is not None:
            code, all_labels = noted[min(number, len(noted) - 1)]
            if at[1] < len(code) and code[at[1]][0].name == at[0]:
                entry, labels = code[at[1]][0], all_labels[at[1]]
        found.append((op, entry, labels))
    return found


def _op_name(op: Ran, entry) -> str:
    """Return what PyTorch calls an op, or else what JAX or XLA do."""
    if type(entry) is Pull:
        return entry.forward.grad_name or entry.name
    if entry is not None and entry.name in OPS:
        return f"aten::{entry.name}"
    return op.path.rpartition("/")[2] or _NUMBER.sub("", op.name)


def _label_ranges(ops: list[tuple[Ran, Any, Labels]], counted: set) -> list[FunctionEvent]:
    """Return the stretches of one thread in which ops of each label ran.

    Args:
        counted: Gets the labels of each run that a stretch counts for; later ones don't.
    """
    found: list[FunctionEvent] = []
    around: list[tuple[Label, FunctionEvent]] = []
    last = None
    end = 0.0
    for op, _, labels in ops:
        if op.start < end:  # inside a loop, which is an op of its own
            continue
        end = op.end
        shared = 0
        if (op.module, op.run) == last:
            while shared < min(len(around), len(labels)) and around[shared][0] == labels[shared]:
                shared += 1
        last = op.module, op.run
        del around[shared:]
        for depth, label in enumerate(labels[shared:], shared + 1):
            key = (last, labels[:depth])
            event = FunctionEvent(
                0, label.name if label.is_module else f"{label.name} (ops)", op.thread, op.start,
                op.end, _device_of(op.device)[0], is_user_annotation=True, 
                count=int(key not in counted),
            )  # fmt: skip
            counted.add(key)
            found.append(event)
            around.append((label, event))
        for _, event in around:
            event.time_range.end = op.end
    return found


def _outermost_programs(ran: list[Ran]) -> list[Ran]:
    """Return what ran on the host, calls of programs once: JAX notes them twice."""
    ends: dict[tuple, float] = {}
    found = []
    for r in ran:
        if r.kind == "op":
            continue
        if r.kind == "program":
            if r.end <= ends.get((r.thread, r.name), 0.0):
                continue
            ends[r.thread, r.name] = r.end
        found.append(r)
    return found


def _host_event(r: Ran) -> FunctionEvent:
    """Return the event of a block, a call of a program or a Python function."""
    name = "run program" if r.kind == "program" else r.name
    if name.startswith("ProfilerStep#"):
        name = "ProfilerStep*"
    return FunctionEvent(
        0, name, r.thread, r.start, r.end, trace_name=r.name, is_user_annotation=r.kind == "block"
    )

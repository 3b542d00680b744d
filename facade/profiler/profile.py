"""The profiler: steps, recordings by schedule, and what can be asked of the last one."""

import gzip
import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from facade import accelerator
from facade.autograd.profiler import record_function
from facade.profiler.events import DeviceType, EventList, FunctionEvent
from facade.profiler.schedule import ProfilerAction, always
from facade.profiler.session import Session, Watch

NONE, WARMUP = ProfilerAction.NONE, ProfilerAction.WARMUP
RECORD, SAVE = ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE


class ProfilerActivity(Enum):
    """What is recorded."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


def supported_activities() -> set[ProfilerActivity]:
    """Return what can be recorded here."""
    found = {ProfilerActivity.CPU}
    return found | {ProfilerActivity.CUDA} if accelerator.is_available() else found


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[["profile"], None]:
    """Return an ``on_trace_ready`` that writes each trace to a folder, as TensorBoard expects.

    Args:
        worker_name: What the files are called by; host and process unless given.
    """
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    def write(prof: "profile") -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return write


class profile:
    """Record where time goes, in the names of the user's model.

    Rows are ops, as PyTorch names them, modules by their paths (``layer1.0.conv1`` and
    ``layer1.0.conv1 backward``), optimizer steps and labelled blocks. Ops run when the tape does:
    a block's own row is the time that Python spent in it, its row ``(ops)`` that of the ops
    recorded in it. XLA fuses ops, and a fused op counts as the one that it ends in.

    Args:
        activities: Accepted for PyTorch's sake: what there is is recorded.
        schedule: Step -> what to do; all is recorded unless given.
        on_trace_ready: Called with the profiler whenever a recording is complete.
        record_shapes: Note the shapes of operands.
        with_stack: Record Python functions as well.
        acc_events: Keep the events of earlier recordings.
        profile_memory, with_flops: Accepted; neither is known of an op inside a program.
        with_modules, experimental_config, execution_trace_observer, post_processing_timeout_s:
            Accepted for PyTorch's sake.

    Example:
        >>> import facade as torch
        >>> with torch.profiler.profile() as prof:
        ...     _ = torch.nn.Linear(2, 2)(torch.ones(1, 2)).tolist()
        >>> len(prof.events()) > 0
        True
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity | dict[ProfilerActivity, list[str]]] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = _activities(activities)
        if use_cuda is not None:
            warnings.warn(
                "`use_cuda` is deprecated, use `activities` argument instead",
                FutureWarning,
                stacklevel=2,
            )
        self.schedule = schedule or always
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.with_stack = record_shapes, with_stack
        self.profile_memory, self.with_flops = profile_memory, with_flops
        self.with_modules = with_modules
        self.acc_events = acc_events
        self.custom_trace_id_callback = custom_trace_id_callback
        self.step_num = 0
        self.current_action = _checked(self.schedule(0))
        self.step_rec_fn: record_function | None = None
        self._watch: Watch | None = None
        self._session: Session | None = None
        self._events: EventList | None = None
        self._trace_id: str | None = None
        self._metadata: dict[str, Any] = {}
        self._preset: dict[str, Any] = {}

    # ---- steps ----

    def __enter__(self) -> "profile":
        self.start()
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0, or go on."""
        self._change(NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """End; what is being recorded is complete."""
        self._end_step()
        self._change(self.current_action, None)

    def step(self) -> None:
        """Say that the next step begins."""
        self._end_step()
        action = _checked(self.schedule(self.step_num + 1))
        before, self.current_action = self.current_action, action
        self.step_num += 1
        self._change(before, action)
        self._begin_step()

    def _begin_step(self) -> None:
        if self.record_steps:
            self.step_rec_fn = record_function(f"ProfilerStep#{self.step_num}")
            self.step_rec_fn.__enter__()

    def _end_step(self) -> None:
        if self.step_rec_fn is not None:
            self.step_rec_fn.__exit__(None, None, None)
            self.step_rec_fn = None

    def _change(self, before: ProfilerAction, action: ProfilerAction | None) -> None:
        """Do what lies between two actions; None is the end."""
        records = action in (RECORD, SAVE)
        if before is SAVE or (before is RECORD and not records):
            if action in (NONE, WARMUP) and before is RECORD:
                warnings.warn(f"Incorrect schedule: RECORD followed by {action.name}", stacklevel=3)
            self.stop_trace()
            if (before is SAVE or action is None) and self.on_trace_ready:
                self.on_trace_ready(self)
        elif before is WARMUP and not records and action is not WARMUP:
            if action is NONE:
                warnings.warn("Incorrect schedule: WARMUP followed by NONE", stacklevel=3)
            self.start_trace()
            self.stop_trace()
        if action is WARMUP and before is not WARMUP:
            self.prepare_trace()
        if records and self._session is None:
            self.start_trace()

    # ---- recording ----

    def prepare_trace(self) -> None:
        """Get ready to record: from here on it is noted which module records what."""
        if self._watch is None:
            self._watch = Watch()
            make = self.custom_trace_id_callback or (lambda: uuid.uuid4().hex.upper())
            self._trace_id = make()

    def start_trace(self) -> None:
        """Start to record.

        Raises:
            RuntimeError: another profiler is recording.
        """
        self.prepare_trace()
        assert self._watch is not None
        self._metadata.update(self._preset)
        try:
            self._session = Session(
                self._watch, record_shapes=self.record_shapes, with_stack=self.with_stack
            )
        except BaseException:
            self._end_watch()
            raise

    def stop_trace(self) -> None:
        """Stop to record."""
        session, self._session = self._session, None
        if session is None:
            raise AssertionError("Profiler must be initialized before stopping trace")
        try:
            events = session.stop()
        finally:
            self._end_watch()
        if self.acc_events and self._events is not None:
            events[:0] = self._events
        self._events = events

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.off()

    # ---- results ----

    def events(self) -> EventList:
        """Return the events of the last recording."""
        return self._recorded("accessing events")

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """Return the events of the last recording, those of one name as one."""
        events = self._recorded("getting key averages")
        return events.key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Write the last recording for ``chrome://tracing``, Perfetto or TensorBoard.

        A ``path`` that ends in ``.gz`` is compressed.
        """
        events = self._recorded("exporting chrome trace")
        trace = {
            "schemaVersion": 1,
            "deviceProperties": [],
            "trace_id": self._trace_id,
            "host_name": socket.gethostname(),
            "displayTimeUnit": "ms",
            **self._metadata,
            "traceEvents": [_chrome_event(event) for event in events],
            "traceName": str(path),
        }
        text = json.dumps(trace)
        if str(path).endswith(".gz"):
            with gzip.open(path, "wt") as file:
                file.write(text)
        else:
            Path(path).write_text(text)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the ops of the last recording with the modules they lie in, for flame graphs."""
        events = self._recorded("exporting stacks")
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        events.export_stacks(path, metric)

    def _recorded(self, purpose: str) -> EventList:
        if self._events is None:
            raise AssertionError(f"Profiler must be initialized before {purpose}")
        return self._events

    def add_metadata(self, key: str, value: str) -> None:
        """Add a text to exported traces."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add a value, given as JSON, to exported traces."""
        self._metadata[key] = json.loads(value)

    def preset_metadata_json(self, key: str, value: str) -> None:
        """Add a value, given as JSON, to traces recorded from now on."""
        self._preset[key] = json.loads(value)

    def set_custom_trace_id_callback(self, callback: Callable[[], str]) -> None:
        """Set what makes the ids of later recordings."""
        self.custom_trace_id_callback = callback

    def get_trace_id(self) -> str | None:
        """Return the id of the recording, None before the first."""
        return self._trace_id


def _checked(action: ProfilerAction) -> ProfilerAction:
    if action is ProfilerAction.DEVICE_STOPPED:
        raise ValueError(
            "ProfilerAction.DEVICE_STOPPED is set internally by the profiler and must not be "
            "returned by a user-provided schedule"
        )
    return action


def _activities(given) -> set[ProfilerActivity]:
    if given is None:
        return supported_activities()
    found: set[ProfilerActivity] = set()
    for item in given:
        if not isinstance(item, ProfilerActivity | dict):
            raise TypeError(f"Expected ProfilerActivity or dict, got {type(item)}")
        for activity in item if isinstance(item, dict) else (item,):
            if activity in found:
                raise ValueError(f"Activity {activity} specified more than once")
            found.add(activity)
    if not found:
        raise AssertionError("No valid profiler activities found")
    return found


def _chrome_event(event: FunctionEvent) -> dict[str, Any]:
    on_cpu = event.device_type is DeviceType.CPU
    return {
        "ph": "X",
        "cat": "user_annotation" if event.is_user_annotation else "cpu_op" if on_cpu else "kernel",
        "name": event.trace_name,
        "pid": os.getpid() if on_cpu else event.device_type.name,
        "tid": event.thread,
        "ts": event.time_range.start,
        "dur": event.time_range.elapsed_us(),
        "args": {**event.args, "Input Dims": event.input_shapes},
    }

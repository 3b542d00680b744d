"""What a profiler recorded: events, lists of them, and their averages."""

import itertools
from collections import defaultdict
from enum import Enum
from typing import Any

from facade.profiler.table import format_time, table

_STACK_METRICS = [
    f"self_{device}_time_total" for device in ("cpu", "cuda", "xpu", "privateuse1")
]  # fmt: skip


class DeviceType(Enum):
    """Where an event ran."""

    CPU = 0
    CUDA = 1
    XLA = 9


class Interval:
    """A stretch of time in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        """Return its length."""
        return self.end - self.start


def _formatted(name: str) -> property:
    return property(lambda self: format_time(getattr(self, name)))


class _Times:
    """The times derived from totals, and all of them as text."""

    cpu_time_str = _formatted("cpu_time")
    device_time_str = _formatted("device_time")
    cpu_time_total_str = _formatted("cpu_time_total")
    device_time_total_str = _formatted("device_time_total")
    self_cpu_time_total_str = _formatted("self_cpu_time_total")
    self_device_time_total_str = _formatted("self_device_time_total")
    count: int
    cpu_time_total: float
    device_time_total: float

    @property
    def cpu_time(self) -> float:
        """CPU time per call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Device time per call."""
        return self.device_time_total / self.count if self.count else 0.0


class FunctionEvent(_Times):
    """One event: an op, a call of a module, or a labelled block.

    Attributes:
        name: What it is called; ``trace_name`` in an exported trace.
        time_range: When it ran.
        thread: Where.
        count: Calls that it stands for: 0 where it goes on after something else.
        cpu_children, cpu_parent: Events inside, and around it, on the same thread.
        is_user_annotation: Whether it is no op: its device time is that of ops.
        args: What an exported trace shows of it.
    """

    cpu_memory_usage = device_memory_usage = 0
    self_cpu_memory_usage = self_device_memory_usage = 0
    node_id = -1
    is_async = is_remote = is_legacy = False
    sequence_nr = -1
    overload_name = ""
    flops = 0

    def __init__(
        self,
        id: int,
        name: str,
        thread: int,
        start_us: float,
        end_us: float,
        device_type: DeviceType = DeviceType.CPU,
        use_device: str | None = None,
        input_shapes: list | None = None,
        trace_name: str | None = None,
        is_user_annotation: bool = False,
        count: int = 1,
        args: dict[str, Any] | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.trace_name = trace_name or name
        self.thread = thread
        self.time_range = Interval(start_us, end_us)
        self.device_type = device_type
        self.use_device = use_device
        self.input_shapes = input_shapes or []
        self.is_user_annotation = is_user_annotation
        self.count = count
        self.args = args or {}
        self.stack: list[str] = []
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None

    @property
    def key(self) -> str:
        """What events are averaged by."""
        return self.name

    @property
    def cpu_time_total(self) -> float:
        """Time on the CPU, children included."""
        return self.time_range.elapsed_us() if self.device_type is DeviceType.CPU else 0.0

    @property
    def self_cpu_time_total(self) -> float:
        """Time on the CPU in no child; children may overlap, as a block and Python functions do."""
        inside, end = 0.0, self.time_range.start
        for child in self.cpu_children:
            inside += max(child.time_range.end - max(child.time_range.start, end), 0.0)
            end = max(child.time_range.end, end)
        return self.cpu_time_total - inside

    @property
    def device_time_total(self) -> float:
        """Time on the device."""
        return 0.0 if self.device_type is DeviceType.CPU else self.time_range.elapsed_us()

    @property
    def self_device_time_total(self) -> float:
        """Time on the device."""
        return self.device_time_total

    def __repr__(self) -> str:
        device, children = self.use_device, [child.id for child in self.cpu_children]
        return (
            f"<FunctionEvent id={self.id} name={self.name} overload_name={self.overload_name} "
            f"device_type=DeviceType.{self.device_type.name} node_id={self.node_id} "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start} "
            f"end_us={self.time_range.end} cpu_children={children} "
            f"{device}_time={self.device_time_str} name={self.name} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"{device}_memory_usage={self.device_memory_usage} is_async={self.is_async} "
            f"is_remote={self.is_remote} seq_nr={self.sequence_nr} is_legacy={self.is_legacy}>"
        )


class FunctionEventAvg(_Times):
    """The events of one key, summed up."""

    _SUMS = (
        "cpu_time_total", "device_time_total", "self_cpu_time_total", "self_device_time_total",
        "cpu_memory_usage", "device_memory_usage", "self_cpu_memory_usage",
        "self_device_memory_usage", "flops", "count",
    )  # fmt: skip
    _OF_THE_FIRST = (
        "key", "node_id", "is_async", "is_remote", "is_legacy", "use_device", "device_type",
        "is_user_annotation", "overload_name", "input_shapes", "stack", "cpu_parent",
        "cpu_children",
    )  # fmt: skip
    self_cpu_memory_usage: int
    cpu_memory_usage: int
    device_memory_usage: int
    self_cpu_time_total: float

    def __init__(self) -> None:
        self.key: str | None = None
        self.use_device: str | None = None
        self.input_shapes: Any = None
        self.stack: list[str] = []
        for name in self._SUMS:
            setattr(self, name, 0)

    def add(self, other: Any) -> "FunctionEventAvg":
        """Add an event, or other events, of the same key."""
        if self.key is None:
            for name in self._OF_THE_FIRST:
                setattr(self, name, getattr(other, name))
        if other.key != self.key:
            raise AssertionError(f"Expected keys to match, but got {other.key} vs {self.key}")
        for name in self._SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def __iadd__(self, other: Any) -> "FunctionEventAvg":
        return self.add(other)

    def __repr__(self) -> str:
        device = self.use_device or "cuda"
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str}  self_{device}_time={self.self_device_time_total_str} "
            f"{device}_time={self.device_time_str} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage} "
            f"{device}_memory_usage={self.device_memory_usage}>"
        )


class EventList(list):
    """Events, or averages of them, with ways to look at them."""

    def __init__(
        self,
        events=(),
        use_device: str | None = None,
    ) -> None:
        super().__init__(events)
        self._use_device = use_device

    def __str__(self) -> str:
        return self.table()

    def build_tree(self) -> None:
        """Find the events that lie inside others on the same thread."""
        events = [event for event in self if event.device_type is DeviceType.CPU]
        # stable: of two events that last equally long, the earlier in the list is the outer one
        events.sort(key=lambda e: (e.thread, e.time_range.start, -e.time_range.end))
        for _, of_thread in itertools.groupby(events, key=lambda event: event.thread):
            around: list[FunctionEvent] = []
            for event in of_thread:
                while around and event.time_range.end > around[-1].time_range.end:
                    around.pop()
                if around:
                    around[-1].cpu_children.append(event)
                    event.cpu_parent = around[-1]
                around.append(event)

    @property
    def self_cpu_time_total(self) -> float:
        """The CPU time of all events."""
        return sum(event.self_cpu_time_total for event in self)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """Return the events as a table.

        Args:
            sort_by: The attribute to sort by, the largest first; as they come if None.
            row_limit: How many rows; -1 for all.
            time_unit: ``"s"``, ``"ms"`` or ``"us"`` for all times; what suits each if None.
        """
        return table(
            self,
            sort_by=sort_by,
            row_limit=row_limit,
            name_width=max_name_column_width,
            shapes_width=max_shapes_column_width,
            header=header,
            top_level=top_level_events_only,
            unit=time_unit,
        )

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> "EventList":
        """Return the sums of the events of each name (and input shapes)."""
        sums: dict[tuple, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key = (event.key, event.device_type, event.is_user_annotation)
            sums[key + ((str(event.input_shapes),) if group_by_input_shapes else ())].add(event)
        if not group_by_input_shapes:
            for event in sums.values():
                event.input_shapes = ""
        return EventList(sums.values(), self._use_device)

    def total_average(self) -> FunctionEventAvg:
        """Return the sum of all events."""
        total = FunctionEventAvg()
        for event in self:
            total.key = None  # so that any may be added
            total.add(event)
        total.key = "Total"
        return total

    def supported_export_stacks_metrics(self) -> list[str]:
        """Return what :meth:`export_stacks` can show."""
        return _STACK_METRICS

    def export_stacks(self, path: str, metric: str) -> None:
        """Write each event's stack and metric, one a line, as flame graph tools read them.

        The stack is that of blocks and modules that it lies in.
        """
        if metric not in _STACK_METRICS:
            raise ValueError(f"metric should be one of: {_STACK_METRICS}")
        spaces = str.maketrans(" ;\t\n", "____")
        with open(path, "w") as file:
            for event in self:
                value = int(getattr(event, metric.replace("cuda", "device")))
                if value > 0 and event.stack:
                    stack = ";".join(entry.translate(spaces) for entry in reversed(event.stack))
                    file.write(f"{stack} {value}\n")

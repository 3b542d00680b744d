"""Print events as a table."""

from collections.abc import Callable
from typing import Any

_WIDTH = 12
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


def format_time(us: float, unit: str | None = None) -> str:
    """Return a time in the unit that suits it, or in the one given."""
    if unit not in _UNITS:
        unit = next(u for u in _UNITS if us >= _UNITS[u] or u == "us")
    return f"{us / _UNITS[unit]:.3f}{unit}"


def _share(us: float, total: float) -> str:
    return f"{us * 100.0 / total:.2f}%" if total else "NaN"


class _Column:
    """One column: its title, its width, and the text of an event in it."""

    def __init__(self, title: str, text: Callable[[Any], str], width: int = _WIDTH) -> None:
        self.title, self.text, self.width = title, text, width


def table(events, sort_by, row_limit, name_width, shapes_width, header, top_level, unit) -> str:
    """Return events as PyTorch prints them; the arguments are those of ``EventList.table``."""
    if not events:
        return ""
    if sort_by is not None:
        attribute = sort_by.replace("cuda", "device").replace("xpu", "device")
        events = sorted(events, key=lambda event: getattr(event, attribute), reverse=True)
    columns, cpu_total, device_total = _columns(events, name_width, shapes_width, unit)
    rule = "".join("-" * column.width + "  " for column in columns)
    lines = []
    if header is not None:
        lines += ["=" * (len(rule) - 2), header]
    if top_level:
        lines += ["=" * (len(rule) - 2), "This report only display top-level ops statistics"]
    lines += [rule, _row(columns, [column.title for column in columns]), rule]
    shown = [event for event in events if not (top_level and event.cpu_parent is not None)]
    for event in shown[: None if row_limit < 0 else row_limit]:
        lines.append(_row(columns, [column.text(event) for column in columns]))
    lines += [rule, f"Self CPU time total: {format_time(cpu_total, unit)}"]
    if device_total is not None:
        name = _device_name(events)
        lines.append(f"Self {name} time total: {format_time(device_total, unit)}")
    return "\n".join(lines) + "\n"


def _row(columns: list[_Column], texts: list[str]) -> str:
    return "".join(f"{text:>{column.width}}  " for column, text in zip(columns, texts, strict=True))


def _device_name(events) -> str:
    return (events[0].use_device or "None").upper()


def _columns(events, name_width, shapes_width, unit) -> tuple:
    """Return the columns, the CPU time of all events, and the device's, None if it has none."""

    def time(name: str) -> Callable[[Any], str]:
        return lambda event: format_time(getattr(event, name), unit)

    def share(name: str, total: float) -> Callable[[Any], str]:
        return lambda event: _share(getattr(event, name), total)

    cpu_total = sum(event.self_cpu_time_total for event in events)
    width = min(max(len(event.key) for event in events) + 4, name_width or 1 << 30)
    columns = [
        _Column("Name", lambda event: _shortened(event.key, name_width), width),
        _Column("Self CPU %", share("self_cpu_time_total", cpu_total)),
        _Column("Self CPU", time("self_cpu_time_total")),
        _Column("CPU total %", share("cpu_time_total", cpu_total)),
        _Column("CPU total", time("cpu_time_total")),
        _Column("CPU time avg", time("cpu_time")),
    ]
    device_total = None
    if any(event.self_device_time_total for event in events):
        name = _device_name(events)
        ops = [event for event in events if not event.is_user_annotation]
        device_total = sum(event.self_device_time_total for event in ops)
        columns += [
            _Column(f"Self {name}", time("self_device_time_total")),
            _Column(f"Self {name} %", share("self_device_time_total", device_total)),
            _Column(f"{name} total", time("device_time_total")),
            _Column(f"{name} time avg", time("device_time")),
        ]
    columns.append(_Column("# of Calls", lambda event: str(event.count)))
    if any(event.input_shapes for event in events):
        width = max(len(str(event.input_shapes)) for event in events) + 4
        width = min(width, shapes_width or 1 << 30)
        columns.append(
            _Column("Input Shapes", lambda event: str(event.input_shapes)[:width], width)
        )
    return columns, cpu_total, device_total


def _shortened(name: str, width: int | None) -> str:
    if width is None or len(name) < width - 3:
        return name
    return name[: width - 3] + "..."

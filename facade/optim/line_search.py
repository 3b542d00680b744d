"""Find a step along a direction after which a function is lower and flatter."""

from collections.abc import Callable
from typing import Any, NamedTuple

LOWER, FLATTER = 1e-4, 0.9  # how much: Nocedal and Wright's c1 and c2


class Point(NamedTuple):
    """A function along a line; what came out of tensors is a 0-dimensional one.

    Attributes:
        step: How far it is from where the search starts.
        value: The function's.
        gradient: ``(n,)``
        slope: The derivative along the line.
    """

    step: Any
    value: float
    gradient: Any
    slope: Any


def strong_wolfe(
    evaluate: Callable[[Any], Point], start: Point, step: Any, most: int, narrow: Any
) -> tuple[Point, int]:
    """Return a point that meets the strong Wolfe conditions, or the best of a bracket.

    PyTorch's ``lbfgs.py``, after minFunc's; the algorithm is in Nocedal and Wright, Numerical
    Optimization, 3.5 and 3.6.

    Args:
        evaluate: Of a step's length.
        start: At length 0.
        step: What to try first.
        most: How often to go on from there.
        narrow: ends of a bracket that are nearer count as one.
    Returns:
        The point, and how often ``evaluate`` was called.
    """

    def is_high(point: Point) -> bool:
        return point.value > start.value + LOWER * point.step * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -FLATTER * start.slope

    before, now, count = start, evaluate(step), 0
    bracket = [start, now]
    while count < most:
        bracket = [before, now]
        if is_high(now) or (count > 1 and now.value >= before.value):
            break
        if is_flat(now):
            return now, count + 1
        if now.slope >= 0:
            break
        bounds = now.step + 0.01 * (now.step - before.step), now.step * 10
        before, now = now, evaluate(_lowest(before, now, bounds))
        count += 1
    else:
        bracket = [start, now]
    low = _lower(bracket)
    lags = False  # the last step was near an end
    while count < most and not abs(bracket[1].step - bracket[0].step) < narrow:
        step = _lowest(*bracket)
        step, lags = _inside(step, [p.step for p in bracket], lags)
        now = evaluate(step)
        count += 1
        if is_high(now) or now.value >= bracket[low].value:
            bracket[1 - low] = now
            low = _lower(bracket)
            continue
        flat, width = is_flat(now), bracket[1 - low].step - bracket[low].step
        if not flat and now.slope * width >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = now
        if flat:
            break
    return bracket[low], count + 1


def _lower(bracket: list[Point]) -> int:
    return 0 if bracket[0].value <= bracket[1].value else 1


def _inside(step: Any, ends: list, lags: bool) -> tuple[Any, bool]:
    """Return a step at some distance from the ends, unless it is the first one near them."""
    least, largest = min(ends), max(ends)
    margin = 0.1 * (largest - least)
    if not min(largest - step, step - least) < margin:
        return step, False
    if not (lags or step >= largest or step <= least):
        return step, True
    nearer_to_largest = abs(step - largest) < abs(step - least)
    return (largest - margin if nearer_to_largest else least + margin), False


def _lowest(a: Point, b: Point, bounds: tuple | None = None) -> Any:
    """Return where the cubic through two values and slopes is least, or the middle."""
    a, b = (a, b) if a.step <= b.step else (b, a)
    least, largest = bounds or (a.step, b.step)
    mean = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = mean**2 - a.slope * b.slope
    if not square >= 0:
        return (least + largest) / 2.0
    root = square.sqrt()
    share = (b.slope + root - mean) / (b.slope - a.slope + 2 * root)
    return min(max(b.step - (b.step - a.step) * share, least), largest)

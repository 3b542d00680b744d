"""Find the user's line that a call came from."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_OURS = str(Path(__file__).parent) + "/"


class Site(NamedTuple):
    """A line of the user's, and what it called of facade."""

    file: str
    line: int
    call: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def user_site() -> Site:
    """Return the innermost line on the stack that is not facade's own."""
    frame = sys._getframe(1)
    call = ""
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        call = frame.f_code.co_qualname
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return Site("?", 0, call)
    return Site(frame.f_code.co_filename, frame.f_lineno, _public(call))


def noted(error: Callable[[int, int], Exception]) -> Callable[[int, int], Exception]:
    """Let an error say which line of the user's it is about: it is raised at another one."""
    site, frame, calls = user_site(), sys._getframe(1), []
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        calls.append(frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    op = next((name for name in calls if not name.startswith(("_", "check_"))), calls[-1])

    def made(place: int, value: int) -> Exception:
        exception = error(place, value)
        exception.add_note(f"in {op}(), called at {site}; found when a value was next read")
        return exception

    return made


def _public(call: str) -> str:
    """Return a function of facade's by the name a user knows it by."""
    if "_hooked" in call:
        return "Optimizer.step"
    return call.replace("_Mode", "no_grad").split(".<locals>")[0]

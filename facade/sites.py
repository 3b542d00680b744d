"""Find the user's line that a call came from."""

import sys
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


def _public(call: str) -> str:
    """Return a function of facade's by the name a user knows it by."""
    if "_hooked" in call:
        return "Optimizer.step"
    return call.replace("_Mode", "no_grad").split(".<locals>")[0]

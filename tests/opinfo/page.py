"""Write ``docs/coverage.md`` from the notes of a run."""

from collections import defaultdict
from pathlib import Path

from opinfo import declarations
from opinfo.checks import COLUMNS
from opinfo.entries import DTYPES, cells, entries, main_dtype, name_of

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
_ALL_DTYPES = "forward, in all dtypes"
_MARKS = {"pass": "yes", "fail": "**no**", "missing": "missing", "none": ""}


def write(notes: dict[tuple, dict]) -> None:
    """Write the page."""
    PAGE.write_text(text(notes))


def text(notes: dict[tuple, dict]) -> str:
    """Return the page: shares first, then a row per entry."""
    lines = [
        "# Operators",
        "What `python -m tests.opinfo` says: every entry of PyTorch's own operator database "
        "(`torch.testing._internal.common_methods_invocations.op_db`, PyTorch 2.13), run in "
        "PyTorch and in facade on all of its samples, on the CPU. A cell says yes if all samples "
        "agree in shape, dtype and values. It is empty where PyTorch has nothing to compare with. "
        "Columns but the last are of float32, or of the entry's own dtype where it has no float32.",
        "",
        *_shares(notes),
        "",
        _not_run(notes),
        "",
        *declarations.text(),
        "",
        f"| entry | {' | '.join(COLUMNS)} | dtypes that fail forward |",
        "| --- |" + " --- |" * (len(COLUMNS) + 1),
    ]
    for entry in entries():
        lines.append(_row(entry, notes))
    return "\n".join(lines) + "\n"


def passed() -> dict[str, list[str]]:
    """Return the columns that pass, of every entry, as the page has them."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line[:3] == "| `"]
    return {
        name.strip("|` "): [c for c, cell in zip(COLUMNS, cells, strict=False) if cell == "yes"]
        for name, *cells in rows
    }


def _row(entry, notes: dict[tuple, dict]) -> str:
    name, main = name_of(entry), str(main_dtype(entry))[6:]
    due = {column for column, _ in cells(entry, list(COLUMNS), "main")}
    marks = []
    for column in COLUMNS:
        note = notes.get((name, column, main))
        marks.append(_MARKS[note["state"]] if note else "not run" if column in due else "")
    wrong = [
        str(d)[6:] for d in DTYPES
        if notes.get((name, "forward", str(d)[6:]), {}).get("state") in ("fail", "missing")
    ]  # fmt: skip
    return f"| `{name}` | {' | '.join(marks)} | {', '.join(wrong)} |"


def _not_run(notes: dict[tuple, dict]) -> str:
    due = [(name_of(e), str(d)[6:]) for e in entries() for _, d in cells(e, ["forward"], None)]
    missing = [
        f"`{name}` in {dtype}" for name, dtype in due if (name, "forward", dtype) not in notes
    ]
    return f"Not run forward: {', '.join(missing) or 'none'}."


def _shares(notes: dict[tuple, dict]) -> list[str]:
    main = {name_of(e): str(main_dtype(e))[6:] for e in entries()}
    passed, total = defaultdict(int), defaultdict(int)
    for (name, column, dtype), note in notes.items():
        if note["state"] == "none" or name not in main:
            continue
        columns = [column] if dtype == main[name] else []
        if column == "forward":
            columns.append(_ALL_DTYPES)
        for each in columns:
            total[each] += 1
            passed[each] += note["state"] == "pass"
    lines = ["| | cells | pass | share |", "| --- | --- | --- | --- |"]
    for column in (*COLUMNS, _ALL_DTYPES):
        if total[column]:
            share = f"{100 * passed[column] / total[column]:.1f} %"
            lines.append(f"| {column} | {total[column]} | {passed[column]} | {share} |")
    return lines

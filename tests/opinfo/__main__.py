"""Run PyTorch's operator database: ``python -m tests.opinfo``.

Every entry is run in every column, on all samples. ``--op add`` runs the entries of one name and
prints what fails; ``--shard 0/2`` runs every second entry. What was run is noted in ``.opinfo``,
so that a run goes on where it was stopped (``--again`` forgets what failed, ``--clear`` all).
``--write`` puts what is noted into ``docs/coverage.md``.
"""

import argparse
import collections
import contextlib
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("FACADE_CACHE_DIR", "off")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
).strip()
sys.path[:0] = [str(Path(__file__).parents[1])]

from opinfo import checks, page, translate  # noqa: E402
from opinfo.entries import cells, entries, name_of  # noqa: E402

NOTES = Path(__file__).parents[2] / ".opinfo"
SECONDS = 600  # of processor time; a cell that takes longer counts as failed


class _TooLong(Exception):
    pass


def _alarm(*_) -> None:
    raise _TooLong(f"more than {SECONDS} s")


def run(entry, column: str, dtype, most: int | None = None) -> dict:
    """Return the note about one cell."""
    note = {"entry": name_of(entry), "column": column, "dtype": str(dtype)[6:]}
    signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                count = checks.COLUMNS[column](entry, dtype, most)
        return note | {"state": "pass", "samples": count}
    except checks.Nothing as reason:
        return note | {"state": "none", "message": str(reason)}
    except translate.Missing as reason:
        return note | {"state": "missing", "message": str(reason)}
    except Exception as error:  # whatever it raises is what the cell says
        at = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {str(error).strip()[:300]}"
        return note | {"state": "fail", "message": message, "at": f"{at.filename}:{at.lineno}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def noted() -> dict[tuple, dict]:
    """Return the notes there are, the last about each cell."""
    found = {}
    for path in sorted(NOTES.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            note = json.loads(line)
            found[note["entry"], note["column"], note["dtype"]] = note
    return found


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", help="only entries of this name, or of names with this prefix*")
    parser.add_argument("--column", default=",".join(checks.COLUMNS), help="with commas between")
    parser.add_argument("--dtype", help="only this one, say float32; main for one per entry")
    parser.add_argument("--most", type=int, help="samples per cell; nothing is noted then")
    parser.add_argument("--shard", default="0/1", help="0/2 and 1/2 are halves")
    parser.add_argument("--again", action="store_true", help="what failed, once more")
    parser.add_argument("--clear", action="store_true", help="forget what was noted")
    parser.add_argument("--write", action="store_true", help="docs/coverage.md from the notes")
    options = parser.parse_args()
    NOTES.mkdir(exist_ok=True)
    if options.clear:
        for path in NOTES.glob("*.jsonl"):
            path.unlink()
    if options.write:
        page.write(noted())
        return
    part, parts = map(int, options.shard.split("/"))
    done = {} if options.op or options.most else noted()
    totals: collections.Counter[str] = collections.Counter()
    place = Path(os.devnull) if options.most else NOTES / f"{part}-of-{parts}.jsonl"
    with place.open("a", buffering=1) as notes:
        for entry in entries(options.op)[part::parts]:
            for column, dtype in cells(entry, options.column.split(","), options.dtype):
                known = done.get((name_of(entry), column, str(dtype)[6:]))
                if known and not (options.again and known["state"] in ("fail", "missing")):
                    continue
                note = run(entry, column, dtype, options.most)
                totals[note["state"]] += 1
                notes.write(json.dumps(note) + "\n")
                if options.op or note["state"] in ("fail", "missing"):
                    print(*note.values(), flush=True)
    print(dict(totals))


if __name__ == "__main__":
    main()

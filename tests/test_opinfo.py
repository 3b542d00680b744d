"""A slice of the scoreboard: what docs/coverage.md says passes, on each first sample."""

import pytest
from opinfo import checks, page
from opinfo.entries import entries, main_dtype, name_of

_PASSED = page.passed()
_ENTRIES = {name_of(entry): entry for entry in entries()}
COLUMNS = ("forward", "backward")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in _ENTRIES if _PASSED.get(name)])
def test_what_passed_still_passes(name):
    entry = _ENTRIES[name]
    for column in COLUMNS:
        if column in _PASSED[name]:
            assert checks.COLUMNS[column](entry, main_dtype(entry), 1)


def test_the_page_speaks_of_every_entry():
    assert set(_PASSED) == set(_ENTRIES)

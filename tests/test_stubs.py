"""The stubs on disk are what ``python -m tests.stubs`` writes."""

import ast

import pytest
from stubs import UNWRITTEN, stubs

import facade
from facade.binding import FUNCTIONS

STUBS = stubs()


@pytest.mark.parametrize("path", STUBS, ids=lambda p: p.name)
def test_stub_is_up_to_date(path):
    assert path.read_text() == STUBS[path], "run `python -m tests.stubs`"


def defined(body) -> set[str]:
    """Return the names that the statements of a stub define."""
    names = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    names |= {n.target.id for n in body if isinstance(n, ast.AnnAssign)}
    names |= {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets}
    return names


def test_stubs_have_every_name():
    package, tensor = (ast.parse(STUBS[p]) for p in sorted(STUBS))
    assert set(FUNCTIONS) <= defined(package.body)
    (written,) = [n for n in tensor.body if isinstance(n, ast.ClassDef)]
    missing = set(vars(facade.Tensor)) - defined(written.body)
    assert missing <= set(UNWRITTEN)

"""Run the tests on the op tier alone with ``--op-tier``: no tape gets a program of its own."""

import os

import pytest

from facade import deferred, program
from facade.devices import CPU
from facade.op_tier import Chooser
from facade.tape import Tape, state

os.environ["FACADE_CACHE_DIR"] = "off"  # programs of earlier runs would hide what is compiled


def pytest_addoption(parser):
    parser.addoption("--op-tier", action="store_true", help="run every tape op by op")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--op-tier"):
        skip = pytest.mark.skip(reason="counts programs or compilations")
        for item in items:
            if item.get_closest_marker("programs"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _tier(request, monkeypatch):
    """Let a test find no trace of those before it on its tape, or in how tapes are run."""
    state.tape = Tape(CPU)
    state.tapes = {CPU: state.tape}
    deferred.pending.clear()
    if request.config.getoption("--op-tier"):
        monkeypatch.setattr(Chooser, "by_ops", lambda *_: True)
    elif request.node.get_closest_marker("programs"):
        monkeypatch.setattr(Chooser, "by_ops", lambda *_: False)
    else:
        program.forget_choices()

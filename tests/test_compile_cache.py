"""Programs on disk: found by a second process, out of the way of the user's own JAX settings."""

import os
import subprocess
import sys

import jax
import pytest

from facade import compile_cache

SCRIPT = """
import jax
events = []
jax.monitoring.register_event_listener(lambda event, **kw: events.append(event))
import facade as torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.ones(4, 8)).square().mean().backward()
optimizer.step()
print(model[0].weight.sum().item(), events.count("/jax/compilation_cache/cache_hits"))
"""


def run(**variables):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    value, hits = done.stdout.split()
    return float(value), int(hits)


def files(folder):
    return sorted(p.name for p in folder.rglob("*-cache"))


def test_a_second_process_finds_the_program(tmp_path):
    value, hits = run(FACADE_CACHE_DIR=str(tmp_path))
    kept = files(tmp_path)
    assert kept and hits == 0
    again, hits = run(FACADE_CACHE_DIR=str(tmp_path))
    # how long small programs take to compile, and so which are kept, depends on the machine
    assert again == value and hits >= len(kept)
    assert set(kept) <= set(files(tmp_path))


def test_it_lies_in_the_cache_folder_of_the_platform(tmp_path):
    run(FACADE_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert files(tmp_path)


def test_it_can_be_turned_off(tmp_path):
    run(FACADE_CACHE_DIR="off", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert not files(tmp_path)


def test_the_user_s_own_folder_is_used(tmp_path):
    own, ours = tmp_path / "own", tmp_path / "ours"
    run(
        FACADE_CACHE_DIR=str(ours),
        JAX_COMPILATION_CACHE_DIR=str(own),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert files(own) and not files(ours)


def test_settings_are_put_back(tmp_path, monkeypatch):
    monkeypatch.setenv(compile_cache.VARIABLE, str(tmp_path))
    before = [getattr(jax.config, name) for name in compile_cache._SETTINGS]
    with pytest.raises(ValueError), compile_cache.on_disk():
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        raise ValueError
    assert [getattr(jax.config, name) for name in compile_cache._SETTINGS] == before


def test_a_folder_that_can_t_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(compile_cache.VARIABLE, str(tmp_path / "file" / "folder"))
    with compile_cache.on_disk():
        assert jax.config.jax_compilation_cache_dir is None

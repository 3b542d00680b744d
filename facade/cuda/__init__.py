"""``torch.cuda``: which GPUs there are, waiting for them, and their random generators."""

import gc
from typing import Any

import jax
import jax.numpy as jnp

from facade.cuda import amp as amp
from facade.devices import available, jax_device, resolve
from facade.devices import device as device_class
from facade.program import flush
from facade.random import Generator, generator_of, seed_devices
from facade.tape import state
from facade.tensor import Tensor


def is_available() -> bool:
    """Return whether there is a GPU that JAX can use."""
    return device_count() > 0


def device_count() -> int:
    """Return how many GPUs there are."""
    return available("cuda")


def current_device() -> int:
    """Return the index of the GPU that ``"cuda"`` names.

    Raises:
        AssertionError: there is none.
    """
    return _gpu(None).index or 0


def get_device_name(device=None) -> str:
    """Return what the maker calls a GPU.

    Raises:
        AssertionError: there is none.
    """
    return jax_device(_gpu(device)).device_kind


def get_device_capability(device=None) -> tuple[int, int]:
    """Return the major and minor number of a GPU's CUDA capability.

    Raises:
        AssertionError: there is none.
    """
    major, minor = jax_device(_gpu(device)).compute_capability.split(".")
    return int(major), int(minor)


def memory_allocated(device=None) -> int:
    """Return how many bytes of a GPU's memory are in use; 0 without a GPU."""
    return _memory("bytes_in_use", device)


def max_memory_allocated(device=None) -> int:
    """Return how many bytes of a GPU's memory were in use at most; 0 without a GPU."""
    return _memory("peak_bytes_in_use", device)


def _memory(which: str, device) -> int:
    if not is_available():
        return 0
    return jax_device(_gpu(device)).memory_stats()[which]


def synchronize(device=None) -> None:
    """Run what was recorded for a GPU and wait until it is done.

    Raises:
        AssertionError: there is none.
    """
    where = _gpu(device)
    tape = state.tapes.get(where)
    if tape is not None:
        flush(tape)
    # a GPU runs its programs in order, so that a new one ends last
    jax.block_until_ready(jnp.zeros((), device=jax_device(where)) + 1)


def empty_cache() -> None:
    """Let go of memory that only unreachable objects hold."""
    gc.collect()


def _gpu(which) -> device_class:
    """Return the GPU that an index, a string, a device or None (the first one) names."""
    if isinstance(which, int):
        which = device_class("cuda", which)
    return resolve("cuda" if which is None else which)


# ---- random numbers ----


def manual_seed(seed) -> None:
    """Seed the current GPU's default generator; without a GPU, do nothing."""
    if is_available():
        _generator("cuda").manual_seed(int(seed))


def manual_seed_all(seed) -> None:
    """Seed the default generators of all GPUs, also of those not used yet."""
    seed_devices(int(seed))


def seed() -> None:
    """Seed the current GPU's default generator from the operating system."""
    if is_available():
        _generator("cuda").seed()


def seed_all() -> None:
    """Seed the default generators of all GPUs alike from the operating system."""
    manual_seed_all(Generator().seed())


def initial_seed() -> int:
    """Return the seed of the current GPU's default generator."""
    return _generator("cuda").initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """Return the state of a GPU's default generator: 16 bytes, the seed and the offset."""
    return _generator(device).get_state()


def get_rng_state_all() -> list[Tensor]:
    """Return the states of all GPUs' default generators."""
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Set the state of a GPU's default generator; without a GPU, do nothing."""
    if is_available():
        _generator(device).set_state(new_state)


def set_rng_state_all(new_states) -> None:
    """Set the states of all GPUs' default generators."""
    for i, new_state in enumerate(new_states):
        set_rng_state(new_state, i)


def _generator(device) -> Generator:
    return generator_of(_gpu(device))

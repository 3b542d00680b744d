"""Random generators and their seeds: ``torch.Generator`` and what ``torch.random`` offers."""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from facade.devices import CPU, META, accelerator, available, device, resolve
from facade.dtypes import uint8
from facade.errors import bad_argument
from facade.mersenne import MersenneTwister
from facade.mersenne.engine import DEFAULT_SEED
from facade.tensor import Tensor


class Counter:
    """The state behind a device's generator: a seed, and how many draws were made from it.

    A draw is a function of these two numbers. They enter a program as operands, so neither a new
    seed nor the next draw compiles anything.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.manual_seed(DEFAULT_SEED)

    def manual_seed(self, seed: int) -> None:
        """Start again from ``seed``.

        Raises:
            ValueError: it is outside ``[-2**63, 2**64)``.
        """
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        with self.lock:
            self._seed, self.offset = seed % 2**64, 0

    def initial_seed(self) -> int:
        return self._seed

    def seed(self) -> int:
        """Reseed from the operating system and return the new seed."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def advance(self) -> tuple[int, int]:
        """Return the seed (as a signed number) and the offset of the next draw."""
        with self.lock:
            offset = self.offset
            self.offset += 1
            return (self._seed ^ (1 << 63)) - (1 << 63), offset

    def get_state(self) -> np.ndarray:
        """Return seed and offset as 16 bytes, where PyTorch's CUDA generator has them."""
        with self.lock:
            return np.array([self._seed, self.offset], "<u8").view(np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of :meth:`get_state`.

        Raises:
            RuntimeError: it has another size.
        """
        if state.size != 16:
            raise RuntimeError("RNG state is wrong size")
        with self.lock:
            self._seed, self.offset = np.frombuffer(state.tobytes(), "<u8").tolist()


class Generator:
    """A stream of random numbers on one device.

    On the CPU its numbers and its state are those of ``torch.Generator``, bit for bit.

    Args:
        device: The CPU unless given.
    """

    def __init__(self, device=None) -> None:
        self.device = _device_of_generator(device)
        self._engine = MersenneTwister() if self.device is CPU else Counter()

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream again from ``seed``; return the generator.

        Raises:
            RuntimeError, TypeError: the seed is no Python int.
            ValueError: it is outside ``[-2**63, 2**64)``.
        """
        if isinstance(seed, np.integer):
            raise TypeError("an integer is required")
        if type(seed) is not int:
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._engine.manual_seed(seed)
        return self

    def seed(self) -> int:
        """Reseed from the operating system and return the new seed."""
        return self._engine.seed()

    def initial_seed(self) -> int:
        """Return the seed last set, as an unsigned 64-bit number."""
        return self._engine.initial_seed()

    def get_state(self) -> Tensor:
        """Return the state as a uint8 tensor: 5056 bytes for the CPU, 16 for other devices."""
        return Tensor._from_array(self._engine.get_state())

    def set_state(self, new_state: Tensor) -> "Generator":
        """Continue from a state of :meth:`get_state`; return the generator.

        Raises:
            TypeError: it is no uint8 tensor on the CPU.
            RuntimeError: it is no state.
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8 or new_state.device is not CPU:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._engine.set_state(new_state._host())
        return self

    def clone_state(self) -> "Generator":
        """Return an independent generator that will give the same numbers."""
        return _restore(str(self.device), self._engine.get_state())

    def get_offset(self) -> int:
        """Return how many draws were made since seeding.

        Raises:
            RuntimeError: the generator is a CPU one, which doesn't count them.
        """
        return self._counter().offset

    def set_offset(self, offset: int) -> None:
        """Go to another place in the stream; arguments as :meth:`get_offset`."""
        self._counter().offset = offset

    def _counter(self) -> Counter:
        if not isinstance(self._engine, Counter):
            raise RuntimeError("CPU Generator does not use offset")
        return self._engine

    def __reduce__(self):
        return _restore, (str(self.device), self._engine.get_state())


def _restore(where: str, state: np.ndarray) -> Generator:
    made = Generator(where)
    made._engine.set_state(state)
    return made


def _device_of_generator(requested) -> device:
    if requested is None:
        return CPU
    if not isinstance(requested, device | str | int) or isinstance(requested, bool):
        raise bad_argument("Generator", "device", 1, "torch.device", requested)
    if isinstance(requested, int) and accelerator() is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    if device(requested).type == "cpu":
        return CPU
    if device(requested) is META:
        raise RuntimeError("META device type not an accelerator.")
    return resolve(requested)


# ---- the default generators ----

default_generator = Generator()
default_generator.seed()

_on_devices: dict[device, Generator] = {}
_device_seed = [DEFAULT_SEED]


def generator_of(where: device) -> Generator:
    """Return the default generator of a device."""
    if where is CPU:
        return default_generator
    found = _on_devices.get(where)
    if found is None:
        found = _on_devices.setdefault(where, Generator(where).manual_seed(_device_seed[0]))
    return found


def engine_for(where: device, generator: Generator | None) -> Any:
    """Return the engine to draw from for a tensor on ``where``.

    Raises:
        RuntimeError: the generator given is one of another type of device.
    """
    if generator is None:
        return generator_of(where)._engine
    if generator.device.type != where.type:
        raise RuntimeError(
            f"Expected a '{where.type}' device type for generator but found "
            f"'{generator.device.type}'"
        )
    return generator._engine


def seed_devices(seed: int) -> None:
    """Seed the default generator of every accelerator, also of those not used yet."""
    _device_seed[0] = seed
    for generator in list(_on_devices.values()):
        generator.manual_seed(seed)


def manual_seed(seed) -> Generator:
    """Seed the default generators of all devices; return the CPU's.

    Args:
        seed: Anything ``int()`` takes, from ``-2**63`` to ``2**64 - 1``.
    """
    seed = int(seed)
    default_generator.manual_seed(seed)
    seed_devices(seed)
    return default_generator


def seed() -> int:
    """Seed the default generators of all devices from the operating system; return the seed."""
    chosen = default_generator.seed()
    seed_devices(chosen)
    return chosen


def initial_seed() -> int:
    """Return the seed of the CPU's default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Return the state of the CPU's default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the CPU's default generator."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices=None, enabled: bool = True, *, device_type: str | None = None
) -> Iterator[None]:
    """Put the default generators back afterwards to where they were.

    Args:
        devices: Which devices' generators besides the CPU's; all unless given.
        enabled: False makes this do nothing.
        device_type: The type of the devices; the accelerator in use unless given.
    """
    if not enabled or device_type == "meta":
        yield
        return
    kind = device(device_type or accelerator() or "cuda").type
    wanted = range(available(kind)) if devices is None and kind != "cpu" else devices or ()
    forked = [default_generator]
    forked += [generator_of(device(kind, d) if isinstance(d, int) else resolve(d)) for d in wanted]
    states = [generator.get_state() for generator in forked]
    try:
        yield
    finally:
        for generator, state in zip(forked, states, strict=True):
            generator.set_state(state)

"""PyTorch's CPU generator: MT19937, its seeding, and its 5056-byte state."""

import functools
import secrets
import threading

import numpy as np

DEFAULT_SEED = 67280421310721

# Where PyTorch's state tensor keeps its fields; the bytes in between are always zero.
_LAYOUT = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "cached_normal", "has_cached_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)

# Drawing piece by piece keeps the temporaries in the processor's cache.
_PIECE = 2**16


class MersenneTwister:
    """The stream of 32-bit words behind a ``torch.Generator`` on the CPU.

    ``cached_normal`` is the second half of the last pair of normals drawn one at a time (or None);
    PyTorch keeps it with the generator. ``lock`` is held for the length of one draw.
    """

    def __init__(self, seed=DEFAULT_SEED):
        self.lock = threading.RLock()
        self._bits = np.random.MT19937()
        self._seeder = np.random.RandomState(self._bits)  # seeds the words as PyTorch does
        self.manual_seed(seed)

    def manual_seed(self, seed):
        """Restart the stream from ``seed``; only its low 32 bits decide the numbers.

        Raises:
            ValueError: ``seed`` is outside ``[-2**63, 2**64)``.
        """
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        with self.lock:
            self._seed = seed % 2**64
            self._seeder.seed(seed % 2**32)
            self._fresh = True  # nothing drawn since seeding: PyTorch's `next` is then 0, not 624
            self.cached_normal = None
        return self

    def initial_seed(self):
        """The seed as an unsigned 64-bit number."""
        return self._seed

    def seed(self):
        """Reseed from the operating system and return the new seed."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def get_state(self):
        """The state as PyTorch writes it: ``(5056,)``, uint8."""
        state = np.zeros((), _LAYOUT)
        with self.lock:
            twister = self._bits.state["state"]
            state["seed"] = self._seed
            state["left"] = 625 - twister["pos"]
            state["seeded"] = 1
            state["next"] = 0 if self._fresh else twister["pos"]
            state["words"] = twister["key"]
            state["cached_normal"] = self.cached_normal or 0.0
            state["has_cached_normal"] = self.cached_normal is not None
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, state):
        """Continue from a state of ``get_state``, of this library or of PyTorch.

        Args:
            state: 5056 bytes in any shape, uint8.
        Raises:
            TypeError: not an array of bytes.
            RuntimeError: another size, or not the state of a seeded MT19937.
        """
        state = np.asarray(state)
        if state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != _LAYOUT.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_LAYOUT.itemsize} but found the input "
                f"RNG state size to be {state.size}"
            )
        fields = np.frombuffer(state.tobytes(), _LAYOUT)[0]
        if not (fields["seeded"] and 0 < fields["left"] <= 624 and fields["next"] <= 624):
            raise RuntimeError("Invalid mt19937 state")
        key, pos = fields["words"].astype(np.uint32), 625 - int(fields["left"])
        with self.lock:
            self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": pos}}
            self._seed = int(fields["seed"])
            self._fresh = bool(fields["next"] == 0)
            cached = float(fields["cached_normal"])
            self.cached_normal = cached if fields["has_cached_normal"] else None

    def clone(self):
        """An independent generator that will give the same numbers."""
        other = MersenneTwister()
        other.set_state(self.get_state())
        return other

    def words(self, n):
        """The next ``n`` 32-bit outputs: ``(n,)``, uint32."""
        self._fresh = self._fresh and n == 0
        return self._bits.random_raw(n).astype(np.uint32)

    def words64(self, n):
        """The next ``n`` 64-bit outputs, two words each and the high one first: uint64."""
        self._fresh = self._fresh and n == 0
        halves = self._bits.random_raw(2 * n)
        return halves[::2] << np.uint64(32) | halves[1::2]


def locked(draw):
    """Make ``draw(engine, ...)`` one undivided piece of the engine's stream."""

    @functools.wraps(draw)
    def call(engine, *args, **kwargs):
        with engine.lock:
            return draw(engine, *args, **kwargs)

    return call


def fill(out, draw):
    """Fill ``out``, a contiguous array, with ``draw(n)``: the next ``n`` values."""
    flat = out.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        piece[...] = draw(piece.size)
    return out

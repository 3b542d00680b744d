"""Unpickle checkpoints so that a file can name nothing but what is allowed."""

import pickle
import pickletools
import struct
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from facade.nn.parameter import Parameter
from facade.serialization.names import GLOBALS, UNSUPPORTED, spellings, torch_name
from facade.tensor import Tensor

PythonUnpickler: Any = pickle._Unpickler  # type checkers don't know what it lets one override

_BLOCKED_MODULES = ("sys", "os", "posix", "nt")

# Instructions that only build plain values or move them about. Those that call something or write
# into something are methods of the class below.
_PLAIN = (
    pickle.MARK, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.NONE,
    pickle.NEWFALSE, pickle.NEWTRUE, pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT,
    pickle.EMPTY_SET, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT,
    pickle.BINUNICODE, pickle.SHORT_BINSTRING, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT,
    pickle.LONG_BINPUT, pickle.STOP,
)  # fmt: skip

_safe_globals: set = set()


def add_safe_globals(safe_globals: list[Callable | tuple[Callable, str]]) -> None:
    """Let ``load(weights_only=True)`` also use these classes and functions, from now on.

    Args:
        safe_globals: Each a class or function, or a pair of it and the full name it has in files.
    """
    _safe_globals.update(safe_globals)


def get_safe_globals() -> list[Callable | tuple[Callable, str]]:
    """Return what was added with :func:`add_safe_globals`."""
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Forget what was added with :func:`add_safe_globals`."""
    _safe_globals.clear()


class safe_globals:
    """Context manager that adds to the safe globals, and takes that away again at its end."""

    def __init__(self, safe_globals: list[Callable | tuple[Callable, str]]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, type, value, traceback) -> None:
        _safe_globals.difference_update(self.safe_globals)


def _user_globals() -> dict[str, Any]:
    """Return the safe globals by the names they have in files.

    Raises:
        ValueError, TypeError: an entry is a tuple but not a pair of an object and its name.
    """
    names: dict[str, Any] = {}
    for entry in _safe_globals:
        if not isinstance(entry, tuple):
            names[f"{entry.__module__}.{entry.__qualname__}"] = entry
            if public := torch_name(entry):
                names[public] = entry
            continue
        if len(entry) != 2:
            raise ValueError(
                "Expected tuple of length 2 (global, str of callable full path), but got tuple of "
                f"length: {len(entry)}"
            )
        if type(entry[1]) is not str:
            raise TypeError(
                "Expected second item in tuple to be str of callable full path, but got: "
                f"{type(entry[1])}"
            )
        names[entry[1]] = entry[0]
    return names


def _modern(module: str, name: str) -> tuple[str, str]:
    """Return a name as Python 3 spells it; protocol 2, PyTorch's, has Python 2's spelling."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _find_allowed(module: str, name: str, user: dict[str, Any]) -> Any:
    """Return what ``module.name`` stands for.

    Raises:
        KeyError: it is not allowed.
    """
    full_name = f"{module}.{name}"
    if full_name in GLOBALS:
        return GLOBALS[full_name]
    for spelling in spellings(module, name):
        if spelling in user:
            return user[spelling]
    raise KeyError(full_name)


def unsafe_globals(data: bytes) -> list[str]:
    """Return the names in a pickle that are not allowed, without running it."""
    user, found = _user_globals(), set()
    for opcode, name, _ in pickletools.genops(data):
        if opcode.name != "GLOBAL":
            continue
        module, name = _modern(*str(name).split(" ", 1))
        try:
            _find_allowed(module, name, user)
        except KeyError:
            found.add(f"{module}.{name}")
    return list(found)


class _Instructions(dict):
    """The instructions of :class:`WeightsOnlyUnpickler` by opcode."""

    def __missing__(self, opcode: int):
        raise pickle.UnpicklingError(f"Unsupported operand {opcode}")


class WeightsOnlyUnpickler(PythonUnpickler):
    """An unpickler that names, calls and changes only what is allowed.

    Python's own unpickler interprets the instructions; this class drops those that PyTorch's
    weights-only unpickler does not know and guards those that call, create or modify.
    """

    def __init__(self, file, *, encoding: str = "utf-8") -> None:
        super().__init__(file, encoding=encoding)
        self._user = _user_globals()
        # By identity: == on a tensor is an operation, and the file chooses what is compared.
        # Tensor is here only to be named as a type.
        allowed = (*GLOBALS.values(), *self._user.values())
        self._callable = {id(value) for value in allowed if value is not Tensor}
        self._buildable = {id(value) for value in self._user.values()}

    def find_class(self, module: str, name: str) -> Any:
        """Return the allowed object that the file calls ``module.name``.

        Raises:
            pickle.UnpicklingError: it is not allowed.
            NotImplementedError: PyTorch allows it, but facade has no tensors of that kind.
        """
        module, name = _modern(module, name)
        full_name = f"{module}.{name}"
        if module in _BLOCKED_MODULES:
            raise pickle.UnpicklingError(
                f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked."
            )
        if full_name in UNSUPPORTED:
            raise NotImplementedError(
                f"load: the file holds a {UNSUPPORTED[full_name]} tensor, which facade has not"
            )
        try:
            return _find_allowed(module, name, self._user)
        except KeyError:
            pass
        shown = full_name.removeprefix("builtins.")
        raise pickle.UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. "
            f"Please use `torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this "
            "global if you trust this class/function."
        )

    def load_proto(self) -> None:
        super().load_proto()
        if self.proto != 2:
            warnings.warn(
                f"Detected pickle protocol {self.proto} in the checkpoint, which was not the "
                "default pickle protocol used by `torch.load` (2). The weights_only Unpickler "
                "might not support all instructions implemented by this protocol, please file an "
                "issue for adding support if you encounter this.",
                stacklevel=2,
            )

    def load_reduce(self) -> None:
        function = self.stack[-2]
        if id(function) not in self._callable:
            raise pickle.UnpicklingError(
                f"Trying to call reduce for unrecognized function {function}"
            )
        super().load_reduce()

    def load_newobj(self) -> None:
        cls = self.stack[-2]
        if id(cls) not in self._callable:
            raise pickle.UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via "
                f"`add_safe_globals` but got {cls}"
            )
        if cls is Parameter:
            args = self.stack.pop()
            self.stack[-1] = Parameter(*args)
            return
        super().load_newobj()

    def load_build(self) -> None:
        target = self.stack[-2]
        if type(target) is OrderedDict:
            vars(target).update(self.stack.pop())
            return
        if id(type(target)) not in self._buildable:
            raise pickle.UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(target)}"
            )
        super().load_build()

    def load_append(self) -> None:
        self._check_list(self.stack[-2], "append to")
        super().load_append()

    def load_appends(self) -> None:
        self._check_list(self.metastack[-1][-1], "extend")
        super().load_appends()

    def _check_list(self, target, verb: str) -> None:
        if type(target) is not list:
            raise pickle.UnpicklingError(f"Can only {verb} lists, but got {type(target)}")

    def load_setitem(self) -> None:
        self._check_dict(self.stack[-3], "SETITEM")
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_dict(self.metastack[-1][-1], "SETITEMS")
        super().load_setitems()

    def _check_dict(self, target, opcode: str) -> None:
        if type(target) not in (dict, OrderedDict, Counter):
            raise pickle.UnpicklingError(
                f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, "
                f"but got {type(target)}"
            )

    def load_binpersid(self) -> None:
        pid = self.stack[-1]
        if type(pid) is not tuple:
            raise pickle.UnpicklingError(f"persistent_load id must be tuple, but got {type(pid)}")
        if not pid or pid[0] not in ("storage", b"storage"):
            raise pickle.UnpicklingError(
                f"Only persistent_load of storage is allowed, but got {pid[:1]}"
            )
        super().load_binpersid()

    dispatch = _Instructions(
        {op[0]: PythonUnpickler.dispatch[op[0]] for op in _PLAIN}
        | {
            pickle.PROTO[0]: load_proto,
            pickle.GLOBAL[0]: PythonUnpickler.load_global,
            pickle.REDUCE[0]: load_reduce,
            pickle.NEWOBJ[0]: load_newobj,
            pickle.BUILD[0]: load_build,
            pickle.APPEND[0]: load_append,
            pickle.APPENDS[0]: load_appends,
            pickle.SETITEM[0]: load_setitem,
            pickle.SETITEMS[0]: load_setitems,
            pickle.BINPERSID[0]: load_binpersid,
        }
    )

    def load(self) -> Any:
        """Return the object in the file.

        Raises:
            pickle.UnpicklingError: the file uses what is not allowed, or is not a pickle.
            EOFError: the file ends too early.
        """
        try:
            return super().load()
        except EOFError:
            raise EOFError("Ran out of input") from None
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise pickle.UnpicklingError(f"pickle data is corrupt: {error}") from error

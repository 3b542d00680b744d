"""Checkpoints: each loads what the other saved, and no file runs code unasked."""

import io
import os
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from parity import assert_same, both

import facade

FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
    "bfloat16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
# PyTorch itself can't load these from the legacy files that it saves.
NOT_IN_LEGACY = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")


def saved(module, obj, **options) -> bytes:
    file = io.BytesIO()
    module.save(obj, file, **options)
    return file.getvalue()


def loaded(module, data: bytes, **options):
    return module.load(io.BytesIO(data), **options)


def rewritten(data: bytes, change, drop: str = "") -> bytes:
    """Return a zip checkpoint with its ``data.pkl`` changed, and without the record ``drop``."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            record = source.read(name)
            if not drop or not name.endswith(drop):
                target.writestr(name, change(record) if name.endswith("data.pkl") else record)
    return file.getvalue()


class Calls:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


class Custom:
    """A class that no checkpoint may name unasked."""

    def __init__(self, value=1) -> None:
        self.value = value


# ---- round trips ----


def nested(m):
    return {
        "list": [m.arange(6).reshape(2, 3), (1, 2.5, None, True, "text", -3, 2**70)],
        "ordered": OrderedDict(a=m.ones(2), b={"c": []}),
        "counter": Counter("aab"),
        "set": {1, 2},
        "bytes": [b"\x00\xff", bytearray(b"xy"), 1j],
        7: m.tensor(3.0),
    }


def facts(m):
    return [m.Size([2, 3]), m.float32, m.bool, m.bfloat16, m.device("cpu"), m.device("cuda", 1)]


def layouts(m):
    x = m.arange(24.0).reshape(2, 3, 4)
    alone = [m.arange(6.0).reshape(2, 3).t(), m.arange(6.0)[1:5:2], m.ones(2, 1).expand(2, 3)]
    return [x, x.permute(2, 0, 1), x[1], x[:, 1:, ::2], x[0, 0, 0], *alone, m.zeros(0, 3)]


def parameters(m):
    p = m.nn.Parameter(m.arange(4.0).reshape(2, 2))
    p.note = "mine"
    t = m.ones(2)
    t.note = [1]
    return [p, m.nn.Parameter(m.ones(3), requires_grad=False), t, m.ones(2, requires_grad=True)]


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("build", [nested, facts, layouts, parameters])
def test_round_trips_between_the_two(build, options):
    ours, theirs = build(facade), build(torch)
    assert_same(loaded(facade, saved(torch, theirs, **options)), theirs)
    assert_same(ours, loaded(torch, saved(facade, ours, **options)))
    assert_same(loaded(facade, saved(facade, ours, **options)), theirs)


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, options):
    def build(m):
        return m.tensor([0.0, 1.0, 2.0, 7.0]).to(getattr(m, name))

    wide = "complex128" if "complex" in name else "float64"
    theirs, ours = build(torch), build(facade)
    for source, target in ((torch, facade), (facade, torch), (facade, facade)):
        if options and name in NOT_IN_LEGACY and target is torch:
            continue
        found = loaded(target, saved(source, theirs if source is torch else ours, **options))
        assert found.dtype is getattr(target, name)
        assert found.to(getattr(target, wide)).tolist() == theirs.to(getattr(torch, wide)).tolist()


def test_kinds_of_tensor_attributes():
    p, _, t, _ = loaded(facade, saved(torch, parameters(torch)))
    assert type(p) is facade.nn.Parameter
    assert (p.note, t.note) == ("mine", [1])
    p, _, t, _ = loaded(torch, saved(facade, parameters(facade)))
    assert type(p) is torch.nn.Parameter
    assert (p.note, t.note) == ("mine", [1])


def test_conjugates_are_resolved():
    x = torch.tensor([1 + 2j, 3j])
    assert_same(loaded(facade, saved(torch, x.conj())), x.conj().resolve_conj())
    assert_same(loaded(facade, saved(torch, x.conj().imag)), x.conj().imag.resolve_neg())


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("direction", ["from torch", "to torch", "here"])
def test_shared_storage_stays_shared(direction, options):
    source = torch if direction == "from torch" else facade
    target = torch if direction == "to torch" else facade
    x = source.arange(6.0).reshape(2, 3)
    parts = loaded(target, saved(source, [x, x.t(), x[1], x[:, 1:], x.detach()], **options))
    parts[2].fill_(-1)
    parts[1][0, 0] = 9
    assert parts[0].tolist() == [[9, 1, 2], [-1, -1, -1]]
    assert parts[3].tolist() == [[1, 2], [-1, -1]]
    assert parts[4].tolist() == parts[0].tolist()


def test_a_slice_alone_brings_its_storage():
    part = loaded(torch, saved(facade, facade.arange(10)[4:6]))
    assert (part.storage_offset(), part.untyped_storage().nbytes()) == (4, 80)
    part = loaded(facade, saved(torch, torch.arange(10)[4:6]))
    assert (part.storage_offset(), part.tolist()) == (4, [4, 5])


def test_one_storage_as_two_dtypes_is_refused():
    def code(m):
        x = m.ones(4)
        return saved(m, [x, x.view(m.int32)])

    both(code)


def network(m):
    return m.nn.Sequential(m.nn.Linear(2, 3), m.nn.BatchNorm1d(3))


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_state_dict(options):
    theirs, ours = network(torch), network(facade)
    state = loaded(facade, saved(torch, theirs.state_dict(), **options))
    assert type(state) is OrderedDict
    assert state._metadata == theirs.state_dict()._metadata
    ours.load_state_dict(state)
    assert_same(ours.state_dict(), theirs.state_dict())
    other = network(torch)
    other.load_state_dict(loaded(torch, saved(facade, ours.state_dict(), **options)))
    assert_same(ours.state_dict(), other.state_dict())


def test_optimizer_state_dict():
    def stepped(m):
        model = m.nn.Linear(2, 1)
        optimizer = m.optim.Adam(model.parameters(), lr=0.1)
        model(m.ones(1, 2)).sum().backward()
        optimizer.step()
        return optimizer

    theirs, ours = stepped(torch), stepped(facade)
    state = loaded(facade, saved(torch, theirs.state_dict()))
    assert_same(state, theirs.state_dict())
    ours.load_state_dict(state)
    back = loaded(torch, saved(facade, ours.state_dict()))
    assert_same(ours.state_dict()["state"], back["state"])
    theirs.load_state_dict(back)


def test_whole_modules():
    theirs, ours = network(torch).eval(), network(facade).eval()
    x = torch.tensor([[1.0, -2.0]])
    copy = loaded(facade, saved(torch, theirs), weights_only=False)
    assert type(copy) is facade.nn.Sequential
    assert_same(copy(facade.tensor(x.tolist())), theirs(x))
    copy = loaded(torch, saved(facade, ours), weights_only=False)
    assert type(copy) is torch.nn.Sequential
    assert_same(ours(facade.tensor(x.tolist())), copy(x))


# ---- what a checkpoint may not do ----

MALICIOUS = {
    "os.system": Calls(os.system, "echo unsafe"),
    "eval": Calls(eval, "1 + 1"),
    "getattr": Calls(getattr, 1, "real"),
    "import": Calls(__import__, "antigravity"),
    "a class": Custom(),
    "numpy scalar": np.float64(3.0),
    "numpy array": np.ones(2),
    "frozenset": frozenset([1]),
    "a module": torch.nn.Linear(1, 1),
}


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", MALICIOUS)
@pytest.mark.filterwarnings("ignore::torch.serialization.SourceChangeWarning")
def test_other_names_are_refused_with_pytorchs_text(name, options):
    data = saved(torch, {"x": MALICIOUS[name]}, **options)
    both(lambda m: loaded(m, data))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        loaded(facade, data)


PICKLES = {  # each after the pickle's first two bytes
    "state of a class": b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
    "state of a dict": b"}}X\x01\x00\x00\x00aK\x01sb.",
    "state of a dtype": b"ctorch\nfloat32\n}X\x01\x00\x00\x00aK\x01sb.",
    "state of a function": b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.",
    "call of a dict": b"})R.",
    "new object of an int": b"K\x01)\x81.",
    "append to a tuple": b")K\x01a.",
    "extend a set": b"\x8f(K\x01e.",
    "set item of a list": b"]K\x00K\x01s.",
    "set items of a class": b"ccollections\nOrderedDict\n(K\x00K\x01u.",
    "no storage": b"X\x04\x00\x00\x00evil\x85Q.",
    "a string as id": b"X\x04\x00\x00\x00evilQ.",
    "blocked": b"cos\nsystem\n.",
    "Python 2's name": b"c__builtin__\neval\n.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_other_instructions_are_refused(name):
    data = rewritten(saved(torch, 1), lambda _: b"\x80\x02" + PICKLES[name])
    with pytest.raises(pickle.UnpicklingError) as theirs:
        loaded(torch, data)
    with pytest.raises(pickle.UnpicklingError) as ours:
        loaded(facade, data)
    reasons = [str(e.value).split("WeightsUnpickler error:")[-1][:30] for e in (ours, theirs)]
    assert reasons[0] == reasons[1]


def test_tensor_cannot_be_called_or_built():
    for instructions in (b"ctorch\nTensor\nK\x05\x85R.", b"ctorch\nTensor\n)\x81."):
        data = rewritten(saved(torch, 1), lambda _, i=instructions: b"\x80\x02" + i)
        with pytest.raises(pickle.UnpicklingError):
            loaded(facade, data)


def test_instructions_are_those_of_pytorch():
    for op in pickletools.opcodes:
        data = rewritten(saved(torch, 1), lambda _, c=op.code: b"\x80\x02" + c.encode("latin1"))
        failures = []
        for m in (torch, facade):
            with pytest.raises(Exception) as caught:  # most are cut short
                loaded(m, data)
            failures.append(str(caught.value).partition("Unsupported operand")[1:])
        assert failures[0] == failures[1], op.name


def test_another_protocol_warns_and_is_refused():
    data = saved(torch, {"a": 1}, pickle_protocol=4)
    with pytest.warns(UserWarning, match="Detected pickle protocol 4"):
        both(lambda m: loaded(m, data))


def test_safe_globals_allow_more():
    data = saved(torch, {"x": Custom(5), "y": np.float64(3.0)})
    numpy_names = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType]
    with facade.serialization.safe_globals([Custom, *numpy_names]):
        found = loaded(facade, data)
        assert set(facade.serialization.get_safe_globals()) == {Custom, *numpy_names}
    assert (found["x"].value, found["y"]) == (5, 3.0)
    assert facade.serialization.get_safe_globals() == []
    with pytest.raises(pickle.UnpicklingError):
        loaded(facade, data)


def test_safe_globals_by_another_name():
    data = saved(torch, Custom(5))
    name = f"{Custom.__module__}.Custom"

    class Renamed(Custom):
        pass

    facade.serialization.add_safe_globals([(Renamed, name)])
    try:
        assert type(loaded(facade, data)) is Renamed
    finally:
        facade.serialization.clear_safe_globals()


def test_a_bad_safe_global():
    def code(m):
        with m.serialization.safe_globals([("a", "b", "c")]):
            return loaded(m, saved(torch, Custom()))

    both(code)


def test_safe_modules_under_pytorchs_names():
    data = saved(torch, torch.nn.Flatten())
    names = [facade.nn.Flatten, set, OrderedDict]
    with facade.serialization.safe_globals(names):
        assert type(loaded(facade, data)) is facade.nn.Flatten


def test_unsafe_globals_are_listed():
    both(
        lambda m: sorted(
            m.serialization.get_unsafe_globals_in_checkpoint(
                io.BytesIO(saved(torch, {"x": Custom(), "y": torch.ones(1), "z": np.float64(1)}))
            )
        )
    )


def test_full_load_runs_what_the_file_says():
    for options in FORMATS.values():
        data = saved(torch, {"x": Calls(divmod, 7, 2), "y": Custom(3)}, **options)
        found = loaded(facade, data, weights_only=False)
        assert (found["x"], found["y"].value) == ((3, 1), 3)
        again = loaded(facade, data, pickle_module=pickle)
        assert again["y"].value == 3


def test_a_name_facade_has_not():
    data = rewritten(saved(torch, 1), lambda _: b"\x80\x02ctorch.nowhere\nThing\n.")
    with pytest.raises(AttributeError, match=r"Can't get attribute 'Thing' on module 'torch\.n"):
        loaded(facade, data, weights_only=False)


def test_layouts_that_are_not_there():
    data = saved(torch, torch.eye(2).to_sparse_csc())
    with pytest.raises(NotImplementedError, match=r"no tensors of layout torch.sparse_csc"):
        loaded(facade, data)


# ---- damaged files ----


def replaced(old: bytes, new: bytes):
    def change(record: bytes) -> bytes:
        assert old in record
        return record.replace(old, new)

    return change


@pytest.mark.parametrize("case", ["cut", "no end", "legacy", "legacy pickle", "no record", "numel"])
def test_damaged_files(case):
    x = {"a": torch.ones(100)}
    whole, legacy = saved(torch, x), saved(torch, x, **FORMATS["legacy"])
    data = {
        "cut": whole[:600],
        "no end": whole[:-40],
        "legacy": legacy[:-20],
        "legacy pickle": legacy[:-500],
        "no record": rewritten(whole, lambda record: record, drop="data/0"),
        "numel": rewritten(whole, replaced(b"K\x64tq", b"K\x65tq")),
    }[case]
    both(lambda m: loaded(m, data))


def test_no_view_reaches_beyond_its_storage():
    whole = saved(torch, torch.ones(3))
    for old, new in (
        (b"K\x00K\x03\x85", b"K\x01K\x03\x85"),  # offset
        (b"K\x00K\x03\x85", b"K\x00K\x04\x85"),  # size
        (b"K\x01\x85", b"K\x02\x85"),  # stride
        (b"K\x01\x85", b"J\xff\xff\xff\xff\x85"),
    ):
        with pytest.raises(RuntimeError, match=r"out of bounds for storage|describe no tensor"):
            loaded(facade, rewritten(whole, replaced(old, new)))


@pytest.mark.parametrize("data", [b"<html>no checkpoint</html>\n", b"", b"\x80\x02K\x01."])
def test_other_files(data):
    for m in (torch, facade):
        with pytest.raises((pickle.UnpicklingError, EOFError, RuntimeError)) as caught:
            loaded(m, data)
        if m is torch:
            expected = caught.type, str(caught.value)
    assert caught.type is expected[0]
    assert str(caught.value).startswith(expected[1])


def test_a_text_file_is_no_checkpoint():
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        loaded(facade, b"hello world, this is a text file")


def test_another_zip_is_no_checkpoint():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("folder/x", "1")
    with pytest.raises(RuntimeError, match=r"not written by torch\.save"):
        loaded(facade, file.getvalue())


def test_mutated_pickles_do_no_harm():
    """Whatever the bytes, loading returns or raises an ordinary exception."""
    whole = saved(torch, {"a": torch.ones(3), "b": OrderedDict(c=[1, 2.5, "x"])})
    rng = np.random.default_rng(0)
    outcomes = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):

            def mutate(record: bytes) -> bytes:
                record = bytearray(record)
                for at in rng.integers(2, len(record), 3):
                    record[at] = rng.integers(256)
                return bytes(record)

            data = rewritten(whole, mutate)
            try:
                loaded(facade, data)
                outcomes["loaded"] += 1
            except Exception as error:
                outcomes[type(error).__name__] += 1
    assert outcomes["UnpicklingError"] > 100


# ---- files ----


def test_missing_and_impossible_paths(tmp_path):
    both(lambda m: m.load(tmp_path / "none.pth"))
    both(lambda m: m.save(1, tmp_path / "no folder" / "x.pth"))
    both(lambda m: m.save(1, 3))
    both(lambda m: m.load(3))


def test_a_failed_pickle_leaves_the_file_alone(tmp_path):
    path = tmp_path / "model.pth"
    facade.save({"a": 1}, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        facade.save({"a": facade.ones(2), "b": lambda: 1}, path)
    assert facade.load(path) == {"a": 1}
    with pytest.raises((AttributeError, pickle.PicklingError)):
        facade.save(lambda: 1, tmp_path / "new.pth")
    assert not (tmp_path / "new.pth").exists()


@pytest.mark.parametrize("name", ["model.pth", "a.b.pt", "model", "modèle.pth"])
def test_archive_layout(tmp_path, name):
    theirs, ours = tmp_path / "theirs" / name, tmp_path / "ours" / name
    for path, m in ((theirs, torch), (ours, facade)):
        path.parent.mkdir()
        m.save({"a": m.arange(5), "b": m.ones(3, dtype=m.uint8), "c": m.zeros(0)}, path)
    with zipfile.ZipFile(theirs) as a, zipfile.ZipFile(ours) as b:
        optional = (".format_version", ".storage_alignment")
        expected = [n for n in a.namelist() if not n.endswith(optional)]
        assert b.namelist() == expected
        assert b.testzip() is None
        for n in expected:
            if not n.endswith("serialization_id"):
                assert a.read(n) == b.read(n), n
            info, content = b.getinfo(n), ours.read_bytes()
            assert info.compress_type == zipfile.ZIP_STORED
            lengths = struct.unpack_from("<HH", content, info.header_offset + 26)
            assert (info.header_offset + 30 + sum(lengths)) % 64 == 0


def test_mmap(tmp_path):
    path = tmp_path / "model.pth"
    facade.save(layouts(facade), path)
    assert_same(facade.load(path, mmap=True), torch.load(path, mmap=True))
    torch.save(layouts(torch), path)
    assert_same(facade.load(path, mmap=True), layouts(torch))
    before = path.read_bytes()
    facade.load(path, mmap=True)[0].add_(1)
    assert path.read_bytes() == before
    both(lambda m: m.load(io.BytesIO(before), mmap=True))
    torch.save(1, path, **FORMATS["legacy"])
    both(lambda m: m.load(str(path), mmap=True))


class WriteOnly:
    """A stream: it can't seek or tell."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data) -> int:
        self.content += bytes(data)
        return len(data)

    def flush(self) -> None:
        pass


def test_streams():
    for options in FORMATS.values():
        stream = WriteOnly()
        facade.save({"a": facade.arange(3)}, stream, **options)
        assert loaded(torch, stream.content)["a"].tolist() == [0, 1, 2]
        assert loaded(facade, stream.content)["a"].tolist() == [0, 1, 2]
    both(lambda m: m.load(WriteOnly()))


def test_legacy_objects_one_after_another():
    file = io.BytesIO()
    for value in (1.0, 2.0):
        torch.save(torch.full((2,), value), file, **FORMATS["legacy"])
    file.seek(0)
    assert [facade.load(file).tolist() for _ in range(2)] == [[1, 1], [2, 2]]


def test_an_archive_zipped_again():
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(torch, torch.ones(9)))) as source,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert loaded(facade, file.getvalue()).sum().item() == 9


def test_the_other_byte_order():
    x = {"a": torch.arange(3), "b": torch.tensor([1 + 2j])}
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(torch, x))) as source, zipfile.ZipFile(file, "w") as big:
        for name in source.namelist():
            record = source.read(name)
            if name.endswith("byteorder"):
                record = b"big"
            elif name.endswith("data/0"):
                record = np.frombuffer(record, np.int64).byteswap().tobytes()
            elif name.endswith("data/1"):
                record = np.frombuffer(record, np.complex64).byteswap().tobytes()
            big.writestr(name, record)
    assert_same(loaded(facade, file.getvalue()), x)


# ---- devices ----


def on_cuda(x) -> bytes:
    return rewritten(saved(torch, x), replaced(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))


LOCATIONS = {
    "string": "cpu",
    "device": lambda m: m.device("cpu"),
    "dict": {"cuda:0": "cpu"},
    "function": lambda m: lambda storage, location: storage,
    "function to the CPU": lambda m: lambda storage, location: storage.cpu(),
    "unknown": "nowhere",
    "function that declines": lambda m: lambda storage, location: None,
    "dict of others": {"cuda:1": "cpu"},
    "none": None,
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without an accelerator")
@pytest.mark.parametrize("name", LOCATIONS)
@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_map_location(name, options):
    data = on_cuda(torch.arange(3)) if not options else None
    if data is None:
        legacy = saved(torch, torch.arange(3), **options)
        data = replaced(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")(legacy)
    where = LOCATIONS[name]

    both(lambda m: loaded(m, data, map_location=where(m) if callable(where) else where))


def test_map_location_sees_every_storage_once():
    x = torch.arange(4, dtype=torch.int16)
    data = saved(torch, [x, x[1:], torch.ones(3)])

    def code(m):
        seen = []

        def look(storage, location):
            seen.append((location, len(storage), storage.nbytes()))
            return storage

        loaded(m, data, map_location=look)
        return seen

    both(code)


def test_meta():
    data = saved(torch, {"a": torch.ones(2, 3)})
    found = loaded(facade, data, map_location="meta")["a"]
    assert (found.device, found.shape) == (facade.device("meta"), (2, 3))
    back = loaded(torch, saved(facade, found))
    assert (back.device.type, back.shape) == ("meta", (2, 3))


# ---- arguments ----


def test_arguments():
    data = saved(torch, {"a": 1})
    both(lambda m: loaded(m, data, pickle_module=pickle, weights_only=True))
    with pytest.warns(UserWarning, match="pickle_load_args only works"):
        both(lambda m: loaded(m, data, encoding="ascii"))


@pytest.mark.parametrize("words", [["NO_WEIGHTS"], ["WEIGHTS"], ["NO_WEIGHTS", "WEIGHTS"]])
@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE")
def test_environment(monkeypatch, words):
    data = saved(torch, {"x": Calls(divmod, 7, 2)})
    for word in words:
        monkeypatch.setenv(f"TORCH_FORCE_{word}_ONLY_LOAD", "1")
    both(lambda m: loaded(m, data))
    both(lambda m: loaded(m, data, weights_only=False))
    both(lambda m: loaded(m, data, weights_only=True))


def test_a_pickle_module_in_c_is_refused():
    class Module:
        Pickler = pickle.Pickler

    with pytest.raises(TypeError, match=r"must derive from pickle\._Pickler"):
        facade.save(1, io.BytesIO(), pickle_module=Module)


def test_higher_protocols_load_in_full():
    x = {"a": facade.arange(3), "p": facade.nn.Parameter(facade.ones(1))}
    data = saved(facade, x, pickle_protocol=5)
    assert loaded(torch, data, weights_only=False)["a"].tolist() == [0, 1, 2]
    assert loaded(facade, data, weights_only=False)["p"].requires_grad

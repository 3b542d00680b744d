"""Does facade.printing print what PyTorch prints, character for character?"""

import time

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import _tensor_str as reference

from facade import printing

inf, nan = float("inf"), float("nan")
RNG = np.random.default_rng(0)


# ---- helpers ----


def as_torch(array: np.ndarray) -> torch.Tensor:
    """The same bits as a torch tensor; torch cannot read the types of ml_dtypes itself."""
    if hasattr(torch, array.dtype.name) and hasattr(ml_dtypes, array.dtype.name):
        bits = np.array(array).view(f"u{array.dtype.itemsize}")
        return torch.from_numpy(bits).view(getattr(torch, array.dtype.name))
    return torch.from_numpy(np.array(array))


def assert_same_text(array: np.ndarray, **options) -> None:
    with reference.printoptions(**options), printing.printoptions(**options):
        assert printing.tensor_str(array) == repr(as_torch(array))


def with_specials(array: np.ndarray) -> np.ndarray:
    """A copy with both infinities, NaN and both zeros in it."""
    array = np.array(array)
    array.flat[:5] = [inf, -inf, nan, 0.0, -0.0]
    return array


@pytest.fixture(autouse=True)
def restore_options():
    yield
    printing.set_printoptions(profile="default")
    reference.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


# ---- values ----

VALUES = {
    "0-d": np.float64(3.14159),
    "0-d whole": np.float64(-3.0),
    "0-d nan": np.float64(nan),
    "one": np.array([1.0]),
    "whole": np.array([1.0, -2.0, 30.0]),
    "fractions": np.array([0.5, -2.25, 100.125]),
    "zeros": np.zeros((2, 3)),
    "negative zero": np.array([-0.0, 0.0, 1.0]),
    "negative zero, fraction": np.array([-0.0, 0.5]),
    "only nan and inf": np.array([nan, inf, -inf, 0.0]),
    "whole with nan and inf": with_specials(np.arange(8.0)),
    "fractions with nan and inf": with_specials(np.arange(8.0) / 8),
    "scientific with nan and inf": with_specials(np.arange(8.0) * 1e10),
    "ratio at the bound": np.array([1.0, 1000.0]),
    "ratio above the bound": np.array([1.0, 1001.0]),
    "large at the bound": np.array([1e8]),
    "large above the bound": np.array([2e8]),
    "small at the bound": np.array([1e-4]),
    "small below the bound": np.array([9e-5]),
    "summarised vector": np.arange(1001.0),
    "longest full vector": np.arange(1000.0),
    "wrapped matrix": np.linspace(-1, 1, 60).reshape(3, 20),
    "summarised matrix": np.linspace(-9, 9, 3000).reshape(50, 60),
    "summarised, one dimension short": np.linspace(0, 1, 2400).reshape(4, 100, 6),
    "extreme value hidden": np.where(np.arange(2000) == 1000, 1e20, 1.5),
    "rank 4": RNG.normal(size=(2, 3, 2, 4)),
    "rank 12": np.ones((2,) * 9 + (1, 1, 3)),
    "empty": np.zeros(0),
    "empty matrix": np.zeros((0, 3)),
    "empty rank 3": np.zeros((2, 0, 5)),
}
FLOATS = ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
OPTIONS = [
    {},
    {"precision": 2},
    {"precision": 0},
    {"precision": 10},
    {"profile": "short"},
    {"profile": "full", "edgeitems": 1},
    {"threshold": 10, "edgeitems": 2},
    {"threshold": 5, "edgeitems": 1, "linewidth": 30},
    {"threshold": -1, "edgeitems": 0},
    {"edgeitems": 0},
    {"linewidth": 1},
    {"linewidth": 120},
    {"sci_mode": True},
    {"sci_mode": False},
    {"sci_mode": True, "precision": 1, "threshold": 20},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats(dtype, options):
    numpy_dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    for values in VALUES.values():
        with np.errstate(over="ignore"):
            assert_same_text(np.asarray(values).astype(numpy_dtype), **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex(dtype, options):
    for values in VALUES.values():
        array = np.empty(np.shape(values), dtype)
        array.real = values
        for imaginary in (0, -1, np.where(np.isfinite(values), values, 3) / 7, np.flip(values)):
            array.imag = imaginary
            assert_same_text(array, **options)


INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_and_bool(dtype, options):
    shapes = [(), (1,), (7,), (40,), (1001,), (5, 6), (40, 30), (2, 3, 4, 5), (0,), (0, 2)]
    for shape in shapes:
        bits = RNG.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        array = np.frombuffer(bits, f"u{np.dtype(dtype).itemsize}").reshape(shape)
        assert_same_text(array % 2 == 0 if dtype == "bool" else array.view(dtype), **options)


def test_strided_values():
    array = np.arange(6000.0).reshape(20, 3, 100)
    for view in (array.T, array[::-2], array[:, 1, ::7], np.broadcast_to(array[0], (9, 3, 100))):
        assert_same_text(view)


# ---- suffixes ----

SUFFIXED = {
    "short": torch.ones(2),
    "scalar": torch.tensor(1.5),
    "matrix": torch.linspace(-1, 1, 24).reshape(3, 8),
    "half": torch.ones(3, 4, dtype=torch.float16),
    "double": torch.ones(13, dtype=torch.float64),
    "complex": torch.ones(4, dtype=torch.complex64),
    "double complex": torch.ones(4, dtype=torch.complex128),
    "empty": torch.zeros(0),
    "empty matrix": torch.zeros(0, 2),
    "empty complex": torch.zeros(0, dtype=torch.complex64),
    # From short to longer than a line, so that each suffix comes to the end of one somewhere.
    **{f"length {n}": torch.ones(n) for n in range(5, 22)},
}
UNGRADED = {
    "int32": torch.arange(5, dtype=torch.int32),
    "int64": torch.arange(5),
    "bool": torch.tensor([True, False]),
    "empty int64": torch.zeros(0, dtype=torch.int64),
    "empty bool": torch.zeros(2, 0, dtype=torch.bool),
}


def facts(tensor: torch.Tensor) -> dict:
    """What facade's Tensor tells the printer about itself."""
    return {
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "device": str(tensor.device),
        "requires_grad": tensor.requires_grad,
        "grad_fn_name": tensor.grad_fn and type(tensor.grad_fn).__name__,
    }


@pytest.mark.parametrize("default_dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("linewidth", [20, 40, 80])
@pytest.mark.parametrize("edgeitems", [0, 3])
def test_suffixes_and_where_lines_break(default_dtype, linewidth, edgeitems):
    torch.set_default_dtype(getattr(torch, default_dtype))
    options = {"linewidth": linewidth, "edgeitems": edgeitems}
    plain = [*SUFFIXED.values(), *UNGRADED.values()]
    leaves = [tensor.clone().requires_grad_() for tensor in SUFFIXED.values()]
    results = [f(leaf) for leaf in leaves for f in (torch.clone, torch.t_copy)]
    with reference.printoptions(**options), printing.printoptions(**options):
        for tensor in [*plain, *leaves, *results]:
            text = printing.tensor_str(tensor.detach().numpy(), **facts(tensor))
            assert text == repr(tensor)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (0, 4), (100, 1000)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex64"])
def test_meta_tensors_show_no_values(shape, dtype):
    tensor = torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
    assert printing.tensor_str(np.empty(shape, dtype), **facts(tensor)) == repr(tensor)


def test_other_devices_are_named():
    array = np.ones(2, np.float32)
    assert printing.tensor_str(array, device="cuda:0") == "tensor([1., 1.], device='cuda:0')"
    assert printing.tensor_str(array, device=None) == "tensor([1., 1.])"


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_dtype_name_overrides_the_type_of_the_array():
    values = [1 + 2j, -0.5 + 0j]
    tensor = torch.tensor(values, dtype=torch.complex64).to(torch.complex32)
    array = np.array(values, np.complex64)
    assert printing.tensor_str(array, dtype_name="complex32") == repr(tensor)


def test_tensor_contents_replace_the_elements():
    tensor = torch.ones(3, dtype=torch.float64, requires_grad=True)
    text = printing.tensor_str(tensor.detach().numpy(), tensor_contents="<...>", **facts(tensor))
    assert text == tensor.__repr__(tensor_contents="<...>")


class Tagged(torch.Tensor):
    pass


class TaggedParameter(torch.nn.Parameter):
    pass


@pytest.mark.parametrize("values", SUFFIXED.values(), ids=SUFFIXED)
def test_subclasses_and_parameters(values):
    array = values.numpy()
    tagged = values.as_subclass(Tagged)
    assert printing.tensor_str(array, prefix="Tagged(", **facts(tagged)) == repr(tagged)
    for requires_grad in (True, False):
        parameter = torch.nn.Parameter(values, requires_grad)
        assert printing.parameter_str(array, **facts(parameter)) == repr(parameter)
    tagged = TaggedParameter(values)
    text = printing.parameter_str(array, prefix="TaggedParameter(", **facts(tagged))
    assert text == repr(tagged)


# ---- options ----


def test_options_follow_torch():
    changes = [
        {},
        {"precision": 2, "sci_mode": True},
        {"linewidth": 100},  # sci_mode goes back to None
        {"profile": "full"},
        {"profile": "short", "edgeitems": 7},
        {"profile": "no such profile"},
        {"threshold": 0, "edgeitems": 0, "sci_mode": False},
        {"profile": "default"},
    ]
    for change in changes:
        reference.set_printoptions(**change)
        printing.set_printoptions(**change)
        assert printing.get_printoptions() == reference.get_printoptions()


def test_printoptions_restores_after_an_error():
    before = printing.get_printoptions()
    with pytest.raises(KeyError), printing.printoptions(precision=1, sci_mode=True):
        assert printing.get_printoptions()["precision"] == 1
        raise KeyError
    assert printing.get_printoptions() == before


# ---- format() ----


@pytest.mark.parametrize("spec", ["", ".2f", "10.3e", ">12", "+.0f", "010.4f", ","])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "uint8", "complex64"])
def test_format_scalar(dtype, spec):
    array = np.asarray(3.0 if dtype == "uint8" else -3.3).astype(getattr(ml_dtypes, dtype, dtype))
    try:
        expected = format(as_torch(array), spec)
    except ValueError as error:  # "010.4f" has no meaning for complex numbers
        with pytest.raises(ValueError) as raised:
            printing.format_scalar(array, spec)
        assert str(raised.value) == str(error)
        return
    assert printing.format_scalar(array, spec) == expected


# ---- size ----


def test_a_huge_tensor_prints_from_its_shown_elements():
    array = np.broadcast_to(np.float32(0.5), (1000, 1000, 100))
    expected = repr(torch.tensor(0.5).expand(1000, 1000, 100))
    start = time.perf_counter()
    assert printing.tensor_str(array) == expected
    assert time.perf_counter() - start < 0.5  # formatting all of it would take minutes


# ---- random ----


def elements_of(kind: str, dtype: np.dtype):
    """Numbers of one kind: small and whole, of a common size, or anything."""
    if kind == "any":
        return None
    if dtype.kind == "c":
        part = elements_of(kind, np.dtype(np.float32))
        return st.builds(complex, part, part)
    if dtype.kind != "f":
        return None
    whole = st.integers(-2000, 2000).map(float)
    common = st.integers(-4000, 4000).map(lambda n: n / 64)
    return st.one_of(whole if kind == "whole" else common, st.sampled_from([inf, -inf, nan, -0.0]))


@st.composite
def random_arrays(draw):
    name = draw(st.sampled_from([*FLOATS[2:4], *INTEGERS, "bool", "complex64", "complex128"]))
    dtype = np.dtype(name)
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8))
    kind = draw(st.sampled_from(["whole", "common", "any"]))
    array = draw(arrays(dtype, shape, elements=elements_of(kind, dtype)))
    if name != "float32":
        return array
    narrow = draw(st.sampled_from([np.float32, np.float16, ml_dtypes.bfloat16]))
    with np.errstate(over="ignore"):
        return array.astype(narrow)


RANDOM_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 12),
        "threshold": st.sampled_from([-1, 0, 10, 100, inf]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(1, 150),
        "profile": st.sampled_from(["default", "short", "full"]),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(array=random_arrays(), options=RANDOM_OPTIONS)
def test_random_arrays(array, options):
    assert_same_text(array, **options)

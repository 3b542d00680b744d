"""Pointwise functions, comparisons and logic: values, strides, gradients, errors."""

import math

import numpy as np
import pytest
import torch
from parity import both, to_numpy
from tables import check, check_gradients, same

import facade

# ---- functions of one number, with where they are smooth ----

SMOOTH = {
    "exp": (-2, 2), "exp2": (-2, 2), "expm1": (-2, 2), "log": (0.2, 4), "log2": (0.2, 4),
    "log10": (0.2, 4), "log1p": (-0.5, 3), "sqrt": (0.1, 4), "rsqrt": (0.1, 4), "square": (-2, 2),
    "reciprocal": (0.3, 4), "sin": (-4, 4), "cos": (-4, 4), "tan": (-1, 1), "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9), "atan": (-3, 3), "sinh": (-2, 2), "cosh": (-2, 2), "tanh": (-3, 3),
    "asinh": (-3, 3), "acosh": (1.2, 4), "atanh": (-0.9, 0.9), "sigmoid": (-4, 4),
    "sinc": (-2.3, 2.3), "erf": (-2, 2), "erfc": (-2, 2), "erfinv": (-0.9, 0.9),
    "lgamma": (0.3, 5), "digamma": (0.3, 5), "deg2rad": (-200, 200), "rad2deg": (-4, 4),
    "neg": (-2, 2), "abs": (-2, 2.2), "sign": (-2, 2.2), "sgn": (-2, 2.2), "ceil": (-2.2, 2.2),
    "floor": (-2.2, 2.2), "round": (-2.2, 2.2), "trunc": (-2.2, 2.2), "frac": (-2.2, 2.2),
    "relu": (-2, 2.2), "logit": (0.1, 0.9), "nan_to_num": (-2, 2), "angle": (-2, 2.2),
}  # fmt: skip
PLAIN = ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit", "logical_not")


def spread(low, high, shape):
    """Return nested lists of numbers from ``low`` to ``high``."""
    return np.linspace(low, high, math.prod(shape)).reshape(shape).tolist()


def test_functions_of_one_number():
    check_gradients([(f"x.{name}()", spread(*span, (2, 3))) for name, span in SMOOTH.items()])


def test_zero_dimensional_operands():
    check_gradients([(f"x.{name}()", 0.7) for name in ("exp", "relu", "abs", "round", "lgamma")])


def test_transposed_and_empty_operands():
    def names(module):
        return {"t": module.tensor(spread(0.2, 0.8, (2, 3))).t(), "e": module.zeros(0, 3)}

    for group in ("t", "e"):
        check([f"{group}.{name}()" for name in (*SMOOTH, *PLAIN) if name != "acosh"], names)


@pytest.mark.parametrize("dtype", ["bool", "int64", "bfloat16", "complex64"])
def test_dtypes_of_functions_of_one_number(dtype):
    codes = [f"torch.{name}(x)" for name in (*SMOOTH, *PLAIN, "bitwise_not", "real", "i0")]
    if dtype == "bfloat16":  # PyTorch rounds between the steps that it takes
        codes = [c for c in codes if "sinc" not in c and "lgamma" not in c]
    check(codes, lambda m: {"x": m.tensor([1, 0, 1]).to(getattr(m, dtype))})


SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 0.5, -2.5, 3e38]


def test_special_values():
    codes = [f"x.{name}()" for name in (*SMOOTH, *PLAIN) if name not in ("lgamma", "digamma")]
    codes += [
        "x.digamma()[:1]",
        "x.lgamma()[:1]",
        "x ** 0",
        "x ** 2",
        "x ** -1",
        "0 ** x",
        "x // 1",
    ]
    codes += ["x.nan_to_num(1.0, 2.0, 3.0)", "x.clamp(-1, 1)", "x.clamp(min=nan)", "x.logit(0.25)"]
    check(codes, lambda m: {"x": m.tensor(SPECIAL)})


# ---- gradients where JAX's own would differ ----

EDGES = [
    ("x.abs()", [-1.0, 0.0, 1.0, math.nan]),
    ("x.relu()", [-1.0, 0.0, 1.0, math.nan]),
    ("x ** 0", [-1.0, 0.0, 2.0]),
    ("x ** 0.5", [0.0, 4.0]),
    ("x ** 2.5", [0.0, 1.5]),
    ("x ** -1", [0.0, 2.0]),
    ("0 ** x", [-1.0, 0.0, 1.0]),
    ("x ** y", [0.0, 0.0, 0.0, 2.0, -2.0], [0.0, 1.0, -1.0, 0.0, 2.0]),
    ("torch.maximum(x, y)", [1.0, 2.0, 3.0], [1.0, 1.0, 5.0]),
    ("torch.minimum(x, y)", [1.0, 2.0, 3.0], [1.0, 1.0, 5.0]),
    ("torch.fmax(x, y)", [1.0, 2.0, math.nan, 1.0], [1.0, 1.0, 1.0, math.nan]),
    ("torch.fmin(x, y)", [1.0, 2.0, math.nan, 1.0], [1.0, 1.0, 1.0, math.nan]),
    ("x.clamp(0, 1)", [-1.0, 0.0, 0.5, 1.0, 2.0, math.nan]),
    ("x.clamp(1, 0)", [-1.0, 0.5, 1.0, 2.0]),
    ("x.clamp(min=nan)", [1.0, math.nan]),
    ("torch.clamp(x, y, z)", [-1.0, 0.0, 0.5, 1.0, 2.0], [0.0] * 5, [1.0] * 5),
    ("torch.clamp(x, y, z)", [-1.0, 0.5, 2.0], [1.0] * 3, [0.0] * 3),
    ("x.clamp_min(1)", [1.0, 2.0, 0.0]),
    ("torch.clamp_min(x, y)", [1.0, 2.0, 0.0], [1.0, 1.0, 1.0]),
    ("torch.clamp_max(x, y)", [1.0, 2.0, 0.0], [1.0, 1.0, 1.0]),
    ("torch.copysign(x, y)", [0.0, -1.0, 2.0], [1.0, 1.0, -0.0]),
    ("torch.hypot(x, y)", [0.0, 3.0], [0.0, 4.0]),
    ("torch.atan2(x, y)", [0.0, 1.0, -1.0], [0.0, 0.0, -0.3]),
    ("torch.xlogy(x, y)", [0.0, 1.0, 2.0], [1.0, 0.0, 2.0]),
    ("torch.remainder(x, y)", [5.0, -5.0, 5.0], [3.0, 3.0, -3.0]),
    ("torch.fmod(x, y)", [5.0, -5.0, 5.0], [3.0, 3.0, -3.0]),
    ("torch.nan_to_num(x)", [math.nan, math.inf, -math.inf, 1.0]),
    ("x.logit(0.1)", [0.05, 0.5, 0.95]),
    ("x.logit()", [0.0, 0.5, 1.0]),
    ("x.sqrt()", [0.0, 1.0]),
    ("x.lgamma()", [0.0, 1.0]),
    ("x.digamma()", [0.5, 1.0]),
    ("torch.i0(x)", [0.0, 1.0, -2.0]),
    ("x.angle()", [-1.0, 0.0, 1.0, math.nan]),
    ("torch.sinc(x)", [0.0, 0.5]),
    ("torch.nextafter(x, y)", [1.0], [2.0]),
]


def test_gradients_at_ties_zeros_and_bounds():
    check_gradients(EDGES)


# ---- functions of several numbers ----

TWO = (
    "x + y", "x - y", "x * y", "x / y", "x ** y", "x % y", "torch.fmod(x, y)",
    "torch.add(x, y, alpha=2)", "torch.sub(x, y, alpha=0.5)", "torch.rsub(x, y, alpha=3)",
    "torch.atan2(x, y)", "torch.hypot(x, y)", "torch.logaddexp(x, y)", "torch.logaddexp2(x, y)",
    "torch.maximum(x, y)", "torch.minimum(x, y)", "torch.fmax(x, y)", "torch.fmin(x, y)",
    "torch.xlogy(x, y)", "torch.ldexp(x, y)", "torch.copysign(x, y)",
    "torch.where(x > 1, x, y)", "x.where(x > 1, y)", "x.lerp(y, 0.3)", "x.lerp(y, 0.8)",
    "torch.div(x, y, rounding_mode='floor')", "torch.div(x, y, rounding_mode='trunc')",
    "torch.float_power(x, y)", "torch.clamp(x, min=y)", "torch.complex(x, y).abs()",
    "torch.complex(x, y).angle()", "torch.polar(x, y).imag",
    "torch.real(torch.complex(x, y) * torch.complex(y, x))", "(torch.complex(x, y) ** 2).imag",
    "torch.complex(x, y).exp().real", "torch.complex(x, y).sgn().real", "(x * 1j * y).imag",
)  # fmt: skip
SHAPES = [((2, 1), (1, 3)), ((0,), (1,))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_functions_of_two_numbers(shapes):
    first, second = spread(0.3, 2.7, shapes[0]), spread(1.1, 3.2, shapes[1])
    check_gradients([(code, first, second) for code in TWO])


def test_functions_of_three_numbers():
    x, y, z = spread(0.3, 2.7, (2, 1)), spread(1.1, 3.2, (3,)), spread(0.1, 0.9, (2, 3))
    codes = (
        "torch.addcmul(x, y, z)", "torch.addcmul(x, y, z, value=-0.5)", "torch.addcdiv(x, y, z)",
        "torch.addcdiv(x, y, z, value=2)", "torch.lerp(x, y, z)", "torch.where(z > 0.5, x, y)",
    )  # fmt: skip
    check_gradients([(code, x, y, z) for code in codes])


NUMBERS = (
    "x + 2", "2 + x", "x - 2", "2 - x", "x * 2", "2 * x", "x / 2", "2 / x", "x ** 2", "x ** 3",
    "x ** -2", "x ** 0.5", "x ** 1.7", "2 ** x", "x % 2", "x.fmod(2)", "+x", "-x", "abs(x)",
    "torch.mvlgamma(x, 2)", "x.polygamma(1)", "torch.polygamma(2, x)", "x.round(decimals=1)",
    "torch.where(x > 1, x, 0)", "torch.where(x > 1, 0, x)", "torch.xlogy(2, x)",
    "torch.xlogy(x, 2)", "x.copysign(-1)", "x.clip(0.5, 2)", "torch.true_divide(x, 2)",
    "torch.square(x)", "x.float_power(2)", "x.double() * 3", "x.conj()", "x.real",
)  # fmt: skip


def test_numbers_as_operands():
    check_gradients([(code, spread(0.7, 3.3, (2, 3))) for code in NUMBERS])


def whole(module):
    return {
        "a": module.tensor([7, -7, 5, 0, -1]),
        "b": module.tensor([3, 3, -2, 4, 2]),
        "m": module.tensor([True, False, True, False, True]),
        "n": module.tensor([False, False, True, True, True]),
        "u": module.tensor([1, 200, 255, 0, 3], dtype=module.uint8),
    }


def test_integers_and_bits():
    codes = (
        "a + b", "a - b", "a * b", "a / b", "a // b", "a % b", "a.fmod(b)", "a ** 2",
        "a ** b.abs()", "a ** b", "torch.div(a, b, rounding_mode='trunc')", "7 // b", "a // 2",
        "a % 3", "-a", "~a", "abs(a)", "a & b", "a | b", "a ^ b", "a << 2", "a >> 1", "a & 6",
        "6 | a", "1 << b.abs()", "~m", "m & n", "m | n", "m ^ n", "m & True", "m + n", "m * n",
        "m + 1", "u + u", "u * 2", "-u", "u // 7", "u - 3", "torch.gcd(a, b)",
        "torch.lcm(a, b)", "a.clamp(-2, 3)", "a.clamp(min=0.5)", "torch.maximum(a, b)",
        "a.sign()", "m.logical_and(n)", "m.logical_xor(n)", "a.logical_or(b)",
        "a.logical_not()", "a == b", "a != 7", "a < b", "a <= 5", "3 > a", "a >= b", "m == n",
        "a.eq(7)", "a.gt(b)", "torch.isin(a, b)", "torch.isin(a, b, invert=True)",
        "a.float() == a", "a < 0.5", "torch.heaviside(a, b)", "torch.where(m, a, b)",
        "torch.where(m, 1, 2.5)", "torch.where(a > 0)", "a.isfinite()", "a.square()",
    )  # fmt: skip
    check(codes, whole)


# ---- strides of results ----


def test_results_keep_the_order_of_dimensions():
    def names(module):
        f = module.arange(12.0).reshape(3, 4)
        return {"t": f.t(), "f": f, "s": f.reshape(4, 3)}

    codes = (
        "t + 1", "t * t", "t + s", "s + t", "t ** 2", "t < 1", "t.exp()", "t.clamp(1, 2)", "-t",
        "torch.where(t > 1, t, 0.0)", "t[:, ::2] + 1", "f[None].expand(2, 3, 4) * 2", "f[:, 1] + 1",
        "f.unsqueeze(1) + t.unsqueeze(0).mT.reshape(1, 3, 4)[:, :1]", "torch.zeros_like(t)",
    )  # fmt: skip
    check(codes, names)


# ---- in place, out ----


WRITES = (
    "f.add_(1)", "f.sub_(f, alpha=2)", "f.mul_(i)", "f.div_(2)", "f.pow_(2)", "f.exp_()",
    "f.clamp_(0, 1)", "f.lt_(2)", "f.atan2_(f)", "i.add_(f.long())", "f.sqrt_().neg_()",
    "f.addcmul_(f, f, value=2)", "f.addcdiv_(f, f)", "f.lerp_(f + 1, 0.5)", "f.t().add_(1)",
    "f[:, 0].mul_(5)", "f.logical_not_()", "f.round_(decimals=1)", "f.fmod_(2)",
    "i.bitwise_and_(1)", "f.square_()", "f.true_divide_(3)", "f.nan_to_num_()", "f.clip_(max=2)",
    "torch.add(f, 1, out=torch.empty(2, 2))", "torch.exp(f, out=torch.empty(0))",
    "torch.mul(f, i, out=f)", "torch.lt(f, 2, out=torch.empty(2, 2, dtype=torch.bool))",
    "torch.pow(f, 2, out=torch.empty(2, 2, dtype=torch.float64))",
)  # fmt: skip


def test_in_place_and_out():
    def written(module):
        results = []
        for code in WRITES:
            f = module.tensor([[1.0, 2.0], [3.0, 4.0]])
            names = {"torch": module, "f": f, "i": f.long()}
            results.append((code, eval(code, names), f))
        return results

    same(written)


def test_augmented_assignment():
    def run(module):
        x = y = module.tensor([4.0, 9.0])
        x += 1
        x -= 0.5
        x *= 2
        x /= 3
        x **= 2
        x //= 1
        x %= 4
        n = module.tensor([6, 3])
        n &= 3
        n |= 8
        n ^= 1
        n <<= 1
        n >>= 2
        return [x, y, n]

    same(run)


# ---- errors ----


def operands(module):
    f = module.tensor([[1.0, 2.0], [3.0, 4.0]])
    return {
        "f": f, "i": f.long(), "b": f.bool(), "c": module.complex(f, f), "h": f.half(),
        "w": module.zeros(3), "r": module.ones(2, requires_grad=True),
    }  # fmt: skip


def test_errors():
    check(
        (
            "f + w", "f + 'a'", "f + None", "f - [1]", "None - f", "f / 'a'", "f // None",
            "f % 'a'", "f ** None", "f < None", "[1] + f", "-b", "+b", "abs(b)", "b - b",
            "b - 1", "1 - b", "i ** -1", "b ** b", "f & 1", "~f", "f << 1", "i << 1.5",
            "b << b", "c < c", "c // 2", "c % 2", "b // b", "torch.sign(c)", "torch.floor(c)",
            "torch.ceil(b)", "torch.frac(i)", "torch.relu(b)", "torch.erf(c)",
            "torch.deg2rad(c)", "torch.round(i, decimals=1)", "torch.add(f, 'a')",
            "torch.add(f, None)", "torch.add(i, i, alpha=1.5)", "torch.add(i, i, alpha=True)",
            "torch.add(f, f, alpha=2j)", "torch.addcmul(f, 1, f)", "torch.addcdiv(i, i, i)",
            "torch.lerp(i, i, 2)", "torch.lerp(f, i, 0.5)",
            "torch.div(i, i, rounding_mode='x')", "torch.maximum(f, 1)", "torch.maximum(c, c)",
            "torch.atan2(f, 1)", "torch.hypot(i, i)", "torch.logical_and(f, 1)", "torch.exp(1)",
            "torch.exp('a')", "torch.where(f, f, f)", "torch.clamp(f)", "torch.clamp(c, 0)",
            "torch.clamp(torch.zeros(2), w)", "torch.heaviside(f, i)",
            "torch.complex(f, f.double())", "torch.complex(i, i)", "torch.imag(f)",
            "torch.isclose(f, i)", "torch.isclose(f, f, rtol=-1)", "torch.equal(f, 1)",
            "torch.polygamma(-1, f)", "torch.gcd(f, f)", "torch.nextafter(i, i)", "i.add_(1.5)",
            "i.div_(2)", "b.add_(1)", "f.add_(c)", "w.add_(f[:, None, :1].expand(2, 2, 3))",
            "r.add_(1)", "torch.add(f, f, out=i)", "torch.mul(r, 2, out=torch.empty(2))",
        ),
        operands,
    )  # fmt: skip


# ---- results that are not tensors ----


def test_comparing_wholes():
    check(
        (
            "torch.equal(f, f.clone())", "torch.equal(f, f + 1)", "torch.equal(f, w)",
            "torch.equal(f, i)", "torch.allclose(f, f + 1e-7)", "torch.allclose(f, f + 1)",
            "f.allclose(f * nan)", "torch.allclose(f * nan, f * nan, equal_nan=True)",
            "f == None", "f != 'a'", "f.is_conj()", "f.resolve_conj() is f", "f.positive() is f",
            "f.real is f", "torch.isclose(i, i + 1, atol=1)", "torch.isclose(b, b)",
            "torch.isclose(f / 0, f / 0)", "torch.isclose(c, c + 1e-9)",
        ),
        operands,
    )  # fmt: skip


def test_parts_of_complex_numbers_are_views():
    def run(module):
        c = module.complex(module.tensor([1.0, 2.0]), module.tensor([3.0, 4.0]))
        c.real.add_(1)
        c.imag[0] = 7.0
        before = c.clone()
        c.real = module.tensor([0.0, 9.0])
        return [before, c, c.imag, c.real]

    same(run)


def test_sine_and_cosine_of_large_angles():
    def turns(module):
        angles = module.arange(-3000.0, 3000.0, 1.5, requires_grad=True)
        angles.sin().sum().backward()
        large = angles.detach() * 1024
        return [angles.sin(), angles.cos(), large.sin(), (large * 2.0**70).cos(), angles.grad]

    same(turns)


def test_float32_stays_float32_inside():
    x = facade.ones(3)
    for name in (*SMOOTH, "softplus", "i0"):
        if hasattr(x, name):
            assert getattr(x, name)().dtype in (facade.float32, facade.bool), name


def test_short_floats_and_complex_numbers_are_exact():
    def run(module):
        x = module.linspace(-8, 8, 20)
        half, below = x.half(), module.tensor([-8.4784, -1.7658, 0.2, 7.5])
        z = module.complex(x, 3 - x * 2)
        return [
            half.exp2(), (half * 90).dist(half), module.logaddexp(z, z * 2 - 5),
            *(module.polygamma(n, below) for n in range(4)),
        ]  # fmt: skip

    both(run)


def test_second_derivatives():
    def run(module, code):
        x = module.tensor([0.3, 0.6, 0.9], requires_grad=True)
        y = eval(code, {"torch": module, "x": x}).sum()
        (first,) = module.autograd.grad(y, x, create_graph=True)
        (second,) = module.autograd.grad((first * first).sum(), x)
        return second

    codes = (
        "x.abs() * x", "x ** 3", "x ** x", "x.clamp(0.5, 2) ** 2", "x.relu() ** 2", "x.lgamma()",
        "torch.atan2(x, x * x)", "torch.hypot(x, x * x)", "torch.i0(x)", "x.sigmoid()",
        "torch.maximum(x * x, x / 2)", "torch.where(x > 0.5, x ** 3, x)", "2 / x",
    )  # fmt: skip
    for code in codes:
        ours, theirs = run(facade, code), run(torch, code)
        np.testing.assert_allclose(to_numpy(ours), to_numpy(theirs), rtol=1e-4, err_msg=code)

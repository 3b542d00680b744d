"""torch.backends: PyTorch's defaults and words, and the settings that reach the programs."""

import jax
import pytest
from parity import both

import facade
from facade.ops import conv_algorithms


@pytest.mark.parametrize(
    "code",
    [
        "b.cuda.matmul.allow_tf32, b.cudnn.allow_tf32, b.cuda.matmul.fp32_precision",
        "b.cudnn.enabled, b.cudnn.benchmark, b.cudnn.deterministic, b.cudnn.benchmark_limit",
        "b.cuda.is_built(), b.cudnn.is_available(), b.mps.is_available(), b.mps.is_built()",
        "b.mkldnn.is_available(), b.mkldnn.enabled, b.mkl.is_available(), b.openmp.is_available()",
        "b.cpu.get_cpu_capability()",
        "b.cuda.flash_sdp_enabled(), b.cuda.math_sdp_enabled(), b.cuda.cudnn_sdp_enabled()",
        "b.cuda.matmul.foo",
        "setattr(b.cuda.matmul, 'foo', 3)",
        "setattr(b.cuda.matmul, 'allow_tf32', 'a')",
        "setattr(b.cudnn, 'allow_tf32', 3)",
        "setattr(b.cuda.matmul, 'fp32_precision', 'bf16')",
        "setattr(b.cuda.matmul, 'fp32_precision', 'foo')",
        "b.cuda.matmul.allow_bf16_reduced_precision_reduction",
    ],
)
def test_words(code):
    both(lambda torch: eval(code, {"b": torch.backends}))


def test_matmul_precision_is_one_setting():
    def code(torch):
        matmul = torch.backends.cuda.matmul
        before, found = torch.get_float32_matmul_precision(), []
        for precision in ("medium", "high", "highest"):
            torch.set_float32_matmul_precision(precision)
            found.append(matmul.allow_tf32)
        matmul.allow_tf32 = True
        found.append(torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision(before)
        return before, found

    both(code)


def test_fp32_precision_knows_whether_it_was_chosen():
    def code(torch):
        matmul, found = torch.backends.cuda.matmul, []

        def note():
            found.append(matmul.fp32_precision)

        matmul.fp32_precision = "none"
        note()
        for precision in ("highest", "high", "highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            note()
        for allowed in (True, False):
            matmul.allow_tf32 = allowed
            note()
        for precision in ("tf32", "ieee", "none"):
            matmul.fp32_precision = precision
            note()
        matmul.fp32_precision = "ieee"  # PyTorch refuses to mix its two ways of choosing, so
        torch.set_float32_matmul_precision("highest")  # end where both say the same
        return found

    both(code)


def test_mixed_ways_to_choose_a_precision():
    matmul = facade.backends.cuda.matmul
    facade.set_float32_matmul_precision("high")
    try:
        matmul.fp32_precision = "none"
        assert facade.get_float32_matmul_precision() == "highest"
    finally:
        facade.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name, value", [("allow_tf32", True), ("fp32_precision", "tf32")])
def test_a_recorded_product_keeps_its_precision(name, value):
    x = facade.ones(2, 2)
    recorded = x @ x
    assert recorded._cell.tape.code  # it waits
    try:
        with facade.no_flush(), pytest.raises(RuntimeError, match="no_flush"):
            setattr(facade.backends.cuda.matmul, name, value)
    finally:
        facade.set_float32_matmul_precision("highest")


def test_the_default_chosen_again_means_no_new_programs():
    matmul, x = facade.backends.cuda.matmul, facade.ones(2, 2)
    matmul.fp32_precision = "none"
    before = (x @ x)._cell.tape.code[-1][0]
    facade.set_float32_matmul_precision("highest")
    assert (x @ x)._cell.tape.code[-1][0] is before


def test_cudnn_flags():
    def code(torch):
        cudnn = torch.backends.cudnn
        with cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            inside = cudnn.benchmark, cudnn.allow_tf32, cudnn.benchmark_limit
        return inside, cudnn.benchmark, cudnn.allow_tf32, cudnn.benchmark_limit

    both(code)


def test_convolutions_on_a_gpu_follow_the_flag():
    """Lowered for a GPU, without one: every convolution says how exact it is."""
    window = conv_algorithms.Window((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    arrays = jax.ShapeDtypeStruct((1, 2, 8, 8), "float32"), jax.ShapeDtypeStruct((3, 2, 3, 3), "f4")

    def text() -> str:
        def loss(x, w):
            return conv_algorithms.convolve(x, w, window).sum()

        traced = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(*arrays)
        return traced.lower(lowering_platforms=("cuda",)).as_text()

    assert text().count("precision HIGHEST") == 0
    with facade.backends.cudnn.flags(allow_tf32=False):
        exact = text()
    assert exact.count("HIGHEST") >= 6, exact  # both operands of three convolutions


def test_a_changed_flag_means_new_programs():
    x, w = facade.ones(1, 1, 4, 4), facade.ones(1, 1, 3, 3)
    before = facade.nn.functional.conv2d(x, w)._cell.tape.code[-1][0]
    with facade.backends.cudnn.flags(allow_tf32=False):
        assert facade.nn.functional.conv2d(x, w)._cell.tape.code[-1][0] is not before

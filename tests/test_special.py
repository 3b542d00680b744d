"""torch.special, torch.signal: values, gradients, names of nodes, errors."""

import pytest
from expressions import check, groups

FUNCTIONS = """
    torch.special.entr(m)
    torch.special.entr(m.abs())
    torch.special.erfcx(m * 3)
    torch.special.erfcx(m.double() * 20)
    torch.special.i0(m)
    torch.special.i0e(m * 3)
    torch.special.i1(m * 3)
    torch.special.i1e(m * 3)
    torch.special.log_ndtr(m * 4)
    torch.special.ndtr(m)
    torch.special.ndtr(m.detach().bfloat16())
    torch.special.log_ndtr(m.detach().half())
    torch.special.ndtri(m.detach().bfloat16())
    torch.special.erfcx(m.detach().half())
    torch.special.ndtri(m.sigmoid())
    torch.special.xlog1py(m, m.abs())
    torch.special.xlog1py(2, m.abs())
    torch.special.xlog1py(m.abs(), 3)
    torch.special.zeta(2, m.abs() + 1)
    torch.special.zeta(3, torch.tensor([-2.0, -2.5, 0.0, 1.0]))
    torch.special.zeta(torch.tensor([-2, 0, 1, 2]), torch.tensor([-1, 0, -1, -1]))
    torch.special.zeta(torch.tensor([1.5, 1.0, nan, 2.0]), torch.tensor([-1.0, -0.5, -1.0, nan]))
    torch.special.zeta(torch.tensor([2.0, 3.0]), torch.tensor([1.5, 2.5]))
    torch.special.gammainc(torch.tensor([0.5, 2.0]), w.abs()[0, :2])
    torch.special.gammaincc(torch.tensor([0.5, 2.0]), w.abs()[0, :2])
    torch.igamma(torch.tensor([0.5, 2.0]), torch.tensor([0.5, 2.0]))
    t = torch.tensor([0.5, 2.0]); t.igamma_(torch.tensor([1.0, 2.0])); t
    torch.tensor([0.5, 2.0]).igammac(torch.tensor([0.5, 2.0]))
    torch.special.digamma(m.abs())
    torch.special.psi(m.abs())
    torch.special.gammaln(m.abs())
    torch.special.expit(m)
    torch.special.multigammaln(m.abs() + 2, 2)
    torch.special.polygamma(1, m.abs())
    torch.special.logsumexp(m, 0)
    torch.special.softmax(m, 1)
    torch.special.log_softmax(m, 1, dtype=torch.float64)
    torch.special.round(m, decimals=1)
    torch.special.exp2(m)
    torch.special.erfinv(m.tanh())
    torch.special.spherical_bessel_j0(torch.tensor([0.0, 1.0, -3.0, inf, nan]))
    torch.special.modified_bessel_i0(m)
    torch.special.modified_bessel_i1(m)
    torch.special.erfcx(torch.tensor([0.0, -30.0, 1e30, inf, -inf, nan]))
    torch.special.entr(torch.tensor([0.0, -1.0, inf, nan]))
    torch.special.entr(torch.tensor([True, False]))
    torch.special.i1(torch.tensor([1, 2]))
    o = torch.zeros(2); torch.special.entr(torch.ones(2), out=o) is o
"""
BESSEL = "\n".join(
    f"torch.special.{name}({argument})"
    for name in (
        "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0",
        "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
        "spherical_bessel_j0", "modified_bessel_i0", "modified_bessel_i1",
    )
    for argument in (
        "torch.arange(-24, 25, dtype=torch.float64) * 0.45",
        "torch.tensor([0.0, -0.0, 5.0, 1e-20, 110.0, inf, -inf, nan])", "torch.tensor([0, 1, 3])",
    )
)  # fmt: skip
WINDOWS = """
    torch.signal.windows.bartlett(7)
    torch.signal.windows.bartlett(6, sym=False, dtype=torch.float64)
    torch.signal.windows.blackman(7, requires_grad=True)
    torch.signal.windows.cosine(7), torch.signal.windows.cosine(6, sym=False)
    torch.signal.windows.exponential(7), torch.signal.windows.exponential(0)
    torch.signal.windows.exponential(6, center=1.5, tau=2.0, sym=False)
    torch.signal.windows.gaussian(7), torch.signal.windows.gaussian(6, std=0.4, sym=False)
    torch.signal.windows.general_cosine(7, a=[0.1, 0.2, 0.4])
    torch.signal.windows.general_hamming(7, alpha=0.3)
    torch.signal.windows.hamming(7), torch.signal.windows.hamming(1, sym=False)
    torch.signal.windows.hann(6, sym=False), torch.signal.windows.nuttall(9)
    torch.signal.windows.kaiser(9), torch.signal.windows.kaiser(8, beta=3.1, sym=False)
    torch.signal.windows.kaiser(1), torch.signal.windows.kaiser(0)
    torch.signal.windows.hann(-1)
    torch.signal.windows.blackman(3, dtype=torch.int64)
    torch.signal.windows.bartlett(3, layout=torch.sparse_coo)
    torch.signal.windows.gaussian(3, std=0)
    torch.signal.windows.exponential(3, tau=0)
    torch.signal.windows.exponential(3, center=1)
    torch.signal.windows.kaiser(3, beta=-1)
    torch.signal.windows.general_cosine(3, a=[])
    torch.signal.windows.general_cosine(3, a=3)
"""
CHEBYSHEV = ("chebyshev_polynomial", "shifted_chebyshev_polynomial")
POLYNOMIALS = "\n".join(
    f"torch.special.{name}({arguments})"
    for name in (
        *(f"{kind}_{letter}" for kind in CHEBYSHEV for letter in "tuvw"),
        "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
        "legendre_polynomial_p",
    )
    for arguments in (
        "torch.tensor([0.3, -0.7, 1.5]).double(), torch.tensor([[-1], [0], [1], [2], [5]])",
        "torch.tensor([2, 3]), 3", "m, 2.7",
    )
)  # fmt: skip
ERRORS = """
    torch.special.i1(c)
    torch.special.entr(c)
    torch.special.xlog1py(c, c)
    torch.special.chebyshev_polynomial_t(c, 2)
    torch.special.entr("a")
    torch.igamma(torch.tensor([1]), torch.tensor([1]))
    torch.igamma(m, 2)
    torch.igamma(m.abs(), m.abs())
    torch.special.zeta(m, m)
    m.floor_divide(m)
    m // 2
    torch.heaviside(m, m)
    t = m * 1; t.floor_divide_(2)
"""


GROUPS = [
    *groups(FUNCTIONS), *groups(POLYNOMIALS, 40), *groups(BESSEL, 40), *groups(WINDOWS, 40),
    *groups(ERRORS),
]  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_special(group):
    check([line.replace("inf", "float('inf')").replace("nan", "float('nan')") for line in group])

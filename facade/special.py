"""torch.special: special functions under the names that PyTorch gathers them by."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from facade import aten, functions
from facade.binding import with_out
from facade.tensor import Tensor
from facade.underived import refuse_backward

_OPS = (
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "entr", "erfcx", "i0e", "i1",
    "i1e", "log_ndtr", *(f"modified_bessel_{kind}" for kind in ("i0", "i1", "k0", "k1")),
    "ndtr", "ndtri", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
    "spherical_bessel_j0", "xlog1py",
    *(f"chebyshev_polynomial_{kind}" for kind in "tuvw"),
    *(f"shifted_chebyshev_polynomial_{kind}" for kind in "tuvw"),
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p",
)  # fmt: skip
_ELSEWHERE = {
    "digamma": "digamma", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "exp2": "exp2",
    "expit": "sigmoid", "expm1": "expm1", "gammainc": "igamma", "gammaincc": "igammac",
    "gammaln": "lgamma", "i0": "i0", "log1p": "log1p", "log_softmax": "log_softmax",
    "logit": "logit", "logsumexp": "logsumexp", "multigammaln": "mvlgamma",
    "polygamma": "polygamma", "psi": "digamma", "round": "round", "sinc": "sinc",
    "softmax": "softmax", "xlogy": "xlogy",
}  # fmt: skip


def _named(function: Callable, name: str) -> Callable[..., Any]:
    """Return a function with the name it has here, since its errors say that."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


for _name in _OPS:
    globals()[_name] = _named(with_out(getattr(aten, f"special_{_name}")), _name)
for _name, _own in _ELSEWHERE.items():
    globals()[_name] = _named(getattr(functions, _own), _name)


@with_out
def zeta(input, other) -> Tensor:
    """Return Hurwitz's zeta function; it has no derivative by ``input``."""
    result = aten.special_zeta(input, other)
    refused = isinstance(input, Tensor) and input.requires_grad
    return refuse_backward(result, "zeta") if refused else result


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Stand for the functions made above."""

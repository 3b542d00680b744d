"""In-place views: the same tensor, seen otherwise from now on."""

from facade import aten
from facade.binding import public
from facade.functions.strided import as_strided
from facade.functions.views import squeeze_dim
from facade.graph import AccumulateGrad
from facade.recording import wrap
from facade.tape import state
from facade.tensor import Tensor


def _turned(name: str, function):
    """Return the method ``name``, which makes a tensor what the view ``function`` shows of it."""

    def method(self: Tensor, *args, **kwargs) -> Tensor:
        if state.grad and type(self._fresh_node()) is AccumulateGrad:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        base = wrap(self._cell, self._aval, self._node, self._number)
        seen = function(base, *args, **kwargs)
        self._cell, self._aval = seen._cell, seen._aval
        self._node, self._number = seen._node, seen._number
        return self

    method.__name__ = name
    method.__doc__ = f"In-place version of :func:`facade.{name[:-1]}`: no element moves."
    return method


for _name, _function in {
    "t_": aten.t_, "transpose_": aten.transpose_, "swapaxes_": aten.transpose_,
    "swapdims_": aten.transpose_, "unsqueeze_": aten.unsqueeze_,
    "squeeze_": lambda base, *dim, **named: aten.squeeze_(base, squeeze_dim(dim, named)),
}.items():  # fmt: skip
    public(_turned(_name, _function), module=False)
public(_turned("as_strided_", as_strided))

"""``torch.ops.aten``: PyTorch's names of ops, by which a policy tells them apart."""

import functools
import re
from typing import Any

from facade.ops.registry import Entry

find: Any = None  # ``name -> function or None``, what a name calls; facade.functions.kernels's


class _Callable:
    _op: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the public function or method of that name; it chooses the overload.

        Raises:
            NotImplementedError: there is none.
        """
        function = find(self._op.removeprefix("aten."))
        if function is None:
            raise NotImplementedError(
                f"torch.ops.{self} is the name of a kernel only; call one of facade's functions"
            )
        return function(*args, **kwargs)


class OpOverload(_Callable):
    """One overload of an op, as ``torch.ops.aten.mm.default``."""

    def __init__(self, op: str, overload: str) -> None:
        self._op, self._overloadname = op, overload

    def __str__(self) -> str:
        return f"{self._op}.{self._overloadname}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self._op}', overload='{self._overloadname}')>"


class OpOverloadPacket(_Callable):
    """All overloads of an op, as ``torch.ops.aten.mm``."""

    def __init__(self, op: str) -> None:
        self._op = op

    def __getattr__(self, name: str) -> OpOverload:
        if name[:2] == "__":
            raise AttributeError(name)
        return _overload(self._op, name)

    def __str__(self) -> str:
        return self._op

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._op}')>"


class _Namespace:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        if name[:2] == "__":
            raise AttributeError(name)
        return _packet(f"{self._name}.{name}")


_overload = functools.cache(OpOverload)  # one object each, compared by identity
_packet = functools.cache(OpOverloadPacket)
aten = _Namespace("aten")

# nodes whose op is not called as they are, or has another overload than "default"
_OPS = {
    "AddBackward0": "add.Tensor", "SubBackward0": "sub.Tensor", "MulBackward0": "mul.Tensor",
    "DivBackward0": "div.Tensor", "DivBackward1": "div.Scalar", "PowBackward0": "pow.Tensor_Scalar",
    "PowBackward1": "pow.Tensor_Tensor", "SumBackward1": "sum.dim_IntList",
    "MeanBackward1": "mean.dim", "SoftmaxBackward0": "_softmax.default",
    "LogSoftmaxBackward0": "_log_softmax.default", "SelectBackward0": "select.int",
    "SliceBackward0": "slice.Tensor", "TransposeBackward0": "transpose.int",
    "NllLossBackward0": "nll_loss_forward.default", "WhereBackward0": "where.self",
}  # fmt: skip


@functools.cache
def _of_node(name: str) -> OpOverload:
    known = _OPS.get(name)
    if known is None:
        words = re.sub(r"Backward\d*$", "", name)
        known = re.sub(r"(?<!^)(?=[A-Z])", "_", words).lower() + ".default"
        if known.startswith("scaled_dot_product"):
            known = f"_{known}"
    return _overload(*f"aten.{known}".rsplit(".", 1))


def overload_of(entry: Entry) -> OpOverload:
    """Return PyTorch's name of an op; its ``grad_fn`` says it."""
    return _of_node(entry.grad_name or f"{entry.name}Backward0")

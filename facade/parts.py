"""Tensors that are no single array: the cell by which recording comes to know of them."""

from typing import Any

from facade import devices


class OtherLayout(NotImplementedError):
    """An operand is no single array; its cell says what an op makes of it."""

    def __init__(self, cell: "Parts") -> None:
        super().__init__(cell.refusal("this operation"))
        self.cell = cell

    def answer(self, spec, operands: tuple, static: tuple) -> Any:
        """Return what the cell makes of the op; its errors are not about this exception."""
        try:
            return self.cell.record(spec, operands, static)
        except Exception as error:
            raise error from None


class Parts:
    """The cell of a tensor that consists of others: a sparse, a nested or a quantized one.

    It has neither a value nor a place on a tape, and says so to whoever looks for them. Recording
    does, and asks :meth:`record` instead; so operands that are arrays are never looked at for it.

    Attributes:
        kind: What the tensor is called in messages.
        instead: How to get a dense tensor of it.
    """

    __slots__ = ("__weakref__", "device")
    version = 0
    kind = ""
    instead = "x.to_dense()"

    def __init__(self, device: devices.device) -> None:
        self.device = device

    def record(self, spec, operands: tuple, static: tuple) -> Any:
        """Return what an op makes of operands one of which is of this kind.

        Raises:
            NotImplementedError: nothing.
        """
        raise self.refusal(spec.name)

    def refusal(self, op: str) -> NotImplementedError:
        """Return the error that says that an op knows no such tensors."""
        return NotImplementedError(
            f"{op} is not implemented for a {self.kind} tensor; use {self.instead} first"
        )

    @property
    def tape(self) -> Any:
        raise OtherLayout(self)

    array = ref = tape
    storage = property(lambda self: self)

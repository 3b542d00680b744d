"""Sparse tensors: the elements that are kept and their places."""

from collections.abc import Callable
from typing import Any

import numpy as np

from facade import aten, devices, dtypes, layouts, printing
from facade.avals import aval
from facade.composed import ComposedTensor
from facade.errors import no_dimension
from facade.parts import Parts
from facade.tensor import Tensor

HANDLERS: dict = {}  # name of an op -> what it makes of sparse tensors


def handles(*names: str) -> Callable:
    """Make a function what ops of these names do: it gets their operands, then what is static."""

    def wrap(function: Callable) -> Callable:
        HANDLERS.update(dict.fromkeys(names, function))
        return function

    return wrap


class SparseCell(Parts):
    """The cell of a sparse tensor."""

    __slots__ = ("kind",)

    def __init__(self, device: devices.device, layout: layouts.layout) -> None:
        super().__init__(device)
        self.kind = repr(layout)

    def record(self, spec, operands: tuple, static: tuple):
        """Return what an op makes of sparse operands.

        Raises:
            NotImplementedError: nothing.
        """
        handler = HANDLERS.get(spec.name)
        if handler is None:
            raise self.refusal(spec.name)
        return handler(*operands, *static)


class SparseTensor(ComposedTensor):
    """A tensor that keeps some of its elements, ``(nnz, *dense)``; the others are zero."""

    called = ""  # what PyTorch's messages call the layout

    @classmethod
    def _of(cls, shape: tuple, elements: Tensor) -> Any:
        cell = SparseCell(elements.device, cls.layout)
        known = aval(tuple(shape), elements.dtype, (0,) * len(shape))
        return cls._bare(cell, known, elements)

    # ---- what a layout says ----

    def places(self) -> Tensor:
        """Return where the elements are, ``(sparse_dim, nnz)``."""
        raise NotImplementedError

    def coo(self) -> "CooTensor":
        """Return this with its places as they are, coalesced or not."""
        raise NotImplementedError

    def once(self) -> Any:
        """Return this with no place occurring twice."""
        raise NotImplementedError

    def _shown_places(self) -> dict[str, Tensor]:
        raise NotImplementedError

    # ---- facts ----

    def _nnz(self) -> int:
        return self.elements.shape[0]

    def sparse_dim(self) -> int:
        """Return how many dimensions are sparse."""
        return self.ndim - self.dense_dim()

    def dense_dim(self) -> int:
        """Return how many dimensions the elements have."""
        return self.elements.ndim - 1

    def values(self) -> Tensor:
        """Return the elements."""
        return aten.elements_of(self.elements, "ValuesBackward0")

    def to_dense(self, dtype=None, *, masked_grad: bool | None = None) -> Tensor:
        """Return the same values as a tensor in strides."""
        if dtype is not None:
            raise RuntimeError("dtype argument is not supported by sparse_to_dense")
        shape = tuple(self.shape[: self.sparse_dim()])
        return aten.sparse_scatter(self.elements, self.places(), shape, "ToDenseBackward0")

    def own_gradient(self, gradient: Tensor) -> Tensor:
        return gradient.sparse_mask(self).elements

    def numpy(self, *, force: bool = False) -> np.ndarray:
        raise TypeError(
            f"can't convert {self.called} layout tensor to numpy. Use Tensor.to_dense() first."
        )

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        parts = {name: t._host() for name, t in self._shown_places().items()}
        parts["values"] = self.elements._host()
        default = dtypes.get_default_dtype()
        plain = (default, default.to_complex(), dtypes.int64, dtypes.bool_)
        facts = {
            f"device='{self.device}'": self.device.type != "cpu",
            f"size={tuple(self.shape)}": True,
            f"nnz={self._nnz()}": True,
            f"dtype={self.dtype}": self.dtype not in plain,
            f"layout={self.layout}": True,
            f"grad_fn=<{type(self.grad_fn).__name__}>": self.grad_fn is not None,
            "requires_grad=True": self.requires_grad and self.is_leaf,
        }
        suffixes = [fact for fact, shown in facts.items() if shown]
        return printing.parts_str(parts, suffixes, new_line=self.is_sparse)


def rebuild(layout: layouts.layout, parts: tuple) -> SparseTensor:
    """Return the tensor that was pickled; it requires no gradient any more, as in PyTorch.

    Raises:
        NotImplementedError: there is no such layout here.
    """
    if layout is layouts.sparse_csr:
        return CsrTensor.make(*parts).detach()
    if layout is not layouts.sparse_coo:
        raise NotImplementedError(f"there are no tensors of layout {layout}")
    coordinates, elements, size, *coalesced = parts  # older files don't say
    return CooTensor.make(coordinates, elements, size, any(coalesced))


class CooTensor(SparseTensor):
    """A sparse tensor by the coordinates of its elements, of which one may be given several times.

    Attributes:
        coordinates: ``(sparse_dim, nnz)``, int64.
        coalesced: Whether no coordinates occur twice and they are in order.
    """

    layout: Any = layouts.sparse_coo
    is_sparse = True
    called = "Sparse"
    coordinates: Tensor
    coalesced: bool

    @staticmethod
    def make(coordinates: Tensor, elements: Tensor, shape: tuple, coalesced: bool) -> "CooTensor":
        made = CooTensor._of(shape, elements)
        made.coordinates, made.coalesced = coordinates, coalesced
        return made

    def like(self, elements: Tensor) -> "CooTensor":
        return CooTensor.make(self.coordinates, elements, self.shape, self.coalesced)

    def places(self) -> Tensor:
        return self.coordinates

    def _same_places(self, value: "CooTensor") -> bool:
        return value.coordinates is self.coordinates and value.coalesced is self.coalesced

    def coo(self) -> "CooTensor":
        return self

    def once(self) -> "CooTensor":
        return self.coalesce()

    def moved(self, move: Callable[[Tensor], Tensor]) -> "CooTensor":
        coordinates, elements = move(self.coordinates), move(self.elements)
        return CooTensor.make(coordinates, elements, self.shape, self.coalesced)

    def _shown_places(self) -> dict[str, Tensor]:
        return {"indices": self.coordinates}

    def _shown_gradient(self, gradient: Tensor) -> "CooTensor":
        if self.coalesced:
            return self.like(gradient)
        coordinates, _, first = self.groups()
        first = Tensor._from_array(first[None], self.device)
        return CooTensor.make(
            coordinates, aten.sparse_gather(gradient, first, ""), self.shape, True
        )

    def __reduce_ex__(self, protocol):
        parts = (self.coordinates, self.elements.detach(), self.shape, self.coalesced)
        return rebuild, (self.layout, parts)

    # ---- PyTorch's methods ----

    def is_coalesced(self) -> bool:
        """Return whether no place occurs twice and they are in order."""
        return self.coalesced

    def coalesce(self) -> "CooTensor":
        """Return this with the elements of each place added up, and the places in order."""
        if self.coalesced:
            return self
        coordinates, group, _ = self.groups()
        count = (coordinates.shape[1],)
        group = Tensor._from_array(group[None], self.device)
        summed = aten.sparse_scatter(self.elements, group, count, "CoalesceBackward0")
        return CooTensor.make(coordinates, summed, self.shape, True)

    def indices(self) -> Tensor:
        """Return the coordinates."""
        self._check_coalesced("indices")
        return self.coordinates.detach()

    def values(self) -> Tensor:
        """Return the elements."""
        self._check_coalesced("values")
        return super().values()

    def _check_coalesced(self, what: str) -> None:
        if not self.coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def _indices(self) -> Tensor:
        return self.coordinates.detach()

    def _values(self) -> Tensor:
        return self.elements.detach()

    # ---- places, on the host: how many there are decides the results' shapes ----

    def keys(self, skip: int | None = None) -> np.ndarray:
        """Return a number for each element's place, in their order; ``skip`` a dimension."""
        coordinates = self.coordinates._host()
        keys = np.zeros(self._nnz(), np.int64)
        for dim, row in enumerate(coordinates):
            if dim != skip:
                keys = keys * self.shape[dim] + row
        return keys

    def groups(self) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Return the coordinates without repetition, each element's among them, and where first."""
        _, first, group = np.unique(self.keys(), return_index=True, return_inverse=True)
        coordinates = self.coordinates._host()[:, first]
        return Tensor._from_array(coordinates, self.device), group.reshape(-1), first


class CsrTensor(SparseTensor):
    """A sparse matrix by rows: where in ``columns`` and the elements each row begins.

    Attributes:
        starts: ``(rows + 1,)``
        columns: ``(nnz,)``
    """

    layout: Any = layouts.sparse_csr
    is_sparse_csr = True
    called = "SparseCsr"
    starts: Tensor
    columns: Tensor
    _places: Tensor | None  # once they were counted

    @staticmethod
    def make(starts: Tensor, columns: Tensor, elements: Tensor, shape: tuple) -> "CsrTensor":
        made = CsrTensor._of(shape, elements)
        made.starts, made.columns, made._places = starts, columns, None
        return made

    @staticmethod
    def of(coo: CooTensor, name: str = "") -> "CsrTensor":
        """Return a sparse matrix by rows; ``name`` is its backward's.

        Raises:
            RuntimeError: it is no matrix of numbers.
        """
        coo = coo.coalesce()
        rows, columns = coo.coordinates._host()
        starts = np.searchsorted(rows, np.arange(coo.shape[0] + 1))
        starts, columns = (Tensor._from_array(x, coo.device) for x in (starts, columns))
        elements = aten.elements_of(coo.elements, name) if name else coo.elements
        return CsrTensor.make(starts, columns, elements, coo.shape)

    def like(self, elements: Tensor) -> "CsrTensor":
        made = CsrTensor.make(self.starts, self.columns, elements, self.shape)
        made._places = self._places
        return made

    def places(self) -> Tensor:
        if self._places is None:
            starts, columns = self.starts._host(), self.columns._host()
            rows = np.repeat(np.arange(self.shape[0]), np.diff(starts))
            self._places = counted(np.stack([rows, columns]), self)
        return self._places

    def _same_places(self, value: "CsrTensor") -> bool:
        return value.starts is self.starts and value.columns is self.columns

    def coo(self) -> CooTensor:
        return CooTensor.make(self.places(), self.elements, self.shape, True)

    def once(self) -> "CsrTensor":
        return self

    def moved(self, move: Callable[[Tensor], Tensor]) -> "CsrTensor":
        starts, columns = move(self.starts), move(self.columns)
        return CsrTensor.make(starts, columns, move(self.elements), self.shape)

    def _shown_places(self) -> dict[str, Tensor]:
        return {"crow_indices": self.starts, "col_indices": self.columns}

    def __reduce_ex__(self, protocol):
        parts = (self.starts, self.columns, self.elements.detach(), self.shape)
        return rebuild, (self.layout, parts)

    def crow_indices(self) -> Tensor:
        """Return where each row begins, and where the last one ends."""
        return self.starts.detach()

    def col_indices(self) -> Tensor:
        """Return each element's column."""
        return self.columns.detach()

    def stride(self, dim: int | None = None):
        raise RuntimeError("Sparse CSR tensors do not have strides")


def sparse_dimension(x: SparseTensor, dim: int) -> int:
    """Return ``dim`` counted from the front.

    Raises:
        IndexError: there is no such dimension.
    """
    if not -x.ndim <= dim < x.ndim:
        raise no_dimension(dim, x.ndim)
    return dim % x.ndim


def counted(places: np.ndarray, x: Tensor) -> Tensor:
    """Return places that were counted on the host as an operand next to ``x``."""
    return Tensor._from_array(np.ascontiguousarray(places, np.int64), x.device)


def renamed(x, name: str) -> Any:
    """Return a result with the name that its backward has in PyTorch."""
    if not isinstance(x, SparseTensor):
        return aten.elements_of(x, name)
    return x.like(aten.elements_of(x.elements, name))


def matches(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all ``i, j`` with ``keys[i] == wanted[j]``, in the order of ``j``, then of ``i``."""
    order = np.argsort(keys, kind="stable")
    first, last = (np.searchsorted(keys[order], wanted, side) for side in ("left", "right"))
    counts = last - first
    j = np.repeat(np.arange(len(wanted)), counts)
    i = np.arange(counts.sum()) + np.repeat(first - counts.cumsum() + counts, counts)
    return order[i], j


def picked(x: SparseTensor, places: np.ndarray) -> Tensor:
    """Return some of the elements."""
    return aten.sparse_gather(x.elements, counted(places[None], x), "")

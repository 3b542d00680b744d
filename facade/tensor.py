"""Tensor: a handle on a storage, with its autograd state. The operations are bound elsewhere."""

import copy
import re
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from facade import devices, dtypes, printing, recording, torch_function
from facade.avals import aval
from facade.devices import CPU, META, device
from facade.errors import no_dimension
from facade.graph import AccumulateGrad, hooks_of
from facade.hooks import RemovableHandle, add_hook
from facade.layouts import strided
from facade.recording import TensorBase, record_entry, refresh, wrap
from facade.size import Size
from facade.storage import Storage, View, locate, settle
from facade.tape import Tape, state
from facade.views import copy_slices


class Tensor(TensorBase):
    """A multi-dimensional array with PyTorch's interface, computed by JAX when it is needed."""

    __slots__ = ()
    __array_priority__ = 1000
    _grad: "Tensor | None" = None
    _retains_grad = False
    _backward_hooks = None
    is_sparse = is_sparse_csr = is_quantized = is_nested = is_mkldnn = False
    is_ipu = is_maia = is_mps = is_mtia = is_vulkan = is_xla = is_xpu = False
    name = None
    layout: Any = strided

    if TYPE_CHECKING:  # what is bound elsewhere; tensor.pyi has all of it

        def __eq__(self, other) -> Any: ...
        def __getitem__(self, key) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *data, device=None) -> "Tensor":
        return _legacy(cls, *data, device=device)

    # ---- facts ----------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return self._aval.size

    @property
    def dtype(self) -> dtypes.dtype:
        return self._aval.dtype

    @property
    def device(self) -> devices.device:
        return self._cell.device

    @property
    def ndim(self) -> int:
        return self._aval.ndim

    @property
    def itemsize(self) -> int:
        return self._aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self._aval.numel * self._aval.dtype.itemsize

    @property
    def is_cuda(self) -> bool:
        return self._cell.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return self._cell.device.type == "cpu"

    @property
    def is_meta(self) -> bool:
        return self._cell.device.type == "meta"

    @property
    def _version(self) -> int:
        version = self._cell.storage.version
        if version < 0:
            raise RuntimeError("Inference tensors do not track version counter.")
        return version

    @property
    def _base(self) -> "Tensor | None":
        cell = self._cell
        return cell.base if type(cell) is View and not cell.detached else None

    def _is_view(self) -> bool:
        return self._base is not None

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self._aval.ndim

    ndimension = dim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._aval.numel

    nelement = numel

    def size(self, dim: int | None = None):
        """Return the shape, or the size of one dimension.

        Raises:
            IndexError: there is no such dimension.
        """
        if dim is None:
            return self._aval.size
        bound = max(self._aval.ndim, 1)
        if not -bound <= dim < bound or not self._aval.ndim:
            raise no_dimension(dim, self._aval.ndim)
        return self._aval.shape[dim]

    def stride(self, dim: int | None = None):
        """Return the step in elements along each dimension, or one."""
        if dim is None:
            return self._aval.strides
        if not -self._aval.ndim <= dim < self._aval.ndim:
            raise no_dimension(dim, self._aval.ndim)
        return self._aval.strides[dim]

    def storage_offset(self) -> int:
        """Return where in its storage the first element lies."""
        if type(self._cell) is not View:
            return 0
        return chain_geometry(self._cell)[2]

    def element_size(self) -> int:
        """Return the bytes of one element."""
        return self._aval.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._aval.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._aval.dtype.is_complex

    def is_signed(self) -> bool:
        return self._aval.dtype.is_signed

    def is_inference(self) -> bool:
        """Return whether this was made in inference mode."""
        return self._cell.storage.version < 0

    def __len__(self) -> int:
        if not self._aval.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._aval.shape[0]

    def __hash__(self) -> int:
        return id(self)

    # ---- autograd state -------------------------------------------------------------------

    def _fresh_node(self):
        """Return the node, derived anew if this is a view of something written since."""
        cell = self._cell
        if type(cell) is View and cell.known != cell.storage.version:
            refresh(self)
        return self._node

    @property
    def requires_grad(self) -> bool:
        return self._fresh_node() is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Say whether operations on this leaf are recorded for ``backward()``; return it.

        Raises:
            RuntimeError: it is not a leaf, or has no floating or complex dtype.
        """
        node = self._fresh_node()
        if node is not None and type(node) is not AccumulateGrad:
            if not requires_grad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a computed variable in a subgraph that doesn't require differentiation "
                    "use var_no_grad = var.detach()."
                )
            return self
        d = self._aval.dtype
        if requires_grad and not (d.is_floating_point or d.is_complex):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if not requires_grad:
            self._node = None
        elif node is None:
            if self.is_inference() and not state.inference:
                raise RuntimeError(
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                    "allowed."
                )
            self._node = AccumulateGrad(self)
            self._number = 0
        return self

    @property
    def is_leaf(self) -> bool:
        node = self._fresh_node()
        return node is None or type(node) is AccumulateGrad

    @property
    def grad_fn(self):
        """The node of the op that made this tensor, None for a leaf."""
        node = self._fresh_node()
        return None if type(node) is AccumulateGrad else node

    @property
    def output_nr(self) -> int:
        return self._number

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that ``backward()`` accumulated, None before."""
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            self._check_grad(value)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _check_grad(self, value) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{dtypes.C_NAMES[value.dtype]}' to a "
                f"tensor with grad_dtype '{dtypes.SCALAR_NAMES[self.dtype]}'. The gradient must "
                "match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the "
                "tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. "
                "Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient "
                "may break downstream systems that assume they match."
            )
        if value.device is not self.device:
            raise RuntimeError("assigned grad has data located on a different device")
        if value.shape != self.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of "
                f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor are "
                "the same size"
            )

    def _shown_gradient(self, gradient: "Tensor") -> "Tensor":
        """Return a gradient that arrived at this tensor's node as the gradient of this tensor."""
        return gradient

    @property
    def retains_grad(self) -> bool:
        return self._retains_grad

    def retain_grad(self) -> None:
        """Have ``backward()`` fill ``grad`` here too, though this is no leaf.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        node = self._fresh_node()
        if node is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if type(node) is AccumulateGrad or self._retains_grad:
            return
        hooks_of(node).retain[self._number] = weakref.ref(self)
        self._retains_grad = True

    def register_hook(self, hook) -> RemovableHandle:
        """Call ``hook(grad)`` when the gradient is computed; what it returns replaces it.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        node = self._fresh_node()
        if node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return add_hook(hooks_of(node).tensor.setdefault(self._number, OrderedDict()), hook)

    def register_post_accumulate_grad_hook(self, hook) -> RemovableHandle:
        """Call ``hook(self)`` after a leaf's gradient was accumulated.

        Raises:
            RuntimeError: the tensor is no leaf, or doesn't require grad.
        """
        node = self._fresh_node()
        if node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if type(node) is not AccumulateGrad:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        return add_hook(hooks_of(node).accumulated, hook)

    # ---- aliases --------------------------------------------------------------------------

    def detach(self) -> "Tensor":
        """Return an alias outside the graph: same storage, no gradient."""
        cell = self._cell
        if type(cell) is View:
            base = wrap(cell.storage, cell.storage.aval)
            cell = _detached(View(cell.aval, cell.storage, cell.chain, base))
        return wrap(cell, self._aval)

    def detach_(self) -> "Tensor":
        """Leave the graph; return self."""
        if type(self._cell) is View and not self._cell.detached:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set "
                "as True, gradients are views of DDP buckets, and hence detach_() cannot be called "
                "on these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
                "function in torch/optim/optimizer.py as the solution."
            )
        self._node = None
        self._retains_grad = False
        return self

    @property
    def data(self) -> "Tensor":
        """An alias outside the graph; assigning to it gives this tensor another storage."""
        return self.detach()

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self.requires_grad and not (value.is_floating_point() or value.is_complex()):
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                "dtype"
            )
        self._cell = value.detach()._cell
        self._aval = value._aval

    @classmethod
    def _make_subclass(cls, kind: type, data: "Tensor", requires_grad: bool = False) -> "Tensor":
        """Return ``data``'s alias as an instance of ``kind``."""
        made = data.detach()
        d = made._aval.dtype
        if requires_grad and not (d.is_floating_point or d.is_complex):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        t = TensorBase.__new__(kind)
        t._cell, t._aval, t._node, t._number = made._cell, made._aval, None, 0
        return t.requires_grad_(requires_grad)

    def as_subclass(self, cls: type) -> "Tensor":
        """Return an alias as an instance of ``cls``."""
        source = self if self._fresh_node() is None else Tensor.__getitem__(self, Ellipsis)
        t = TensorBase.__new__(cls)
        t._cell, t._aval = source._cell, source._aval
        t._node, t._number = source._node, source._number
        return t

    def __init_subclass__(cls, **options) -> None:
        super().__init_subclass__(**options)
        torch_function.adopt(cls)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None) -> Any:
        """Do what ``func`` does to plain tensors; tensors it returns become of this class."""
        return torch_function.default(cls, func, types, args, kwargs)

    # ---- writing --------------------------------------------------------------------------

    def write(self, value: "Tensor", expanded: bool = False) -> "Tensor":
        """Make ``value`` this tensor's value, in its storage; every in-place op ends here.

        Args:
            expanded: Whether one place in memory may be written through several elements.
        Raises:
            RuntimeError: shape or dtype don't fit, or autograd forbids the write.
        """
        self._check_writable(value, expanded)
        if value.dtype is not self.dtype:
            value = value.to(self.dtype)
        tape_cell = value._cell
        if type(tape_cell) is View:
            value = value.clone()
        view = self._cell
        if type(view) is Storage:
            view.rebind(value._cell)
            if state.grad:
                self._take_history(value)
            elif type(self._node) is AccumulateGrad:
                state.tape.parameter_written = True
            return self
        base = view.base if view.base is not None else wrap(view.storage, view.storage.aval)
        new = copy_slices(base, view, value)
        view.storage.rebind(new._cell)
        if state.grad and new._node is not None:
            base._take_history(new)
            self._node = None  # derived anew from the base when it is asked for
        return self

    def _take_history(self, value: "Tensor") -> None:
        if value._node is not None:
            self._node, self._number = value._node, value._number
        elif type(self._node) is not AccumulateGrad:
            self._node = None

    def _check_writable(self, value: "Tensor", expanded: bool = False) -> None:
        if self._cell.storage.version < 0 and not state.inference:
            raise RuntimeError(
                "Inplace update to inference tensor outside InferenceMode is not allowed."
                "You can make a clone to get a normal tensor before doing inplace update."
                "See https://github.com/pytorch/rfcs/pull/17 for more details."
            )
        self.check_history(value)
        if value.shape != self.shape:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                f"{list(value.shape)}"
            )
        if not dtypes.can_cast(value.dtype, self.dtype):
            raise RuntimeError(
                f"result type {dtypes.SCALAR_NAMES[value.dtype]} can't be cast to the desired "
                f"output type {dtypes.SCALAR_NAMES[self.dtype]}"
            )
        if 0 in self._aval.strides and not expanded:
            self.check_unexpanded()
        tape: Any = state.tape
        if type(tape) is not Tape:  # a function being traced keeps account of what it writes
            tape.will_write(self)

    def check_unexpanded(self) -> None:
        """Check that each element has a place of its own.

        Raises:
            RuntimeError: several lie in one place.
        """
        known = self._aval
        if any(s == 0 and n > 1 for s, n in zip(known.strides, known.shape, strict=True)):
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to "
                "a single memory location. Please clone() the tensor before performing the "
                "operation."
            )

    def check_history(self, value: "Tensor | None" = None) -> None:
        """Check that autograd allows a write of ``value``.

        Raises:
            RuntimeError: this is a leaf that requires grad, a view of one, or a view through which
                the write's gradient could not be told.
        """
        if not state.grad:
            return
        cell, what = self._cell, "a leaf Variable"
        at_leaf = type(self._node) is AccumulateGrad
        if type(cell) is View:
            own, root = self._fresh_node(), cell.base is not None and cell.base._node
            self._check_kind_of_view(cell, any((own, root, value is not None and value._node)))
            what = "a view of a leaf Variable"
            # history that the base has not is that of a leaf which is a view itself
            of_view = own is not None and root is None
            at_leaf = at_leaf or type(root) is AccumulateGrad or of_view
        if at_leaf:
            raise RuntimeError(f"{what} that requires grad is being used in an in-place operation.")

    def _check_kind_of_view(self, view: View, tracked: bool) -> None:
        """Refuse a write through one of several views, or one made under no_grad.

        Args:
            tracked: Whether the write has a gradient.
        """
        hidden = view.base is None  # made under no_grad, of a tensor with history
        if not hidden and not (view.several and tracked):
            return
        name = "A view was created in no_grad mode"
        mode = " with grad mode enabled"
        if self.grad_fn is not None:
            kind = re.sub(r"Backward\d*$", "", self.grad_fn.name())
            name, mode = f"Output {self._number} of {kind} is a view", ""
        if view.several and not hidden:
            rest = (
                "This view is the output of a function that returns multiple views. Such functions "
                "do not allow the output views to be modified inplace. You should replace the "
                "inplace operation by an out-of-place one."
            )
        else:
            rest = (
                "Given that this use case is ambiguous and error-prone, it is forbidden. You can "
                "clarify your code by moving both the view and the inplace either both inside the "
                "no_grad block (if you don't want the inplace to be tracked) or both outside (if "
                "you want the inplace to be tracked)."
            )
        raise RuntimeError(f"{name} and is being modified inplace{mode}. {rest}")

    # ---- values ---------------------------------------------------------------------------

    def _value(self):
        """Return the value as an array (numpy or jax), computing it now."""
        if self._cell.device is META:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        tape: Any = state.tape
        if type(tape) is not Tape:  # a function being traced may depend on the value
            tape.will_read(self)
        settle(self._cell)
        return self._cell.array

    def _host(self) -> np.ndarray:
        """Return the value as a numpy array that must not be written."""
        return np.asarray(self._value())

    def item(self):
        """Return the only element as a Python number.

        Raises:
            RuntimeError: there is more or less than one.
        """
        if self._aval.numel != 1:
            raise RuntimeError(
                f"a Tensor with {self._aval.numel} elements cannot be converted to Scalar"
            )
        if self._cell.device is META:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        return self._host().reshape(()).astype(_wide(self.dtype)).item()

    def tolist(self):
        """Return the values as nested lists of Python numbers."""
        return self._host().astype(_wide(self.dtype)).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """Return a copy as a numpy array.

        Raises:
            RuntimeError: the tensor requires grad (unless ``force``).
            TypeError: it lives on an accelerator, or numpy has no such dtype.
        """
        if not force:
            if self.requires_grad:
                raise RuntimeError(
                    "Can't call numpy() on Tensor that requires grad. "
                    "Use tensor.detach().numpy() instead."
                )
            if self.device.type != "cpu":
                raise TypeError(
                    f"can't convert {self.device} device type tensor to numpy. "
                    "Use Tensor.cpu() to copy the tensor to host memory first."
                )
        if self.dtype.numpy.kind == "V" or self.dtype is dtypes.bfloat16:
            raise TypeError(f"Got unsupported ScalarType {dtypes.SCALAR_NAMES[self.dtype]}")
        return np.array(self._value())

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return self._from_array(np.asarray(array))

    def __jax_array__(self) -> jax.Array:
        """Return the value for ``jax.numpy`` functions."""
        value = self._value()
        if isinstance(value, np.ndarray):
            tape = state.tape
            locate(self._cell, tape)
        return self._cell.array

    @classmethod
    def _from_array(cls, array, d: devices.device = CPU) -> "Tensor":
        """Return a leaf tensor that holds a numpy or jax array."""
        known = aval(tuple(array.shape), dtypes.from_numpy(array.dtype))
        return wrap(Storage(known, d, array), known)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.__jax_array__().__dlpack__()

    def __dlpack_device__(self):
        # jax's stubs leave it out
        return self.__jax_array__().__dlpack_device__()  # type: ignore[attr-defined]

    def __bool__(self) -> bool:
        if self._aval.numel != 1:
            raise RuntimeError(
                "Boolean value of Tensor with more than one value is ambiguous"
                if self._aval.numel
                else "Boolean value of Tensor with no values is ambiguous"
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._aval.numel != 1 or self.dtype.is_floating_point or self.dtype.is_complex:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __contains__(self, element) -> bool:
        if isinstance(element, Tensor | int | float | bool | complex):
            return bool((self == element).any().item())
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )

    # ---- printing and copying -------------------------------------------------------------

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return printing.tensor_str(**self._shown(), tensor_contents=tensor_contents)

    def _shown(self) -> dict[str, Any]:
        """Return what :mod:`facade.printing` has to know."""
        kind, node = type(self), self.grad_fn
        meta = jax.ShapeDtypeStruct(self._aval.shape, self._aval.dtype.numpy)
        plain = kind is Tensor or kind.__name__ == "Parameter"
        return {
            "values": meta if self.is_meta else self._host(),
            "dtype_name": self.dtype.name,
            "default_dtype": dtypes.get_default_dtype().name,
            "device": str(self.device),
            "requires_grad": self.requires_grad,
            "grad_fn_name": node and type(node).__name__,
            "prefix": "tensor(" if plain else f"{kind.__name__}(",
        }

    def __format__(self, spec: str) -> str:
        if self._aval.ndim == 0 and type(self) is Tensor and not self.is_meta:
            return printing.format_scalar(self, spec)
        return object.__format__(self, spec)

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment.  If you were attempting to deepcopy a module, this may "
                "be because of a torch.nn.utils.weight_norm usage, see "
                "https://github.com/pytorch/pytorch/pull/103001"
            )
        if id(self) in memo:
            return memo[id(self)]
        copied = wrap(_copied(self._cell, memo), self._aval)
        made = memo[id(self)] = Tensor._make_subclass(type(self), copied, self.requires_grad)
        if self._grad is not None:
            made._grad = copy.deepcopy(self._grad, memo)
        return made

    def __reduce_ex__(self, protocol):
        values = self._host()
        return _rebuild, (type(self), values, self.dtype.name, str(self.device), self.requires_grad)


def _copied(cell, memo: dict):
    """Return a copy of a cell; cells that share a storage have copies that share one."""
    storage = cell.storage
    owner = memo.get(id(storage))
    if owner is None:
        owner = memo[id(storage)] = wrap(storage, storage.aval).clone()
    if type(cell) is Storage:
        return owner._cell
    return _detached(View(cell.aval, owner._cell, cell.chain, owner))


def _detached(view: View) -> View:
    """Return a new view that has its base only to continue the history of writes through it."""
    view.seen = view.known = -1
    view.detached = True
    return view


def _rebuild(kind: type, values, dtype_name: str, where: str, requires_grad: bool) -> Tensor:
    t = Tensor._from_array(values, device(where))
    return Tensor._make_subclass(kind, t, requires_grad)


def _wide(d: dtypes.dtype):
    """Return the numpy dtype whose items are Python numbers."""
    if d.is_complex:
        return np.complex128
    if d.is_floating_point:
        return np.float64
    return d.numpy


def chain_geometry(view: View):
    """Return ``(shape, strides, offset)`` of a view in its storage."""
    current = view.storage.aval
    shape, strides, offset = current.shape, current.strides, 0
    for entry, numbers, number in view.chain:
        spec = entry.view
        names = [p.name for p in spec.operand_params[1:]]
        found = spec.geometry(
            shape, strides, offset, **dict(zip(names, numbers, strict=True)), **entry.static
        )
        shape, strides, offset = found[number] if isinstance(found, list) else found
    return shape, strides, offset


def _legacy(cls, *data, device=None) -> Tensor:
    """``torch.Tensor(2, 3)``, ``torch.Tensor([1, 2])``, ``torch.Tensor(t)``: default dtype."""
    wanted = dtypes.get_default_dtype()
    if len(data) == 1 and isinstance(data[0], Tensor):
        if data[0].dtype is not wanted:
            raise TypeError(
                f"expected {dtypes.SCALAR_NAMES[wanted]} (got {dtypes.SCALAR_NAMES[data[0].dtype]})"
            )
        made = data[0].detach()
    elif len(data) == 1 and not isinstance(data[0], int | Size):
        made = Tensor._from_array(np.array(data[0], dtype=wanted.numpy))
    else:
        sizes = data[0] if len(data) == 1 and isinstance(data[0], Size) else data
        made = Tensor._from_array(np.zeros(tuple(sizes) if data else (0,), wanted.numpy))
    return Tensor._make_subclass(cls, made) if cls is not Tensor else made


recording.TENSOR_TYPE = Tensor
__all__ = ["Tensor", "chain_geometry", "record_entry", "wrap"]

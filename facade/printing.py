"""How does a tensor look when it is printed? Character for character as in PyTorch.

Nothing here knows ``Tensor``: the caller passes an array and a few facts about the tensor.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# ---- options ----


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; ``None`` leaves an option as it is.

    Args:
        precision: Digits after the decimal point of floating values.
        threshold: Tensors with more elements than this are summarised.
        edgeitems: Elements shown at each end of a summarised dimension.
        linewidth: Characters per line.
        profile: ``"default"``, ``"short"`` or ``"full"``; the other arguments override it.
        sci_mode: Always (True) or never (False) use scientific notation. Unlike the others,
            ``None`` sets this option too: notation is chosen from the values.
    """
    chosen = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    changes = {name: value for name, value in chosen.items() if value is not None}
    # An unknown profile is ignored, as in PyTorch.
    for name, value in (_PROFILES.get(profile or "", {}) | changes).items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the print options as keyword arguments for :func:`set_printoptions`."""
    return asdict(_options)


@contextlib.contextmanager
def printoptions(**kwargs) -> Iterator[None]:
    """Context manager: :func:`set_printoptions` inside the block, the old options after it."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


# ---- one tensor ----


def tensor_str(
    values: Any,
    *,
    dtype_name: str | None = None,
    default_dtype: str = "float32",
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    prefix: str = "tensor(",
    tensor_contents: str | None = None,
) -> str:
    """Return what ``repr(tensor)`` shows.

    Args:
        values: The array: NumPy's number types, or bfloat16 and the float8 kinds of ml_dtypes.
            It is indexed once, for the elements that are shown; on the meta device only its
            ``shape`` and ``dtype`` are read.
        dtype_name: PyTorch's name without ``torch.``; by default that of ``values``.
        default_dtype: Name of the default floating dtype, whose tensors need no dtype suffix.
        device: ``"cuda:0"`` and the like; the CPU (or None) is not shown.
        grad_fn_name: As in ``"AddBackward0"``; shown instead of ``requires_grad``.
        prefix: Class name and opening parenthesis, for subclasses.
        tensor_contents: Replaces the text of the elements.
    """
    shape = tuple(values.shape)
    device_type = (device or "cpu").partition(":")[0]
    suffixes = [f"device='{device}'"] if device_type != "cpu" else []
    suffixes += _content_suffixes(
        shape, dtype_name or values.dtype.name, default_dtype, is_meta=device_type == "meta"
    )
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")

    if tensor_contents is None:
        tensor_contents = "..." if device_type == "meta" else _elements(values, shape, len(prefix))
    return _append_suffixes(prefix + tensor_contents, suffixes, len(prefix))


def parameter_str(values: Any, *, prefix: str = "tensor(", **facts) -> str:
    """Return what ``repr(parameter)`` shows; arguments as in :func:`tensor_str`."""
    text = tensor_str(values, prefix=prefix, **facts)
    if prefix != "tensor(":  # a subclass of Parameter names both classes
        text = f"Parameter({text})"
    return f"Parameter containing:\n{text}"


def parts_str(
    parts: dict[str, np.ndarray], suffixes: Sequence[str], *, new_line: bool = False
) -> str:
    """Return what ``repr(tensor)`` shows of a tensor that consists of others, such as a sparse one.

    Args:
        parts: The others, by the names that they are shown with.
        suffixes: What follows them.
        new_line: Whether that begins on a line of its own.
    """
    indent, texts = len("tensor("), []
    for name, values in parts.items():
        head = f"{name}=tensor("
        size = "" if values.size else f", size={tuple(values.shape)}"
        texts.append(head + _elements(values, values.shape, indent + len(head)) + size + ")")
    text = (",\n" + " " * indent).join(texts)
    return _append_suffixes(f"tensor({text}", suffixes, indent, new_line)


def values_str(values: np.ndarray, suffixes: Sequence[str]) -> str:
    """Return the text of elements that these facts, and no others, follow."""
    indent = len("tensor(")
    text = _elements(values, values.shape, indent)
    return _append_suffixes(f"tensor({text}", suffixes, indent)


def list_str(prefix: str, items: Sequence[str], suffixes: Sequence[str]) -> str:
    """Return the text of a list of tensors, given theirs."""
    lines = ("  " + item.replace("\n", "\n  ") for item in items)
    text = prefix + "[\n" + ",\n".join(lines) + "\n]"
    return _append_suffixes(text, suffixes, len(prefix))


def format_scalar(values: Any, spec: str) -> str:
    """Return ``format(tensor, spec)`` of a 0-d tensor: its Python number, formatted.

    PyTorch does so only for plain tensors that hold a value; tensors with dimensions, meta
    tensors and subclasses (so parameters, too) go through ``object.__format__``.
    """
    return format(values.item(), spec)


# ---- suffixes ----


def _content_suffixes(
    shape: tuple[int, ...], dtype_name: str, default_dtype: str, *, is_meta: bool
) -> list[str]:
    """Size and dtype, each only where the elements do not tell it."""
    is_empty = 0 in shape
    no_elements_shown = is_meta or is_empty
    told_by_elements = {default_dtype}
    if not no_elements_shown:
        default_complex = "complex128" if default_dtype == "float64" else "complex64"
        told_by_elements |= {default_complex, "int64", "bool"}

    suffixes = []
    if is_meta or (len(shape) != 1 if is_empty else not _options.edgeitems):
        suffixes.append(f"size={shape}")
    if dtype_name not in told_by_elements:
        suffixes.append(f"dtype=torch.{dtype_name}")
    return suffixes


def _append_suffixes(text: str, suffixes: Sequence[str], indent: int, new_line=False) -> str:
    """Add the suffixes and the closing parenthesis, breaking lines that get too long.

    Args:
        new_line: Whether they begin on a line of their own.
    """
    # PyTorch counts the last line two characters longer than it is while it is the elements'.
    used = _options.linewidth if new_line else len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


# ---- elements ----


def _elements(values: Any, shape: tuple[int, ...], indent: int) -> str:
    if 0 in shape:
        return "[]"
    edge = _options.edgeitems
    summarise = bool(shape) and math.prod(shape) > _options.threshold
    if summarise and not edge:
        return "[...]"

    cut = tuple(summarise and size > 2 * edge for size in shape)
    if any(cut):
        values = values[np.ix_(*map(_edges, shape, cut))]
    texts, width = _format(np.asarray(values))
    shown = tuple(2 * edge if is_cut else size for size, is_cut in zip(shape, cut, strict=True))
    return _lay_out(texts, shown, cut, indent, width)


def _edges(size: int, is_cut: bool) -> np.ndarray:
    """Indices shown along a dimension."""
    if not is_cut:
        return np.arange(size)
    edge = _options.edgeitems
    return np.r_[:edge, size - edge : size]


def _lay_out(
    texts: list[str], shape: tuple[int, ...], cut: tuple[bool, ...], indent: int, width: int
) -> str:
    """Bracket the texts, given in row-major order.

    Args:
        shape, cut: Per dimension, how many are shown and whether some are left out between.
        width: Characters that one element takes on a line.
    """
    if not shape:
        return texts[0]
    if len(shape) == 1:
        rows = list(texts)
    else:
        step = len(texts) // shape[0]
        rows = [
            _lay_out(texts[i : i + step], shape[1:], cut[1:], indent + 1, width)
            for i in range(0, len(texts), step)
        ]
    if cut[0]:
        rows.insert(len(rows) // 2, " ..." if len(shape) == 1 else "...")

    line_break = ",\n" + " " * (indent + 1)
    if len(shape) == 1:
        per_line = max(1, math.floor((_options.linewidth - indent) / (width + 2)))
        rows = [", ".join(rows[i : i + per_line]) for i in range(0, len(rows), per_line)]
    else:
        line_break = line_break.replace("\n", "\n" * (len(shape) - 1))
    return "[" + line_break.join(rows) + "]"


# ---- numbers ----


def _format(values: np.ndarray) -> tuple[list[str], int]:
    """Return every element's text, aligned, and the width of an element."""
    if values.dtype.kind == "c":
        return _format_complex(values)
    if values.dtype.kind in "biu":
        texts = [str(value) for value in values.ravel().tolist()]
        width = max(map(len, texts))
    else:
        # Every floating type fits float64 exactly.
        texts, width = _format_floats(values.astype(np.float64).ravel())
    return [text.rjust(width) for text in texts], width


def _format_complex(values: np.ndarray) -> tuple[list[str], int]:
    """Real and imaginary parts choose their notation and width apart."""
    reals, real_width = _format(np.real(values))
    imags, imag_width = _format(np.imag(values))
    # The imaginary part is not aligned; PyTorch counts its width all the same, and "j".
    signed = (text if text[0] == "-" else "+" + text for text in map(str.lstrip, imags))
    texts = [f"{real}{imag}j" for real, imag in zip(reals, signed, strict=True)]
    return texts, real_width + imag_width + 1


def _format_floats(values: np.ndarray) -> tuple[list[str], int]:
    """One notation for all values; zeros, infinities and NaNs have no say in it, nor in the width.

    Args:
        values: ``(n,)``, float64.
    """
    counts = np.isfinite(values) & (values != 0)
    counted = values[counts]
    all_whole = bool((counted == np.ceil(counted)).all())
    is_scientific = _is_scientific(np.abs(counted))
    digits = 0 if all_whole and not is_scientific else _options.precision
    spec = f".{digits}{'e' if is_scientific else 'f'}"
    texts = [format(value, spec) for value in values.tolist()]
    if all_whole and not is_scientific:  # the point shows that these are floats
        texts = [text + "." if text[-1].isdigit() else text for text in texts]
    width = max((len(texts[i]) for i in np.flatnonzero(counts)), default=1)
    return texts, width


def _is_scientific(magnitudes: np.ndarray) -> bool:
    """Decide the notation of these finite magnitudes, none of which is zero."""
    if not magnitudes.size:
        return False
    if _options.sci_mode is not None:
        return _options.sci_mode
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    return largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4

"""The entries of PyTorch's operator database, and which columns and dtypes each is run in."""

from collections.abc import Iterator

import torch
from torch.testing._internal.common_methods_invocations import op_db

# The database's import forbids its process to set backend flags; the tests of those come after.
torch.backends.disable_global_flags.__globals__["__allow_nonbracketed_mutation_flag"] = True

DTYPES = (
    torch.float32, torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float64, torch.complex64, torch.complex128,
)  # fmt: skip
# PyTorch's own second implementations and its compiler's entries are no operators of users
_NOT_OURS = ("_refs.", "jiterator_", "_native_batch_norm_legit", "torch.ops.", "_batch_norm_with")
_GRADIENTS = ("backward", "double backward", "forward mode")


def name_of(entry) -> str:
    """Return a name that no other entry has."""
    return f"{entry.name} ({entry.variant_test_name})" if entry.variant_test_name else entry.name


def entries(name: str | None = None) -> list:
    """Return all entries, or those of a name (``name*``: that begin so)."""
    found = [e for e in op_db if not e.name.startswith(_NOT_OURS)]
    if name is None:
        return found
    if name.endswith("*"):
        return [e for e in found if e.name.startswith(name[:-1])]
    return [e for e in found if name in (e.name, name_of(e))]


def main_dtype(entry) -> torch.dtype:
    """Return float32, or the dtype that stands for an entry that has no float32."""
    supported = entry.supported_dtypes("cpu")
    order = (torch.float32, torch.complex64, torch.float64, torch.int64)
    return next((d for d in (*order, *DTYPES) if d in supported), torch.float32)


def cells(entry, columns: list[str], only: str | None) -> Iterator[tuple[str, torch.dtype]]:
    """Yield the columns and dtypes an entry is run in; ``only`` is a dtype's name, or main."""
    main = main_dtype(entry)
    for column in columns:
        if column in _GRADIENTS and main not in entry.supported_backward_dtypes("cpu"):
            continue
        supported = entry.supported_dtypes("cpu") if column == "forward" else {main}
        for dtype in DTYPES:
            asked = only in (None, str(dtype)[6:]) or (only == "main" and dtype is main)
            if dtype in supported and asked:
                yield column, dtype

"""Copies of views: ``permute_copy`` gives what ``permute`` shows, in memory of its own."""

from facade.ops import parts, view  # noqa: F401 - which declare the views
from facade.ops.registry import OPS, backward_name, op

# Those that take other arguments than the op are written out in `functions/copies.py`
_PUBLIC = "alias diagonal permute squeeze t transpose unfold unsqueeze view_as_complex view_as_real"
_OTHERS = "as_strided expand select slice split split_with_sizes unbind view"


def _copy_name(of_view):
    """Return the grad_name of a copy, given the view's: the squeeze's depends on ``dim``."""
    return (lambda dim: f"{of_view(dim)}_copy") if callable(of_view) else f"{of_view}_copy"


for _public, _names in (("function", _PUBLIC), ("", _OTHERS)):
    for _name in _names.split():
        _spec = OPS[_name]
        op(_spec.fn, name=f"{_name}_copy", public=_public, out=True, check=_spec.check,
           grad_name=_copy_name(_spec.grad_name or backward_name(_name)))  # fmt: skip

"""``data_ptr()`` and storage objects: which tensors share which memory."""

import pytest
from parity import both

EXPRESSIONS = (
    """
u.nbytes()|u.size()|len(u)|u.device|u.element_size()|u.is_cuda|u.tolist()
u == x[1].untyped_storage()|torch.is_storage(s)|torch.is_storage(x)
u._cdata == x[1].untyped_storage()._cdata|u == y.untyped_storage()|repr(u)|s.size()|len(s)|s.dtype
s.nbytes()|s.element_size()|s[1]|s.tolist()|repr(s)|list(s)|s.untyped() == u
x[1].storage().tolist()|isinstance(u, torch.UntypedStorage)|isinstance(s, torch.TypedStorage)
u.data_ptr() == x.data_ptr()|s.data_ptr() == x.data_ptr()|x[1].data_ptr() - x.data_ptr()
x[1].untyped_storage().data_ptr() == x.data_ptr()|x[1].untyped_storage().nbytes()
x.t().data_ptr() == x.data_ptr()|x.detach().data_ptr() == x.data_ptr()
x.clone().data_ptr() == x.data_ptr()
x.view(-1)[2:].data_ptr() - x.data_ptr()|x.add_(1).data_ptr() == x.data_ptr()
x.t().storage().tolist()
torch.empty(0).data_ptr()|torch.empty(2, device='meta').data_ptr()
x.is_set_to(x[:])|x.is_set_to(x[0])
x.is_set_to(x.t())|y.data_ptr() == x.data_ptr()|u.is_pinned()|s.is_shared()|x.dim_order()
x.t().dim_order()|x.is_xla|x.is_mps|x.is_xpu|x.is_sparse_csr|(x + 1).untyped_storage().nbytes()
torch.ones(2, 3, 2, 2).to(memory_format=torch.channels_last).dim_order()
x.reshape(6).data_ptr() == x.data_ptr()|abs(y.data_ptr() - x.data_ptr()) >= 24
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_memory(expression):
    def run(module):
        x, y = module.arange(6.0).reshape(2, 3), module.zeros(2, 3)
        names = {"torch": module, "x": x, "y": y, "u": x.untyped_storage(), "s": x.storage()}
        return eval(expression, names)

    both(run)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_a_write_through_a_storage():
    def run(module):
        x = module.arange(6.0).reshape(2, 3)
        x.storage()[4] = 9.0
        return x

    both(run)

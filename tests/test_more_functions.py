"""Statistics, signals, sizes and the oldest names: what is used less often."""

import pytest
from expressions import check, groups

FUNCTIONS = """
    torch.frexp(torch.tensor([1.5, -3.0, 0.0, float("inf"), float("nan"), 1e-3]))
    torch.frexp(m)[0]
    m.frexp().mantissa
    torch.frexp(i)
    torch.histogram(v.detach(), 4)
    torch.histogram(m.detach(), bins=torch.tensor([-4.0, 0.0, 1.0, 2.0]))
    torch.histogram(torch.arange(4.0), 3, range=(0.5, 3.0), weight=torch.arange(4.0), density=True)
    torch.histogram(torch.tensor([1.5, 0.0]), 3, range=(1.0, 1.0))
    torch.histogram(i, 3)
    torch.histogram(v.detach(), 0)
    torch.gradient(m)
    torch.gradient(m, spacing=2.0, dim=0, edge_order=2)
    torch.gradient(m, spacing=(torch.tensor([0.0, 1, 4]), torch.tensor([0.0, 1, 2, 5])))
    torch.gradient(m, spacing=[1.0, 2.0])
    torch.gradient(m, spacing=(torch.tensor([0.0, 1, 2, 5]),), dim=1, edge_order=2)
    torch.gradient(m, dim=5)
    torch.gradient(torch.tensor([1.0]))
    torch.gradient(m, edge_order=3)
    torch.range(1, 4)
    torch.range(1, 2, 0.5)
    torch.range(0, 3, dtype=torch.int64)
    torch.range(3, 1)
    torch.range(0, 1, 0)
    torch.kaiser_window(5)
    torch.kaiser_window(5, periodic=False, beta=8.0)
    torch.kaiser_window(4, dtype=torch.float64)
    torch.kaiser_window(1)
    torch.kaiser_window(0)
    torch.kaiser_window(-1)
    torch.hann_window(-1)
    torch.hamming_window(3, dtype=torch.int64)
    torch.unravel_index(torch.tensor([3, 5]), (2, 3))
    torch.unravel_index(torch.tensor(3), 4)
    torch.is_nonzero(torch.tensor([0.0]))
    torch.is_nonzero(zeros(2))
    zeros(2).is_same_size(zeros(3))
    torch.empty_strided((2, 3), (1, 2)).stride()
    torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride()
    zeros(2, 3).new_empty_strided((2, 3), (1, 2)).stride()
    torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int16, count=2, offset=2)
    zeros(3, 3).fill_diagonal_(2)
    zeros(2, 4).fill_diagonal_(2)
    zeros(7, 2).fill_diagonal_(2, wrap=True)
    zeros(3, 3, 3).fill_diagonal_(2)
    zeros(3).fill_diagonal_(2)
    zeros(2, 3, 2).fill_diagonal_(1)
    (m * 1).fill_diagonal_(2)
    torch.nonzero_static(torch.tensor([1, 0, 2]), size=3)
    torch.nonzero_static(torch.tensor([[1, 0], [2, 1]]), size=2, fill_value=7)
    torch.arange(6.0).resize_(2, 2)
    t = torch.arange(6.0); t.resize_as_(zeros(4)); t
    (m * 1).resize_(2)
    t = zeros(2); t.set_(torch.ones(3)); t
    torch.as_strided_scatter(zeros(4), torch.ones(2), (2,), (2,), 1)
    torch.relu_(torch.tensor([-1.0, 2.0]))
    t = torch.tensor([4.0]); torch.sqrt_(t); t
    torch.stft(v.repeat(8), 8, return_complex=True)
    torch.stft(v.repeat(8), 8, 3, window=torch.hann_window(8), center=False, return_complex=True)
    spectrum(x.reshape(2, 12), n_fft=6, win_length=4, hop_length=2, normalized=True)
    torch.stft(m.detach(), 4, pad_mode="constant", return_complex=False)
    torch.stft(c.detach(), 4, return_complex=True)
    torch.stft(v.repeat(8), 8, onesided=False, return_complex=True)
    torch.stft(v, 8, return_complex=True)
    torch.stft(v.repeat(8), 8)
    back(spectrum(v.repeat(8), n_fft=8), 8)
    t = spectrum(m.repeat(1, 4), n_fft=4); back(t, 4, length=14)
    torch.istft(zeros(5, 3), 8)
    back(spectrum(v.repeat(8), n_fft=8, onesided=False), 8, onesided=False)
"""
NAMES = """
    torch.FloatTensor([1, 2])
    torch.FloatTensor(2, 3).shape
    torch.LongTensor([1.5])
    torch.LongTensor([[1, 2], [3, 4]])
    torch.LongTensor()
    torch.LongTensor(torch.Size([2])).shape
    torch.FloatTensor(zeros(2))
    torch.FloatTensor(long(2))
    torch.BoolTensor([1, 0])
    [isinstance(zeros(2), t) for t in (torch.FloatTensor, torch.LongTensor, torch.Tensor)]
    repr(torch.HalfTensor), torch.HalfTensor.dtype
    m.type(torch.DoubleTensor)
    torch.set_default_tensor_type(torch.DoubleTensor); torch.tensor(1.0)
    torch.set_default_tensor_type("torch.FloatTensor"); torch.tensor(1.0)
    torch.set_default_tensor_type(torch.float32)
    torch.typename(m)
    torch.typename(1.0)
    (torch.pi, torch.e, torch.inf, torch.newaxis)
    torch.__version__.split("+")[0]
    torch._assert(False, "no")
    torch.set_printoptions(precision=2); t = repr(v); torch.set_printoptions(profile="default"); t
    torch.use_deterministic_algorithms(True); torch.are_deterministic_algorithms_enabled()
    torch.set_deterministic_debug_mode("warn"); torch.get_deterministic_debug_mode()
    torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False); torch.are_deterministic_algorithms_enabled()
    torch.set_deterministic_debug_mode("loud")
    torch.set_deterministic_debug_mode(3)
    torch.set_num_threads(0)
    torch.set_num_threads("a")
    torch.is_warn_always_enabled()
    torch.accelerator.is_available(), torch.accelerator.current_accelerator()
"""


SPECTRUM = "torch.stft(return_complex=True, input="


@pytest.mark.parametrize("group", [*groups(FUNCTIONS), *groups(NAMES, 40)])
def test_functions(group):
    check([line.replace("back(", "torch.istft(").replace("spectrum(", SPECTRUM) for line in group])

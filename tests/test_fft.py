"""torch.fft: values, gradients, strides, names of nodes, errors."""

import pytest
from expressions import check, groups

ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn")
TWO = tuple(name[:-1] + "2" for name in SEVERAL)
ARGUMENTS = {
    ONE: ["", ", 3", ", 8, 0", ", dim=1, norm='ortho'", ", 5, -1, 'forward'"],
    SEVERAL: ["", ", (3, 6)", ", (2, -1), (2, 0)", ", dim=1, norm='ortho'", ", norm='forward'"],
    TWO: ["", ", (2, 5)", ", dim=(0, 1), norm='ortho'"],
}  # fmt: skip


@pytest.mark.parametrize("names", ARGUMENTS, ids=["one", "several", "two"])
def test_transforms(names):
    for arguments in ARGUMENTS[names]:
        check([f"torch.fft.{name}(m.double(){arguments})" for name in names])


@pytest.mark.parametrize("input", ["c.to(torch.complex128)", "T.double()"])
def test_other_inputs(input):
    check([f"torch.fft.{name}({input}, dim=1)" for name in ONE])
    check([f"torch.fft.{name}({input}, dim=(0, 1))" for name in SEVERAL])


OTHERS = """
    torch.fft.fft(m > 0)
    torch.fft.fft(j)
    torch.fft.fft(m.double())
    torch.fft.rfft(m.double().t())
    torch.fft.fftn(torch.tensor(2.0))
    torch.fft.fftn(m, dim=())
    torch.fft.fft(zeros(0, 3), n=2, dim=0)
    torch.fft.fftn(random(2, 3, 2, 3, 2))
    torch.fft.rfftn(random(2, 3, 2, 3, 2))
    torch.fft.irfftn(random(2, 3, 2, 3, 2))
    torch.fft.irfft(torch.fft.rfft(m), 4)
    torch.fft.ifft2(torch.fft.fft2(m)).real
    o = torch.zeros(3, 4, dtype=torch.complex64); torch.fft.fft(m.detach(), out=o) is o
    torch.fft.fftfreq(5)
    torch.fft.fftfreq(4, 0.5)
    torch.fft.fftfreq(4, dtype=torch.float64)
    torch.fft.fftfreq(0)
    torch.fft.fftfreq(4, 0.0)
    torch.fft.rfftfreq(5, d=0.25)
    torch.fft.rfftfreq(4)
    torch.fft.rfftfreq(0)
    torch.fft.fftfreq(3, requires_grad=True)
    torch.fft.fftshift(x)
    torch.fft.fftshift(m, 0)
    torch.fft.ifftshift(x, dim=(0, 1))
    torch.fft.ifftshift(torch.fft.fftshift(m))
"""
ERRORS = """
    torch.fft.fft(m, n=0)
    torch.fft.fft(m, norm="foo")
    torch.fft.fft(m, dim=2)
    torch.fft.fft(s)
    torch.fft.fft([1])
    torch.fft.rfft(c)
    torch.fft.ihfft(c)
    torch.fft.rfftn(c)
    torch.fft.ihfftn(c)
    torch.fft.fftn(m, s=(2,), dim=(0, 1))
    torch.fft.fftn(m, s=(2, 2, 2))
    torch.fft.fftn(m, dim=(0, 0))
    torch.fft.fftn(m, s=(0, 2))
    torch.fft.rfftn(s)
    torch.fft.irfftn(s)
    torch.fft.hfftn(m, dim=())
    torch.fft.ihfftn(m, dim=())
    torch.fft.fft(m.half())
    torch.fft.fft(m.bfloat16())
    torch.fft.irfft(zeros(1))
    torch.fft.irfft(zeros(0))
    torch.fft.fft2(v)
    torch.fft.fftfreq(4, dtype=torch.int64)
    torch.fft.fftshift(m, dim=5)
"""


@pytest.mark.parametrize("group", [*groups(OTHERS), *groups(ERRORS, 40)])
def test_other_forms_and_errors(group):
    check(group)

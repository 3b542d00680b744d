"""Fourier transforms of a signal's overlapping windows, and back."""

import math

import numpy as np

from facade import aten
from facade.binding import public
from facade.functions.creation import ones
from facade.functions.indexing import check_within, exactly_at_hand
from facade.tensor import Tensor


def _padded_window(
    name: str, window: Tensor | None, n_fft: int, length: int, like: Tensor
) -> Tensor:
    """Return the window, by default of ones, in the middle of ``n_fft`` samples."""
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={length}")
    chosen = ones(length, dtype=like.real.dtype, device=like.device) if window is None else window
    if chosen.ndim != 1 or chosen.shape[0] != length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {list(chosen.shape)}"
        )
    left = (n_fft - length) // 2
    if length == n_fft:
        return chosen
    return aten.constant_pad_nd(chosen, (left, n_fft - length - left), 0)


def _padded_signal(signal: Tensor, count: int, mode: str) -> Tensor:
    if mode == "constant":
        return aten.constant_pad_nd(signal, (count, count), 0)
    return aten.pad_around(signal.unsqueeze(1), (count, count), mode).squeeze(1)


@public
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
) -> Tensor:  # fmt: skip
    """Transform overlapping windows of a signal.

    Args:
        input: ``(T,)`` or ``(B, T)``.
        n_fft: Size of the transforms; ``hop_length`` (a quarter of it) samples lie between them.
        window: ``win_length`` factors, by default ones.
        center: Whether windows are centred on their times, the signal padded by ``pad_mode``.
        normalized: Whether to divide by the root of ``n_fft``.
        onesided: Whether to leave out what follows by symmetry; so by default for real signals.
    Returns:
        ``(B, frequencies, windows)``, complex; with ``return_complex=False`` the parts last.
    Raises:
        RuntimeError: the sizes don't fit.
    """
    complex_input = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None and not complex_input:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will "
            "further require that return_complex=True in a future PyTorch release."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    signal = input if input.ndim == 2 else input.unsqueeze(0)
    if center:
        signal = _padded_signal(signal, n_fft // 2, pad_mode)
    if not 0 < n_fft <= signal.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {signal.shape[-1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    factors = _padded_window("stft", window, n_fft, win_length or n_fft, input)
    frames = aten.mul(signal.unfold(-1, n_fft, hop), factors)
    norm = "ortho" if normalized else "backward"
    if complex_input:
        found = aten._fft_c2c(frames, (2,), (n_fft,), norm, True)
    else:
        found = aten._fft_r2c(frames, (2,), (n_fft,), norm, onesided is not False)
    found = found.transpose_(1, 2)
    found = found if input.ndim == 2 else found.squeeze_(0)
    return aten.view_as_real(found) if return_complex is False else found


def _check_coverage(
    window: Tensor | None, n_fft: int, length: int, hop: int, count: int, inside: slice,
    weight: Tensor,
) -> None:  # fmt: skip
    """Check that windows leave no sample uncovered: now if their values are at hand.

    Args:
        weight: What they add up to, squared.
    """
    uncovered = RuntimeError("window overlap add min: 1")
    known = np.ones(length) if window is None else exactly_at_hand(window)
    if known is None:
        check_within(weight.detach().abs(), 1e-11, math.inf, lambda *_: uncovered)
        return
    found = np.zeros(n_fft + hop * (count - 1))
    for start in range((n_fft - length) // 2, hop * count, hop):
        found[start : start + length] += abs(known) ** 2
    if not (found[inside] > 1e-11).all():
        raise uncovered


@public
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """Undo :func:`stft`: the signal whose windows' transforms come closest to ``input``.

    Args:
        input: ``(frequencies, windows)`` or with a batch in front, complex.
        length: Samples of the result, by default all that the windows cover.
    Raises:
        RuntimeError: the input is not complex, or windows leave samples uncovered.
    """
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    factors = _padded_window("istft", window, n_fft, win_length or n_fft, input)
    frames = (input if input.ndim == 3 else input.unsqueeze(0)).transpose(1, 2)
    half = frames.shape[-1] != n_fft if onesided is None else onesided
    norm = "ortho" if normalized else "backward"
    if return_complex:
        samples = aten._fft_c2c(frames, (2,), (n_fft,), norm, False)
    else:  # of a whole spectrum the second half is not looked at
        kept = frames if half else frames[..., : n_fft // 2 + 1]
        samples = aten._fft_c2r(kept, (2,), (n_fft,), norm)
    signal = aten.overlap_add(aten.mul(samples, factors), hop)
    count = frames.shape[1]
    weight = aten.overlap_add(aten.mul(factors, factors).expand(1, count, n_fft), hop)
    start = n_fft // 2 if center else 0
    whole = signal.shape[-1]
    end = start + length if length is not None else whole - start
    inside = slice(start, min(end, whole))
    signal, weight = signal[:, inside], weight[:, inside]
    _check_coverage(window, n_fft, win_length or n_fft, hop, count, inside, weight)
    signal = aten.div(signal, weight)
    if end > whole:
        signal = aten.constant_pad_nd(signal, (0, end - whole), 0)
    return signal if input.ndim == 3 else signal.squeeze(0)

"""torch.signal: windows of signal processing."""

from facade.signal import windows as windows

"""``torch.amp``: operations in narrower dtypes where that is safe, and scaled gradients."""

from facade.amp.autocast_mode import autocast as autocast
from facade.amp.autocast_mode import custom_bwd as custom_bwd
from facade.amp.autocast_mode import custom_fwd as custom_fwd
from facade.amp.autocast_mode import is_autocast_available as is_autocast_available
from facade.amp.grad_scaler import GradScaler as GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

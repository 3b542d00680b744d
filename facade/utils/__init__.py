"""torch.utils: checkpointing of activations."""

from facade.utils import checkpoint as checkpoint

"""PyTorch's checkpoint files, read and written without PyTorch."""

from facade.serialization.loading import (
    get_unsafe_globals_in_checkpoint as get_unsafe_globals_in_checkpoint,
)
from facade.serialization.loading import load as load
from facade.serialization.saving import save as save
from facade.serialization.unpickler import add_safe_globals as add_safe_globals
from facade.serialization.unpickler import clear_safe_globals as clear_safe_globals
from facade.serialization.unpickler import get_safe_globals as get_safe_globals
from facade.serialization.unpickler import safe_globals as safe_globals

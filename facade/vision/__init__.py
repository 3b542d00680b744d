"""What torchvision offers, on facade: ``from facade import vision as torchvision``."""

from facade.vision import models as models

"""Leave for plain JAX, and come back."""

from facade.interop.functions import from_jax as from_jax
from facade.interop.pure import to_jax as to_jax

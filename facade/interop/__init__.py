"""Leave for plain JAX, and come back."""

from facade.interop.pure import to_jax as to_jax

"""The ops: pure functions on jax arrays, declared once each. No file here knows Tensor."""

from facade.ops.overloads import aten as aten

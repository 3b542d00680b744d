"""``torch._inductor``: its switches; XLA is the compiler here."""

from facade._inductor import config as config

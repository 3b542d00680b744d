"""GradScaler: keep small gradients above float16's range, and skip the steps that overflow."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

import jax.numpy as jnp
import numpy as np

from facade import aten, dtypes
from facade.avals import aval
from facade.devices import available, device
from facade.optim.optimizer import Optimizer
from facade.optim.update import TransformOptimizer
from facade.recording import record_update, wrap
from facade.storage import Storage
from facade.tensor import Tensor


class OptState(Enum):
    """What was done with an optimizer since the last ``update()``."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies losses by a scale that it adapts: half of it after an overflow, else slowly more.

    The scale, what overflowed and the count of good steps stay on the device; whether a step
    happens is decided inside its program, so nothing is read and nothing waits.

    Args:
        device: ``"cuda"``, ``"cpu"`` or ``"tpu"``.
        init_scale: The scale to begin with.
        growth_factor: What the scale is multiplied by after ``growth_interval`` good steps.
        backoff_factor: What it is multiplied by after one that overflowed.
        growth_interval: How many good steps in a row make it grow.
        enabled: False makes every method do nothing but call the optimizer.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not available("cuda"):
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._scale: Tensor | None = None  # made by the first call of scale()
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker: Tensor | None = None
        self._per_optimizer_states: defaultdict[int, dict[str, Any]] = defaultdict(_fresh_state)

    def _begun(self, name: str) -> tuple[Tensor, Tensor]:
        if self._scale is None or self._growth_tracker is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale, self._growth_tracker

    def scale(self, outputs: Any) -> Any:
        """Return a tensor, or an iterable of tensors, times the scale.

        Raises:
            ValueError: it is neither.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = _on_device(self._init_scale, dtypes.float32, outputs.device)
                self._growth_tracker = _on_device(
                    self._init_growth_tracker, dtypes.int32, outputs.device
                )
            return aten.mul(outputs, _moved(self._scale, outputs.device))
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled  # type: ignore[call-arg]
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, and look for overflows.

        Raises:
            RuntimeError: that was done already since the last :meth:`update`.
            ValueError: a gradient is float16.
        """
        if not self._enabled:
            return
        scale, _ = self._begun("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        state["found_inf_per_device"] = {
            where: _unscale(grads, _moved(scale, where))
            for where, grads in _gradients(optimizer).items()
        }
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients unless that was done, and take a step unless one overflowed.

        Returns:
            What ``optimizer.step(*args, **kwargs)`` returns.
        Raises:
            RuntimeError: there is a closure, or a step was taken since the last :meth:`update`.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._begun("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        found = list(state["found_inf_per_device"].values())
        if not found:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if (
            len(found) == 1
            and isinstance(optimizer, TransformOptimizer)
            and optimizer.can_be_skipped()
        ):
            optimizer.found_inf = found[0]
            try:
                result = optimizer.step(*args, **kwargs)
            finally:
                optimizer.found_inf = None
        elif not sum(x.item() for x in found):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what the steps since the last call found, or set it.

        Raises:
            AssertionError: there was no step, or ``new_scale`` is no number.
        """
        if not self._enabled:
            return
        scale, tracker = self._begun("update")
        if new_scale is None:
            found = [
                _moved(x, scale.device)
                for state in self._per_optimizer_states.values()
                for x in state["found_inf_per_device"].values()
            ]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            numbers = self._growth_factor, self._backoff_factor, self._growth_interval
            record_update(_adapt, (scale, tracker, *numbers, *found), [scale, tracker])
        elif isinstance(new_scale, Tensor):
            _check_scale(new_scale, self._device)
            scale.copy_(new_scale)
        else:
            scale.fill_(new_scale)
        self._per_optimizer_states = defaultdict(_fresh_state)

    # ---- what it is set to ----

    def get_scale(self) -> float:
        """Return the scale, 1.0 if disabled; this waits for the device."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """Return what the scale is multiplied by after ``growth_interval`` good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after ``growth_interval`` good steps."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """Return what the scale is multiplied by after a step that overflowed."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after a step that overflowed."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Return how many good steps in a row make the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many good steps in a row make the scale grow."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        tracker = self._growth_tracker
        return self._init_growth_tracker if tracker is None else tracker.item()

    def is_enabled(self) -> bool:
        """Return whether this scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Return the scale, the factors and the good steps so far; nothing if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned.

        Raises:
            RuntimeError: it is empty.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
        if self._growth_tracker is not None:
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning of an iteration, "
                    "or at the end after scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state


def _on_device(value: float, dtype: dtypes.dtype, where: device) -> Tensor:
    """Return a 0-dimensional tensor whose value stays in numpy until something reads it."""
    known = aval((), dtype)
    return wrap(Storage(known, where, np.array(value, dtype.numpy)), known)


def _moved(x: Tensor, where: device) -> Tensor:
    return x if x.device is where else x.to(where)


def _check_scale(new_scale: Tensor, kind: str) -> None:
    if new_scale.device.type != kind or new_scale.numel() != 1 or new_scale.requires_grad:
        raise AssertionError(
            "new_scale should be a float or a 1-element torch.cuda.FloatTensor or "
            "torch.FloatTensor with requires_grad=False."
        )


def _gradients(optimizer: Optimizer) -> dict[device, list[Tensor]]:
    found: dict[device, list[Tensor]] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.grad.dtype is dtypes.float16:
                raise ValueError("Attempting to unscale FP16 gradients.")
            found.setdefault(p.grad.device, []).append(p.grad)
    return found


def _unscale(grads: list[Tensor], scale: Tensor) -> Tensor:
    """Divide gradients by the scale; return 1.0 if one was not finite, else 0.0."""
    return record_update(_divide, (scale, *grads), [*grads, None])[-1]


# ---- the traced part ----


def _divide(scale, *grads):
    inverse = (1 / scale.astype(jnp.float64)).astype(jnp.float32)
    finite = [jnp.isfinite(g).all() for g in grads]
    found = 1 - jnp.stack(finite).all().astype(jnp.float32)
    return [*[(g * inverse.astype(_wide(g))).astype(g.dtype) for g in grads], found]


def _wide(g):
    """Return what a gradient is multiplied in: at least float32."""
    return jnp.promote_types(g.dtype, jnp.float32)


def _adapt(scale, tracker, growth, backoff, interval, *found):
    """Return the next scale and how many good steps there were in a row."""
    bad = sum(found) > 0
    good = tracker + 1
    grown = (scale * growth).astype(jnp.float32)
    due = good == interval
    better = jnp.where(due & jnp.isfinite(grown), grown, scale)
    new = jnp.where(bad, (scale * backoff).astype(jnp.float32), better)
    return [new, jnp.where(bad | due, 0, good).astype(jnp.int32)]

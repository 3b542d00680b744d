"""Leave for plain JAX: one model, trained by facade and by optax alone, with the same losses.

``facade.to_jax`` takes a module out as a pure function and its state as a pytree. From there on
everything is JAX: ``jax.value_and_grad``, ``jax.jit``, optax. Run it by
``python examples/leave_to_jax.py``.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import facade as torch
import facade.nn.functional as F
from facade.vision.models import resnet18

STEPS, BATCH, RATE = 4, 32, 1e-4


def batches():
    """Yield ``(images (BATCH, 3, 32, 32), labels (BATCH,))`` as numpy arrays."""
    images, labels = load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 1, 8, 8) / 16, np.ones((1, 3, 4, 4))).astype(np.float32)
    for i in range(STEPS):
        part = slice(i * BATCH, (i + 1) * BATCH)
        yield images[part], labels[part]


def new_model():
    torch.manual_seed(0)
    return resnet18(num_classes=10)


def with_facade() -> list[float]:
    model = new_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    losses = []
    for images, labels in batches():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def with_jax() -> list[float]:
    apply, state = torch.to_jax(new_model())
    optimizer = optax.sgd(RATE, momentum=0.9)
    moments = optimizer.init(state["parameters"])

    def loss_of(parameters, buffers, images, labels):
        logits, state = apply({"parameters": parameters, "buffers": buffers}, images)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, state["buffers"]

    @jax.jit
    def step(state, moments, images, labels):
        (loss, buffers), grads = jax.value_and_grad(loss_of, has_aux=True)(
            state["parameters"], state["buffers"], images, labels
        )
        updates, moments = optimizer.update(grads, moments)
        parameters = optax.apply_updates(state["parameters"], updates)
        return {"parameters": parameters, "buffers": buffers}, moments, loss

    losses = []
    for images, labels in batches():
        state, moments, loss = step(state, moments, jnp.asarray(images), jnp.asarray(labels))
        losses.append(float(loss))
    return losses


if __name__ == "__main__":
    ours, theirs = with_facade(), with_jax()
    print("step    facade       jax")
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        print(f"{i:4d}  {a:8.5f}  {b:8.5f}")
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    print("the same losses")

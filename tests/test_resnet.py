"""ResNet-18 against PyTorch: same start, logits, gradients, training steps, statistics."""

import numpy as np
import pytest
import torch
from reference_resnet import ResNet18

import facade
from facade.vision import models

CLASSES = 10


def relative_error(ours, theirs):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)


def pair(dtype):
    """Return both models with PyTorch's weights, in training mode."""
    torch.manual_seed(0)
    theirs = ResNet18(CLASSES).to(getattr(torch, dtype))
    for m in theirs.modules():  # ones and zeros would hide what they do
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.uniform_(m.bias, -0.2, 0.2)
    ours = models.resnet18(num_classes=CLASSES).to(getattr(facade, dtype))
    state = {k: facade.tensor(v.numpy().copy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs


def one_batch(batch, size, dtype):
    # no ReLU's input is so near 0 here that a rounding turns it on or off
    rng = np.random.default_rng(1)
    images = rng.standard_normal((batch, 3, size, size)).astype(dtype)
    return images, rng.integers(0, CLASSES, batch)


def train(module, model, images, labels, lr):
    """Take ten SGD steps; return the losses and the first step's logits and gradients."""
    optimizer = module.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    losses, first = [], None
    for _ in range(10):
        logits = model(module.tensor(images))
        loss = module.nn.functional.cross_entropy(logits, module.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        if first is None:
            grads = {n: p.grad.numpy().copy() for n, p in model.named_parameters()}
            first = logits.detach().numpy().copy(), grads
        optimizer.step()
        losses.append(loss.item())
    return losses, *first


# Larger steps say nothing in float32: at 0.01 PyTorch's own float32 and float64 runs end 0.4%
# apart.
@pytest.mark.parametrize(
    ("dtype", "batch", "size", "lr", "tolerance"),
    [("float32", 8, 64, 2e-5, 1e-3), ("float64", 4, 40, 1e-2, 1e-9)],
)
def test_training_steps(dtype, batch, size, lr, tolerance):
    ours, theirs = pair(dtype)
    images, labels = one_batch(batch, size, dtype)
    losses, logits, grads = train(facade, ours, images, labels, lr)
    wanted_losses, wanted_logits, wanted_grads = train(torch, theirs, images, labels, lr)
    assert relative_error(logits, wanted_logits) < tolerance
    assert list(grads) == list(wanted_grads)
    for name, grad in wanted_grads.items():
        assert relative_error(grads[name], grad) < tolerance, name
    assert relative_error(losses, wanted_losses) < tolerance
    assert losses[-1] < losses[0]
    state = ours.state_dict()
    for name, value in theirs.state_dict().items():
        assert relative_error(state[name].numpy(), value.numpy()) < tolerance, name
    with facade.no_grad(), torch.no_grad():
        found = ours.eval()(facade.tensor(images)).numpy()
        wanted = theirs.eval()(torch.tensor(images)).numpy()
    assert relative_error(found, wanted) < tolerance


def test_initialisation_and_names():
    torch.manual_seed(3)
    facade.manual_seed(3)
    theirs, ours = ResNet18(), models.resnet18()
    state, wanted = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(wanted)
    assert len(state) == 122
    assert sum(p.numel() for p in ours.parameters()) == 11_689_512
    for name, value in wanted.items():
        np.testing.assert_array_equal(state[name].numpy(), value.numpy(), err_msg=name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnext50_32x4d", 25_028_904)],
)
def test_sizes_of_the_family(name, parameters):
    model = models.get_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True], ids=["fixed statistics", "each its own"])
def test_gradients_per_sample(training):
    """vmap of grad of functional_call; batch norm takes one image's statistics, or fixed ones."""
    ours, theirs = pair("float64")
    x = np.random.default_rng(0).standard_normal((2, 3, 64, 64))

    def of_each(module, model):
        if training:
            module.func.replace_all_batch_norm_modules_(model)
        model.train(training)
        parameters = {name: t.detach() for name, t in model.named_parameters()}
        buffers = dict(model.named_buffers())

        def loss(parameters, x, y):
            logits = module.func.functional_call(model, (parameters, buffers), (x[None],))
            return module.nn.functional.cross_entropy(logits, y[None])

        gradients = module.vmap(module.func.grad(loss), in_dims=(None, 0, 0))
        return gradients(parameters, module.tensor(x), module.tensor([1, 3]))

    found, expected = of_each(facade, ours), of_each(torch, theirs)
    assert list(found) == list(expected)
    for name, gradient in expected.items():
        assert relative_error(found[name].numpy(), gradient.numpy()) < 1e-9, name

"""torch.onnx.export: ONNX's runtime computes what the module does."""

import numpy as np
import pytest

import facade as torch
from facade import nn

pytest.importorskip("jax2onnx")
runtime = pytest.importorskip("onnxruntime")

CASES = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (3, 4)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64, 2),
        ),
        (2, 1, 8, 8),
    ),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_modules(case, tmp_path):
    make, shape = CASES[case]
    torch.manual_seed(0)
    net, x = make().eval(), torch.randn(shape)
    path = tmp_path / "model.onnx"
    torch.onnx.export(net, (x,), path, input_names=["x"], output_names=["y"])
    (found,) = runtime.InferenceSession(str(path)).run(["y"], {"x": x.numpy()})
    np.testing.assert_allclose(found, net(x).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_dynamic_axes_are_refused():
    with pytest.raises(NotImplementedError, match="none can be dynamic"):
        torch.onnx.export(nn.ReLU(), (torch.ones(2),), dynamic_axes={"x": {0: "batch"}})

"""The sizes of the networks that :mod:`benchmarks.networks` trains, and what they train on."""

import os

import numpy as np

# name -> input shape
RESNETS = {
    "ResNet-18, 1x3x64x64": (1, 3, 64, 64),
    "ResNet-18, 16x3x64x64": (16, 3, 64, 64),
    "ResNet-18, 4x3x224x224": (4, 3, 224, 224),
}
GPT = "GPT, 4 layers of 128, 8x64 tokens"
LAYERS, WIDTH, HEADS, VOCABULARY, BATCH, LENGTH = 4, 128, 4, 65, 8, 64
LSTM = "LSTM, 2 layers of 128, 32x50"
LSTM_LAYERS, STEPS, SEQUENCES = 2, 50, 32
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # width, stride


def chosen(name: str) -> bool:
    return name.startswith(tuple(os.environ.get("ONLY", "").split(";")))


def images(shape) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype(np.float32), rng.integers(0, 1000, shape[0])


def tokens() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    text = rng.integers(0, VOCABULARY, (BATCH, LENGTH + 1))
    return text[:, :-1], text[:, 1:]


def sequences() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SEQUENCES, STEPS, WIDTH)).astype(np.float32)
    return x, rng.integers(0, 10, SEQUENCES)

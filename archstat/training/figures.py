"""How a training step is run, and what it turned out to need."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archstat.training.kernels import Kernels
from archstat.training.live_bytes import Moment


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train: optimizer, dtype (None: the model's own), autocast, whose kernels."""

    optimizer: str = "sgd"
    dtype: torch.dtype | None = None
    amp: bool = False
    kernels: Kernels = "cpu"


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one step needs, in bytes, and its multiply-accumulates, forward and backward.

    `steady_bytes` are there before it: weights, buffers, the optimizer's states, the input.
    """

    param_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_activation_bytes: int
    input_bytes: int
    training_macs: int
    loss: str
    fused_attention: bool
    device: str
    steady_bytes: int
    moments: tuple[Moment, ...]

    @property
    def peak(self) -> Moment:
        """The first moment at which the most bytes are alive."""
        return max(self.moments, key=lambda moment: moment.live_bytes)

    @property
    def training_memory_bytes(self) -> int:
        """The most bytes alive at once."""
        return self.peak.live_bytes

"""The loss of a training step: cross-entropy for class scores, else the sum of the outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.trees import tensors

CROSS_ENTROPY, SUM = "cross-entropy", "sum"


def differentiable(title: str, output: Any) -> list[torch.Tensor]:
    """The tensors among a model's outputs that a loss can be taken of.

    Raises:
        CaptureError: none, so that the model has no backward pass.
    """
    found = [tensor for tensor in tensors(output) if tensor.requires_grad]
    if not found:
        given = ", ".join(str(t.dtype).removeprefix("torch.") for t in tensors(output))
        raise CaptureError(
            f"{title} cannot be trained: no gradient leads from its output "
            f"({given or 'no tensor'}) to a parameter. Give the model without its last, "
            "not differentiable step, or with parameters that are not frozen."
        )
    return found


def loss_kind(outputs: list[torch.Tensor]) -> str:
    """Cross-entropy where some output is (samples, classes), else the sum."""
    return CROSS_ENTROPY if any(_is_scores(output) for output in outputs) else SUM


def targets_for(outputs: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """A class for each sample of each output of class scores; they are part of the batch."""
    return [_classes(t) if _is_scores(t) else None for t in outputs]


def loss_of(outputs: list[torch.Tensor], targets: list[torch.Tensor | None]) -> torch.Tensor:
    """One number: the losses of all outputs added."""
    losses = [
        nn.functional.cross_entropy(output, target) if target is not None else output.sum()
        for output, target in zip(outputs, targets, strict=True)
    ]
    total = losses[0]
    for further in losses[1:]:
        total = total + further
    return total


def _is_scores(output: torch.Tensor) -> bool:
    return output.dim() == 2 and output.shape[1] > 1 and output.is_floating_point()


def _classes(scores: torch.Tensor) -> torch.Tensor:
    # Class 0 of every sample; on meta there is nothing to fill, and filling is slow.
    made = torch.empty(scores.shape[0], dtype=torch.int64, device=scores.device)
    return made if made.is_meta else made.zero_()

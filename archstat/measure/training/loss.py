"""What takes the place of a user's module's tensors during a training step.

One stand-in a tensor, and one memory a storage, so that ties stay tied. On meta they hold no data;
on a real device they are copies. Gradients, statistics and the optimizer's updates go to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from archstat.errors import CaptureError, Option
from archstat.frontends.guard import put_in_place
from archstat.frontends.trees import tensors

CROSS_ENTROPY, SUM, OWN = "cross-entropy", "sum", "the model's own"


def differentiable(title: str, output: Any) -> list[torch.Tensor]:
    """The tensors among a model's outputs that a loss is taken of: those that it calls a loss.

    Where it has no loss of its own, every output that a gradient can start from.

    Raises:
        CaptureError: none, so that the model has no backward pass.
    """
    found = _own_losses(output) or [t for t in tensors(output) if t.requires_grad]
    if not found:
        given = ", ".join(str(t.dtype).removeprefix("torch.") for t in tensors(output))
        raise CaptureError(
            f"{title} cannot be trained: no gradient leads from its output "
            f"({given or 'no tensor'}) to a parameter. Leave out its last, non-differentiable "
            "step, or unfreeze some parameters."
        )
    return found


def batch_norm_hint(error: BaseException) -> str:
    """What to do about an error, if batch norm raised it for want of values."""
    if "more than 1 value per channel" not in str(error):
        return ""
    more = Option("batch", 2)
    return f" Batch norm in training needs several values a channel: give {more} or more."


def _own_losses(output: Any) -> list[torch.Tensor]:
    """What a model returns as its loss: by that name, by names like it, or first of several."""
    if isinstance(output, Mapping):
        named: Mapping[str, Any] = output
    elif hasattr(output, "_asdict"):
        named = output._asdict()
    elif isinstance(output, (tuple, list)):
        named = {"loss": output[0]} if len(output) > 1 else {}
    else:
        named = getattr(output, "__dict__", {})
    losses = {str(name): one for name, one in named.items() if _is_loss(one)}
    if "loss" in losses:
        return [losses["loss"]]
    return [one for name, one in losses.items() if "loss" in name]


def _is_loss(one: Any) -> bool:
    return isinstance(one, torch.Tensor) and one.numel() == 1 and one.dim() < 2 and (
        one.requires_grad and one.is_floating_point()
    )  # fmt: skip


def loss_kind(outputs: list[torch.Tensor]) -> str:
    """The model's own, or cross-entropy where some output is (samples, classes), else the sum."""
    if all(map(_is_loss, outputs)):
        return OWN
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


class StandIns:
    """Makes stand-ins on a device, floating-point ones in `dtype` where that is given."""

    def __init__(self, device: torch.device, dtype: torch.dtype | None) -> None:
        self._device = device
        self._dtype = dtype
        self._made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._memories: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def of_modules(self, modules: Sequence[nn.Module]) -> None:
        """Put stand-ins in the place of all tensors that the modules hold."""
        own = {
            id(tensor)
            for module in modules
            for table in (module._parameters, module._buffers)
            for tensor in table.values()
            if tensor is not None
        }

        def stand_in(tensor: torch.Tensor) -> torch.Tensor:
            return self._own(tensor) if id(tensor) in own else self._constant(tensor)

        for module in modules:
            put_in_place(module, stand_in)

    def made(self) -> list[torch.Tensor]:
        """Every stand-in made so far."""
        return [stand_in for _, stand_in in self._made.values()]

    def _own(self, tensor: torch.Tensor) -> torch.Tensor:
        kept = self._made.get(id(tensor))
        if kept is not None:
            return kept[1]
        if is_lazy(tensor):
            return tensor
        if tensor.layout is not torch.strided:
            return self._constant(tensor)  # it has no one memory
        dtype = self._dtype if self._dtype and tensor.is_floating_point() else tensor.dtype
        memory = self._memory(tensor.detach(), dtype)
        stand_in = memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        if isinstance(tensor, nn.Parameter):
            stand_in = nn.Parameter(stand_in, requires_grad=tensor.requires_grad)
        # The tensor itself is kept, too: its id must not be given to another.
        self._made[id(tensor)] = (tensor, stand_in)
        return stand_in

    def _memory(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        storage = tensor.untyped_storage()
        key = (id(storage), tensor.dtype)
        if key not in self._memories:
            elements = storage.nbytes() // tensor.element_size()
            if self._device.type == "meta":
                memory = torch.empty(elements, dtype=dtype, device=self._device)
            else:
                whole = tensor.as_strided((elements,), (1,), 0)
                memory = whole.to(self._device, dtype, copy=True)
            self._memories[key] = memory
        return self._memories[key]

    def _constant(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a plain attribute with its data, which forward may look at or write to."""
        kept = self._made.get(id(tensor))
        if kept is None:
            kept = self._made[id(tensor)] = (tensor, tensor.detach().clone())
        return kept[1]

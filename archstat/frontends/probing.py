"""Running a real module on cpu while watching values and replacing operands on the way.

The run goes through the same dispatch mode as a capture, so an op has the same index here as in a
Graph that was captured on cpu, and nearly always as in one captured on meta; the module is left as
it was, by the same means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from archstat.frontends.aten import Signature
from archstat.frontends.mode import CaptureMode
from archstat.frontends.module import capture_on
from archstat.frontends.recorder import Recorder
from archstat.frontends.trees import tensors
from archstat.graph import Graph

Watcher = Callable[[torch.Tensor], None]
Watched = Mapping[tuple[int, int], Watcher]
Cuts = Mapping[int, int]


class StopProbe(BaseException):
    """Raised by a watcher that has seen enough; no forward takes it for an error of its own."""


class OtherOperationsError(Exception):
    """A run takes other operations than those that were counted."""


def probe(
    root: nn.Module,
    args: tuple[torch.Tensor, ...],
    kwargs: Mapping[str, torch.Tensor],
    watched: Watched,
    cuts: Cuts,
    keeps_gradients: bool = False,
    targets: Sequence[str] = (),
) -> Graph:
    """Run ``root(*args, **kwargs)`` in inference mode on real numbers.

    Args:
        watched: for an op's index and the position of one of its outputs, who is handed the
            tensor at that moment, before an op in place may write over it.
        cuts: for an op's index, the position among its tensors of the operand that ones replace.
        keeps_gradients: let autograd follow the activations; parameters never get gradients.
        targets: what the first ops must be; another batch size may take another way.

    Returns:
        The Graph of this very run; forward's errors come through.

    Raises:
        OtherOperationsError: an op is not the one in `targets`.
    """

    def mode(recorder: Recorder, device: torch.device) -> CaptureMode:
        return _ProbeMode(recorder, device, watched, cuts, targets)

    with _plain_convolutions(args, kwargs):
        return capture_on(
            torch.device("cpu"), root, args, kwargs, type(root).__name__, (), mode, keeps_gradients
        )


def followed(
    root: nn.Module,
    args: tuple[torch.Tensor, ...],
    kwargs: Mapping[str, torch.Tensor],
    op: int,
    output: int,
) -> torch.Tensor | None:
    """An output of an op, as autograd sees it, so that gradients can be taken back to `args`.

    None if forward never hands it on: it stays inside a function of several ops.
    """
    shapes: list[torch.Size] = []
    handing_on = _HandingOn(shapes)
    watched = {(op, output): lambda tensor: shapes.append(tensor.shape)}
    with suppress(StopProbe), handing_on:
        probe(root, args, kwargs, watched, {}, keeps_gradients=True)
    return handing_on.found


class _HandingOn(TorchFunctionMode):
    """Stops at the first function that returns a tensor of the shape, once that is known.

    The dispatch mode stands below autograd and never sees a tensor with its history.
    """

    def __init__(self, shapes: list[torch.Size]) -> None:
        super().__init__()
        self._shapes = shapes
        self.found: torch.Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._shapes:
            for tensor in tensors(result):
                if tensor.shape == self._shapes[0] and tensor.grad_fn is not None:
                    self.found = tensor
                    raise StopProbe
        return result


@contextmanager
def _plain_convolutions(args: Any, kwargs: Any) -> Iterator[None]:
    """Run the block with convolutions that multiply each pixel by its own weights alone.

    NNPACK's transforms mix the pixels of a tile, oneDNN takes half floats in pairs: a NaN would
    spread to its neighbours.
    """
    halves = any(tensor.dtype in _HALVES for tensor in tensors((args, kwargs)))
    onednn: Any = torch.backends.mkldnn
    with (
        torch.backends.nnpack.flags(enabled=False),
        # TF32 as it was: setting it, to whatever, makes torch warn.
        onednn.flags(enabled=onednn.enabled and not halves, allow_tf32=onednn.allow_tf32),
    ):
        yield


_HALVES = frozenset({torch.float16, torch.bfloat16})


class _ProbeMode(CaptureMode):
    def __init__(
        self,
        recorder: Recorder,
        device: torch.device,
        watched: Watched,
        cuts: Cuts,
        targets: Sequence[str],
    ) -> None:
        super().__init__(recorder, device)
        self._watched = watched
        self._watched_ops = {op for op, _ in watched}
        self._cuts = cuts
        self._targets = targets

    def _run(self, func: Any, sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        index = len(self.recorder.ops)
        if index < len(self._targets) and sig.target != self._targets[index]:
            raise OtherOperationsError(f"op {index} is {sig.target}, not {self._targets[index]}")
        if index in self._cuts:
            args = _with_ones(args, self._cuts[index], in_place=sig.in_place or bool(sig.writes))
        result = super()._run(func, sig, args, kwargs)
        if index in self._watched_ops:
            for position, tensor in enumerate(tensors(result)):
                watcher = self._watched.get((index, position))
                if watcher is not None:
                    watcher(tensor)
        return result


def _with_ones(args: tuple[Any, ...], operand: int, in_place: bool) -> tuple[Any, ...]:
    """The arguments with ones in place of one tensor among them, counted from the left."""
    places = [place for place, item in enumerate(args) if isinstance(item, torch.Tensor)]
    place = places[operand]
    if in_place and place == 0:
        args[0].fill_(1)  # forward holds this very tensor and expects the product in it
        return args
    return (*args[:place], torch.ones_like(args[place]), *args[place + 1 :])

"""What is picked by constant indices, masks and single places keeps the field that it had."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.analyses.field import receptive_field
from archstat.frontends.module import capture

SIZE = 8
HALF = [True, False, True, True, False, False, True, False]
GRID = (torch.arange(SIZE * SIZE) % 5 < 2).view(SIZE, SIZE)


class Picking(nn.Module):
    def __init__(self, pick):
        super().__init__()
        self.a, self.b, self.pick = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3), pick
        for weight in self.parameters():
            nn.init.ones_(weight)

    def forward(self, x):
        return self.pick(self.a(x), self.b)


def on(y, *numbers):
    return torch.tensor(numbers, device=y.device)


def overwritten(y, *places):
    y = y.clone()
    y[(slice(None), slice(None), *places)] = 0.0
    return y


# The picture's two axes each: stride where places follow each other evenly, else None.
PICKS = {
    "table of rows": (lambda y, b: y[:, :, [[0, 1], [2, 3]]], (1, 1)),
    "table of columns": (lambda y, b: y[..., [[0, 2], [4, 6]]], (1, 2)),
    "rows unevenly": (lambda y, b: y[:, :, [[[0], [5]], [[2], [3]]]], (None, 1)),
    "table of a range": (
        lambda y, b: y[:, :, torch.arange(SIZE, device=y.device).view(2, 4)], (1, 1)),
    "single places": (lambda y, b: y[:, :, [0, 1], [2, 3]], (None, None)),
    "a table of single places": (
        lambda y, b: y[:, :, [[0, 1], [4, 5]], [[2, 3], [0, 0]]], (None, None)),
    "places from the end": (lambda y, b: y[:, :, [-2, 3], [1, -4]], (None, None)),
    "places by tensors": (lambda y, b: y[:, :, on(y, 0, 1), on(y, 2, 3)], (None, None)),
    "crossed": (lambda y, b: y[:, :, [[0], [2]], [1, 4]], (2, 3)),
    "crossed tables": (
        lambda y, b: y[:, :, on(y, 0, 2, 4, 6).view(2, 2, 1), on(y, 1, 4)], (2, 3)),
    "channels and rows": (lambda y, b: y[:, [0, 1], [2, 3]], (1, 1)),
    "diagonal": (lambda y, b: y.diagonal(dim1=2, dim2=3), (None, None)),
    "upper triangle": (
        lambda y, b: y[(..., *torch.triu_indices(SIZE, SIZE, 1, device=y.device))], (None, None)),
    "list of bools": (lambda y, b: y[:, :, HALF], (None, 1)),
    "last by bools": (lambda y, b: y[..., HALF], (1, None)),
    "mask of rows": (lambda y, b: y[:, :, torch.tensor(HALF)], (None, 1)),
    "even mask": (lambda y, b: y[:, :, torch.arange(SIZE, device=y.device) % 2 == 0], (2, 1)),
    "mask of pixels": (lambda y, b: y[:, :, GRID.to(y.device)], (None, None)),
    "masked_select": (lambda y, b: y.masked_select(GRID.to(y.device)), (None, None)),
    "take": (lambda y, b: y.take(on(y, 17, 18, 19)), (None, None)),
    "take_along_dim": (
        lambda y, b: torch.take_along_dim(y, torch.tensor([3, 1, 2]).view(1, 1, 3, 1), 2),
        (None, 1)),
    "tokens in another order": (
        lambda y, b: y.flatten(2)[:, :, torch.arange(SIZE**2).view(SIZE, SIZE).t().flatten()],
        (None, None)),
    "drawn": (lambda y, b: y[:, :, torch.randperm(SIZE, device=y.device)], (None, None)),
    "convolved after a mask": (lambda y, b: b(y[:, :, HALF]), (None, 1)),
    "rows overwritten": (lambda y, b: b(overwritten(y, [0, 2])), (None, 1)),
    "places overwritten": (lambda y, b: b(overwritten(y, [0, 2], [1, 1])), (1, 1)),
    "pixels overwritten": (lambda y, b: b(overwritten(y, GRID.to(y.device))), (1, 1)),
}  # fmt: skip


def largest(net):
    """The largest field of an output, by gradients of real numbers."""
    x = torch.rand(1, 1, SIZE, SIZE, requires_grad=True)
    spans = []
    for out in net(x).flatten():
        if out.grad_fn is not None:
            (seen,) = torch.autograd.grad(out, x, retain_graph=True)
            places = seen[0, 0].nonzero()
            if len(places):
                spans.append(places.amax(0) - places.amin(0) + 1)
    return tuple(torch.stack(spans).amax(0).tolist())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("pick", "stride"), PICKS.values(), ids=list(PICKS))
def test_places_picked_by_constants_keep_their_field(pick, stride, device):
    net = Picking(pick).eval()
    graph = capture(net.to(device), torch.empty(1, 1, SIZE, SIZE, device=device))
    fields = receptive_field(graph)
    assert (graph.device, fields.findings, fields.final.known) == ("meta", (), True)
    assert fields.final.effective_stride == stride
    if device == "cpu":
        assert fields.final.receptive_field == largest(net)


def test_positions_picked_in_no_order_are_all_seen_by_a_sum():
    net = Picking(lambda y, b: y[:, :, [0, 1], [2, 3]].sum(2, keepdim=True)).eval()
    fields = receptive_field(capture(net, torch.empty(1, 1, SIZE, SIZE)))
    assert fields.rows[-1].receptive_field == (None, None)

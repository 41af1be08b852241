"""Tensors that a module holds or makes beside its parameters, and moves between devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from archstat.analyses.field import ANALYZER as RECEPTIVE_FIELD
from archstat.frontends.module import capture, capture_on

IMAGE = torch.rand(1, 3, 8, 8)


class Table(nn.Module):
    """Multiplies by a plain tensor attribute."""

    def __init__(self):
        super().__init__()
        self.table = torch.rand(3, 1, 1)

    def forward(self, x):
        return x * self.table


def test_plain_tensor_attribute_is_a_constant(totals):
    graph = capture(Table(), IMAGE)
    assert graph.device == "meta"
    assert [graph.values[v].role for v in graph.ops[0].inputs] == ["input", "constant"]
    assert totals(Table(), IMAGE)["params"] == totals(Table(), IMAGE)["buffers"] == 0


def test_list_of_tensor_attributes_are_constants(as_module):
    tables = [torch.rand(3, 1, 1) for _ in range(2)]
    graph = capture(as_module(lambda x: x * tables[0] + tables[1]), IMAGE)
    roles = [[graph.values[v].role for v in op.inputs] for op in graph.ops]
    assert roles == [["input", "constant"], ["activation", "constant"]]


def positions(x):
    """A sine table made in forward, without a device."""
    steps = torch.arange(x.shape[-1])
    return x + torch.sin(steps.float() * 0.5).view(1, 1, 1, -1)


def masked(x):
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    return x.masked_fill(~mask, float("-inf")).softmax(-1)


def pasted(x):
    canvas = torch.zeros(1, 3, 10, 10)
    canvas[:, :, 1:9, 1:9] = x
    return canvas


def like(x):
    return x + torch.zeros_like(x) + x.new_ones(8) + torch.full((1, 1), 2.0, device=x.device)


def indexed(x):
    rows = torch.arange(8).flip(0)
    return x[:, :, rows] + x.index_select(3, rows)


def looked_at_constants(x):
    edge = int(torch.linspace(0, 4, 5).max().item())
    return x[:, :, :edge] * (2.0 if torch.ones(3).sum() > 2 else 0.5)


def moved(x):
    return x.to("cpu") + torch.ones(8).to(x.device).to(x.dtype) + torch.tensor([1.0]).to(x)


def split_by_constants(x):
    sizes = torch.tensor([1, 2]).tolist()
    return torch.cat([part * 2 for part in x.split(sizes, 1)], 1)


MAKERS = [positions, masked, pasted, like, indexed, looked_at_constants, moved, split_by_constants]


@pytest.mark.parametrize("make", MAKERS)
def test_tensor_made_in_forward_meets_activations_on_meta(make, as_module, totals):
    graph = capture(as_module(make), IMAGE)
    assert graph.device == "meta"
    assert graph.values[graph.outputs[0]].shape == make(IMAGE).shape
    assert totals(as_module(make), IMAGE)["unknown_ops"] == 0


def test_move_to_the_device_of_the_weights_is_no_op():
    class Moving(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            weight = self.conv.weight
            return self.conv(x.to(weight.device).to(weight.dtype)).to("cpu").to(weight)

    graph = capture(Moving(), IMAGE)
    assert graph.device == "meta"
    assert [op.kind for op in graph.ops] == ["conv"]


def test_change_of_dtype_is_a_copy_that_costs_no_arithmetic(as_module, totals):
    net = as_module(lambda x: x.half().to(torch.float64))
    graph = capture(net, IMAGE)
    assert [graph.values[op.outputs[0]].dtype for op in graph.ops] == ["float16", "float64"]
    assert totals(net, IMAGE)["flops"] == 0


def test_device_of_the_input_is_what_the_module_may_ask_for(as_module):
    net = as_module(lambda x: x + torch.zeros(8, device=x.device, dtype=x.dtype))
    assert capture(net, IMAGE).device == "meta"


def test_buffer_updated_in_place_is_read_updated_afterwards():
    class Moving(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3, 1, 1))

        def forward(self, x):
            self.mean.mul_(0.9)
            return x - self.mean

    graph = capture(Moving(), IMAGE)
    mean = next(graph.buffers())
    update, reader = graph.ops
    assert graph.values[update.outputs[0]].storage == mean.storage
    assert graph.values[reader.inputs[1]].storage == mean.storage
    assert graph.values[reader.inputs[1]].role == "buffer"


class Picking(nn.Module):
    def __init__(self, pick):
        super().__init__()
        self.conv, self.pick = nn.Conv2d(3, 4, 3), pick
        self.register_buffer("places", torch.tensor([0, 2]))

    def forward(self, x):
        return self.pick(self, self.conv(x))


PICKS = {
    "list of rows": (lambda s, y: y[:, :, [0, 2]], (2, 1), (0, 0)),
    "list of columns": (lambda s, y: y[..., [1, 4]], (1, 3), (0, -1)),
    "list backwards": (lambda s, y: y[:, :, [5, 0]], (-5, 1), (-5, 0)),
    "negative numbers": (lambda s, y: y[:, :, [-1, -2]], (-1, 1), (-5, 0)),
    "range": (lambda s, y: y[:, :, range(0, 6, 2)], (2, 1), (0, 0)),
    "array": (lambda s, y: y[:, :, np.array([0, 2])], (2, 1), (0, 0)),
    "tensor on the input's device": (
        lambda s, y: y[..., torch.tensor([0, 2], device=y.device)], (1, 2), (0, 0)),
    "index_select": (
        lambda s, y: y.index_select(2, torch.tensor([0, 2], device=y.device)), (2, 1), (0, 0)),
    "buffer": (lambda s, y: y[:, :, s.places], (2, 1), (0, 0)),
    "index_select by a buffer": (lambda s, y: y.index_select(3, s.places), (1, 2), (0, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("pick", "stride", "padding"), PICKS.values(), ids=list(PICKS))
def test_places_picked_by_numbers_that_forward_holds_are_known(pick, stride, padding):
    graph = capture(Picking(pick).eval(), torch.empty(1, 3, 8, 8))
    totals = RECEPTIVE_FIELD.run(graph).totals
    assert (graph.device, totals["receptive_field"]) == ("meta", (3, 3))
    assert (totals["effective_stride"], totals["effective_padding"]) == (stride, padding)


def changed(places):
    places += 1
    return places


def written(mask):
    mask[::2] = True
    return mask


FIVE = [True, False, True, False, True, False]
MADE = {
    "changed in place": lambda y: changed(torch.tensor([0, 2], device=y.device)),
    "written in place": lambda y: written(torch.zeros(6, dtype=torch.bool, device=y.device)),
    "list of bools": lambda y: FIVE,
    "mask": lambda y: torch.tensor(FIVE),
    "mask on the input's device": lambda y: torch.tensor(FIVE, device=y.device),
    "mask of a comparison": lambda y: torch.arange(6, device=y.device) % 2 == 0,
    "mask turned": lambda y: ~torch.ones(6, device=y.device, dtype=torch.bool).logical_not(),
    "places of a mask": lambda y: torch.tensor(FIVE, device=y.device).nonzero()[:, 0],
    "columns of a table": lambda y: torch.triu_indices(3, 3, 1, device=y.device)[1],
    "fractions": lambda y: torch.linspace(0, 4, 3, device=y.device).round().long(),
    "joined": lambda y: torch.cat([torch.zeros(1, device=y.device).long(), y.new_ones(2).long()]),
    "meshed": lambda y: torch.meshgrid(*[torch.arange(3, device=y.device)] * 2)[0].flatten(),
    "like the input": lambda y: torch.ones_like(y[0, 0, :, 0]).cumsum(0).long() - 1,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("on", ["cpu", "meta"])
@pytest.mark.parametrize("made", MADE.values(), ids=list(MADE))
def test_numbers_made_of_numbers_are_known_on_meta_as_in_a_real_run(made, on):
    net = Picking(lambda s, y: y[:, :, made(y)]).to(on).eval()
    graph = capture(net, torch.empty(1, 3, 8, 8))
    real = capture_on(
        torch.device("cpu"), net.to_empty(device="cpu"), (torch.rand(1, 3, 8, 8),), {}, "N"
    )
    assert graph.device == "meta"
    fields = [RECEPTIVE_FIELD.run(g).totals for g in (graph, real)]
    assert fields[0] == fields[1]
    assert fields[0]["receptive_field"][1] == 3
    shapes = [g.values[g.outputs[0]].shape for g in (graph, real)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("drawn", [
    lambda y: torch.randperm(6, device=y.device)[:2],
    lambda y: torch.zeros(2, dtype=torch.long, device=y.device).random_(6),
])  # fmt: skip
def test_numbers_that_are_drawn_are_not_known(drawn):
    graph = capture(Picking(lambda s, y: y[:, :, drawn(y)]).eval(), torch.empty(1, 3, 8, 8))
    assert graph.ops[-1].attributes["indices"][2] == "int64"


def test_what_forward_writes_into_known_numbers_does_not_reach_the_users():
    net = Picking(lambda s, y: y[:, :, changed(s.places)])
    capture(net.eval(), torch.empty(1, 3, 8, 8))
    assert net.places.tolist() == [0, 2]

"""Forwards that need real numbers: they run on cpu with their own weights, which is noted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)
MACS_1X1 = 3 * 3 * 8 * 8


class Branching(nn.Module):
    """Takes one of two convolutions by the sign of the mean."""

    def __init__(self):
        super().__init__()
        self.cheap, self.dear = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.dear(x) if x.mean() > 0 else self.cheap(x)


class Looping(nn.Module):
    """Repeats a convolution as often as the input says, and counts it in a buffer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.register_buffer("turns", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        for _ in range(1 + int(x.clamp(0, 0).sum().item()) + 2):
            x = self.conv(x)
            self.turns += 1
        return x


class Selecting(nn.Module):
    """An output whose size depends on the numbers."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 3, 1), nn.Linear(1, 4)

    def forward(self, x):
        y = self.conv(x)
        return self.linear(y[y >= -1e9].unsqueeze(1))


NETS = [Branching, Looping, Selecting]


@pytest.mark.parametrize("net", NETS)
def test_graph_of_a_real_run_says_so(net):
    graph = capture(net(), IMAGE)
    assert graph.device == "cpu"
    assert len(graph.notes) == 1
    assert graph.notes[0].startswith("ran for real on cpu, because its forward cannot run on meta")


def test_graph_of_a_model_that_runs_on_meta_has_no_note():
    graph = capture(nn.Conv2d(3, 3, 1), IMAGE)
    assert (graph.device, graph.notes) == ("meta", ())


def test_note_names_the_line_of_the_users_forward():
    (note,) = capture(Branching(), IMAGE).notes
    assert "test_fallback.py:" in note


@pytest.mark.parametrize("net", NETS)
def test_module_is_unchanged_after_the_attempt_and_the_real_run(net, unchanged):
    module = net().train()
    with unchanged(module):
        capture(module, IMAGE)


@pytest.mark.parametrize("net", NETS)
def test_two_real_runs_give_equal_graphs(net):
    module = net()
    assert capture(module, IMAGE) == capture(module, IMAGE)


def test_branch_that_the_given_numbers_take_is_counted(totals):
    assert totals(Branching(), IMAGE)["macs"] == MACS_1X1 * 3**2
    assert totals(Branching(), -IMAGE)["macs"] == MACS_1X1


def test_input_without_numbers_is_filled_with_positive_ones(totals):
    assert totals(Branching(), torch.empty(1, 3, 8, 8, device="meta"))["macs"] == MACS_1X1 * 3**2


def test_token_input_without_numbers_is_filled_with_valid_tokens(looking, totals):
    net = looking(nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 4)))
    tokens = torch.empty(1, 7, dtype=torch.int64, device="meta")
    assert totals(net, tokens)["macs"] == 7 * 8 * 4


def test_loop_is_counted_as_often_as_it_runs(totals):
    assert totals(Looping(), IMAGE)["macs"] == 3 * MACS_1X1


def test_size_that_depends_on_the_numbers_is_the_real_one(totals):
    assert totals(Selecting(), IMAGE)["macs"] == MACS_1X1 + (3 * 8 * 8) * 4


def test_real_run_is_in_inference_mode(looking, totals):
    net = looking(nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5))).train()
    graph = capture(net, IMAGE)
    assert [op.attributes.get("training") for op in graph.ops if op.kind == "norm"] == [False]
    assert not any("dropout" in op.name for op in graph.ops)


def test_values_of_a_real_run_have_their_roles(looking):
    net = looking(nn.Sequential(nn.BatchNorm2d(3), nn.Linear(8, 4)))
    graph = capture(net, IMAGE)
    assert [v.name for v in graph.parameters()] == [
        "inner.0.weight",
        "inner.0.bias",
        "inner.1.weight",
        "inner.1.bias",
    ]
    assert [v.name for v in graph.buffers()] == [
        "inner.0.running_mean",
        "inner.0.running_var",
        "inner.0.num_batches_tracked",
    ]
    assert graph.values[graph.inputs[0]].role == "input"


def test_plain_networks_cost_the_same_for_real_as_on_meta(looking, totals):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(4, 4, 3, groups=2), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10), nn.LayerNorm(10), nn.Softmax(-1),
    )  # fmt: skip
    on_meta, for_real = totals(net, IMAGE), totals(looking(net), IMAGE)
    look = 3 * 8 * 8  # a mean, whose result is written and then read
    assert for_real.pop("flops") == on_meta.pop("flops") + look
    assert for_real.pop("memory_access") == on_meta.pop("memory_access") + look + 2
    for key in ("memory_access_bytes", "peak_memory_bytes", "ideal_peak_bytes"):
        del for_real[key], on_meta[key]
    assert for_real.pop("global_from") == f"inner.{on_meta.pop('global_from')}"
    assert for_real == on_meta


def test_error_of_the_real_run_is_the_one_reported(as_module):
    def failing(x):
        if x.mean() > 0:
            raise ZeroDivisionError("too positive")

    with pytest.raises(CaptureError, match="ZeroDivisionError: too positive") as refusal:
        capture(as_module(failing), IMAGE)
    assert isinstance(refusal.value.__cause__, ZeroDivisionError)

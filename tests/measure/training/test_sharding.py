"""Weights, gradients and states over several devices, micro-batches, and frozen parameters."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.errors import OptionError
from archstat.measure.training.rows import reserved_by
from archstat.measure.training.sharding import Sharding
from archstat.measure.training.step import Settings, step_on, training_step

FLOAT = 4


def chain(*widths):
    return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(widths)))


def step(module, *shape, **options):
    x = torch.empty(shape, device="meta")
    return training_step(module, (x,), settings=Settings(**options))


@pytest.mark.parametrize(
    ("sharding", "shared"),
    [
        (None, (1, 1, 1)),
        (Sharding(1, 8), (1, 1, 8)),
        (Sharding(2, 8), (1, 8, 8)),
        (Sharding(3, 8), (8, 8, 8)),
        (Sharding(3, 8, ()), (8, 8, 8)),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_parts_are_those_of_the_papers_formulas(sharding, shared, accumulate):
    found = step(chain(64, 128, 16), 2, 64, optimizer="adam", sharding=sharding,
                 accumulate=accumulate)  # fmt: skip
    weights = (64 * 128 + 128 * 16) * FLOAT
    parts = (found.param_bytes, found.gradient_bytes, found.optimizer_bytes)
    assert parts == (weights // shared[0], weights // shared[1], 2 * weights // shared[2])
    there = parts[0] + parts[2] + (parts[1] if accumulate > 1 else 0)
    assert found.steady_bytes == there + 2 * 64 * FLOAT


def test_zero_cuts_all_elements_in_a_row_and_fsdp_each_parameter_into_whole_rows():
    # torch's fully_shard keeps (4, 100), (4,), (1, 30), (1,), (3, 3, 3, 3) and (3,) on device 0.
    net = nn.Sequential(nn.Linear(100, 30), nn.Flatten(0), nn.Unflatten(0, (2, 30)),
                        nn.Linear(30, 3), nn.Unflatten(1, (3, 1, 1)),
                        nn.Conv2d(3, 20, 3, padding=1))  # fmt: skip
    rows = 4 * 100 + 4 + 1 * 30 + 1 + 3 * 3 * 3 * 3 + 3
    elements = 30 * 100 + 30 + 3 * 30 + 3 + 20 * 3 * 3 * 3 + 20
    by_rows, by_elements = (step(net, 2, 100, optimizer="momentum", sharding=sharding)
                            for sharding in (Sharding(3, 8, ()), Sharding(3, 8)))  # fmt: skip
    assert by_rows.param_bytes == by_rows.optimizer_bytes == rows * FLOAT
    assert by_elements.param_bytes == by_elements.gradient_bytes == -(-elements // 8) * FLOAT


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=3, max_size=5), st.integers(1, 40),
       st.sampled_from(["sgd", "momentum", "adam"]), st.booleans())  # fmt: skip
def test_no_stage_needs_more_than_the_one_below_but_for_what_it_gathers(
    widths, devices, optimizer, together
):
    kernels = "cuda" if together else "cpu"
    options = {"optimizer": optimizer, "kernels": kernels}
    whole = step(chain(*widths), 2, widths[0], **options)
    stages = [step(chain(*widths), 2, widths[0], sharding=Sharding(stage, devices), **options)
              for stage in (1, 2, 3)]  # fmt: skip
    weights = sum(a * b for a, b in pairwise(widths))
    assert stages[0].training_memory_bytes <= whole.training_memory_bytes
    for before, after in pairwise(stages):
        # The share is made before the whole goes, so that one gradient is there one part more.
        more = -(-max(a * b for a, b in pairwise(widths)) // devices) * FLOAT
        assert after.training_memory_bytes <= before.training_memory_bytes + (
            more + after.gathered_bytes + len(widths) * FLOAT
        )
    assert stages[2].param_bytes == -(-weights // devices) * FLOAT
    for found in stages:
        assert reserved_by(found).allocated_bytes >= found.steady_bytes


@pytest.mark.parametrize("sharding", [Sharding(1, 1), Sharding(2, 1), Sharding(3, 1)])
def test_last_moment_of_a_single_device_is_that_of_no_sharding(sharding):
    alone, shared = (step(chain(8, 9, 10), 2, 8, optimizer="adam", sharding=s)
                     for s in (None, sharding))  # fmt: skip
    assert shared.moments[-1].live_bytes == alone.moments[-1].live_bytes
    held: dict[int, int] = {}
    for number, nbytes in shared.trace.steps(3):
        held[number] = held.get(number, 0) + nbytes
        assert held[number] >= 0


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32, bias=False)
        self.layers = nn.ModuleList([chain(32, 64, 32), chain(32, 48, 32)])
        self.last = nn.Linear(32, 8, bias=False)

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


def test_fsdp_gathers_the_largest_unit_and_what_belongs_to_none():
    outside = (16 * 32 + 32 * 8) * FLOAT
    assert step(Blocks(), 2, 16, sharding=Sharding(3, 8, ())).gathered_bytes == (
        outside + 2 * 32 * 64 * FLOAT
    )


@pytest.mark.parametrize(
    ("wrap", "gathered"),
    [
        (("layers.1",), 16 * 32 + 32 * 8 + 2 * 32 * 64 + 2 * 32 * 48),
        (("layers.*.?",), 16 * 32 + 32 * 8 + 32 * 64),
        (("first", "layers.*", "last"), 2 * 32 * 64),
    ],
)
def test_fsdp_gathers_the_units_that_patterns_name(wrap, gathered):
    found = step(Blocks(), 2, 16, sharding=Sharding(3, 8, wrap))
    assert found.gathered_bytes == gathered * FLOAT


def test_zero_gathers_one_modules_parameters_at_a_time():
    found = step(Blocks(), 2, 16, sharding=Sharding(3, 8))
    assert found.gathered_bytes == 32 * 64 * FLOAT


def test_peak_has_the_gathered_unit_and_its_whole_gradient_beside_the_shares():
    """One unit, whose backward holds its weight, its gradient, and the share that it leaves."""
    width, devices = 64, 8
    weight = width * width * FLOAT
    found = step(nn.Sequential(nn.Linear(width, width, bias=False)), 2, width, optimizer="momentum",
                 sharding=Sharding(3, devices))  # fmt: skip
    small = 2 * width * FLOAT  # input, output and what the loss keeps are each as large at most
    peak = 2 * weight + 2 * weight // devices  # whole weight and gradient, shares of two
    assert found.peak.phase == "backward"
    assert 0 <= found.training_memory_bytes - peak <= 5 * small


def test_units_run_again_in_backward_where_they_are_checkpointed():
    plain, again = (step(Blocks(), 64, 16, sharding=Sharding(3, 8, ()), checkpoint=patterns)
                    for patterns in ((), ("layers.*",)))  # fmt: skip
    assert again.gathered_bytes == plain.gathered_bytes
    assert again.saved_activation_bytes < plain.saved_activation_bytes


class Token(nn.Module):
    """The gradient of its token is a part of the joined sequence's."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 16))

    def forward(self, x):
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1) * 2


@pytest.mark.parametrize("sharding", [Sharding(2, 4), Sharding(3, 4)])
def test_share_of_a_gradient_in_a_larger_storage_is_its_parameters(sharding):
    x = 1, 7, 16
    assert step(Token(), *x).gradient_bytes == 8 * 16 * FLOAT
    assert step(Token(), *x, sharding=sharding).gradient_bytes == 16 * FLOAT // 4


def test_tied_weights_are_gathered_once():
    net = chain(8, 8, 8)
    net[1].weight = net[0].weight
    found = step(net, 2, 8, sharding=Sharding(3, 4))
    assert found.param_bytes == found.gradient_bytes == 8 * 8 * FLOAT // 4
    assert found.gathered_bytes == 8 * 8 * FLOAT


def test_later_micro_batch_finds_the_gradients_of_those_before():
    net, weight = nn.Linear(64, 64, bias=False), 64 * 64 * FLOAT
    once, later = (step(net, 2, 64, accumulate=count) for count in (1, 2))
    assert later.steady_bytes - once.steady_bytes == later.gradient_bytes == weight
    # The gradient that is added stands beside the one that it is added to.
    assert later.training_memory_bytes - once.training_memory_bytes == weight
    assert later.moments[-1].live_bytes == once.moments[-1].live_bytes
    assert step(net, 2, 64, accumulate=5).training_macs == 5 * once.training_macs


def test_meta_and_cpu_count_the_same_later_micro_batch():
    net, chosen = chain(8, 9, 10), Settings("adam", accumulate=2)
    x = torch.empty(2, 8, device="meta")
    there = training_step(net, (x,), settings=chosen)
    here = step_on(torch.device("cpu"), net, ((x,), {}), chosen, "net")
    assert there.training_memory_bytes == here.training_memory_bytes
    assert there.steady_bytes == here.steady_bytes


def test_parameter_that_no_micro_batch_uses_has_neither_gradient_nor_state():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.other = nn.Linear(8, 4, bias=False), nn.Linear(8, 5, bias=False)

        def forward(self, x):
            return self.used(x)

    for sharding in (None, Sharding(1, 2)):
        found = step(Unused(), 2, 8, optimizer="adam", accumulate=2, sharding=sharding)
        assert found.gradient_bytes == 8 * 4 * FLOAT
        assert found.optimizer_bytes == 2 * 8 * 4 * FLOAT // (2 if sharding else 1)
        assert found.param_bytes == 8 * (4 + 5) * FLOAT


class LowRank(nn.Module):
    """A frozen layer, and two thin ones that learn what is added to it (arXiv 2106.09685)."""

    def __init__(self, inputs, outputs, rank):
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x):
        return self.frozen(x) + self.up(self.down(x))


@pytest.mark.parametrize("devices", [1, 4])
def test_low_rank_layer_has_gradients_and_states_of_its_thin_weights_alone(devices):
    inputs, outputs, rank, batch = 64, 32, 4, 6
    sharding = Sharding(3, devices) if devices > 1 else None
    found = step(LowRank(inputs, outputs, rank), batch, inputs, optimizer="adamw",
                 sharding=sharding)  # fmt: skip
    frozen, thin = inputs * outputs + outputs, inputs * rank + rank * outputs
    assert found.param_bytes == (frozen + thin) * FLOAT // devices
    assert found.gradient_bytes == thin * FLOAT // devices
    assert found.optimizer_bytes == 2 * thin * FLOAT // devices
    # What goes into `up`; then the loss's log-softmax and its sum of weights.
    assert found.saved_activation_bytes == (batch * rank + batch * outputs + 1) * FLOAT


def test_frozen_front_keeps_nothing_for_backward():
    net = nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                        nn.Conv2d(16, 8, 1, bias=False))  # fmt: skip
    net[:3].requires_grad_(False)
    found = step(net, 2, 3, 10, 10, optimizer="momentum")
    assert found.param_bytes == (3 * 16 * 9 + 2 * 16 + 16 * 8) * FLOAT
    assert found.gradient_bytes == found.optimizer_bytes == 16 * 8 * FLOAT
    assert found.saved_activation_bytes == 2 * 16 * 8 * 8 * FLOAT  # the input of the last


@pytest.mark.parametrize("given", [(0, 2), (4, 2), (1, 0), (3, -1, ()), (3, 2.5)])
def test_impossible_sharding_is_refused(given):
    with pytest.raises(OptionError, match=r"give (1, 2|a whole number)"):
        Sharding(*given)


def test_pattern_of_no_unit_is_refused_with_the_modules_there_are():
    with pytest.raises(OptionError, match=r"that can be called\. The first are first, layers.0"):
        step(Blocks(), 2, 16, sharding=Sharding(3, 2, ("nothing",)))

"""What is alive at each moment by category, and at the peak by module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.measure.training.sharding import Sharding
from archstat.measure.training.step import Settings, training_step
from archstat.measure.training.timeline import CATEGORIES, live_by_category, peak_by_module

FLOAT = 4


def step(module, *shape, **options):
    x = torch.empty(shape, device="meta")
    return training_step(module, (x,), settings=Settings(**options))


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.Conv2d(8, 4, 1, bias=False))  # fmt: skip


CHOICES = [
    {},
    {"optimizer": "adam", "kernels": "cuda"},
    {"accumulate": 2},
    {"checkpoint": ("1", "2")},
    {"sharding": Sharding(2, 2)},
    {"sharding": Sharding(3, 4, ()), "optimizer": "momentum"},
]


@pytest.mark.parametrize("options", CHOICES)
def test_categories_add_up_to_what_is_alive(options):
    found = step(net(), 2, 3, 10, 10, **options)
    live = list(live_by_category(found))
    assert [sum(alive) for alive in live] == [moment.live_bytes for moment in found.moments]
    assert min(map(min, live)) >= 0
    by_module = peak_by_module(found)
    assert tuple(map(sum, zip(*by_module.values(), strict=True))) == max(live, key=sum)
    assert list(map(sum, by_module.values())) == sorted(map(sum, by_module.values()), reverse=True)


def test_parts_of_a_layer_are_those_of_its_dimensions():
    found = step(nn.Linear(30, 20, bias=False), 5, 30, optimizer="momentum")
    _, first, *_, last = (
        dict(zip(CATEGORIES, live, strict=True)) for live in live_by_category(found)
    )
    weight = 30 * 20 * FLOAT
    assert first == {"parameters": weight, "optimizer": weight, "input": 5 * 30 * FLOAT,
                     "gathered": 0, "gradients": 0, "saved": 0, "buffers": 0, "workspace": 0,
                     "other": 5 * 20 * FLOAT}  # fmt: skip
    assert last["gradients"] == last["parameters"] == last["optimizer"] == weight
    assert last["saved"] == 0


def test_modules_have_what_they_keep_and_their_parameters_with_gradients():
    found = step(net(), 2, 3, 10, 10, optimizer="adam")
    of = {module: dict(zip(CATEGORIES, live, strict=True))
          for module, live in peak_by_module(found).items()}  # fmt: skip
    assert of["0"]["parameters"] == 8 * 3 * 9 * FLOAT
    assert of["0"]["optimizer"] == 2 * of["0"]["parameters"]
    assert of["0"]["saved"] == 2 * 8 * 8 * 8 * FLOAT  # batch norm's input
    assert of[""]["input"] == 2 * 3 * 10 * 10 * FLOAT
    assert of[""]["buffers"] == 2 * 8 * FLOAT + 8  # mean, variance, and the number of batches


def test_what_a_kernel_takes_is_the_module_s_that_runs():
    class Attention(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x)

    block = nn.Sequential(nn.Linear(16, 16, bias=False), Attention())
    live = list(live_by_category(step(block, 1, 2, 64, 16)))
    workspace = CATEGORIES.index("workspace")
    assert max(alive[workspace] for alive in live) > 0
    assert live[-1][workspace] == 0

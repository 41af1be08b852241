"""The cheapest modules to checkpoint, beside every set of them that there is."""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise

import pytest
import torch
from torch import nn

from archstat.measure.training.checkpoints import cheapest_checkpoints
from archstat.measure.training.step import Settings, training_step


class Residual(nn.Module):
    def __init__(self, width, inner, normed):
        super().__init__()
        first = nn.LayerNorm(width) if normed else nn.Linear(width, width)
        self.inner = nn.Sequential(first, nn.Linear(width, inner), nn.GELU(),
                                   nn.Linear(inner, width))  # fmt: skip
        self.act = nn.Identity() if normed else nn.ReLU()

    def forward(self, x):
        return self.act(x + self.inner(x))


class Dense(nn.Module):
    """Each layer reads what all before it made."""

    def __init__(self, width, growth, depth):
        super().__init__()
        widths = [width + n * growth for n in range(depth)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(w), nn.ReLU(), nn.Linear(w, 4 * growth), nn.ReLU(),
                          nn.Linear(4 * growth, growth)) for w in widths)  # fmt: skip

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


class Skipping(nn.Module):
    """Later modules read what earlier ones made, in reverse."""

    def __init__(self, width):
        super().__init__()
        self.down = nn.ModuleList(self.block(width, width) for _ in range(2))
        self.up = nn.ModuleList(self.block(2 * width, width) for _ in range(2))

    def block(self, first, width):
        return nn.Sequential(nn.Linear(first, 2 * width), nn.ReLU(), nn.Linear(2 * width, width),
                             nn.Tanh())  # fmt: skip

    def forward(self, x):
        skipped = []
        for module in self.down:
            skipped.append(x := module(x))
        for module in self.up:
            x = module(torch.cat([x, skipped.pop()], 1))
        return x


def residual(sizes=((32, 0), (8, 1), (64, 0))):
    blocks = (Residual(24, inner, normed) for inner, normed in sizes)
    return nn.Sequential(nn.Linear(24, 24), *blocks, nn.Linear(24, 5))


def small():
    return residual(((64, 0), (32, 0)))


NETS = {
    "residual": residual,
    "dense": lambda: nn.Sequential(Dense(24, 8, 3), nn.Linear(48, 5)),
    "skipping": lambda: nn.Sequential(nn.Linear(24, 24), Skipping(24), nn.Linear(24, 5)),
}


def stepping(net, samples, **options):
    with torch.device("meta"):
        module, x = net(), torch.empty(samples, 24)
    return module, cache(lambda names: training_step(
        module, (x,), settings=Settings(checkpoint=names, **options)))  # fmt: skip


def every_set(module):
    """Every set of modules with modules inside, none of them in another."""
    names = [n for n, m in module.named_modules() if n and any(m.children())]
    names = [n for n in names if not isinstance(module.get_submodule(n), nn.ModuleList)]
    for size in range(len(names) + 1):
        for chosen in combinations(names, size):
            if not any(b.startswith(f"{a}.") for a in chosen for b in chosen):
                yield chosen


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.slow)])
@pytest.mark.parametrize("samples", [pytest.param(16, marks=pytest.mark.slow), 512])
@pytest.mark.parametrize(
    "name", ["small", *(pytest.param(n, marks=pytest.mark.slow) for n in NETS)]
)
def test_choice_costs_what_the_cheapest_of_all_sets_costs(name, samples, optimizer):
    module, step_of = stepping(NETS.get(name, small), samples, optimizer=optimizer)
    steps = [step_of(chosen) for chosen in every_set(module)]
    peaks = sorted({step.training_memory_bytes for step in steps})
    assert samples < 512 or len(peaks) > 2
    for room in (*peaks, *(b - 1 for _, b in pairwise(peaks))):
        cheapest = min(s.training_macs for s in steps if s.training_memory_bytes <= room)
        choice = cheapest_checkpoints(step_of, lambda step: step.training_memory_bytes, room)
        assert choice.needed == choice.step.training_memory_bytes <= room
        assert choice.step.training_macs == cheapest
    least = cheapest_checkpoints(step_of, lambda step: step.training_memory_bytes, peaks[0] - 1)
    assert least.needed == peaks[0]


def test_nothing_is_checkpointed_where_the_step_fits():
    _, step_of = stepping(residual, 64)
    choice = cheapest_checkpoints(step_of, lambda step: step.training_memory_bytes, 2**40)
    assert (choice.names, choice.more_macs, choice.simulated) == ((), 0, 1)


def test_what_is_needed_beyond_live_bytes_narrows_the_room():
    _, step_of = stepping(residual, 512)
    plain = step_of(()).training_memory_bytes
    choice = cheapest_checkpoints(step_of, lambda step: step.training_memory_bytes + 30_000,
                                  plain - 1)  # fmt: skip
    assert choice.needed == choice.step.training_memory_bytes + 30_000 < plain

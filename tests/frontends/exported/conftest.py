"""Programs that every test of this folder may read: exporting takes a second each."""

from __future__ import annotations

import pytest
import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions of one module called twice, batch norm in place, a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        y = self.act(self.stem(x))
        y = self.act(self.conv(self.act(self.conv(y)))) + y
        return self.head(y.mean((2, 3)))


class Tied(nn.Module):
    """Shared weights, a mask by name, a number as an argument, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids, *, mask, steps=2):
        y = self.embed(ids)
        for _ in range(steps):
            y = y * mask
        return self.head(y), y.mean()


@pytest.fixture(scope="session")
def block():
    """A program of fixed sizes, with the module that it is of."""
    module = Block().eval()
    return module, torch.export.export(module, (torch.rand(1, 3, 16, 16),))


@pytest.fixture(scope="session")
def tied():
    """A program whose batch may change, with the module that it is of."""
    module = Tied().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    example = torch.zeros(2, 8, dtype=torch.int64)
    program = torch.export.export(
        module,
        (example,),
        {"mask": torch.ones(2, 8, 1), "steps": 2},
        dynamic_shapes={"ids": {0: batch}, "mask": {0: batch}, "steps": None},
    )
    return module, program


@pytest.fixture(scope="session")
def saved(block, tied, tmp_path_factory):
    """Files of the two programs, by name."""
    folder = tmp_path_factory.mktemp("programs")
    files = {}
    for name, (_, program) in (("block", block), ("tied", tied)):
        files[name] = folder / f"{name}.pt2"
        torch.export.save(program, files[name])
    return files

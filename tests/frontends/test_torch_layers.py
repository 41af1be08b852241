"""A method counts as torch's own where torch.nn defines it, and nowhere else."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from archstat.frontends.building import is_torchs_own


class Inheriting(nn.Conv2d):
    pass


class Overriding(nn.Conv2d):
    def forward(self, x):
        return super().forward(x)


@pytest.mark.parametrize("method", [nn.Conv2d.forward, nn.ReLU().forward, Inheriting.forward])
def test_method_of_torch(method):
    assert is_torchs_own(method)


@pytest.mark.parametrize(
    "method",
    [Overriding.forward, len, torch.relu, torch.Tensor.relu, partial(torch.relu), None],
)
def test_method_of_anybody_else(method):
    assert not is_torchs_own(method)

"""The intervals of random networks against what their modules do, position by position."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from archstat.analyses.field import receptive_field
from archstat.frontends.module import capture
from archstat.measure.field.measured import measured_field


def seeds(number):
    """So many seeds, of which every test run takes a third."""
    often = range(number // 3)
    return [*often, *(pytest.param(n, marks=pytest.mark.slow) for n in range(len(often), number))]


def output_row(network, shape):
    fields = receptive_field(capture(network, torch.empty(shape, device="meta")))
    row = fields.of_value(fields.graph.outputs[0])
    assert row is not None
    return fields, row


def supports(row):
    """For each axis, what the positions of each index on it see of it by the theory."""
    seen = [[frozenset()] * size for size in row.size]
    for position in product(*map(range, row.size)):
        for axis, indices in enumerate(row.support(position)):
            seen[axis][position[axis]] |= set(indices)
    return seen


@pytest.mark.parametrize("seed", seeds(240))
def test_nan_reaches_just_what_the_interval_says(random_network, seed):
    network, shape = random_network(seed)
    fields, row = output_row(network, shape)
    check = measured_field(network, fields, row)
    assert check.agrees, check.lines()
    assert check.exact == check.positions, str(network)
    assert [list(seen) for seen in check.seen] == supports(row), str(network)


@pytest.mark.parametrize("seed", seeds(120))
def test_gradient_reaches_just_what_the_interval_says(random_network, seed):
    network, shape = random_network(10_000 + seed, smooth=True)
    fields, row = output_row(network, shape)
    image = torch.ones(shape, requires_grad=True)
    output, expected = network(image), supports(row)
    for axis in range(fields.axes):
        seen = []
        for position in range(output.shape[axis + 2]):
            chosen = output.select(axis + 2, position).sum()
            (gradient,) = torch.autograd.grad(chosen, image, retain_graph=True)
            others = [dim for dim in range(gradient.dim()) if dim != axis + 2]
            seen.append(frozenset(gradient.abs().sum(others).nonzero().flatten().tolist()))
        assert seen == expected[axis], str(network)

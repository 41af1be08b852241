"""The effective field against gradients that are known by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from archstat.analyses.field import receptive_field
from archstat.errors import CaptureError, InputError
from archstat.frontends.module import capture
from archstat.measure.field.effective import SHARES, effective_field

SIDE = 31


def ones_chain(length, channels=1):
    """3x3 convolutions of ones: the gradient is a box filter with itself, so many times."""
    layers = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(length)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers)


def fields_of(network, *shape):
    return receptive_field(capture(network, torch.empty(1, *shape, device="meta")))


def measured(network, *shape, **options):
    return effective_field(network, fields_of(network, *shape), **options)


def box_filter(length):
    """The one-dimensional gradient of such a chain: coefficients of (1 + x + x^2)^length."""
    row = [1]
    for _ in range(length):
        row = [sum(row[max(0, i - 2) : i + 1]) for i in range(len(row) + 2)]
    return row


@pytest.mark.parametrize("length", [1, 2, 5])
def test_chain_of_ones_has_the_gradient_of_repeated_box_filters(length):
    found = measured(ones_chain(length), 1, SIDE, SIDE)
    row = box_filter(length)
    first = SIDE // 2 - length
    for i, weight in enumerate(row):
        line = found.density[first + i][first : first + len(row)]
        assert line == pytest.approx([weight * other / max(row) ** 2 for other in row])
    assert sum(map(sum, found.density)) == pytest.approx(sum(row) ** 2 / max(row) ** 2)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_sides_hold_their_share_and_no_smaller_one_does(length):
    found = measured(ones_chain(length), 1, SIDE, SIDE)
    row = box_filter(length)
    total = sum(row) ** 2
    for share in SHARES:
        side = found.sides[share]
        held = [sum(row[length - k : length + k + 1]) ** 2 / total for k in range(length + 1)]
        assert held[side // 2] >= share
        assert side == 1 or held[side // 2 - 1] < share


def test_two_sigma_counts_the_pixels_above_the_papers_threshold():
    row = box_filter(5)
    pixels = sum(a * b > 0.0455 * max(row) ** 2 for a in row for b in row)
    found = measured(ones_chain(5), 1, SIDE, SIDE)
    assert found.two_sigma == pytest.approx(math.sqrt(pixels), abs=0.05)
    assert found.theoretical == (11, 11)
    assert found.ratio == pytest.approx(math.sqrt(pixels) / 11)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Conv1d(2, 2, 3, padding=1), (2, 20)),
        (nn.Conv3d(2, 2, 3, padding=1), (2, 9, 9, 9)),
    ],
)
def test_other_numbers_of_axes(network, shape):
    found = measured(network, *shape)
    assert found.sizes == shape[1:]
    assert found.sides[0.99] == 3
    assert len(found.density[0]) == shape[-1]


def test_nothing_lies_outside_the_theoretical_field():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.ReLU6(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))
    found = measured(network, 3, 40, 40)
    (top, bottom), (left, right) = found.intervals
    for i, line in enumerate(found.density):
        for j, density in enumerate(line):
            assert density == 0 or (top <= i <= bottom and left <= j <= right)


def test_same_seed_gives_the_same_figures_and_no_generator_advances():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network = "squeezenet1_0,resolution=48"
    from archstat.models.pipeline import graph_of_spec

    fields = receptive_field(graph_of_spec(network))
    one, other = (effective_field(network, fields, samples=2) for _ in range(2))
    assert one == other
    assert torch.equal(before, torch.get_rng_state())
    assert effective_field(network, fields, samples=2, seed=1).density != one.density


def test_module_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True)).train()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    attributes = [dict(vars(module)) for module in network.modules()]
    measured(network, 1, 12, 12, samples=2)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert attributes == [dict(vars(module)) for module in network.modules()]
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_intermediate_value_in_place_is_differentiated_at_its_own_moment():
    network = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 5)
    )
    fields = fields_of(network, 1, 15, 15)
    row = fields.rows[0]
    found = effective_field(network, fields, row, samples=2)
    assert found.sides[0.99] == 3
    assert found.theoretical == (3, 3)


def test_network_without_gradient_says_so():
    network = nn.Sequential(nn.Conv2d(1, 1, 3))
    nn.init.zeros_(network[0].weight)
    with pytest.raises(CaptureError, match="no finite gradient"):
        measured(network, 1, 9, 9)


@pytest.fixture
def spec(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "from torch import nn\n"
        "def chain():\n"
        "    return nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(5)])\n"
    )
    return f"{file}:chain"


def fields_of_spec(spec):
    from archstat.models.pipeline import graph_of_spec

    return receptive_field(graph_of_spec(spec, f"1x{SIDE}x{SIDE}"))


def test_weights_of_a_file_are_used(spec, tmp_path):
    torch.save(ones_chain(5).state_dict(), tmp_path / "ones.pt")
    found = effective_field(spec, fields_of_spec(spec), weights=tmp_path / "ones.pt", samples=1)
    assert found.density == measured(ones_chain(5), 1, SIDE, SIDE, samples=1).density
    torch.save({"state_dict": ones_chain(5).state_dict()}, tmp_path / "wrapped.pt")
    again = effective_field(spec, fields_of_spec(spec), weights=tmp_path / "wrapped.pt", samples=1)
    assert again.density == found.density


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"not a zip", "weights_only"),
        ([1, 2], "not a state_dict"),
        (ones_chain(4).state_dict(), "1 missing .*4.weight"),
        (ones_chain(6).state_dict(), "1 unknown .*5.weight"),
        (ones_chain(5, channels=2).state_dict(), "5 of another shape"),
        (nn.Conv2d(1, 1, 1), "weights_only"),
    ],
)
def test_weights_that_do_not_fit_are_one_message(spec, tmp_path, content, message):
    file = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(InputError, match=message) as caught:
        effective_field(spec, fields_of_spec(spec), weights=file)
    assert "\n" not in str(caught.value)


def test_weights_are_refused_for_a_module_of_the_users(tmp_path):
    network = ones_chain(1)
    with pytest.raises(InputError, match="load them into your module"):
        measured(network, 1, 9, 9, weights=tmp_path / "any.pt")

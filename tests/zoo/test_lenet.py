"""LeNet-5 against the paper's layer by layer counts, and its two later namesakes."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import lenet
from archstat.zoo.lenet import C3, FAMILY

VARIANTS = ["lenet5", "lenet5_modern", "lenet_caffe"]


def shape_of(name: str) -> tuple[int, ...]:
    return tuple(int(size) for size in FAMILY.input_of(name).split("x"))


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        (
            "lenet5",
            60_000,
            6 * 5**2 * 28**2 + 60 * 5**2 * 10**2 + 120 * 16 * 5**2 + 84 * 120,
        ),
        (
            "lenet5_modern",
            61_706,
            6 * 5**2 * 28**2 + 16 * 6 * 5**2 * 10**2 + 120 * 16 * 5**2 + 84 * 120 + 10 * 84,
        ),
        (
            "lenet_caffe",
            431_080,
            20 * 5**2 * 24**2 + 50 * 20 * 5**2 * 8**2 + 500 * 50 * 4**2 + 10 * 500,
        ),
    ],
)
def test_counts_are_the_published_ones(name, params, macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(lenet, name))
    assert count_params(network) == params
    assert count_macs(network, *shape_of(name)) == macs


# layer, the paper's trainable parameters, its connections, positions of the layer's maps
PAPER = [
    ("c1", 156, 122_304, 28 * 28),
    ("c3", 1_516, 151_600, 10 * 10),
    ("c5", 48_120, 48_120, 1),
    ("f6", 10_164, 10_164, 1),
]
SUB_SAMPLING = [("s2", 12, 5_880, 6, 14 * 14), ("s4", 32, 2_000, 16, 5 * 5)]


def test_layers_have_the_parameters_and_connections_of_the_paper(on_meta, count_params):
    network = on_meta(lenet.lenet5)
    total = network.output.vectors.numel()
    for name, params, connections, positions in PAPER:
        assert count_params(getattr(network, name)) == params
        assert params * positions == connections
        total += connections
    for name, params, connections, maps, positions in SUB_SAMPLING:
        assert count_params(getattr(network, name)) == params
        assert maps * positions * (2 * 2 + 1) == connections
        total += connections
    assert total == 340_908


def test_connection_table_is_that_of_the_paper():
    assert [len(seen) for seen in C3] == [3] * 6 + [4] * 9 + [6]
    assert len(set(C3)) == 16
    # every map of S2 feeds ten maps of C3
    assert [sum(i in seen for seen in C3) for i in range(6)] == [10] * 6


def test_map_of_c3_ignores_what_it_is_not_connected_to():
    c3 = lenet.lenet5().c3
    x = torch.randn(1, 6, 14, 14)
    changed = x.clone()
    changed[:, 0] += 1
    moved = (c3(x) != c3(changed)).flatten(2).any(2)[0]
    assert moved.tolist() == [0 in seen for seen in C3]


def test_sub_sampling_scales_the_sum_of_four():
    layer = lenet.SubSampling(1)
    torch.nn.init.constant_(layer.coefficient, 3.0)
    torch.nn.init.constant_(layer.bias, 0.5)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert layer(x).item() == 3 * (1 + 2 + 3 + 4) + 0.5


def test_class_scores_are_squared_distances_to_fixed_vectors():
    output = lenet.RadialBasis(84, 10)
    assert [name for name, _ in output.named_buffers()] == ["vectors"]
    assert set(output.vectors.flatten().tolist()) == {-1.0, 1.0}
    assert len(output.vectors.unique(dim=0)) == 10
    x = torch.randn(3, 84)
    torch.testing.assert_close(output(x), torch.cdist(x, output.vectors) ** 2)
    torch.testing.assert_close(lenet.RadialBasis(84, 10).vectors, output.vectors)


@pytest.mark.parametrize("name", VARIANTS)
def test_paper_input_gives_finite_class_scores(name):
    with torch.no_grad():
        scores = getattr(lenet, name)(num_classes=7).eval()(torch.randn(2, *shape_of(name)))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    network = on_meta(getattr(lenet, name), in_channels=3)
    assert unreached_parameters(network, 3, *shape_of(name)[1:]) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_other_input_size_does_not_fit(name, on_meta, count_macs):
    with pytest.raises(RuntimeError):
        count_macs(on_meta(getattr(lenet, name)), 1, 12, 12)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        getattr(lenet, name)(**{option: 0})

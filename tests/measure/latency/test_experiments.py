"""The experiments are those of the paper: its networks, in its order, with its speeds."""

from __future__ import annotations

import pytest

from archstat.errors import SpecError
from archstat.measure.latency.experiment_runs import check_macs
from archstat.measure.latency.experiments import EXPERIMENTS, experiment_named
from archstat.models.pipeline import graph_of_spec
from archstat.models.specs import parse_spec

PAPER = ["g1", "g2", "g3", "g4"]
# Published, Table 1 to 4: the channels of x1 on the GPU and on the ARM.
WIDTHS = {
    "g1": (["128,128", "90,180", "52,312", "36,432"], ["32,32", "22,44", "13,78", "9,108"]),
    "g2": (["128", "180", "256", "360"], ["64", "90", "128", "184"]),
    "g3": (["128", "90", "64", "90", "64"], ["64", "45", "32", "45", "32"]),
    "g4": (["32"] * 4, ["32"] * 4),
}


def widths(variant):
    options = dict(parse_spec(variant.spec).options)
    return ",".join(options[key] for key in ("in", "inner") if key in options)


@pytest.mark.parametrize("on_cuda", [True, False], ids=["gpu", "cpu"])
@pytest.mark.parametrize("name", PAPER)
def test_networks_are_those_of_the_table(name, on_cuda):
    variants = EXPERIMENTS[name].variants(on_cuda)
    per_size = len(variants) // 3
    assert [widths(one) for one in variants[:per_size]] == WIDTHS[name][not on_cuda]
    assert [one.size for one in variants] == ["x1"] * per_size + ["x2"] * per_size + [
        "x4"
    ] * per_size
    names = [one.name for one in variants]
    assert names == names[:per_size] * 3


@pytest.mark.parametrize("on_cuda", [True, False], ids=["gpu", "cpu"])
@pytest.mark.parametrize("name", PAPER)
def test_macs_of_a_size_are_equal_within_six_percent(name, on_cuda):
    variants = EXPERIMENTS[name].variants(on_cuda)
    graphs = [graph_of_spec(one.spec) for one in variants]
    macs = [sum(_macs(graph, op) for op in graph.ops if op.kind == "conv") for graph in graphs]
    check_macs(variants, macs)
    assert {graph.values[graph.inputs[0]].shape[2:] for graph in graphs} == {(56, 56)}


def _macs(graph, op):
    out, weight = graph.values[op.outputs[0]], graph.values[op.inputs[1]]
    return out.numel * weight.numel // weight.shape[0]


@pytest.mark.parametrize("name", PAPER)
def test_wider_networks_have_four_times_the_macs(name):
    variants = EXPERIMENTS[name].variants(on_cuda=True)
    size = len(variants) // 3
    firsts = [graph_of_spec(variants[place].spec) for place in (0, size, 2 * size)]
    macs = [sum(_macs(graph, op) for op in graph.ops if op.kind == "conv") for graph in firsts]
    assert [n / macs[0] for n in macs] == [1, 4, 16]


@pytest.mark.parametrize(
    ("name", "row", "gpu", "arm"),
    [
        ("g1", 0, 1480, 76.2),
        ("g1", 11, 163, 4.4),
        ("g2", 3, 634, 27.8),
        ("g2", 8, 437, 2.3),
        ("g3", 2, 752, 38.4),
        ("g3", 14, 292, 2.1),
        ("g4", 0, 2427, 56.7),
        ("g4", 11, 1782, 5.4),
    ],
)
def test_published_speed_stands_in_its_row(name, row, gpu, arm):
    for on_cuda in (True, False):
        variant = EXPERIMENTS[name].variants(on_cuda)[row]
        assert (variant.gtx1080ti, variant.arm) == (gpu, arm)


def test_separable_pairs_cover_widths_and_sizes():
    variants = EXPERIMENTS["separable"].variants(on_cuda=False)
    assert len({one.size for one in variants}) == 16
    assert [one.name for one in variants[:2]] == ["standard", "separable"]
    graph = graph_of_spec(variants[-1].spec)
    assert graph.values[graph.outputs[0]].shape == (1, 512, 7, 7)


def test_unknown_experiment_gets_the_nearest():
    with pytest.raises(SpecError, match=r"Did you mean .*separable.*Known: g1, g2, g3, g4"):
        experiment_named("seperable")

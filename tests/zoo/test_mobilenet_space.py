"""The space of inverted residuals: MobileNet v2 is a point of it; each stage has its options."""

from __future__ import annotations

import pytest

import archstat
from archstat.errors import OptionError
from archstat.zoo.mobilenet_space import Stage, mobilenet_space


def counts(spec):
    totals = archstat.analyze(spec).totals
    return [totals[key] for key in ("params", "macs", "activations", "depth")]


@pytest.mark.parametrize("width", ["1.0", "0.75", "1.4"])
def test_mobilenet_v2_is_a_point_of_it(width):
    assert counts(f"mobilenet_space,width={width}") == counts(f"mobilenet_v2,width={width}")


def test_option_of_a_stage_changes_that_stage(on_meta, count_params):
    usual, larger = (on_meta(mobilenet_space, stage7=Stage(1, 320, kernel)) for kernel in (3, 5))
    assert count_params(larger) - count_params(usual) == (5 * 5 - 3 * 3) * 6 * 160
    deeper = archstat.analyze("mobilenet_space,stage3.depth=4").totals["depth"]
    assert deeper == archstat.analyze("mobilenet_space").totals["depth"] + 3


def test_gates_weigh_the_expanded_channels(on_meta, count_params):
    stage = Stage(1, 8, expansion=2)
    stages = {f"stage{number}": stage for number in range(1, 8)}
    gated, plain = (on_meta(mobilenet_space, **stages, se=se) for se in (True, False))
    # channels that enter a block, times its expansion, and a quarter of that in multiples of 8
    gates = [(32 * 2, 16), *[(8 * 2, 8)] * 6]
    expected = sum(2 * wide * narrow + wide + narrow for wide, narrow in gates)
    assert count_params(gated) - count_params(plain) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0}, {"in_channels": 0}, {"width": 0}, {"se": 2},
        {"stage1": Stage(0, 16)}, {"stage2": Stage(1, 0)}, {"stage3": Stage(1, 8, 4)},
        {"stage4": Stage(1, 8, 3, 0)},
    ],
)  # fmt: skip
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError):
        mobilenet_space(**options)

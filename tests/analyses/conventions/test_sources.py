"""What sources mean and print: conventions on figures that are known, rounding, bands."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import archstat
from archstat.analyses.conventions.measures import BY_KEY, CONVENTIONS
from archstat.analyses.conventions.sources import (
    BANDS,
    RULES,
    WRITTEN_IN,
    Rule,
    in_band,
    rule_of,
)

_VGG11_MAPS = (
    *(64 * 224**2, 64 * 112**2, 128 * 112**2, 128 * 56**2, 2 * 256 * 56**2, 256 * 28**2),
    *(2 * 512 * 28**2, 512 * 14**2, 2 * 512 * 14**2, 512 * 7**2),
)
measured = cache(archstat.analyze)
ROOT = Path(__file__).parents[3]


def figure(source, quantity, value, unit, model="", variant=""):
    return SimpleNamespace(source=source, quantity=quantity, value=value, unit=unit, model=model,
                           variant=variant)  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "key", "count"),
    [
        ("resnet50", "params and running statistics, every convolution biased", 25_636_712),
        ("xception", "params and running statistics", 22_910_480),
        ("inception_v3", "params and running statistics of norms without scale", 23_851_784),
        ("vgg16", "params and running statistics, without classifier", 14_714_688),
        ("mobilenet_v2", "weights and biases of conv and linear", 3_470_760),
        ("wide_resnet50_2", "params, batch norm folded", 68_849_128),
        ("lenet5", "connections", 340_908),
        ("resnet18", "BOPs, w32a32", 1_814_073_344 * 32 * 32),
        ("resnet18", "BOPs, w4a4,first=8", 1_696_059_392 * 4 * 4 + 64 * 3 * 7**2 * 112**2 * 8 * 8),
        ("vgg11", "layer outputs", 4 * (sum(_VGG11_MAPS) + 2 * 4096 + 2 * 1000)),
    ],
)
def test_convention_gives_the_exact_count(spec, key, count):
    assert BY_KEY[key].count(measured(spec)) == count


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        (Rule("", "", "macs"), "15.47", True),
        (Rule("", "", "macs"), "15.48", False),
        (Rule("", "", "macs"), "15.4", False),
        (Rule("", "", "macs", cuts_off=True), "15.4", True),
        (Rule("", "", "macs", cuts_off=True), "15.5", False),
        (Rule("", "", "macs", decimals=-1), "20", True),
        (Rule("", "", "macs", decimals=2), "15.5", False),
        (Rule("", "", "macs of convolutions"), "15.35", True),
    ],
)
def test_printed_digits_are_rounded_or_cut_off(rule, value, fits):
    assert rule.prints(measured("vgg16"), figure("", "macs", value, "G")) == fits


@pytest.mark.parametrize(("value", "lies"), [("15.46", False), ("15.50", True), ("15.52", False)])
def test_band_holds_parts_of_the_rest(value, lies):
    assert in_band(measured("vgg16"), figure("osmr", "macs", value, "G")) == lies


def test_source_without_a_band_has_none():
    assert not in_band(measured("vgg16"), figure("torchvision", "macs", "15.47", "G"))


def test_first_rule_that_holds_counts():
    assert rule_of(figure("Keras summary", "params", "1", "M", "non-trainable")).convention == (
        "running statistics"
    )
    assert rule_of(figure("somebody", "params_trainable", "1", "M")).convention == "params"


def test_keys_are_unique_and_rules_name_them():
    assert len(BY_KEY) == len(CONVENTIONS)
    assert {rule.convention for rule in RULES} <= BY_KEY.keys()
    assert {quantity for _, quantity in BANDS} <= {one.quantity for one in CONVENTIONS}


@pytest.mark.parametrize(
    ("spec", "key", "printed"),
    [
        ("resnet18", "FLOPs/2 of imgclsmob", 1_820_410_000),
        ("efficientnet_b0", "FLOPs/2 of imgclsmob, global pooling as 1x1", 413_130_000),
    ],
)
def test_imgclsmob_is_met_to_every_printed_digit(spec, key, printed):
    assert abs(BY_KEY[key].count(measured(spec)) - printed) <= 5_000


def test_convnet_burden_is_met_to_every_printed_digit():
    count = BY_KEY["FLOPs of convnet-burden"].count(measured("squeezenet1_1"))
    assert round(count / 1e6) == 360


def test_mmpretrain_counts_features_alone():
    count = BY_KEY["FLOPs of mmcv, without classifier"].count(measured("mobilenet_v2"))
    assert round(count / 1e6) == 319


# open-mmlab/mmpretrain configs/convnext/metafile.yml
@pytest.mark.parametrize(
    ("spec", "flops"), [("convnext_tiny", 4_457_472_768), ("convnext_small", 8_687_008_512)]
)
def test_mmpretrain_does_not_see_the_layer_norms_of_convnext(spec, flops):
    key = "FLOPs of mmcv, layer norms of a class of its own, without classifier"
    assert BY_KEY[key].count(measured(spec)) == flops


def test_places_of_code_are_of_sources_and_the_guide_shows_them():
    known = {source for convention in CONVENTIONS for source in convention.sources}
    assert set(WRITTEN_IN) <= known
    guide = (ROOT / "docs/conventions.md").read_text(encoding="utf-8")
    assert "".join(f"| {one} | {where} |\n" for one, where in WRITTEN_IN.items()) in guide

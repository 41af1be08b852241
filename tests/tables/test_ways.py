"""Printed figures explained: by convention, form, input and misprint, and refused if by none."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from archstat.analyses.conventions.printed import parse_printed
from archstat.errors import SpecError
from archstat.models.forms import common_stride
from archstat.models.pipeline import analyze, graph_of_spec
from archstat.tables.reconcile import reconcile_table
from archstat.tables.ways import Asked, reconcile


def found(model, *, source=None, input=None, **figures):
    """The ways to figures; `any_` is of an unknown quantity."""
    asked = [
        Asked(parse_printed(text), None if quantity == "any_" else quantity)
        for quantity, text in figures.items()
    ]
    return reconcile(model, asked, input, source, graph_of_spec)


def conventions(result):
    return [way.measure.name for way in result.ways]


def test_papers_figure_is_macs_as_they_are():
    result = found("vgg16", macs="15.47G")
    assert conventions(result)[0] == "macs"
    assert result.ways[0].assumptions == 0
    assert result.is_explained


def test_macs_that_somebody_calls_flops_are_one_assumption_more():
    way = found("resnet50", flops="4.09G").ways[0]
    assert (way.measure.name, way.assumptions) == ("macs", 1)


def test_figure_of_another_tool_names_it():
    assert "FLOPs of mmcv" in conventions(found("resnet50", macs="4.12G"))


def test_stride_of_the_paper_is_found_among_the_options():
    way = found("resnet50", macs="3.86G", source="papers").ways[0]
    assert (way.measure.name, way.form) == ("macs", "stride=first")


def test_figure_at_a_small_square_is_scaled_to_the_input():
    way = found("resnet50", flops="8.5G").ways[0]
    assert way.measure.sources == ("Ultralytics",)
    assert way.arithmetic.startswith("2 x MACs of thop at 32x32, scaled by 49: ")
    assert way.arithmetic.endswith("prints as 8.5G")


def test_figure_at_another_size_names_the_size():
    macs = 5_340_000_000  # resnet50 at 256x256, on three digits
    way = found("resnet50", macs=f"{macs / 1e9:.2f}G", source="papers").ways[0]
    assert way.input == "1x3x256x256"


def test_network_that_is_built_for_a_size_is_built_for_others_too():
    result = found("vit_b_16", macs="55.48G", params="86.86M")
    assert {(way.input, way.form) for way in result.ways} == {("1x3x384x384", "image_size=384")}
    assert "papers" in result.shared


def test_sizes_at_which_it_does_not_run_are_said():
    result = found("vit_b_16", macs="1G", source="papers")
    assert result.refused == ("299x299", "800x1280", "512x2048")
    assert "299x299, 800x1280, 512x2048" in str(reconcile_table(result).notes[-1])


def test_input_that_is_given_is_the_only_one():
    assert not found("resnet50", input="3x224x224", macs="5.34G").ways


def test_two_figures_are_explained_by_one_source():
    result = found("vgg16", macs="15.5G", params="138.36M")
    assert result.is_explained
    assert "torchvision" in result.shared
    assert {way.asked.quantity for way in result.ways} == {"macs", "params"}


def test_two_figures_of_no_one_source_are_not_explained():
    keras = 25_636_712  # with running statistics and biases of every convolution
    result = found("resnet50", macs="4.09G", params=str(keras))
    assert not result.is_explained
    assert {way.asked.quantity for way in result.ways} == {"macs", "params"}
    assert "No single source" in str(reconcile_table(result).notes)


def test_swapped_columns_are_found():
    result = found("regnet_x_3_2gf", macs="15.3M", params="3.2G")
    assert result.is_explained
    assert all("swapped" in way.arithmetic for way in result.ways)


def test_slipped_comma_is_found():
    way = found("resnet34", params="2.18M").ways[0]
    assert way.arithmetic == "a tenth of params: 2.18 M, prints as 2.18M"


def test_figure_of_nothing_shows_the_nearest_and_explains_nothing():
    result = found("resnet50", macs="5.1G")
    assert not result.ways and not result.is_explained
    off = [abs(way.off) for way in result.misses]
    assert off == sorted(off) and len(off) == 3


def test_source_that_nobody_knows_is_refused():
    with pytest.raises(SpecError, match="known sources: "):
        found("lenet5", macs="1M", source="nobody")


def test_raw_table_has_a_row_a_way_and_a_screen_a_row_a_value():
    result = found("resnet50", any_="3.86G")
    assert len(reconcile_table(result).rows) == len(result.ways)
    assert len(reconcile_table(result, 3).rows) == 3


def test_screen_names_the_first_sources_of_a_value_and_counts_the_others():
    result = found("vgg16", params="138.36M")
    same = [way for way in result.ways if way.value == result.ways[0].value]
    sources = list(dict.fromkeys(name for way in same for name in way.measure.sources))
    assert len(sources) > 4
    shown = reconcile_table(result, 8).column("source")[0]
    assert shown == f"{', '.join(sources[:3])} and {len(sources) - 3} more"
    assert reconcile_table(result).column("source")[0] == ", ".join(same[0].measure.sources)


def test_parameters_are_explained_at_the_networks_own_input_alone():
    result = found("lenet5", params="60K", macs="340K")
    assert {way.input for way in result.ways if way.asked.quantity == "params"} == {"1x1x32x32"}


def test_parameters_join_a_figure_at_another_input():
    result = found("resnet50", macs="5.34G", params="25.56M", source="papers")
    assert result.is_explained
    assert {way.input for way in result.ways} == {"1x3x224x224", "1x3x256x256"}


@pytest.mark.parametrize(
    "model",
    ["resnet18", *(pytest.param(name, marks=pytest.mark.slow)
                   for name in ("mobilenet_v2", "densenet121", "seresnet50"))],
)  # fmt: skip
def test_sizes_that_only_scale_are_computed_and_equal_what_is_captured(model):
    asked = []

    def graphs(spec, input, batch):
        asked.append(input)
        return graph_of_spec(spec, input, batch)

    figures = [Asked(parse_printed("7.77T"), None)]
    reconcile(model, figures, None, None, graphs)
    assert "3x384x384" not in asked and "3x256x256" in asked
    own, other = (graph_of_spec(model, shape) for shape in (None, "3x256x256"))
    assert common_stride(own, other) == 32
    for size in ((384, 384), (512, 2048)):
        macs = analyze(model, (3, *size)).totals["macs"]
        printed = parse_printed(str(macs))
        ways = reconcile(model, [Asked(printed, "macs")], None, "papers", graphs).ways
        assert ("macs", macs) in {(way.measure.name, way.value) for way in ways}


def test_image_of_which_a_rest_is_dropped_tells_nothing_of_others():
    own, other = (graph_of_spec("vit_b_16", shape) for shape in (None, "3x227x227"))
    assert common_stride(own, other) == 0


@pytest.mark.parametrize("model", ["vgg16", "inception_v3", "convnext_tiny"])
def test_network_whose_maps_do_not_scale_is_captured(model):
    own, other = (graph_of_spec(model, shape) for shape in (None, "3x256x256"))
    assert common_stride(own, other) == 0

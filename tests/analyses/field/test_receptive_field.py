"""Receptive fields of lists of layers, of Graphs drawn by hand, and of published networks."""

from __future__ import annotations

import csv
from math import prod
from pathlib import Path

import pytest

import archstat
from archstat.analyses.field import analysis, receptive_field
from archstat.errors import InputError, SpatialAxesError
from archstat.tables.summary import summary

REPORTS = Path(__file__).parents[3] / "reports"


def fields_of(layers: str, size: int | None = None):
    return receptive_field(archstat.layers(layers, input=size) if size else archstat.layers(layers))


def figures(row):
    return row.receptive_field, row.effective_stride, row.effective_padding


# -- worked examples -------------------------------------------------------------------------------


def test_two_layers_of_the_article():
    final = fields_of("3/3p1,2p0", 12).final
    assert figures(final) == ((6, 6), (3, 3), (1, 1))
    # u0 = -1 and v0 = 4, of which -1 is outside
    assert final.interval((0, 0)) == ((0, 4), (0, 4))


def test_vgg_16_by_the_closed_form():
    final = receptive_field(archstat.analyze("vgg16").graph).final
    expected = 1 + 2 * (2 * 1 + 2 * 2 + 3 * 4 + 3 * 8 + 3 * 16) + (1 + 2 + 4 + 8 + 16)
    assert figures(final) == ((expected,) * 2, (2**5,) * 2, (90, 90))
    assert expected == 212


@pytest.mark.parametrize(
    ("layers", "field", "stride", "padding"),
    [
        ("(1x1/4p0|3x3/2p1,1x1/2p0)", (3, 3), (4, 4), (1, 1)),
        ("3x5/2p0,3x1/2p0", (7, 5), (4, 4), (0, 0)),
        ("(1x1/4p0|3x3/2p1,1x1/2p0),(1x1/2p0|3x3/2p1)", (11, 11), (8, 8), (5, 5)),
        ("3x3,3x3,3x3", (7, 7), (1, 1), (3, 3)),
        ("3x3/2*3", (15, 15), (8, 8), (7, 7)),
        ("3x3d2", (5, 5), (1, 1), (2, 2)),
        ("7x1,1x7", (7, 7), (1, 1), (3, 3)),
    ],
)
def test_examples_of_the_library(layers, field, stride, padding):
    assert figures(fields_of(layers).final) == (field, stride, padding)


def test_strides_that_differ_at_a_join_are_told_and_not_raised(sketch):
    x = sketch.input(1, 1, 7, 7)
    padded = sketch.op("pad", "aten.constant_pad_nd.default", (x,), (1, 1, 10, 10),
                       pad=(2, 1, 2, 1), value=0.0)  # fmt: skip
    one = window(sketch, padded, 5, 3, stride=2)
    two = window(sketch, window(sketch, x, 3, 5), 3, 3)
    fields = receptive_field(sketch.graph(sketch.binary("add", one, two)))
    assert not fields.final.aligned
    # -2..4, 0..5 and 2..6: the second position sees 6 pixels and the third 5
    assert (fields.final.receptive_field, fields.final.smallest) == ((7, 7), (5, 5))
    assert fields.final.effective_stride == (None, None)
    (finding,) = fields.findings
    assert "effective stride 1x1 and 2x2" in finding.text
    assert fields.final.interval((1, 2)) == ((0, 5), (2, 6))


# -- exact intervals -------------------------------------------------------------------------------


def window(sketch, x, kernel, size, stride=1, padding=0, dilation=1, module="conv"):
    weight = sketch.weight(1, 1, kernel, kernel, name=f"{module}.weight")
    return sketch.op(
        "conv", "aten.convolution.default", (x, weight), (1, 1, size, size), module=module,
        stride=(stride,) * 2, padding=(padding,) * 2, dilation=(dilation,) * 2,
        transposed=False, groups=1, kernel=(kernel,) * 2,
    )  # fmt: skip


def test_crop_hides_what_a_later_padding_replaces(sketch):
    x = sketch.input(1, 1, 8, 8)
    cropped = sketch.op("pad", "aten.constant_pad_nd.default", (x,), (1, 1, 5, 5),
                        pad=(-3, 0, -3, 0), value=0.0)  # fmt: skip
    fields = receptive_field(sketch.graph(window(sketch, cropped, 3, 5, padding=1)))
    assert fields.final.effective_padding == (-2, -2)
    assert fields.final.interval((0, 0)) == ((3, 4), (3, 4))
    assert fields.final.reads_padding((0, 0))
    assert not fields.final.reads_padding((1, 1))


def test_global_pooling_after_a_crop_sees_what_is_left(sketch):
    x = sketch.input(1, 1, 8, 8)
    cropped = sketch.op("pad", "aten.constant_pad_nd.default", (x,), (1, 1, 5, 5),
                        pad=(-3, 0, -3, 0), value=0.0)  # fmt: skip
    pooled = sketch.op("reduce", "aten.mean.dim", (cropped,), (1, 1, 1, 1), dim=(2, 3), keepdim=1)
    fields = receptive_field(sketch.graph(pooled))
    assert fields.rows[-1].receptive_field == (None, None)
    assert fields.rows[-1].interval((0, 0)) == ((3, 7), (3, 7))
    assert fields.final.name == "constant_pad_nd"


def test_dilated_window_in_the_corner_sees_the_taps_inside(sketch):
    x = sketch.input(1, 1, 6, 6)
    final = receptive_field(sketch.graph(window(sketch, x, 3, 8, padding=3, dilation=2))).final
    assert final.support((0, 2)) == ((1,), (1, 3))
    assert final.interval((0, 2)) == ((1, 1), (1, 3))


def test_position_in_mere_padding_sees_nothing(sketch):
    x = sketch.input(1, 1, 4, 4)
    final = receptive_field(sketch.graph(window(sketch, x, 1, 8, padding=2))).final
    assert final.interval((0, 3)) == (None, None)
    assert final.support((0, 3)) == ((), ())
    assert final.interval((2, 3)) == ((0, 0), (1, 1))


@pytest.mark.parametrize("position", [(5, 0), (0,), (-1, 0), (0, 0, 0)])
def test_position_that_does_not_exist_is_refused(position, sketch):
    x = sketch.input(1, 1, 7, 7)
    final = receptive_field(sketch.graph(window(sketch, x, 3, 5))).final
    with pytest.raises(InputError, match="no position"):
        final.interval(position)


# -- upsampling ------------------------------------------------------------------------------------


def test_transposed_convolution_has_a_smallest_and_a_largest_field():
    final = fields_of("t3x3/2", 8).final
    assert (final.smallest, final.receptive_field) == ((1, 1), (2, 2))
    assert final.effective_stride == (0.5, 0.5)


def test_up_and_then_a_window_depends_on_the_phase():
    final = fields_of("up2,2x2p0", 8).final
    assert (final.smallest, final.receptive_field) == ((1, 1), (2, 2))


# -- global layers and gates -----------------------------------------------------------------------


def squeezed(sketch, joins):
    """A 3x3 window and the mean of its output, joined by an op of kind `joins`."""
    x = window(sketch, sketch.input(1, 1, 8, 8), 3, 8, padding=1)
    mean = sketch.op("reduce", "aten.mean.dim", (x,), (1, 1, 1, 1), dim=(2, 3), keepdim=True,
                     module="squeeze")  # fmt: skip
    return receptive_field(sketch.graph(sketch.binary(joins, x, mean)))


def test_gate_leaves_the_local_field_and_is_named():
    fields = receptive_field(archstat.analyze("seresnet50").graph)
    plain = receptive_field(archstat.analyze("resnet50,stride=first").graph)
    assert fields.final.receptive_field == plain.final.receptive_field
    assert fields.global_from == fields.final.global_from
    squeeze = next(op for op in fields.graph.ops if op.kind == "reduce")
    assert fields.global_from == squeeze.module


def test_product_with_a_global_value_is_a_gate(sketch):
    fields = squeezed(sketch, "mul")
    assert fields.final.receptive_field == (3, 3)
    assert fields.final.global_from == fields.global_from == "squeeze"
    assert fields.final.interval((4, 4)) == ((3, 5), (3, 5))
    assert fields.final.interval((4, 4), gates=True) == ((0, 7), (0, 7))


def test_sum_with_a_global_value_sees_everything(sketch):
    fields = squeezed(sketch, "add")
    assert fields.final.receptive_field == (None, None)
    assert fields.final.size == (8, 8)
    assert fields.final.interval((4, 4)) == ((0, 7), (0, 7))


def test_final_value_feeds_the_flatten():
    fields = receptive_field(archstat.analyze("alexnet").graph)
    assert (fields.final.kind, fields.final.size) == ("pool", (6, 6))
    assert fields.final.receptive_field == (195, 195)


def test_final_value_is_the_concat_before_the_pooling():
    assert receptive_field(archstat.analyze("inception_v3").graph).final.name == "cat"


def test_attention_sees_everything_from_where_it_stands():
    fields = receptive_field(archstat.analyze("vit_b_16").graph)
    assert fields.final.receptive_field == (None, None)
    assert str(fields.global_from).startswith("encoder.layers.0.attention")
    assert fields.findings == ()


def test_unknown_op_is_told_and_sees_everything(sketch):
    x = sketch.unary("other", "strange", sketch.input(1, 1, 8, 8))
    fields = receptive_field(sketch.graph(x))
    assert fields.final.receptive_field == (None, None)
    assert "strange" in fields.findings[0].text
    assert fields.final.interval((3, 3)) == ((0, 7), (0, 7))


# -- what has no spatial axes ----------------------------------------------------------------------


def test_network_without_spatial_axes_is_refused(sketch):
    graph = sketch.graph(sketch.unary("activation", "relu", sketch.input(1, 4)))
    with pytest.raises(SpatialAxesError, match="no spatial axes: its input is 1x4"):
        receptive_field(graph)


def test_features_of_tokens_are_no_spatial_axis(sketch):
    tokens = sketch.unary("activation", "relu", sketch.input(1, 5, 8))
    with pytest.raises(SpatialAxesError, match="no window reads the last dimension of its input"):
        receptive_field(sketch.graph(tokens))


def test_network_without_spatial_axes_has_empty_cells_and_no_finding(sketch):
    found = analysis(sketch.graph(sketch.unary("activation", "relu", sketch.input(1, 4))))
    assert set(found.totals.values()) == {None}
    assert found.findings == ()


# -- rows ------------------------------------------------------------------------------------------


def test_rows_hold_every_op_and_layers_those_with_a_geometry():
    graph = archstat.analyze("resnet18").graph
    fields = receptive_field(graph)
    (transpose_of_a_weight,) = [i for i, op in enumerate(graph.ops) if op.name == "t"]
    assert [row.op for row in fields.rows] == [
        index for index in range(len(graph.ops)) if index != transpose_of_a_weight
    ]
    assert {row.kind for row in fields.layers} >= {"conv", "pool", "add", "reduce"}
    assert not {row.kind for row in fields.layers} & {"norm", "activation"}


def test_row_has_the_geometry_of_its_op():
    row = fields_of("3x5/2p1d2").rows[0]
    assert (row.kernel, row.stride, row.dilation, row.padding) == ((3, 5), (2, 2), (2, 2), (1, 1))


def test_columns_of_a_comparison_and_of_a_summary():
    table = archstat.compare(["resnet18", "vgg16"])
    assert table.column("receptive_field") == ((435, 435), (212, 212))
    assert table.column("effective_stride") == ((32, 32), (32, 32))
    assert not any(key.startswith("receptive_field_") for key in table.keys())  # noqa: SIM118
    rows = {row["module"]: row for row in summary(archstat.analyze("resnet18")).records()}
    assert rows["maxpool"]["receptive_field"] == (11, 11)
    assert rows["fc"]["receptive_field"] == (None, None)


# -- the published table ---------------------------------------------------------------------------


def test_published_table_is_recomputed_in_full():
    with (REPORTS / "receptive_field.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 179
    assert {row["verdict"] for row in rows} == {"agrees"}


@pytest.mark.parametrize(
    ("spec", "side"),
    [
        ("inception_v3", 1311),
        ("inception_v4", 2071),
        ("inception_resnet_v2", 3039),
        ("mobilenet_v1,width=0.75", 315),
        ("resnet101,layout=slim", 1027),
        ("resnet152,layout=slim", 1507),
        ("preact_resnet200,layout=slim", 1763),
        ("resnet18", 435),
        ("resnet34", 899),
        ("resnet50", 427),
    ],
)
def test_networks_of_the_table_that_are_not_in_the_file(spec, side):
    assert receptive_field(archstat.analyze(spec).graph).final.receptive_field == (side, side)


def test_field_and_padding_of_inception_resnet_put_its_features_where_they_are():
    final = receptive_field(archstat.analyze("inception_resnet_v2").graph).final
    assert figures(final) == ((3039,) * 2, (32,) * 2, (1482,) * 2)
    centres = [-1482 + 32 * index + (3039 - 1) // 2 for index in (0, 2)]
    assert centres == [37, 101]


def test_chain_of_strides_multiplies():
    final = fields_of("2x2/2p0*5").final
    assert final.effective_stride == (prod([2] * 5),) * 2
    assert final.receptive_field == (32, 32)

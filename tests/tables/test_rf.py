"""Tables, advice and remarks over receptive fields, on lists small enough to check by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archstat
from archstat.analyses.field import receptive_field
from archstat.analyses.field.advice import advice
from archstat.analyses.field.remarks import one_kernel, remarks
from archstat.analyses.operations import operations
from archstat.analyses.parameters import parameters
from archstat.errors import InputError, LookupFailedError
from archstat.frontends.layers import layers
from archstat.tables.rf import (
    LAYER_COLUMNS,
    advice_table,
    for_screen,
    layer_table,
    network_table,
    position_table,
    row_of,
)


def fields_of(text, input=None, channels=None):
    return receptive_field(layers(text, input, channels))


def verdicts(text, input=224):
    return [entry.verdict for entry in advice(fields_of(text, input))]


def told(text, input=None):
    return " ".join(remarks(fields_of(text, input), input is not None))


chain = st.lists(
    st.tuples(st.sampled_from([1, 3, 5, 7]), st.integers(1, 2), st.integers(1, 2)),
    min_size=1,
    max_size=6,
)


@given(chain)
def test_field_stride_and_padding_are_the_closed_form(layers_given):
    text = ",".join(f"{k}/{s}d{d}" for k, s, d in layers_given)
    table = layer_table(fields_of(text), sized=False, costed=False)
    field, step, pad = 1, 1, 0
    for number, (k, s, d) in enumerate(layers_given):
        field, pad, step = field + d * (k - 1) * step, pad + d * (k - 1) // 2 * step, step * s
        assert table.column("receptive_field")[number] == (field, field)
        assert table.column("effective_stride")[number] == (step, step)
        assert table.column("effective_padding")[number] == (pad, pad)


@given(chain, st.integers(1, 9))
def test_weights_and_macs_add_up_to_the_analyses(layers_given, channels):
    text = ",".join(f"{k}/{s}d{d}" for k, s, d in layers_given)
    graph = layers(text, 97, channels)
    table = layer_table(receptive_field(graph))
    own = len(layers_given)
    assert sum(table.column("weights")[:own]) == parameters(graph).totals["params"]
    assert sum(table.column("macs")[:own]) == operations(graph).totals["macs"]


def test_every_layer_has_its_row_with_all_columns():
    table = layer_table(fields_of("7x1/2x1d2,max2/2,up2", 64, 3))
    assert table.columns == LAYER_COLUMNS
    first, second, third = table.records()
    assert (first["layer"], first["type"], first["op"]) == ("1", "7x1/2x1d2", "convolution")
    assert (first["kernel"], first["stride"], first["dilation"]) == ((7, 1), (2, 1), (2, 2))
    assert (first["padding"], first["receptive_field"]) == ((6, 0), (13, 1))
    assert (first["effective_stride"], first["effective_padding"]) == ((2, 1), (6, 0))
    assert (first["output"], first["weights"], first["macs"]) == ((32, 64), 63, 63 * 32 * 64)
    assert (second["kernel"], second["output"], second["weights"]) == ((2, 2), (16, 32), None)
    assert third["output"] == (32, 64)


def test_what_was_assumed_is_not_shown():
    table = layer_table(fields_of("3,3/2"), sized=False, costed=False)
    for key in ("output", "lost", "weights", "macs"):
        assert set(table.column(key)) == {None}
    assert "input" not in " ".join(map(str, table.notes)).replace("of the input", "")


def test_three_small_kernels_stand_beside_the_large_one():
    table = layer_table(fields_of("3,3,3", 56, 64))
    together, alone = list(table.records())[-2:]
    assert (together["layer"], together["weights"]) == ("all", 27 * 64**2)
    assert (alone["layer"], alone["kernel"], alone["weights"]) == ("instead", (7, 7), 49 * 64**2)
    assert alone["padding"] == (3, 3)
    assert (together["macs"], alone["macs"]) == (27 * 64**2 * 56**2, 49 * 64**2 * 56**2)
    assert "hold 27 C^2 weights; a single 7x7 with the same field holds 49 C^2, 1.81" in " ".join(
        map(str, table.notes)
    )


def test_large_kernel_of_other_widths_is_counted_in_weights():
    single = one_kernel(fields_of("3-8,3/2-16", 32, 4))
    assert single is not None
    assert (single.kernel, single.stride, single.padding) == ((5, 5), (2, 2), (2, 2))
    assert (single.own_weights, single.weights) == (9 * 4 * 8 + 9 * 8 * 16, 25 * 4 * 16)
    assert single.own_macs == 9 * 4 * 8 * 32 * 32 + 9 * 8 * 16 * 16 * 16
    assert single.macs == 25 * 4 * 16 * 16 * 16
    assert "hold 1,440 weights" in single.sentence


@pytest.mark.parametrize("text", ["3", "3,max2/2", "3,t4/2", "3,up2", "(3|id)"])
def test_no_large_kernel_stands_beside_other_networks(text):
    assert one_kernel(fields_of(text)) is None


def attention_graph():
    torch = pytest.importorskip("torch")

    class Attending(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = torch.nn.Conv2d(3, 8, 4, 4)
            self.token = torch.nn.Parameter(torch.zeros(1, 1, 8))

        def forward(self, x):
            x = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
            for _ in range(2):
                heads = x.unsqueeze(1)
                seen = torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
                x = x + seen.squeeze(1)
            return x

    return archstat.analyze(Attending(), (3, 16, 16)).graph


def test_tokens_behind_attention_are_counted_and_equal_operations_numbered():
    table = for_screen(layer_table(receptive_field(attention_graph())))
    tokens = (16 // 4) ** 2 + 1
    shown = list(zip(table.column("layer"), table.column("output"), strict=True))
    assert shown[:2] == [("patches", (4, 4)), ("cat", (tokens,))]
    assert [name for name, _ in shown[3::2]] == ["add", "add #2"]
    assert {output for _, output in shown[1:]} == {(tokens,)}


def test_field_over_one_axis_is_in_positions():
    torch = pytest.importorskip("torch")
    fields = receptive_field(archstat.analyze(torch.nn.Conv1d(4, 4, 3), (4, 10)).graph)
    assert "sees 3 positions of the input" in " ".join(remarks(fields))


def test_range_is_shown_where_positions_differ():
    table = layer_table(fields_of("t3/2", 16))
    assert table.column("smallest_receptive_field") == ((1, 1),)
    assert table.column("receptive_field") == ((2, 2),)
    shown = for_screen(table)
    assert shown.column("receptive_field") == ("1..2x1..2",)
    keys = shown.keys()
    assert "smallest_receptive_field" not in keys


def test_screen_leaves_out_columns_that_say_nothing():
    keys = for_screen(layer_table(fields_of("3,3"), sized=False, costed=False)).keys()
    assert keys == ("layer", "type", "kernel", "stride", "padding", "receptive_field",
                    "effective_stride", "effective_padding")  # fmt: skip
    dilated, strided = (for_screen(layer_table(fields_of(t, 8))) for t in ("3d2", "3/2"))
    assert dilated.column("dilation") == ((2, 2),)
    assert strided.column("lost") == ((1, 1),)


def test_position_tells_what_it_sees_clipped_at_the_border():
    fields = fields_of("3,3", 16)
    table = position_table(fields, row_of(fields, "2"), (0, 15))
    (row,) = table.records()
    assert (row["position"], row["first_seen"], row["last_seen"]) == ((0, 15), (0, 13), (2, 15))
    assert tuple(map(str, table.notes)) == (
        "2 (3x3) at (0, 15) sees rows 0..2 of 16, columns 13..15 of 16.",
    )


def test_position_is_the_centre_unless_given():
    fields = fields_of("3", 9)
    (row,) = position_table(fields, fields.final, None).records()
    assert (row["position"], row["first_seen"]) == ((4, 4), (3, 3))


@pytest.mark.parametrize("position", [(16, 0), (-1, 0), (1,), (1, 1, 1)])
def test_position_that_is_not_there_is_refused(position):
    fields = fields_of("3", 16)
    with pytest.raises(InputError):
        position_table(fields, fields.final, position)


def test_unknown_layer_gets_the_nearest():
    fields = fields_of("3*12")
    assert row_of(fields, "12").module == "12"
    with pytest.raises(LookupFailedError, match="Did you mean 1"):
        row_of(fields, "112")
    with pytest.raises(LookupFailedError, match="It has 1, 2, 3, 4, 5, 6, 7, 8 and more"):
        row_of(fields, "conv")
    with pytest.raises(LookupFailedError):
        row_of(fields, "")


def test_networks_have_a_row_each():
    table = network_table([("a", "8x8", fields_of("3,3", 8)), ("b", "", fields_of("5/2"))])
    one, other = table.records()
    assert (one["model"], one["receptive_field"], one["output"]) == ("a", (5, 5), (8, 8))
    assert (other["input"], other["effective_stride"], other["output"]) == (None, (2, 2), None)


ADVICE = [
    # halves evenly, odd kernels with (F-1)/2, large first, pools, whole
    ("3,max2/2,3", ["kept", "kept", "kept", "kept", "kept"]),
    ("2/2", ["kept", "broken", "kept", "no layer", "kept"]),
    ("3p0", ["no layer", "broken", "kept", "no layer", "no layer"]),
    ("5d2", ["no layer", "kept", "kept", "no layer", "no layer"]),
    ("7,3", ["no layer", "kept", "kept", "no layer", "no layer"]),
    ("3,7", ["no layer", "kept", "broken", "no layer", "no layer"]),
    ("max4/4p0", ["kept", "no layer", "no layer", "broken", "kept"]),
    ("max3/2p0", ["kept", "no layer", "no layer", "kept", "broken"]),
    ("t4/2", ["no layer", "no layer", "no layer", "no layer", "no layer"]),
]


@pytest.mark.parametrize(("text", "expected"), ADVICE, ids=[row[0] for row in ADVICE])
def test_rules_are_kept_or_broken(text, expected):
    assert verdicts(text) == expected


def test_rule_names_the_layer_that_breaks_it():
    broken = {e.rule: e for e in advice(fields_of("3,max2/2,max2/2,9p0,max5", 62))}
    assert broken["input halves evenly"].layers == ("3 (max2x2/2) (halves 31x31)",)
    assert broken["input halves evenly"].figure == "62x62 is not a multiple of 4"
    assert broken["odd kernels, padding (F-1)/2"].layers == ("4 (9x9p0)",)
    assert broken["kernels above 5 only first"].layers == ("4 (9x9p0)",)
    assert broken["pooling windows at most 3"].figure == "windows 5x5"
    assert broken["(W-F+2P)/S is whole"].figure == "3 (max2x2/2): (31 - 2)/2 = 14.5"


def test_rules_about_the_size_wait_for_one():
    entries = advice(fields_of("3,max2/2,max2/2"), sized=False)
    assert [e.verdict for e in entries] == ["needs input", "kept", "kept", "kept", "needs input"]
    assert entries[0].figure == "it must be a multiple of 4"


def test_advice_spells_out_as_many_layers_as_asked():
    fields = fields_of("3,7*8")
    assert advice_table(fields).column("layers")[2].count("7x7") == 8
    assert "and 5 more" in advice_table(fields, most=3).column("layers")[2]


def test_first_layer_beyond_the_input_is_named():
    assert "3 (5x5) is the first layer whose field, 13x13, exceeds the 10x10 input." in told(
        "5,5,5,5", 10
    )
    assert "exceeds" not in told("5,5", 10)
    assert "exceeds" not in told("5,5,5,5")


def test_share_that_the_centre_sees():
    assert "Its centre output sees 9.0% of the 10x10 input." in told("3", 10)
    assert "Its centre output sees all of the 5x5 input." in told("3,3,3", 5)


def test_layers_that_add_nothing_are_named():
    assert "2 of 3 layers add nothing to the field: 1 (1x1), 3 (1x1)." in told("1,3,1")
    assert "add nothing" not in told("3,max2/2")
    assert "5 of 6 layers add nothing to the field: 5 with 1x1 kernels." in told("3,1*5")


def test_stride_that_loses_a_border_is_told_with_its_fraction():
    assert "Layer 1 (7x7/2) does not tile its input: (224 - 7 + 2*3)/2 = 111.5" in told("7/2", 224)
    assert "whole" not in told("2/2", 224)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3))
def test_lost_pixels_are_those_that_no_window_reaches(size, kernel, stride, pad):
    if size + 2 * pad < kernel:
        return
    table = layer_table(fields_of(f"{kernel}/{stride}p{pad}", size))
    (out, _), (lost, _) = table.column("output")[0], table.column("lost")[0]
    assert size + 2 * pad - ((out - 1) * stride + kernel) == lost

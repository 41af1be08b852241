"""Values that stand one after the other: heads of several scales, tokens, several outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat import analyze, capture
from archstat.analyses.field import receptive_field
from archstat.measure.field.measured import measured_field

SIDE = 16


class Heads(nn.Module):
    """Two maps of different strides, joined by `join`."""

    def __init__(self, join):
        super().__init__()
        self.fine = nn.Conv2d(1, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 4, 3, 2, 1)
        self.join = join

    def forward(self, x):
        fine = self.fine(x)
        return self.join(fine, self.coarse(fine))


JOINS = {
    "positions last": (lambda a, b: torch.cat([a.flatten(2), b.flatten(2)], 2), 1),
    "positions before classes": (
        lambda a, b: torch.cat([t.flatten(2).transpose(1, 2) for t in (a, b)], 1), 1
    ),
    "two anchors a position": (
        lambda a, b: torch.cat([t.permute(0, 2, 3, 1).reshape(1, -1, 2) for t in (a, b)], 1), 2
    ),
    "joined twice": (
        lambda a, b: torch.cat([torch.cat([a.flatten(2), b.flatten(2)], 2), b.flatten(2)], 2), 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINS)
def test_joined_heads_have_no_single_stride_and_positions_along_the_join(name):
    join, anchors = JOINS[name]
    module = Heads(join).eval()
    fields = receptive_field(capture(module, torch.rand(1, 1, SIDE, SIDE)))
    row = fields.final
    assert (row.receptive_field, row.smallest) == ((5, 5), (3, 3))
    assert row.effective_stride == row.effective_padding == (None, None)
    assert any("joins values of effective stride" in note.text for note in fields.findings)
    small = (SIDE // 2) ** 2
    assert row.size == (anchors * (SIDE**2 + small * (2 if name == "joined twice" else 1)),)
    fine, coarse = anchors * (3 * SIDE + 4), anchors * (SIDE**2 + 2 * SIDE // 2 + 3)
    assert row.interval((fine,)) == ((2, 4), (3, 5))
    assert row.interval((coarse,)) == ((2, 6), (4, 8))
    check = measured_field(module, fields)
    assert check.agrees, check.lines()


def test_heads_of_one_scale_keep_their_stride():
    module = Heads(lambda a, b: torch.cat([b.flatten(2), b.flatten(2)], 2))
    fields = receptive_field(capture(module.eval(), torch.rand(1, 1, SIDE, SIDE)))
    assert fields.final.effective_stride == (2, 2)
    assert fields.findings == ()


def cut(keep):
    """Tokens with a class token and two registers before them, of which some are kept."""

    def joined(a, b):
        extra = torch.ones(1, 4, 3)
        return torch.cat([extra[..., :1], extra[..., 1:], b.flatten(2)], 2)[..., keep]

    return Heads(joined)


def test_tokens_come_out_as_they_went_in():
    module = cut(slice(3, None))
    grid = nn.Sequential(module, nn.Unflatten(2, (SIDE // 2, SIDE // 2))).eval()
    fields = receptive_field(capture(grid, torch.rand(1, 1, SIDE, SIDE)))
    assert (fields.final.size, fields.final.effective_stride) == ((8, 8), (2, 2))
    assert fields.final.interval((3, 4)) == ((4, 8), (6, 10))


def test_registers_dropped_behind_the_class_token_leave_the_rest_joined():
    fields = receptive_field(capture(cut(slice(1, None)).eval(), torch.rand(1, 1, SIDE, SIDE)))
    row = fields.final
    assert row.size == (2 + (SIDE // 2) ** 2,)
    assert row.interval((0,)) == (None, None)
    assert row.interval((2,)) == ((0, 2), (0, 2))


def test_one_token_is_seen_where_it_lies():
    fields = receptive_field(capture(cut(3 + 8 * 3 + 4).eval(), torch.rand(1, 1, SIDE, SIDE)))
    assert fields.of_value(fields.graph.outputs[0]).interval((0, 0)) == ((4, 8), (6, 10))


def test_outputs_of_different_fields_are_told_apart():
    report = analyze(Heads(lambda a, b: (a, b)), input=(1, SIDE, SIDE))
    assert report.totals["receptive_field"] == (3, 3)
    said = [f.text for f in report.findings if f.topic == "receptive_field"]
    assert said == [
        "receptive field: of the 2 outputs the figures are those of the first "
        "(3x3 at stride 1x1); others have 5x5 at stride 2x2."
    ]
    fields = receptive_field(report.graph)
    assert [row.receptive_field for row in fields.outputs] == [(3, 3), (5, 5)]


def test_outputs_of_one_field_need_no_word():
    report = analyze(Heads(lambda a, b: (a, a.relu())), input=(1, SIDE, SIDE))
    assert report.findings == ()

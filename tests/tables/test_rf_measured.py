"""Receptive fields of real modules as tables: a row an axis, a row a map."""

from __future__ import annotations

from torch import nn

from archstat import capture
from archstat.analyses.field import receptive_field
from archstat.measure.field.effective import effective_field
from archstat.measure.field.measured import measured_field
from archstat.tables.rf_measured import check_table, effective_table


def fields_of(module, *shape):
    import torch

    return receptive_field(capture(module, torch.empty(shape, device="meta")))


def test_check_has_a_row_for_each_axis_with_what_disagrees():
    wide, narrow = nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3, padding=1)
    fields = fields_of(wide, 1, 1, 10, 10)
    found = measured_field(narrow, fields)
    table = check_table(found, fields)
    assert table.column("axis") == (0, 1)
    assert table.column("input_size") == (10, 10)
    # Positions 2 to 7 read no padding, and still see less than they should.
    assert table.column("disagreements") == (6, 6)
    assert [note.text for note in table.notes] == found.lines()
    assert table.torch_version == fields.graph.torch_version


def test_map_has_one_row_and_says_how_it_was_measured():
    chain = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(2)))
    for layer in chain:
        nn.init.ones_(layer.weight)
    fields = fields_of(chain, 1, 1, 31, 31)
    table = effective_table(effective_field(chain, fields, samples=3), fields)
    (row,) = table.records()
    assert (row["side_99"], row["theoretical_field"]) == (5, 1 + 2 * 2)
    assert "mean of 3 normal random inputs of 31x31; its own weights" in table.notes[0].text

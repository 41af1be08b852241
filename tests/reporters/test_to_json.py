"""JSON: the agreed document, and numbers that come back as they went."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.reporters.to_json import SCHEMA_VERSION, to_json
from archstat.result import Column, Table, notes_of

COLUMNS = (Column("model", "text", ""), Column("macs", "count", ""), Column("ratio", "ratio", ""))


def back(*rows: tuple) -> list[dict]:
    return json.loads(to_json(Table(COLUMNS, rows)))["rows"]


def test_document_is_the_agreed_one():
    table = Table(
        COLUMNS[:2],
        (("vgg16", 15_470_264_320),),
        frozenset({(0, "macs")}),
        notes=notes_of(["unknown: aten.swirl"]),
        convention={"macs": "without bias"},
        torch_version="2.13.0",
        archstat_version="0.1.0",
    )
    assert json.loads(to_json(table)) == {
        "schema_version": 1,
        "archstat": "0.1.0",
        "torch": "2.13.0",
        "convention": {"macs": "without bias"},
        "notes": ["unknown: aten.swirl"],
        "rows": [{"model": "vgg16", "macs": 15_470_264_320}],
    }
    assert SCHEMA_VERSION == 1


def test_keys_stand_in_the_order_of_the_columns():
    (row,) = json.loads(to_json(Table(COLUMNS[::-1], ((1.0, 2, "m"),))))["rows"]
    assert list(row) == ["ratio", "macs", "model"]


def test_empty_cell_is_null():
    assert back(("m", 1, None)) == [{"model": "m", "macs": 1, "ratio": None}]


def test_table_without_rows_has_an_empty_list():
    assert back() == []


def test_letters_of_other_scripts_are_kept_as_they_are():
    assert "сеть" in to_json(Table(COLUMNS, (("сеть", 1, None),)))


def test_document_ends_with_a_line_break():
    assert to_json(Table(COLUMNS, ())).endswith("}\n")


@settings(deadline=None)
@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_every_cell_comes_back_exactly(number, ratio, text):
    assert back((text, number, ratio)) == [{"model": text, "macs": number, "ratio": ratio}]

"""CSV: one header line of keys, raw numbers, and no text that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.reporters.to_csv import to_csv
from archstat.result import Column, Table

COLUMNS = (
    Column("model", "text", ""),
    Column("macs", "count", ""),
    Column("param_bytes", "bytes", ""),
    Column("macs_ratio", "ratio", ""),
)


def one_row(*cells: object) -> str:
    return to_csv(Table(COLUMNS[: len(cells)], (cells,)))


def test_header_is_the_keys_and_numbers_are_raw():
    assert one_row("vgg16", 15_470_264_320, 553_430_176, 0.03676345) == (
        "model,macs,param_bytes,macs_ratio\nvgg16,15470264320,553430176,0.03676345\n"
    )


def test_lower_bounds_reference_and_notes_change_nothing():
    rows = (("vgg16", 15_470_264_320),)
    plain = Table(COLUMNS[:2], rows)
    marked = Table(COLUMNS[:2], rows, frozenset({(0, "macs")}), 0, ("a note",), {"macs": "..."})
    assert to_csv(marked) == to_csv(plain)


def test_empty_cell_is_empty():
    assert one_row("vgg16", None, 1, None).splitlines()[1] == "vgg16,,1,"


def test_table_without_rows_is_its_header():
    assert to_csv(Table(COLUMNS, ())) == "model,macs,param_bytes,macs_ratio\n"


@pytest.mark.parametrize("number", [2**53 + 1, 10**30, 0, 1])
def test_whole_numbers_are_exact(number):
    assert one_row("m", number).splitlines()[1] == f"m,{number}"


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_other_numbers_come_back_unchanged(number):
    (record,) = csv.DictReader(io.StringIO(one_row("m", 1, 1, number)))
    assert float(record["macs_ratio"]) == number


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_starts_a_formula(start):
    text = one_row(f"{start}HYPERLINK(1)", 1)
    (_, record) = csv.reader(io.StringIO(text, newline=""))
    assert record[0] == f"'{start}HYPERLINK(1)"


def test_negative_number_is_no_formula():
    assert one_row("m", -5).splitlines()[1] == "m,-5"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back_or_is_quoted(text):
    (_, record) = csv.reader(io.StringIO(one_row(text, 1), newline=""))
    assert record in ([text, "1"], [f"'{text}", "1"])
    assert not record[0].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_spec_with_commas_stays_one_cell():
    (_, record) = csv.reader(io.StringIO(one_row("mobilenet_v1,width=0.5,batch=2", 1)))
    assert record == ["mobilenet_v1,width=0.5,batch=2", "1"]

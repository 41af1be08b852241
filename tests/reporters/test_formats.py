"""The list of formats: by name, by suffix, and each for any table."""

from __future__ import annotations

from pathlib import Path

import pytest

from archstat.errors import OutputError
from archstat.reporters import FORMATS, format_for, format_named
from archstat.result import Column, Table

TABLES = [
    Table((Column("model", "text", ""), Column("macs", "count", "")), (("vgg16", 15470264320),)),
    Table((Column("model", "text", ""), Column("macs", "count", "")), ()),
    Table(
        (Column("macs", "count", ""), Column("model", "text", "")),
        ((None, "alexnet"), (1.5, "nin")),
    ),
]


def test_screen_comes_first_and_then_the_raw_formats():
    assert [form.name for form in FORMATS][:3] == ["console", "csv", "json"]


def test_no_suffix_chooses_two_formats():
    suffixes = [suffix for form in FORMATS for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_format_is_found_by_its_name_and_its_suffixes(form):
    assert format_named(form.name) is form
    for suffix in form.suffixes:
        assert format_for(Path(f"out{suffix}")) is form
        assert format_for(Path(f"results.v2/OUT{suffix.upper()}")) is form


@pytest.mark.parametrize(("name", "near"), [("jsn", "json"), ("cvs", "csv"), ("consol", "console")])
def test_unknown_name_gets_the_nearest_and_all(name, near):
    with pytest.raises(OutputError) as refusal:
        format_named(name)
    assert f"Did you mean {near}" in str(refusal.value)
    assert all(form.name in str(refusal.value) for form in FORMATS)


@pytest.mark.parametrize("name", ["out", "out.", "out.xyz", ".csv", "out.csv.gz"])
def test_unknown_suffix_gets_all(name):
    with pytest.raises(OutputError) as refusal:
        format_for(Path(name))
    assert all(suffix in str(refusal.value) for form in FORMATS for suffix in form.suffixes)
    assert "give format=." in str(refusal.value)


@pytest.mark.parametrize("table", TABLES, ids=["full", "no rows", "empty cell"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_format_renders_every_table_the_same_twice(form, table):
    text = form.render(table)
    assert text.endswith("\n")
    assert form.render(table) == text
    for model in table.column("model"):
        assert model in text

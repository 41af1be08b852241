"""`archstat columns`, and what --columns takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archstat.analyses import COLUMNS
from archstat.cli.app import COMMANDS
from archstat.reporters.to_markdown import to_markdown
from archstat.tables.columns import HELD
from archstat.tables.columns import columns as columns_table

DOCS = (Path(__file__).parents[2] / "docs" / "columns.md").read_text(encoding="utf-8")
USUAL = ["model", "input", "params", "macs", "flops", "activations", "depth"]


def keys_of(text: str) -> list[str]:
    return text.splitlines()[0].split(",")


def test_figures_of_a_model_are_listed_with_unit_and_meaning(archstat):
    text = archstat("columns").out
    for column in COLUMNS:
        assert re.search(rf"^{column.key} +{column.unit} +{re.escape(column.meaning)}", text, re.M)


@pytest.mark.parametrize("command", HELD)
def test_every_key_listed_for_a_command_has_a_meaning(command):
    rows = columns_table(command).rows
    assert rows
    assert all(all(row[:3]) for row in rows)


def test_every_command_that_takes_columns_lists_them(archstat):
    entries = [entry for entries in COMMANDS.values() for entry in entries]
    takes = {e.name for e in entries if "--columns" in archstat(e.name, "-h").out}
    assert takes - {"columns"} == set(HELD)


def test_command_that_shows_no_columns_gets_the_nearest(archstat):
    ran = archstat("columns", "compar")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean compare" in ran.err


def test_documented_table_is_what_the_command_prints():
    assert to_markdown(columns_table().select(["column", "unit", "meaning"])) in DOCS


@pytest.mark.parametrize("columns", ["all", "params,all", "+depth,all"])
def test_all_shows_every_column(archstat, columns):
    everything = archstat("compare", "lenet5", "--format", "csv").out
    assert archstat("compare", "lenet5", "-f", "csv", "--columns", columns).out == everything


def test_plus_adds_to_the_usual_columns(archstat):
    ran = archstat("compare", "lenet5", "--columns", "+buffers,+depth")
    assert ran.out.split("\n")[0].split()[-1] == "buffers"
    assert len(ran.out.split("\n")[0].split()) == len(USUAL) + 1


def test_plus_among_plain_keys_is_one_of_them(archstat):
    ran = archstat("compare", "lenet5", "-f", "csv", "--columns", "params,+buffers")
    assert keys_of(ran.out) == ["model", "params", "buffers"]


@pytest.mark.parametrize("columns", ["+parms", "help"])
def test_unknown_key_gets_the_command_that_lists_them(archstat, columns):
    ran = archstat("compare", "lenet5", "--columns", columns)
    assert (ran.code, ran.out) == (2, "")
    assert "`archstat columns compare`" in ran.err


@pytest.mark.parametrize("heading", ["activ.", "mem access", "Peak"])
def test_heading_of_a_screen_is_taken_as_its_column(archstat, heading):
    ran = archstat("compare", "lenet5", "--columns", heading)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split(maxsplit=1)[1] == heading.lower()


def test_first_word_that_is_a_model_lists_the_columns_of_its_overview(archstat):
    assert "`archstat columns summary`" in archstat("lenet5", "--columns", "nope").err


def test_diff_adds_to_its_usual_columns(archstat):
    head = archstat("diff", "lenet5", "lenet5_modern", "--columns", "+flops").out
    assert [f"{key}_share" in head for key in ("params", "macs", "flops")] == [True] * 3

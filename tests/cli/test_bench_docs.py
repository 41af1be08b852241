"""docs/latency.md names every column and every option of ``archstat bench``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from archstat.cli.app import app
from archstat.measure.latency.store import STORE_VARIABLE
from archstat.tables.bench import HISTORY_COLUMNS, LATENCY_COLUMNS
from archstat.tables.bench_layers import KIND_COLUMNS, LAYER_COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "latency.md").read_text(encoding="utf-8")
IDENTITY = {"model", "input", "layer", "type", "kind", "ops"}
KEYS = {
    column.key
    for columns in (LATENCY_COLUMNS, HISTORY_COLUMNS, KIND_COLUMNS, LAYER_COLUMNS)
    for column in columns
}
# Of every command; the README tells of them.
SHARED = {
    "--input",
    "--layout",
    "--example",
    "--columns",
    "--sort",
    "--format",
    "--output",
    "--debug",
    "--digits",
    "--unit",
    "--caption",
    "--label",
}


def options() -> list[str]:
    command = typer.main.get_group(app).get_command(None, "bench")
    names = (option for parameter in command.params for option in parameter.opts)
    return sorted(name for name in names if name.startswith("--") and name not in SHARED)


@pytest.mark.parametrize("key", sorted(KEYS - IDENTITY))
def test_every_column_stands_in_a_table_of_the_page(key):
    assert re.search(rf"^\|[^|]*`{key}`[^|]*\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("option", options())
def test_every_option_is_on_the_page(option):
    assert re.search(rf"`{option}\b", PAGE)


def test_every_key_of_the_page_is_a_column():
    tables = re.findall(r"^\| (`[^|]*)\|", PAGE, re.MULTILINE)
    named = {key for cell in tables for key in re.findall(r"`([a-z]\w*)`", cell)}
    assert named - KEYS == set()


def test_page_says_where_the_store_is():
    assert STORE_VARIABLE in PAGE
    assert "latency.sqlite" in PAGE

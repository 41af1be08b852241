"""`archstat audit`: exit codes, formats, standard input, and what is refused."""

from __future__ import annotations

import csv
import io
import json

import pytest

pytest.importorskip("torch")

GOOD = "Model,Params (M),GFLOPs\nLeNet-5,0.06,0.0003\nResNet-18,11.69,1.81\n"


@pytest.fixture
def table(tmp_path):
    """A function from text to the path of a file that holds it."""

    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_table_that_agrees_is_exit_0(archstat, table):
    result = archstat("audit", table(GOOD))
    assert result.code == 0
    assert "0 cannot be" in result.out


def test_figure_that_cannot_be_is_exit_1(archstat, table):
    result = archstat("audit", table(GOOD + "ResNet-34,2.18,3.66\n"))
    assert result.code == 1
    assert "a tenth of params" in result.out


def test_csv_and_json_hold_the_raw_columns(archstat, table):
    path = table(GOOD)
    rows = list(csv.DictReader(io.StringIO(archstat("audit", path, "-f", "csv").out)))
    assert [*rows[0]] == [
        "line", "model", "spec", "column", "figure", "verdict", "remark", "source", "input",
        "value", "difference_percent",
    ]  # fmt: skip
    read = json.loads(archstat("audit", path, "-f", "json").out)["rows"]
    assert [row["verdict"] for row in read] == [row["verdict"] for row in rows]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        ("Params\n1M\n", ()),
        ("Model\nResNet-18\n", ()),
        (GOOD, ("--map", "flops=Nothing")),
        (GOOD, ("--map", "flops")),
        (GOOD, ("--map", "model=Model", "--map", "model=GFLOPs")),
    ],
)
def test_table_that_says_nothing_is_exit_2_with_one_message(archstat, table, text, arguments):
    result = archstat("audit", table(text), *arguments)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) <= 2


def test_file_that_is_not_there_is_exit_2(archstat):
    assert archstat("audit", "nothing.csv").code == 2

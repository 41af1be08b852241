"""--join: columns of the user's own beside archstat's."""

from __future__ import annotations

import pytest

from archstat.cli.join import Joined, joined, read_joined
from archstat.errors import ColumnError
from archstat.result import Column, Table

TABLE = Table((Column("model", "text", ""),), (("vgg16",), ("mine",), ("vgg16",)))


@pytest.fixture
def csv_file(tmp_path):
    def write(text):
        path = tmp_path / "results.csv"
        path.write_text(text)
        return str(path)

    return write


def test_columns_join_by_model_and_a_missing_model_has_none(csv_file):
    extra = read_joined(csv_file("top1,model,note\n71.6,vgg16,ok\n1,other,\n"), {"model"})
    table = joined(TABLE, extra)
    assert table.keys() == ("model", "top1", "note")
    assert table.rows == (("vgg16", 71.6, "ok"), ("mine", None, None), ("vgg16", 71.6, "ok"))
    assert [column.unit for column in extra.columns] == ["number", "text"]


def test_no_file_joins_nothing():
    assert read_joined(None, set()) == Joined()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("top1\n71.6\n", "no column `model`"),
        ("", "no column `model`"),
        ("model,macs\nvgg16,1\n", "column 'macs' exists already"),
        ("model,a,a\nvgg16,1,2\n", "column 'a' exists already"),
        ("model,a\nvgg16\n", "does not have 2 cells"),
        ("model,a\nvgg16,1\nvgg16,2\n", "the model 'vgg16' twice"),
    ],
)
def test_file_that_cannot_be_joined_is_refused(text, message, csv_file):
    with pytest.raises(ColumnError, match=message):
        read_joined(csv_file(text), {"model", "macs"})


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ColumnError, match="cannot be read"):
        read_joined(str(tmp_path / "none.csv"), set())

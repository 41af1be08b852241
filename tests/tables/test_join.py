"""--join: columns of the user's own beside archstat's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import ColumnError
from archstat.result import Column, Table
from archstat.tables.join import Joined, joined, read_joined

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
        ("", "is empty"),
        ("model,macs,macs_joined\nvgg16,1,2\n", "column 'macs_joined' exists already"),
        ("model,a,a\nvgg16,1,2\n", "column 'a' exists already"),
        ("model,a\nvgg16\n", "does not have 2 cells"),
        ("model,a\nvgg16,1\nvgg16,2\n", "the model 'vgg16' twice"),
    ],
)
def test_file_that_cannot_be_joined_is_refused(text, message, csv_file):
    with pytest.raises(ColumnError, match=message):
        read_joined(csv_file(text), {"model", "macs"})


def test_column_of_a_taken_key_gets_a_suffix(csv_file):
    extra = read_joined(csv_file("model,macs,top1\nvgg16,1,2\n"), {"model", "macs"})
    assert [column.key for column in extra.columns] == ["macs_joined", "top1"]


@pytest.mark.parametrize("text", ["name,a\nvgg16,1\n", "a,name\n1,vgg16\n"])
def test_column_name_will_do(text, csv_file):
    assert read_joined(csv_file(text), set()).cells == {"vgg16": (1,)}


def test_column_of_models_can_be_named(csv_file):
    path = csv_file("arch,model\nvgg16,1\n")
    assert read_joined(path, {"model"}, "arch").cells == {"vgg16": (1,)}
    with pytest.raises(ColumnError, match=r"no column `arhc`. Did you mean arch\?"):
        read_joined(path, {"model"}, "arhc")


TIMM = "model,top1\nresnet50.a1_in1k,80\nvgg16.tv_in1k,71\nvit.a,1\nvit.b,2\nnet18,3\nA-Net,4\n"


@pytest.mark.parametrize(
    ("model", "top1"),
    [
        ("resnet50.a1_in1k", [80]),
        ("timm:resnet50.a1_in1k", [80]),
        ("timm:resnet50", [80]),
        ("resnet50", [80]),
        ("torchvision:vgg16", [71]),
        ("resnet50.other", []),
        ("vit", [1, 2]),
        ("timm:vit.a", [1]),
        ("net18.tag", [3]),
        ("a_net", [4]),
        ("vgg16,num_classes=10", []),
        ("vgg16.py:Net", []),
        ("vgg16 (factorised)", []),
    ],
)
def test_names_match_without_prefix_and_tag(csv_file, model, top1):
    extra = read_joined(csv_file(TIMM), set())
    assert [extra.cells[name][0] for name in extra.matches(model)] == top1


def test_models_that_a_file_lacks_or_has_twice_are_said(csv_file):
    extra = read_joined(csv_file(TIMM), set())
    assert extra.missing(["resnet50", "net18"]) == ""
    assert extra.missing(["resnet50", "vit", "zfnet"]) == (
        "join=: 1 of 3 models found; not there: zfnet; vit may be vit.a or vit.b."
    )
    assert Joined().missing(["zfnet"]) == ""


def test_file_that_has_none_of_the_models_is_refused(csv_file):
    extra = read_joined(csv_file(TIMM), set())
    with pytest.raises(ColumnError, match=r"0 of 1 models found.*has resnet50\.a1_in1k, vgg16"):
        extra.missing(["zfnet"])


@given(st.lists(st.text(alphabet="aB1._-:,", min_size=1), min_size=1, unique=True))
def test_every_name_of_a_file_matches_itself(names):
    extra = Joined((Column("a", "number", ""),), dict.fromkeys(names, (1,)))
    assert all(extra.matches(name) == [name] for name in names)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ColumnError, match="cannot be read"):
        read_joined(str(tmp_path / "none.csv"), set())

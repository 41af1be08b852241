"""`--accuracy timm`: the right weights, the nearest resolution, and nothing for another network."""

from __future__ import annotations

from importlib import resources

import pytest

from archstat import zoo
from archstat.errors import ColumnError, SpecError
from archstat.result import Column, Table
from archstat.tables.accuracy import _by_name, checked_accuracy, with_accuracy

MOST_BYTES = 100_000


def cells(model, shape="3x224x224"):
    table = Table((Column("model", "text", ""), Column("input", "text", "")), ((model, shape),))
    return with_accuracy(table).rows[0][2:]


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        ("resnet50", "3x224x224", (80.382, "resnet50.a1_in1k", 224)),
        ("resnet50", "3x320x320", (81.24, "resnet50.a1_in1k", 288)),
        ("resnet50,resolution=288", "3x288x288", (81.24, "resnet50.a1_in1k", 288)),
        ("timm:resnet50.tv_in1k", "3x224x224", (76.156, "resnet50.tv_in1k", 224)),
        ("vgg16", "3x224x224", (71.594, "vgg16.tv_in1k", 224)),
        ("timm:resnet50,num_classes=10", "3x224x224", (None, None, None)),
        ("resnet50 (grouped)", "3x224x224", (None, None, None)),
        ("torchvision:resnet50", "3x224x224", (None, None, None)),
        ("net.py:resnet50", "3x224x224", (None, None, None)),
        ("", "", (None, None, None)),
    ],
)
def test_model_has_the_top1_of_its_weights_at_the_nearest_resolution(model, shape, expected):
    assert cells(model, shape) == expected


def test_note_names_the_weights_and_the_resolution():
    table = Table((Column("model", "text", ""), Column("input", "text", "")),
                  (("vgg16", "3x224x224"), ("lenet5", "1x32x32")))  # fmt: skip
    (note,) = with_accuracy(table).notes
    assert note.text.endswith("vgg16 with vgg16.tv_in1k at 224.")


def test_other_sources_and_models_without_results_are_refused():
    with pytest.raises(SpecError):
        checked_accuracy("paper", ["resnet50"])
    with pytest.raises(ColumnError):
        checked_accuracy("timm", ["lenet5"])
    assert "lenet5" in checked_accuracy("timm", ["lenet5", "resnet50"])
    assert checked_accuracy("timm", ["resnet50"]) == checked_accuracy(None, ["lenet5"]) == ""


def test_file_is_small_says_where_it_is_from_and_names_networks_of_the_zoo():
    text = resources.files("archstat.tables").joinpath("imagenet_top1.csv").read_bytes()
    assert len(text) < MOST_BYTES
    assert b"Apache-2.0" in text[:500]
    assert {name for name in _by_name() if not name.startswith("timm:")} <= set(zoo.catalogue())

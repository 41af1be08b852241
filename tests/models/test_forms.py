"""Other forms of a network: its options one at a time, and its folded branches."""

from __future__ import annotations

import sys
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

torch = pytest.importorskip("torch")

from archstat import zoo  # noqa: E402
from archstat.models.forms import choices, forms_of, reparameterised  # noqa: E402

SOURCE = """
import torch
from torch import nn

class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.one(x) + self.two(x) if self.two is not None else self.one(x)

    def reparameterize(self):
        self.two = None

def plain():
    return nn.Conv2d(3, 4, 1)
"""


def test_options_with_few_values_are_tried_one_at_a_time():
    assert dict(forms_of("resnet50")) == {
        "stride=first": "resnet50,stride=first",
        "layout=slim": "resnet50,layout=slim",
        "stem=cifar": "resnet50,stem=cifar",
    }


def test_option_that_is_given_stays():
    assert "stride=3x3" not in dict(forms_of("resnet50,stride=first"))


def test_model_of_ones_own_has_no_options_to_try(tmp_path):
    assert list(forms_of("net.py:Net")) == []


def test_branches_are_folded_where_a_block_can(tmp_path):
    (tmp_path / "branches_to_fold.py").write_text(SOURCE)
    path = tmp_path / "branches_to_fold.py"
    graph = reparameterised(f"{path}:Branches", "3x5x5")
    assert sum(value.numel for value in graph.parameters()) == 4 * 3 + 4
    assert reparameterised(f"{path}:plain", "3x5x5") is None
    sys.modules.pop("branches_to_fold", None)


@pytest.mark.parametrize("name", ["resnet50", "preact_resnet50", "se_bn_inception", "inception_v3"])
def test_options_read_from_the_source_are_those_of_the_factory(name):
    hints, defaults = get_type_hints(zoo.factory(name)), zoo.factory(name).__kwdefaults__
    read = choices(zoo.entry(name))
    assert read == {
        option: (defaults[option], (True,) if kind is bool else get_args(kind))
        for option, kind in hints.items()
        if kind is bool or get_origin(kind) is Literal
    }
    assert read

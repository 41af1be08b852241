"""Figures by stage, by type and by block make the model's."""

from __future__ import annotations

import pytest
from torch import nn

import archstat
from archstat.analyses import COLUMNS
from archstat.errors import SpecError
from archstat.tables.summary import KNOWN_ADDITIVE
from archstat.tables.summary_groups import checked_group, grouped

KEYS = [column.key for column in KNOWN_ADDITIVE if column in COLUMNS]
MODELS = ["lenet5", "resnet50", "mobilenet_v2,width=0.35", "densenet121", "vit_b_16"]


@pytest.mark.parametrize("by", ["stage", "type", "block"])
@pytest.mark.parametrize("name", MODELS)
def test_groups_make_the_model(name, by):
    report = archstat.analyze(name)
    table = grouped(report, by)
    for key in KEYS:
        assert sum(table.column(key)) == report.totals[key]
    assert len(set(table.column(by))) == len(table) or by == "block"


def test_stages_are_the_sizes_of_the_maps():
    assert grouped(archstat.analyze("resnet50"), "stage").column("stage") == (
        "112x112", "56x56", "28x28", "14x14", "7x7", "1x1")  # fmt: skip


def test_stages_of_tokens_are_their_number():
    assert grouped(archstat.analyze("vit_b_16"), "stage").column("stage")[:2] == ("14x14", "197")


def test_stages_stand_wherever_channels_stand():
    stages = grouped(archstat.analyze("convnext_tiny"), "stage").column("stage")
    assert set(stages) == {"56x56", "28x28", "14x14", "7x7", "1x1"}


def test_convolutions_of_resnet_have_all_macs_but_the_classifier_s():
    rows = {row["type"]: row for row in grouped(archstat.analyze("resnet50"), "type").records()}
    assert rows["Linear"]["macs"] == 2048 * 1000
    assert rows["Conv2d"]["modules"] == 1 + 4 + 3 * (3 + 4 + 6 + 3)


def test_equal_blocks_are_one_row_wherever_they_stand():
    table = grouped(archstat.analyze("resnet50"), "block")
    assert table.column("block") == ("Bottleneck",) * 8 + ("outside blocks",)
    assert table.column("modules") == (1, 2, 1, 3, 1, 5, 1, 2, 6)


def test_module_that_is_never_called_has_a_stage_of_its_own():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.used(x)

    table = grouped(archstat.analyze(Spare(), input=(3, 8, 8)), "stage")
    rows = {row["stage"]: row["params"] for row in table.records()}
    assert rows == {"6x6": 3 * 4 * 9 + 4, "not called": 3 * 4 * 9 + 4}


def test_unknown_group_is_refused_with_a_hint():
    with pytest.raises(SpecError, match="Did you mean stage"):
        checked_group("stages")

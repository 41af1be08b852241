"""What is said of a field that nobody can tell, and of joined heads, by every command."""

from __future__ import annotations

import json

import pytest

MODELS = """
import torch
from torch import nn


class Strided(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, 2, 1)

    def forward(self, x):
        return self.second(self.first(x).as_strided((1, 1, 8, 8), (64, 64, 1, 8)))


class Heads(Strided):
    def forward(self, x):
        fine = self.first(x)
        return torch.cat([fine.flatten(2), self.second(fine).flatten(2)], 2)
"""
INPUT = ("--input", "1x8x8")
NOTE = "as_strided in Strided has no rule"


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "m.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "--columns", "model,receptive_field"),
        ("compare", "--columns", "model,effective_stride"),
        ("summary", "--columns", "module,receptive_field"),
        ("rf",),
    ],
)
def test_note_on_a_field_goes_with_its_columns(archstat, models, command):
    ran = archstat(command[0], "m.py:Strided", *INPUT, *command[1:])
    assert ran.code == 0
    assert NOTE in " ".join(ran.out.split())


def test_json_has_no_figure_but_the_note(archstat, models):
    ran = archstat("compare", "m.py:Strided", *INPUT, "--format", "json")
    document = json.loads(ran.out)
    assert document["rows"][0]["receptive_field"] is None
    assert any(NOTE in note for note in document["notes"])


def test_screen_says_unknown(archstat, models):
    assert "unknown" in archstat("rf", "m.py:Strided", *INPUT).out


def test_unknown_field_is_not_measured(archstat, models):
    ran = archstat("rf", "m.py:Strided", *INPUT, "--check")
    assert ran.code == 2
    assert "is unknown" in ran.err


@pytest.mark.parametrize("rule", [">= 30", "<= 30"])
def test_budget_on_an_unknown_field_is_incomplete_and_says_why(archstat, models, rule):
    (models / "archstat.toml").write_text(
        '[[budget]]\nname = "n"\nmodel = "m.py:Strided"\ninput = "1x8x8"\n'
        f'receptive_field = "{rule}"\n'
    )
    ran = archstat("check")
    assert ran.code == 3
    assert NOTE in " ".join((ran.out + ran.err).split())


def test_position_counts_along_joined_heads(archstat, models):
    ran = archstat("rf", "m.py:Heads", *INPUT, "--position", "66")
    assert ran.code == 0
    assert "cat at (66) sees rows 0..2 of 8, columns 2..6 of 8." in ran.out


def test_joined_heads_are_measured(archstat, models):
    ran = archstat("rf", "m.py:Heads", *INPUT, "--check")
    assert ran.code == 0
    assert "agrees with the theory" in ran.out

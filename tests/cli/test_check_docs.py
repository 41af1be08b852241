"""What docs/ci.md says of budgets is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archstat.analyses import COLUMNS
from archstat.budgets.entries import BUDGET_KEYS
from archstat.budgets.reading import parse_config

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```([a-z]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def test_examples_of_the_guide_are_one_file_of_budgets():
    config = parse_config("\n".join(blocks(GUIDE, "toml")), ROOT / "archstat.toml")
    names = [budget.name for budget in config.budgets]
    assert {"phone", "resnet18", "phone in training", "phone's backbone"} <= set(names)


@pytest.mark.parametrize("key", BUDGET_KEYS)
def test_every_key_is_in_the_guide(key):
    assert f"`{key}" in GUIDE


def test_columns_with_axes_are_named_in_the_guide():
    for column in COLUMNS:
        assert column.unit != "pixels" or f"`{column.key}`" in GUIDE

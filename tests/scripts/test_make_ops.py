"""docs/ops.md: every op of the kind table stands in it, beside each of the other tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archstat.frontends.aten import KIND_OF

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import make_ops  # noqa: E402

ROWS = {
    cells[0].strip("` "): cells[1:]
    for line in (ROOT / "docs" / "ops.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("| ").split(" | ")]]
}


@pytest.mark.parametrize("name", sorted(KIND_OF))
def test_every_op_of_the_kind_table_is_named_or_absent_in_each_other(name):
    assert len(ROWS[name]) == len(make_ops.COLUMNS)
    assert ROWS[name][0] == KIND_OF[name]


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("relu", "shape", "rule"),
        ("view", "cost", "free: moves or renames elements"),
        ("histc", "cost", "flops: 4 an input element"),
        ("bmm", "training", "macs"),
        ("sigmoid", "gate", "yes"),
        ("cat", "fusion", "moves"),
        ("embedding", "access", "look up"),
        ("lgamma", "kind", "-"),
    ],
)
def test_a_cell_says_what_its_table_does(name, column, cell):
    assert make_ops.told(name)[column] == cell

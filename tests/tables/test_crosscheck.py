"""crosscheck: other tools' totals in a process of their own, and a verdict for each part."""

from __future__ import annotations

import pytest

from archstat.measure.other_tools import PeerCount
from archstat.tables import crosscheck as checking
from archstat.tables.crosscheck import crosscheck, crosscheck_table


@pytest.fixture(scope="module")
def table():
    return crosscheck_table(crosscheck(["mobilenet_v1,width=0.25,resolution=64"]))


def test_products_agree_on_a_convolutional_network(table):
    rows = {row["part"]: row for row in table.records()}
    for part in ("conv", "linear + matmul + attention"):
        assert rows[part]["verdict"] == "agrees"
        assert rows[part]["archstat_macs"] == rows[part]["flop_counter_macs"] > 0


def test_norms_that_a_tool_counts_as_macs_are_explained(table):
    rows = {row["part"]: row for row in table.records()}
    assert rows["norm"]["archstat_macs"] == 0
    assert rows["norm"]["fvcore_difference"] == rows["norm"]["fvcore_macs"] > 0
    assert rows["norm"]["verdict"] == "fvcore counts these as macs, archstat among flops"


def test_total_is_what_the_tool_itself_prints(table):
    rows = {row["part"]: row for row in table.records()}
    parts = [row for part, row in rows.items() if part != "total"]
    for column in ("archstat_macs", "fvcore_macs", "flop_counter_macs"):
        assert rows["total"][column] == sum(row[column] for row in parts)


def _peers(**counts):
    return lambda spec, graph: counts


def test_unexplained_difference_is_a_disagreement(monkeypatch):
    wrong = PeerCount("fvcore", 1, {"conv": 1})
    monkeypatch.setattr(
        checking, "counted_elsewhere", _peers(fvcore=wrong, flop_counter="ValueError: no")
    )
    parts = crosscheck(["vgg11"])
    assert [part.name for part in parts if part.disagrees] == [
        "conv",
        "linear + matmul + attention",
    ]
    verdicts = crosscheck_table(parts).column("verdict")
    assert verdicts[0] == "differs from fvcore; FlopCounterMode failed"
    assert verdicts[-1] == "flop_counter: ValueError: no"


def test_op_that_a_tool_skips_explains_what_it_misses(monkeypatch):
    blind = PeerCount("fvcore", 0, {}, skipped=("scaled_dot_product_attention",))
    monkeypatch.setattr(checking, "counted_elsewhere", _peers(fvcore=blind, flop_counter=blind))
    parts = crosscheck(["vgg11"])
    assert not any(part.disagrees for part in parts)
    assert "fvcore does not count scaled_dot_product_attention" in parts[0].peers[0].remark


def _deep(models):
    return crosscheck_table(crosscheck(models, deep=True))


def test_every_module_is_compared_under_deep(monkeypatch):
    modules = {"": 7609090048, "features": 7486586880}
    peer = PeerCount("fvcore", 0, {}, by_module=modules)
    monkeypatch.setattr(checking, "counted_elsewhere", _peers(fvcore=peer, flop_counter=peer))
    rows = {row["part"]: row for row in _deep(["vgg11"]).records()}
    assert rows["(root)"]["fvcore_macs"] == modules[""]
    assert rows["features.0"]["archstat_macs"] == 224 * 224 * 64 * 3 * 3 * 3


PRODUCTS_THAT_TOOLS_SKIP = {
    "a vector": ("torch.mv(self.weight, x[0])", 5 * 8),
    "a vector with bias": ("torch.addmv(self.weight[:, 0], self.weight, x[0])", 5 * 8),
    "two vectors": ("torch.dot(x[0], x[0])", 8),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("product", "macs"), PRODUCTS_THAT_TOOLS_SKIP.values(), ids=PRODUCTS_THAT_TOOLS_SKIP
)
def test_a_product_without_a_formula_elsewhere_is_a_known_reason(tmp_path, product, macs):
    source = (
        "import torch\nclass N(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.rand(5, 8))\n"
        f"    def forward(self, x): return {product}\n"
    )
    (tmp_path / "own.py").write_text(source)
    parts = crosscheck([f"{tmp_path}/own.py:N"], "8")
    assert parts[0].macs == macs
    assert not any(part.disagrees for part in parts)
    assert all(part.compared for part in parts)

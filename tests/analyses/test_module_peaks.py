"""The peak of inference by module: what is alive while it runs, wherever it is held."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.analyses.memory import memory, module_peaks, with_module_peaks
from archstat.frontends.module import capture
from archstat.models.pipeline import analyze
from archstat.tables.summary import summary

FLOAT = 4


class Wide(nn.Module):
    """8 features become 64, then 2; the input waits for the shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 64, bias=False)
        self.down = nn.Linear(64, 8, bias=False)
        self.rest = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(self.down(self.up(x)) + x)


def peaks(net: nn.Module, *shape: int) -> dict[str, object]:
    graph = capture(net, torch.empty(shape, device="meta"))
    found = module_peaks(graph).at_module
    return {module: cells["peak_memory_bytes"] for module, cells in found.items()}


def test_module_holds_weights_input_and_what_waits():
    weights, batch = 2 * 8 * 64, 10
    found = peaks(Wide(), batch, 8)
    assert found["up"] == FLOAT * (weights + batch * (8 + 64))
    assert found["down"] == FLOAT * (weights + batch * (8 + 64 + 8))
    assert found[""] == found["down"]


def test_module_without_ops_holds_what_is_there():
    weights, batch = 2 * 8 * 64, 10
    # input, the product that the sum has not let go of yet, and the sum
    assert peaks(Wide(), batch, 8)["rest"] == FLOAT * (weights + batch * 3 * 8)


def test_of_several_calls_the_largest_counts():
    shared = nn.Linear(4, 4, bias=False)
    net = nn.Sequential(shared, nn.Linear(4, 64, bias=False), nn.Linear(64, 4, bias=False), shared)
    found = peaks(net, 2, 4)
    weights = 4 * 4 + 2 * 4 * 64
    assert found["0"] == FLOAT * (weights + 2 * 3 * 4)


@pytest.mark.parametrize("model", ["squeezenet1_1", "densenet121", "shufflenet_v2_x1_0"])
def test_root_holds_the_peak_of_the_model_and_a_child_no_more_than_its_parent(model):
    report = analyze(model)
    cells = module_peaks(report.graph).at_module
    found = {module: int(str(row["peak_memory_bytes"])) for module, row in cells.items()}
    assert found[""] == memory(report.graph).totals["peak_memory_bytes"]
    for module, peak in found.items():
        assert peak <= found.get(module.rpartition(".")[0], found[""])


def test_summary_has_the_column_on_request_only():
    report = analyze("squeezenet1_1")
    assert "peak_memory_bytes" not in summary(report).keys()  # noqa: SIM118
    table = summary(with_module_peaks(report))
    column = table.column("peak_memory_bytes")
    assert column[0] == report.totals["peak_memory_bytes"]
    assert [c.key for c in table.columns].count("peak_memory_bytes") == 1

"""Recurrent layers on meta: the operations of a real run on cpu, alive as long as there."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.memory import live_bytes
from archstat.analyses.operations import operations
from archstat.frontends.attention import AttentionKernels
from archstat.frontends.module import capture_call, capture_on
from archstat.graph import Graph

KINDS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "projected": lambda *sizes, **options: nn.LSTM(*sizes, proj_size=2, **options),
}
# Without instructions for it, a processor runs bfloat16 by another kernel than the one counted.
HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
DTYPES = [torch.float32, torch.float64, *([torch.bfloat16] if HAS_BF16 else [])]
layers = st.fixed_dictionaries({
    "num_layers": st.integers(1, 3),
    "bidirectional": st.booleans(),
    "batch_first": st.booleans(),
    "bias": st.booleans(),
    "dtype": st.sampled_from(DTYPES),
})  # fmt: skip
_MACHINES = {"device", "layout", "pin_memory"}


def _steps(graph: Graph) -> list[object]:
    values = graph.values
    return [
        (op.target, [values[i].shape for i in op.inputs], [values[i].shape for i in op.outputs],
         {name: value for name, value in op.attributes.items() if name not in _MACHINES})
        for op in graph.ops
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@given(st.sampled_from(list(KINDS)), layers, st.booleans(), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_meta_runs_the_operations_of_cpu(kind, options, unbatched, steps):
    layer = KINDS[kind](3, 4, **options).eval()
    x = torch.rand((steps, 3) if unbatched else (steps, 2, 3), dtype=options["dtype"])
    real, meta = (capture_on(torch.device(d), layer, (x,), {}, "r") for d in ("cpu", "meta"))
    assert _steps(meta) == _steps(real)
    assert live_bytes(meta) == live_bytes(real)
    assert operations(meta).totals == operations(real).totals


@pytest.mark.parametrize("kind", list(KINDS))
def test_gpu_runs_all_layers_by_one_kernel(kind):
    layer = KINDS[kind](3, 4, num_layers=2, bidirectional=True).eval()
    graph = capture_call(layer, (torch.rand(5, 2, 3),), {}, "r",
                         partial(AttentionKernels, "cuda"))  # fmt: skip
    (op,) = [op for op in graph.ops if op.kind == "recurrent"]
    matrices = sum(p.numel() for name, p in layer.named_parameters() if name[:4] == "weig")
    assert op.name == "_cudnn_rnn"
    assert graph.values[op.outputs[0]].shape == (5, 2, 2 * (2 if kind == "projected" else 4))
    assert operations(graph).totals["macs"] == 5 * 2 * matrices


def test_packed_sequences_run_for_real():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(3, 4)

        def forward(self, x, lengths):
            return self.layer(nn.utils.rnn.pack_padded_sequence(x, lengths))[1]

    graph = capture_call(Packed().eval(), (torch.rand(5, 2, 3), torch.tensor([5, 3])), {}, "p")
    assert graph.device == "cpu"

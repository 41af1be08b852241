"""Running sums and recurrences: everything up to a position, or from it on, or both."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat import capture
from archstat.analyses.field import receptive_field
from archstat.frontends.module import capture_on
from archstat.measure.field.measured import measured_field

LENGTH = 12
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Walk(nn.Module):
    """A convolution over steps and a recurrence after it."""

    def __init__(self, kind, batch_first=True, **options):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1)
        self.walk = LAYERS[kind](4, 4, batch_first=batch_first, **options)
        self.order = (0, 2, 1) if batch_first else (2, 0, 1)

    def forward(self, x):
        return self.walk(self.conv(x).permute(self.order))[0]


def fields_of(module, device="meta"):
    x = torch.rand(1, 1, LENGTH)
    graph = capture(module.eval(), x) if device == "meta" else capture_on(
        torch.device(device), module.eval(), (x,), {}, "Walk")  # fmt: skip
    return receptive_field(graph)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_recurrence_sees_all_up_to_the_position(kind, batch_first, layers, device):
    fields = fields_of(Walk(kind, batch_first, num_layers=layers), device)
    row = fields.final
    assert (row.size, row.receptive_field, row.smallest) == ((LENGTH,), (LENGTH,), (2,))
    assert row.effective_stride == (None,)
    told = [(row.module, row.size, row.receptive_field) for row in fields.layers]
    assert told == [("conv", (LENGTH,), (3,)), ("walk", (LENGTH,), (LENGTH,))]
    seen = [row.interval((step,))[0] for step in range(LENGTH)]
    assert seen == [(0, min(step + 1, LENGTH - 1)) for step in range(LENGTH)]


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_recurrence_both_ways_sees_all_of_the_axis(kind, layers, device):
    module = Walk(kind, kind == "lstm", num_layers=layers, bidirectional=True)
    fields = fields_of(module, device)
    assert (fields.final.size, fields.final.receptive_field) == ((LENGTH,), (None,))
    assert fields.global_from == "walk"
    told = [(row.module, row.size, row.receptive_field) for row in fields.layers]
    assert told == [("conv", (LENGTH,), (3,)), ("walk", (LENGTH,), (None,))]
    assert fields.final.interval((0,)) == ((0, LENGTH - 1),)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_recurrence_is_measured_as_it_is_told(options):
    module = Walk("lstm", **options).eval()
    check = measured_field(module, fields_of(module))
    assert check.agrees, check.lines()
    assert check.exact == check.positions == (LENGTH,)


def test_last_state_sees_every_step():
    class Last(Walk):
        def forward(self, x):
            return self.walk(self.conv(x).permute(self.order))[1][0]

    row = fields_of(Last("lstm")).final
    assert row.interval((0,)) == ((0, LENGTH - 1),)


@pytest.mark.parametrize(
    "name", ["cumsum", "cumprod", "logcumsumexp", "_logcumsumexp", "cummax", "cummin"]
)
def test_running_op_sees_all_up_to_the_position(name, sketch):
    x = sketch.input(1, 1, 6, 5)
    y = sketch.op("other", f"aten.{name}.default", (x,), (1, 1, 6, 5), dim=2)
    row = receptive_field(sketch.graph(y)).final
    assert row.interval((3, 2)) == ((0, 3), (2, 2))
    assert (row.receptive_field, row.smallest) == ((6, 1), (1, 1))

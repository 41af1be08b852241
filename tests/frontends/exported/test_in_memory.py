"""Programs in memory have the Graph of the module that they were exported from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat import analyze
from archstat.errors import CaptureError
from archstat.frontends.guard import in_training
from archstat.frontends.module import capture


def steps_of(graph):
    return [(op.kind, op.target, op.module, op.module_type) for op in graph.ops]


@pytest.mark.parametrize("form", ["program", "its module"])
def test_program_has_the_graph_of_the_module(block, form):
    module, program = block
    given = program if form == "program" else program.module()
    x = torch.rand(1, 3, 16, 16)
    assert steps_of(capture(given, x)) == steps_of(capture(module, x))


@pytest.mark.parametrize("form", ["program", "its module"])
def test_inputs_may_be_named(tied, form):
    module, program = tied
    given = program if form == "program" else program.module()
    ids, mask = torch.zeros(2, 8, dtype=torch.int64), torch.ones(2, 8, 1)
    found = capture(given, ids, mask=mask)
    assert steps_of(found) == steps_of(capture(module, ids, mask=mask))
    assert analyze(found).totals["params"] == 50 * 16


def test_program_runs_with_the_inputs_of_its_example(block):
    _, program = block
    products = 3 * 8 * 9 * 16**2 + 2 * 8 * 8 * 9 * 16**2 + 8 * 5
    assert analyze(program).totals["macs"] == products


def test_input_that_it_does_not_take_is_said(block):
    _, program = block
    with pytest.raises(CaptureError, match="takes x; y were given"):
        capture(program, torch.rand(1, 3, 16, 16), y=torch.rand(1))


def test_input_left_out_is_said(tied):
    _, program = tied
    with pytest.raises(CaptureError, match="needs the input mask"):
        capture(program, torch.zeros(2, 8, dtype=torch.int64))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, 2, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


class Attention(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            y = F.scaled_dot_product_attention(x, x, x, is_causal=True)
        return y.chunk(2, -1)[0] @ x.transpose(-1, -2)[..., :4, :]


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch.export, about lstm
@pytest.mark.parametrize(
    ("module", "shape"), [(Recurrent(), (2, 5, 8)), (Attention(), (1, 2, 6, 8))]
)
def test_kernels_are_those_of_the_module(module, shape):
    x = torch.rand(shape)
    program = torch.export.export(module.eval(), (x,))
    assert steps_of(capture(program, x)) == steps_of(capture(module, x))


class Layers(nn.Module):
    """Layers that a capture knows, written in several ways; `act` is called twice."""

    def __init__(self, training: bool = False) -> None:
        super().__init__()
        self.strided = nn.Conv2d(3, 8, (3, 1), stride=2, padding=(1, 0), bias=False)
        self.same = nn.Conv2d(8, 8, 4, padding="same", dilation=2, groups=4)
        self.norm, self.act = nn.BatchNorm2d(8), nn.ReLU6(inplace=True)
        self.norm.train(training)

    def forward(self, x):
        x = self.act(self.norm(self.same(self.act(self.strided(x)))))
        return x * self.norm.weight.sum()


@pytest.mark.parametrize("training", [False, True])
def test_layers_have_the_ops_and_lifetimes_of_the_module(training):
    module, x = Layers(training), torch.rand(2, 3, 16, 16)
    module.train(training)
    program = torch.export.export(module, (x,))
    with in_training(training):
        wanted = capture(module, x)
    found = capture(program, x)
    alike = found.ops, found.storages, [value.shape for value in found.values]
    assert alike == (wanted.ops, wanted.storages, [value.shape for value in wanted.values])


def test_module_that_takes_another_step_each_time_runs_step_by_step():
    class Acts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            y = self.act(x)
            self.act.inplace = True
            return self.act(y * 2)

    program = torch.export.export(Acts(), (torch.rand(2, 3),), strict=False)
    assert [op.target for op in capture(program, torch.rand(2, 3)).ops] == [
        "aten.relu.default", "aten.mul.Tensor", "aten.relu_.default"]  # fmt: skip


class Begun(nn.Module):
    """A recurrent layer that begins at tensors which no module registered."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.begin = nn.GRU(4, 8), torch.zeros(1, 2, 8)

    def forward(self, x):
        return self.gru(x, self.begin)[0]


@pytest.mark.filterwarnings("ignore:The tensor attribute")  # of torch.export, about begin
@pytest.mark.parametrize("form", ["program", "file"])
def test_tensor_that_no_module_registered_is_a_constant(form, tmp_path):
    program = torch.export.export(Begun().eval(), (torch.rand(3, 2, 4),))
    torch.export.save(program, tmp_path / "m.pt2")
    found = analyze(program if form == "program" else str(tmp_path / "m.pt2"))
    assert found.totals["params"] == 3 * 8 * (4 + 8 + 2)
    assert found.totals["buffers"] == 0

"""Training macs: the formulas, by closed forms and by torch's own counter where that is right."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archstat import zoo
from archstat.analyses.operations import operations
from archstat.frontends.building import build_on_meta
from archstat.measure.training.products import may_hold_products
from archstat.measure.training.step import Settings, step_on, training_step
from archstat.models.pipeline import graph_of_spec


def trained(module, *shape):
    return training_step(module, (torch.empty(shape, device="meta"),)).training_macs


def by_torch(module, *shape):
    x = torch.empty(shape, device="meta")
    module = module.to("meta").train()
    with FlopCounterMode(display=False) as counter:
        module(x).sum().backward()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_grouped_convolution_counts_its_groups_in_backward(groups):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 16, 3, groups=groups, bias=False)
    )
    once = 2 * 16 * 10 * 10 * (8 // groups) * 9
    first = 2 * 8 * 12 * 12 * 3
    assert trained(net, 2, 3, 12, 12) == 3 * once + 2 * first


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_counts_its_groups_in_backward(groups):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 16, 4, stride=2, groups=groups, padding=1)
    )
    once = 2 * 8 * 12 * 12 * (16 // groups) * 16
    first = 2 * 8 * 12 * 12 * 3
    assert trained(net, 2, 3, 12, 12) == 3 * once + 2 * first


def test_first_layer_has_no_gradient_of_its_input():
    assert trained(nn.Conv2d(3, 8, 3), 2, 3, 12, 12) == 2 * (2 * 8 * 10 * 10 * 27)


def test_frozen_layer_has_no_gradient_of_its_weight():
    net = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 7), nn.Linear(7, 3))
    net[1].requires_grad_(False)
    sizes = 5 * 6, 6 * 7, 7 * 3
    assert trained(net, 4, 5) == 4 * (2 * sizes[0] + 2 * sizes[1] + 3 * sizes[2])


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3, stride=2)),
            (2, 3, 11, 11),
        ),
        (nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 4)), (3, 7, 4)),
        (nn.GRU(6, 5, batch_first=True), (2, 4, 6)),
        (nn.Conv1d(3, 8, 3, dilation=2), (2, 3, 20)),
    ],
    ids=["convolutions", "batched linear", "gru", "dilated"],
)
def test_ungrouped_products_are_those_of_torchs_counter(net, shape):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            out = self.net(x)
            return out[0] if isinstance(out, tuple) else out

    assert trained(First(), *shape) == by_torch(First(), *shape) > 0


def test_attention_computes_its_scores_again_in_backward():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(8, 24, bias=False)

        def forward(self, x):
            q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, 2))
            return nn.functional.scaled_dot_product_attention(q, k, v)

    batch, heads, length, size = 3, 2, 10, 4
    scores = batch * heads * length * length
    projection = batch * length * 8 * 24
    assert trained(Attention(), batch, length, 8) == 7 * scores * size + 2 * projection


def stepped(module, *inputs, device="meta"):
    return step_on(torch.device(device), module, (inputs, {}), Settings(), "the model")


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_bilinear_multiplies_every_weight_forward_and_for_its_gradient(batch):
    step = stepped(nn.Bilinear(4, 5, 6), torch.rand(batch, 4), torch.rand(batch, 5))
    assert step.training_macs == 2 * batch * 4 * 5 * 6
    assert step.uncounted == ()


class Experts(nn.Module):
    def __init__(self, count, width, out):
        super().__init__()
        self.stem = nn.Linear(width, width, bias=False, dtype=torch.bfloat16)
        self.weight = nn.Parameter(torch.zeros(count, width, out, dtype=torch.bfloat16))

    def forward(self, x):
        rows = x.shape[0] // self.weight.shape[0]
        ends = torch.arange(1, self.weight.shape[0] + 1, device=x.device, dtype=torch.int32) * rows
        return torch._grouped_mm(self.stem(x), self.weight, ends)


def test_grouped_product_meets_one_group_a_row_in_both_directions():
    rows, width, out, count = 64, 16, 32, 4
    step = stepped(Experts(count, width, out), torch.rand(rows, width, dtype=torch.bfloat16))
    # the stem's input needs no gradient
    assert step.training_macs == 2 * rows * width * width + 3 * rows * width * out


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_sparse_product_takes_the_elements_that_are_there(layout):
    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = nn.Linear(4, 8, bias=False)
            eye = torch.eye(5)
            self.register_buffer("A", eye.to_sparse() if layout == "coo" else eye.to_sparse_csr())

        def forward(self, x):
            return torch.sparse.mm(self.A, self.lift(x))

    step = stepped(Graph(), torch.rand(5, 4), device="cpu")
    assert step.training_macs == 2 * 5 * 4 * 8 + 2 * 5 * 8


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_lstm_trains_with_three_times_its_products(layers, device):
    steps, batch, width = 6, 3, 8
    step = stepped(nn.LSTM(width, width, layers), torch.rand(steps, batch, width), device=device)
    forward = layers * steps * batch * 2 * 4 * width * width
    assert step.training_macs == 3 * forward
    assert step.uncounted == ()


def test_operator_of_a_library_makes_a_lower_bound():
    @torch.library.custom_op("archstat_products::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    twice.register_fake(torch.empty_like)
    twice.register_autograd(lambda ctx, grad: 2 * grad)

    class Net(nn.Linear):
        def forward(self, x):
            return twice(super().forward(x))

    step = stepped(Net(4, 5), torch.rand(3, 4))
    assert step.uncounted == ("archstat_products.twice.default",)
    assert step.training_macs == 2 * 3 * 4 * 5


@pytest.mark.parametrize(("target", "may"), [
    ("aten.mm.default", True), ("aten.mkldnn_rnn_layer_backward.default", True),
    ("aten.linalg_solve_triangular.default", True), ("aten._cdist_forward.default", True),
    ("aten.relu.default", False), ("aten.threshold_backward.default", False),
    ("aten._thnn_fused_lstm_cell_backward_impl.default", False), ("mine.op.default", True),
])  # fmt: skip
def test_ops_that_may_multiply(target, may):
    assert may_hold_products(target) is may


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_16", "shufflenet_v1"])
def test_training_takes_more_than_forward(name):
    graph = graph_of_spec(name, batch=2)
    net = build_on_meta(lambda: zoo.build(name))
    step = stepped(net, torch.empty(graph.values[graph.inputs[0]].shape, device="meta"))
    assert step.training_macs > 2 * operations(graph).totals["macs"]

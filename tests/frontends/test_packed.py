"""Quantised layers, whose weights are packed into objects of C++."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import archstat
from archstat.frontends.packed import contents, opened

pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch.ao.quantization as quantization


def dynamic(*layers):
    return quantization.quantize_dynamic(nn.Sequential(*layers), {nn.Linear, nn.LSTM, nn.GRU})


class Between(nn.Module):
    """A module between the stubs of static quantisation."""

    def __init__(self, inner):
        super().__init__()
        self.first, self.inner, self.last = (quantization.QuantStub(), inner,
                                             quantization.DeQuantStub())  # fmt: skip

    def forward(self, x):
        return self.last(self.inner(self.first(x)))


def static(inner, x):
    module = Between(inner).eval()
    module.qconfig = quantization.get_default_qconfig("fbgemm")
    quantization.prepare(module, inplace=True)
    module(x)
    return quantization.convert(module, inplace=True)


def totals(module, x):
    report = archstat.analyze(archstat.capture(module.eval(), x))
    assert not {"params", "macs", "memory_access"} & report.lower_bounds
    return report.totals


DYNAMIC = {
    "one layer": ((nn.Linear(10, 7),), (3, 10), 10 * 7 + 7, 3 * 10 * 7),
    "two layers": ((nn.Linear(10, 7), nn.ReLU(), nn.Linear(7, 2)), (1, 10),
                   10 * 7 + 7 + 7 * 2 + 2, 10 * 7 + 7 * 2),
    "over tokens": ((nn.Linear(10, 7),), (2, 5, 10), 10 * 7 + 7, 2 * 5 * 10 * 7),
    "beside a convolution": ((nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5)), (1, 1, 8, 8),
                             2 * 9 + 2 + 72 * 5 + 5, 36 * 2 * 9 + 72 * 5),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "shape", "params", "macs"), DYNAMIC.values(), ids=DYNAMIC)
def test_dynamic_layers_count_as_they_were(layers, shape, params, macs):
    found = totals(dynamic(*layers), torch.rand(shape))
    assert (found["params"], found["macs"]) == (params, macs)


@pytest.mark.parametrize(
    ("inner", "shape", "params", "macs"),
    [
        (nn.Conv2d(3, 8, 3), (1, 3, 8, 8), 8 * 27 + 8, 36 * 8 * 27),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4), (1, 4, 8, 8), 8 * 9 + 8, 16 * 8 * 9),
        (nn.Linear(12, 5), (2, 12), 12 * 5 + 5, 2 * 12 * 5),
        (nn.Linear(12, 5), (1, 3, 4, 12), 12 * 5 + 5, 12 * 12 * 5),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), (1, 1, 8, 8),
         4 * 9 + 4 + 2 * 4 + 2, 36 * 4 * 9 + 36 * 2 * 4),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5)), (1, 1, 8, 8),
         4 * 9 + 4 + 144 * 5 + 5, 36 * 4 * 9 + 144 * 5),
    ],
    ids=["convolution", "grouped", "linear", "linear on maps", "two", "convolution and linear"],
)  # fmt: skip
def test_static_layers_count_as_they_were(inner, shape, params, macs):
    x = torch.rand(shape)
    found = totals(static(inner, x), x)
    assert (found["params"], found["macs"]) == (params, macs)


def test_packed_weights_take_a_byte_each_and_biases_four():
    found = totals(dynamic(nn.Linear(10, 7)), torch.rand(1, 10))
    assert found["param_bytes"] == 10 * 7 + 4 * 7


def test_layers_with_equal_weights_count_each():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.load_state_dict(first.state_dict())
    found = totals(dynamic(first, second), torch.rand(1, 4))
    assert (found["params"], found["macs"]) == (2 * (16 + 4), 2 * 16)


def test_a_layer_used_twice_counts_once():
    shared = dynamic(nn.Linear(4, 4))[0]
    found = totals(nn.Sequential(shared, shared), torch.rand(1, 4))
    assert (found["params"], found["macs"]) == (16 + 4, 2 * 16)


def test_a_layer_that_is_not_called_counts_too():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = dynamic(nn.Linear(4, 4)), dynamic(nn.Linear(4, 9))

        def forward(self, x):
            return self.used(x)

    assert totals(Half(), torch.rand(1, 4))["params"] == 4 * 4 + 4 + 4 * 9 + 9


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("layers", [1, 2])
def test_dynamic_recurrent_layers_take_both_matrices_once_a_step(kind, gates, layers):
    found = totals(dynamic(kind(6, 6, layers)), torch.rand(5, 2, 6))
    assert found["macs"] == 5 * 2 * layers * 2 * gates * 6 * 6
    assert found["params"] == layers * (2 * gates * 6 * 6 + 2 * gates * 6)


def test_an_op_of_ones_own_with_packed_weights_names_them_after_its_module():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            weight = torch.quantize_per_tensor(torch.rand(5, 4), 0.1, 0, torch.qint8)
            self.held = [torch.ops.quantized.linear_prepack(weight, torch.rand(5))]

        def forward(self, x):
            return torch.ops.quantized.linear_dynamic(x, self.held[0])

    found = totals(nn.Sequential(Own()), torch.rand(3, 4))
    assert (found["params"], found["macs"]) == (5 * 4 + 5, 3 * 5 * 4)


def test_depth_and_field_see_quantised_convolutions():
    x = torch.rand(1, 1, 16, 16)
    inner = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 5, stride=2))
    graph = archstat.capture(static(inner, x), x)
    convolutions = [op for op in graph.ops if op.kind == "conv"]
    assert [op.attributes["kernel"] for op in convolutions] == [(3, 3), (5, 5)]
    assert archstat.analyze(graph).totals["depth"] == 2


def test_opened_gives_the_weight_before_the_bias():
    weight = torch.quantize_per_tensor(torch.rand(5, 4), 0.1, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(weight, torch.rand(5))
    assert [tuple(tensor.shape) for tensor in opened(packed)] == [(5, 4), (5,)]
    assert contents(opened(packed)) == contents(opened(packed))


class Sealed:
    def _has_method(self, name):
        return False

    def __getstate__(self):
        raise RuntimeError("tells nothing")


def test_what_does_not_open_is_none():
    assert opened(Sealed()) is None

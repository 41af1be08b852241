"""The table of shape rules as a whole: each answers, and networks come out as torch makes them."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn

from archstat import zoo
from archstat.frontends import aten
from archstat.frontends.module import capture

ELEMENTWISE = {
    **{f"aten.{name}.default": [] for name in ("relu", "hardswish", "hardsigmoid", "sigmoid")},
    **{f"aten.{name}.default": [] for name in ("tanh", "silu", "gelu")},
    "aten.hardtanh.default": [0.0, 6.0],
    "aten.leaky_relu.default": [0.01],
}
ORDINARY = {
    "aten.convolution.default": [torch.zeros(1, 4, 8, 8), torch.zeros(6, 2, 3, 3), torch.zeros(6),
                                 [2, 1], [1, 0], [1, 2], False, [0, 0], 2],
    "aten.native_batch_norm.default": [torch.zeros(1, 4, 8, 8), *[torch.zeros(4)] * 4, False,
                                       0.1, 1e-5],
    "aten.native_layer_norm.default": [torch.zeros(2, 5, 4), [4], *[torch.zeros(4)] * 2, 1e-5],
    **{target: [torch.zeros(2, 3), *extra] for target, extra in ELEMENTWISE.items()},
    "aten._softmax.default": [torch.zeros(2, 3), -1, False],
    "aten._safe_softmax.default": [torch.zeros(2, 3), -1],
    **{f"aten.{name}.Tensor": [torch.zeros(2, 1, 3), torch.zeros(4, 1)]
       for name in ("add", "sub", "mul", "div")},
    **{f"aten.{name}_.Tensor": [torch.zeros(2, 3), torch.zeros(2, 3)] for name in ("add", "mul")},
    "aten.mul.Scalar": [torch.zeros(2, 3), 0.5],
    "aten.pow.Tensor_Scalar": [torch.zeros(2, 3), 2],
    "aten.cat.default": [[torch.zeros(2, 3), torch.zeros(2, 4)], 1],
    "aten.mm.default": [torch.zeros(2, 3), torch.zeros(3, 4)],
    "aten._grouped_mm.default": [
        torch.zeros(8, 16, dtype=torch.bfloat16), torch.zeros(2, 16, 32, dtype=torch.bfloat16),
        torch.tensor([3, 8], dtype=torch.int32),
    ],
    "aten.bmm.default": [torch.zeros(5, 2, 3), torch.zeros(5, 3, 4)],
    "aten.addmm.default": [torch.zeros(4), torch.zeros(2, 3), torch.zeros(3, 4)],
    "aten.max_pool2d_with_indices.default": [torch.zeros(1, 2, 9, 9), [3, 3], [2, 2], [1, 1]],
    "aten.avg_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 3]],
    "aten.avg_pool3d.default": [torch.zeros(1, 2, 4, 4, 4), [2, 2, 2]],
    "aten.constant_pad_nd.default": [torch.zeros(1, 2, 4, 4), [1, 1, 0, 2], 0.0],
    "aten._adaptive_avg_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 2]],
    "aten.mean.dim": [torch.zeros(1, 2, 4, 4), [2, 3], True],
    "aten.sum.dim_IntList": [torch.zeros(1, 2, 4, 4), [2, 3]],
    "aten.amax.default": [torch.zeros(1, 2, 4, 4), [1], True],
    "aten.adaptive_max_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 2]],
    "aten.rsub.Scalar": [torch.zeros(2, 3), 1],
    "aten._scaled_dot_product_flash_attention_for_cpu.default": [torch.zeros(2, 3, 4, 5)] * 3,
}  # fmt: skip


# Its layers are held against a run on cpu in test_recurrent.py.
RULES = set(aten._RULES) - {"aten.mkldnn_rnn_layer.default"}


@pytest.mark.parametrize("target", sorted(RULES))
def test_every_rule_answers_ordinary_arguments_and_is_right(target, rule_answer, agrees_with_torch):
    args = ORDINARY[target]
    assert rule_answer(target, args) is not None
    agrees_with_torch(target, args)


# Their outputs are contiguous whatever the operands are.
CONTIGUOUS_ANYHOW = {
    *("aten.mm.default", "aten.bmm.default", "aten.addmm.default"),
    *("aten.native_layer_norm.default", "aten.cat.default"),
}
KEEP_ORDER = {
    *("aten.mul.Scalar", "aten.rsub.Scalar", "aten.add_.Tensor", "aten.mul_.Tensor"),
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
}


@pytest.mark.parametrize("target", ["aten.native_layer_norm.default", "aten.cat.default"])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_contiguous_outputs_are_so_for_permuted_operands(
    target, order, rule_answer, agrees_with_torch
):
    x = torch.zeros(4, 4, 4).permute(order)
    args = [[x, x], 1] if "cat" in target else [x, [4], None, None, 1e-5]
    assert rule_answer(target, args) is not None
    agrees_with_torch(target, args)


@pytest.mark.parametrize("target", sorted(RULES - CONTIGUOUS_ANYHOW - KEEP_ORDER))
def test_every_other_rule_leaves_other_memory_formats_to_torch(target, rule_answer):
    first, *rest = ORDINARY[target]
    several = isinstance(first, list)
    x = first[0] if several else first
    strided = torch.zeros(x.shape[::-1]).permute(*reversed(range(x.dim())))
    assert strided.is_contiguous() == (max(x.shape[:-1]) == 1)
    assert rule_answer(target, [[strided, *first[1:]] if several else strided, *rest]) is None


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_product_with_a_number_keeps_the_order_of_axes(order, rule_answer, agrees_with_torch):
    args = [torch.zeros(1, 2, 3, 4).permute(order), 2.0]
    assert rule_answer("aten.mul.Scalar", args) is not None
    agrees_with_torch("aten.mul.Scalar", args)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_product_of_a_cut_tensor_with_a_number_has_no_gaps(order, rule_answer, agrees_with_torch):
    args = [torch.zeros(4, 5, 3)[:, 1:3].permute(order), 2.0]
    assert rule_answer("aten.mul.Scalar", args) is not None
    agrees_with_torch("aten.mul.Scalar", args)


def test_product_of_an_expanded_tensor_with_a_number_is_left_to_torch(rule_answer):
    assert rule_answer("aten.mul.Scalar", [torch.zeros(3, 1).expand(3, 4), 2.0]) is None


@pytest.fixture
def torch_has_the_say(monkeypatch):
    """Take every rule away but that of batch norm, so that torch makes each shape."""
    kept = "aten.native_batch_norm.default"
    monkeypatch.setattr(aten, "_RULES", {kept: aten._RULES[kept]})
    aten.signature.cache_clear()
    yield
    aten.signature.cache_clear()


def network(name):
    if name in ("vgg16_bn", "resnet50", "mobilenet_v1", "alexnet"):
        with torch.device("meta"):
            return zoo.build(name), torch.empty(2, 3, 227, 227, device="meta")
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    return encoder, torch.rand(2, 5, 16)


NETWORKS = ["alexnet", "vgg16_bn", "resnet50", "mobilenet_v1", "transformer"]


@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_graph_that_torch_alone_makes(name, request):
    net, x = network(name)
    with_rules = capture(net, x)
    request.getfixturevalue("torch_has_the_say")
    assert with_rules.device == "meta"
    assert capture(net, x) == with_rules

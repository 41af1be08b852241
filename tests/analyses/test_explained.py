"""Every figure written out: the arithmetic shown comes to the figure counted, for every op."""

from __future__ import annotations

from math import ceil, log2

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses.explained import (
    OF_OPS,
    OF_PARAMETERS,
    field_lines,
    op_lines,
    parameter_lines,
    shape_lines,
)
from archstat.analyses.feature_maps import with_feature_maps
from archstat.analyses.field import receptive_field
from archstat.errors import SpatialAxesError

NETWORKS = """
    lenet5 alexnet vgg11_bn resnet18 squeezenet1_1 mobilenet_v2 mobilenet_v3_small shufflenet_v1
    convnext_tiny highway cbam_resnet50 googlenet
""".split()  # noqa: SIM905
MORE = """
    inception_v3 inception_v4 resnet50 preact_resnet18 wide_resnet50_2 resnext50_32x4d densenet121
    mobilenet_v1 mobilenet_v3_large shufflenet_v2_x0_5 efficientnet_b0 mnasnet1_0 ghostnet
    regnet_y_400mf vit_b_16 xception nin_cifar10 seresnet50 zfnet inception_resnet_v2 inception_v2
    resnet20_cifar10 densenet_40_k12_cifar10 pyramidnet110_a48_cifar10 resnet34
""".split()  # noqa: SIM905


def evaluated(text):
    """What a person gets who computes what is written."""
    return [eval(side, {"ceil": ceil, "round": round, "log2": log2}) for side in text.split(" x ")]


def check_ops(report):
    """Each op's lines evaluate, and say what was counted; how many were computed, by figure."""
    graph = report.graph
    counted = {key: numbers for analysis in report.analyses
               for key, numbers in analysis.per_op.items()}  # fmt: skip
    seen, computed = set(), dict.fromkeys(OF_OPS, 0)
    for index, op in enumerate(graph.ops):
        shapes = tuple(graph.values[v].shape for v in (*op.inputs, *op.outputs))
        same = (op.target, shapes, str(op.attributes), *(
            counted[key][index] for key in OF_OPS))  # fmt: skip
        if same in seen:
            continue
        seen.add(same)
        lines = {line.figure: line for line in op_lines(graph, index)}
        unknown = counted["unknown_ops"][index]
        for key in OF_OPS:
            value = lines[key].value if key in lines else 0
            assert unknown or value == counted[key][index], (op.target, key)
        for line in (*lines.values(), *shape_lines(graph, index)):
            if line.arithmetic:
                found = evaluated(line.arithmetic)
                assert found == list(line.value if isinstance(line.value, tuple) else [
                    line.value]), (op.target, line)  # fmt: skip
                computed[line.figure] = computed.get(line.figure, 0) + 1
            else:
                assert line.formula, (op.target, line)
    return computed


def check_parameters(report):
    rows = {record["module"]: record for record in report.layers.records()}
    for module in report.graph.modules:
        for line in parameter_lines(report.graph, module.path):
            assert evaluated(line.arithmetic or "0") == [line.value]
            assert line.value == rows[module.path].get(line.figure, 0)


def check_fields(report):
    try:
        fields = receptive_field(report.graph)
    except SpatialAxesError:
        return
    for index, op in enumerate(report.graph.ops):
        row = fields.of_value(op.outputs[0]) if op.outputs else None
        for line in field_lines(fields, index):
            axis = int(line.figure.partition("[")[2].rstrip("]") or 0)
            figure = line.figure.partition("[")[0]
            assert line.value == getattr(row, figure)[axis]
            assert not line.arithmetic or evaluated(line.arithmetic) == [line.value]


@pytest.mark.parametrize(
    "name", [*NETWORKS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_arithmetic_shown_comes_to_the_figures_counted(name):
    report = with_feature_maps(archstat.analyze(name))
    computed = check_ops(report)
    assert computed["macs"]
    check_parameters(report)
    check_fields(report)


LAYERS = [
    (nn.Conv2d(6, 8, (3, 5), stride=(2, 1), padding=(1, 2)), (6, 17, 20)),
    (nn.Conv2d(6, 12, 3, groups=3, bias=False), (6, 9, 9)),
    (nn.Conv2d(6, 6, 3, groups=6, dilation=2), (6, 9, 9)),
    (nn.Conv1d(4, 6, 3, dilation=2), (4, 30)),
    (nn.Conv3d(2, 4, 3, padding=1), (2, 5, 6, 7)),
    (nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, output_padding=1), (6, 7, 7)),
    (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, dilation=2), (6, 7, 7)),
    (nn.Linear(12, 7), (12,)),
    (nn.Linear(12, 7, bias=False), (5, 12)),
    (nn.Bilinear(12, 12, 3), None),
    (nn.LSTM(5, 6, num_layers=2, batch_first=True), (9, 5)),
    (nn.GRU(5, 6, batch_first=True, bidirectional=True), (9, 5)),
    (nn.RNN(5, 6, batch_first=True), (9, 5)),
    (nn.MultiheadAttention(8, 2, batch_first=True), None),
    (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (7, 8)),
    *((layer, (6, 8, 8)) for layer in (
        nn.BatchNorm2d(6), nn.GroupNorm(3, 6), nn.InstanceNorm2d(6), nn.LayerNorm(8), nn.RMSNorm(8),
        nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Sigmoid(), nn.Tanh(), nn.PReLU(),
        nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2),
        nn.MaxPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d((3, 4)), nn.AdaptiveMaxPool2d(3),
        nn.LocalResponseNorm(3), nn.Upsample(scale_factor=2), nn.ZeroPad2d(2), nn.PixelShuffle(1),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Flatten(), nn.Dropout(), nn.Identity())),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    ["torchvision:vit_b_16", "torchvision:swin_t", "torchvision:efficientnet_b0",
     "torchvision:fcn_resnet50", "timm:mixer_s16_224", "timm:convnext_atto", "timm:nfnet_f0"],
)  # fmt: skip
@pytest.mark.usefixtures("torchvision")
def test_models_of_torchvision_and_timm_are_written_out(spec):
    pytest.importorskip(spec.partition(":")[0])
    report = with_feature_maps(archstat.analyze(spec))
    assert check_ops(report)["macs"]
    check_parameters(report)
    check_fields(report)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda given: str(given)[:40])
def test_every_kind_of_layer_is_written_out(layer, shape):
    def pair(*shapes):
        return [torch.zeros(1, *shape) for shape in shapes]

    if isinstance(layer, nn.Bilinear):
        given = pair((4, 12), (4, 12))
    elif isinstance(layer, nn.MultiheadAttention):
        given = pair((7, 8), (9, 8), (9, 8))
    else:
        given = pair(shape)
    report = with_feature_maps(archstat.analyze(archstat.capture(layer.eval(), *given)))
    check_ops(report)
    check_parameters(report)
    check_fields(report)


class Arithmetic(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.bag = nn.Embedding(50, 8), nn.EmbeddingBag(50, 8)

    def forward(self, tokens):
        x = self.embedding(tokens)
        y = torch.fft.fft(x).abs() + torch.fft.rfft(x, n=8).abs().sum() + self.bag(tokens)[:, None]
        z = torch.cat([x, y]).mean(1) @ torch.ones(8, 3)
        w = torch.einsum("bi,bj->bij", z, z).cumsum(1).max(-1).values
        return torch.cdist(w, w) + (w - w.mean()).norm() + w.argsort().float().lgamma().sum()


def test_what_is_no_layer_is_written_out_too():
    graph = archstat.capture(Arithmetic(), torch.zeros(2, 5, dtype=torch.int64))
    report = with_feature_maps(archstat.analyze(graph))
    computed = check_ops(report)
    assert computed["flops"] > 8
    unknown = [line for index, op in enumerate(graph.ops) if op.name == "lgamma"
               for line in op_lines(graph, index)]  # fmt: skip
    assert unknown[0].formula.startswith("unknown: aten.lgamma.default is neither counted")
    assert unknown[0].value is None


def test_free_op_says_why():
    graph = archstat.capture(nn.Flatten(), torch.zeros(1, 3, 4, 4))
    lines = {line.figure: line for line in op_lines(graph, 0)}
    assert lines["flops"] == ("flops", "free: moves or renames elements", "", 0)
    assert lines["memory_access"] == ("memory_access", "free: a view", "", 0)


def test_convolution_is_written_as_a_course_writes_it():
    conv = nn.Conv2d(64, 64, 3, padding=1)
    report = archstat.analyze(archstat.capture(conv, torch.zeros(1, 64, 224, 224)))
    lines = {line.figure: line for line in (
        *op_lines(report.graph, 0), *shape_lines(report.graph, 0),
        *parameter_lines(report.graph, ""))}  # fmt: skip
    assert lines["params"][1:] == ("C_out*C_in*K_h*K_w + C_out", "64*64*3*3 + 64", 36_928)
    assert lines["macs"][1:] == (
        "N * H_out*W_out * C_out*C_in*K_h*K_w",
        "1 * 224*224 * 64*64*3*3",
        224 * 224 * 64 * 3 * 3 * 64,
    )
    assert lines["flops"][1:3] == (
        "2 * macs + N*C_out*H_out*W_out", "2 * 1849688064 + 1*64*224*224")  # fmt: skip
    assert lines["output_height"][1:] == ("(H + 2*P - K_h) // S + 1", "(224 + 2*1 - 3) // 1 + 1",
                                          224)  # fmt: skip
    assert lines["im2col"][1:] == ("C_in*K_h*K_w x N * H_out*W_out", "64*3*3 x 1 * 224*224",
                                   (576, 50_176))  # fmt: skip


def test_figures_are_those_of_parameters_and_operations():
    report = with_feature_maps(archstat.analyze("lenet5"))
    assert set(report.totals) >= {*OF_PARAMETERS, *OF_OPS}

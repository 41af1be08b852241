"""Every emulation against its tool, really run, where the tool is installed."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import archstat  # noqa: E402
from archstat.analyses.conventions.printed import parse_printed  # noqa: E402
from archstat.analyses.conventions.tools import TOOLS, tools_named  # noqa: E402
from archstat.errors import SpecError  # noqa: E402
from archstat.models.pipeline import graph_of_spec  # noqa: E402

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


class Residual(nn.Module):
    """Activations, pooling and sums as modules and as functions, and a layer of two parents."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.again = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False))
        self.twice = nn.Sequential(self.again[0], nn.ReLU6())
        self.pool, self.classify = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.first(x), 2)
        x = x + self.twice(self.again(nn.functional.relu6(x)))
        return self.classify(self.pool(nn.functional.silu(x)).flatten(1))


class Attention(nn.Module):
    """torch's own attention layer between norms and a dense layer."""

    def __init__(self):
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        y = self.norm(x)
        return x + self.dense(x + self.attend(y, y, y, need_weights=False)[0])


class FiveAxes(nn.Module):
    """Attention over five axes, which torch itself takes apart."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 4)

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(self.dense(x), x, x)


class ByHand(nn.Module):
    """Attention as operators, and a dense layer as a function."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 4))

    def forward(self, x):
        scores = (x @ x.transpose(-2, -1)).softmax(-1)
        return nn.functional.linear(scores @ x, self.weight)


class Biased(nn.Module):
    """Fused attention with a mask that is learnt."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 2, 7, 7))

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=self.bias)


MODELS = {
    "residual": (Residual, (2, 3, 12, 12)),
    "attention layer": (Attention, (1, 7, 8)),
    "attention of five axes": (FiveAxes, (1, 2, 3, 7, 4)),
    "attention with a learnt mask": (Biased, (1, 2, 7, 4)),
    "attention by hand": (ByHand, (1, 2, 7, 4)),
    "response norm": (
        lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.LocalResponseNorm(5)), (1, 8, 9, 9),
    ),
    "transposed in groups": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (1, 4, 5, 5)),
    "lstm": (lambda: nn.LSTM(4, 5, bidirectional=True), (7, 1, 4)),
    "upsampling": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Upsample(scale_factor=2)), (2, 4, 5, 5),
    ),
}  # fmt: skip
# Each with its name in benchmarks/peers.py and the package that it needs; the last leave torch
# patched where they fail.
PEERS = {
    "fvcore": ("fvcore", "fvcore"),
    "flop_counter": ("FlopCounterMode, halved", "torch"),
    "flop_counter_meta": ("the same on meta", "torch"),
    "torchinfo": ("torchinfo", "torchinfo"),
    "thop": ("thop", "thop"),
    "torchprofile": ("torchprofile", "torchprofile"),
    "ptflops_aten": ("ptflops, aten", "ptflops"),
    "ptflops": ("ptflops", "ptflops"),
    "calflops": ("calflops", "calflops"),
}


# A trace records each product of sizes that Python code computes as one more product.
SIZES_MULTIPLIED = {("torchprofile", "attention layer"): 4}


@functools.cache
def counted():
    """What each installed tool counts for every model, in a process that ends with them."""
    command = [sys.executable, __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tool", PEERS)
def test_tool_is_emulated_to_the_unit(tool, name):
    if importlib.util.find_spec(PEERS[tool][1]) is None:
        pytest.skip(f"{tool} is not installed")
    make, shape = MODELS[name]
    graph = archstat.capture(make().eval(), torch.empty(shape, device="meta"))
    unseen = SIZES_MULTIPLIED.get((tool, name), 0)
    assert tools_named(tool)[0].total(graph) + unseen == counted()[tool][name]


@pytest.mark.slow
def test_sweep_finds_every_tool_equal_on_whole_networks():
    for package in ("transformers", *(package for _, package in PEERS.values())):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    small = BENCHMARKS / "transformers_small.py"
    models = ["resnet18", "mobilenet_v3_small", "vit_b_16", f"{small}:bert"]
    command = [sys.executable, str(BENCHMARKS / "conventions.py"), *models]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# What cannot be installed beside torch, against what its pages print:
# openvinotoolkit/open_model_zoo@7ef5b91f7 models/public/index.md, open-mmlab/mmpretrain@ee7f2e88
# configs/*/metafile.yml, PaddlePaddle/PaddleClas@d178931fc ImageNet_models_en.md, and
# huggingface/pytorch-image-models@aa4b585 benchmark-infer-amp-nchw-pt291-cu128-4090.csv.
PRINTED = [
    ("openvino", "resnet18", None, "3.637G"),
    ("openvino", "resnet50", None, "8.216G"),
    ("openvino", "inception_v2", None, "4.058G"),
    ("openvino", "inception_v4", None, "24.584G"),
    ("openvino", "mobilenet_v1", None, "1.148G"),
    ("openvino", "mobilenet_v2,width=1.4", None, "1.183G"),
    ("openvino", "efficientnet_b0", None, "0.819G"),
    ("openvino", "resnet34", None, "7.3409G"),
    ("openvino", "squeezenet1_1", "3x227x227", "0.785G"),
    ("openvino_ir10", "mobilenet_v3_small", None, "0.1168G"),
    ("openvino_ir10", "mobilenet_v3_large", None, "0.445G"),
    ("openvino_ir10", "regnet_x_3_2gf", None, "6.3893G"),
    ("mmpretrain", "resnet18", None, "1.82G"),
    ("mmpretrain", "resnet101", None, "7.85G"),
    ("mmpretrain", "vgg16", None, "15.5G"),
    ("mmpretrain", "resnext50_32x4d", None, "4.27G"),
    ("mmpretrain", "inception_v3", None, "5.745177632G"),
    ("paddle", "mobilenet_v1", None, "578.88M"),
    ("paddle", "resnet101", None, "7.83G"),
    ("paddle", "densenet121", None, "2.87G"),
    ("paddle", "inception_v4", "3x299x299", "12.29G"),
    ("timm", "resnet50", None, "4.11G"),
    ("timm", "convnext_tiny", None, "4.47G"),
    ("keras", "mobilenet_v1", None, "4253864"),
]


@pytest.mark.parametrize(("tool", "spec", "input", "figure"), PRINTED)
def test_figure_that_a_source_prints(tool, spec, input, figure):
    total = tools_named(tool)[0].total(graph_of_spec(spec, input))
    assert parse_printed(figure).shows(total) == "rounded"


def test_deepspeed_has_attention_whichever_way_and_no_recurrent_layer():
    attention = archstat.capture(ByHand().eval(), torch.empty(1, 2, 7, 4, device="meta"))
    lstm = archstat.capture(nn.LSTM(4, 5).eval(), torch.empty(7, 1, 4, device="meta"))
    (deepspeed,) = tools_named("deepspeed")
    assert deepspeed.total(attention) == 2 * (7 * 7 * 4 + 7 * 7 * 4 + 7 * 4 * 6)
    assert deepspeed.total(lstm) == 0


def test_missed_macs_stand_at_their_type_of_layer():
    report = archstat.analyze(Attention().eval(), input=(7, 8))
    (fvcore,) = tools_named("fvcore")
    assert fvcore.missed(report) == {"MultiheadAttention": 2 * 7 * 7 * 8}


def test_unknown_tool_is_refused_with_the_names():
    with pytest.raises(SpecError, match=r"no tool 'nope'.*fvcore, flop_counter"):
        tools_named("fvcore,nope")


def test_each_tool_says_what_its_figure_holds():
    assert all(tool.meaning in tool.column.meaning for tool in TOOLS)
    assert [tool.column.key for tool in TOOLS] == [f"as_{tool.name}" for tool in TOOLS]


def count(tool):
    """The figures of one tool; those of FlopCounterMode are halved by its caller."""
    from peers import PEERS as CALLED
    from peers import quietly

    times = 2 if tool.startswith("flop_counter") else 1
    measure = CALLED[PEERS[tool][0]].count
    return {
        name: times * quietly(measure, make().eval(), torch.rand(shape))
        for name, (make, shape) in MODELS.items()
    }


if __name__ == "__main__":
    sys.path.append(str(BENCHMARKS))
    from catalogue import torchvision_importable

    # Some of the tools import it; without it they are not installed either.
    with torchvision_importable() if importlib.util.find_spec("torchvision") else nullcontext():
        print(json.dumps({t: count(t) for t in PEERS if importlib.util.find_spec(PEERS[t][1])}))

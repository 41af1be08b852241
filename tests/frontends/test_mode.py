"""The dispatch mode: real weights, dtypes, memory formats and unusual ops on meta."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def test_real_weights_give_the_graph_that_weights_on_meta_give():
    net = small_cnn()
    assert capture(net, IMAGE) == capture(copy.deepcopy(net).to("meta"), IMAGE)


def test_input_on_meta_gives_the_graph_that_a_real_input_gives():
    net = small_cnn()
    assert capture(net, IMAGE) == capture(net, IMAGE.to("meta"))


def test_arithmetic_is_not_done():
    seen = []
    net = small_cnn()
    net[4].register_forward_hook(lambda module, inputs, output: seen.append(output.is_meta))
    assert capture(net, IMAGE).device == "meta"
    assert seen == [True]


# -- dtypes and memory formats -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_model_in_another_dtype_has_the_same_counts_and_its_own_bytes(dtype, totals):
    plain, other = totals(small_cnn(), IMAGE), totals(small_cnn().to(dtype), IMAGE.to(dtype))
    size = torch.empty((), dtype=dtype).element_size()
    assert other.pop("param_bytes") == plain.pop("param_bytes") // 4 * size
    floats, counters = plain.pop("weight_dtypes").removeprefix("float32=").split()
    name = str(dtype).removeprefix("torch.")
    assert other.pop("weight_dtypes") == f"{name}={int(floats) // 4 * size} {counters}"
    for key in ("memory_access_bytes", "peak_memory_bytes", "ideal_peak_bytes"):
        # pooling's indices and batch norm's counter are int64 in every model
        assert (other.pop(key) < plain.pop(key)) == (size < 4)
    assert other == plain


def test_values_of_a_bfloat16_model_are_bfloat16():
    graph = capture(small_cnn().bfloat16(), IMAGE.bfloat16())
    floating = {v.dtype for v in graph.values} - {"int64"}
    assert floating == {"bfloat16"}


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (torch.float16, torch.float32, "float32"),
        (torch.float32, torch.float64, "float64"),
        (torch.bfloat16, torch.float16, "float32"),
        (torch.int64, torch.float16, "float16"),
        (torch.int32, torch.int64, "int64"),
        (torch.bool, torch.uint8, "uint8"),
    ],
)
def test_mixed_dtypes_follow_torchs_promotion(first, second, result, as_module):
    graph = capture(as_module(lambda a, b: a + b), IMAGE.to(first), IMAGE.to(second))
    assert graph.values[graph.outputs[0]].dtype == result


def test_autocast_region_casts_as_on_the_real_device(as_module, totals):
    conv = nn.Conv2d(3, 4, 1)

    def forward(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return conv(x)

    assert totals(as_module(forward, conv=conv), IMAGE)["macs"] == 4 * 3 * 8 * 8


def test_channels_last_input_has_the_counts_of_a_contiguous_one(totals):
    last = IMAGE.to(memory_format=torch.channels_last)
    expected = totals(small_cnn(), IMAGE)
    assert totals(small_cnn(), last) == expected
    assert totals(small_cnn().to(memory_format=torch.channels_last), last) == expected
    assert totals(small_cnn().to(memory_format=torch.channels_last), IMAGE) == expected


def test_strided_input_keeps_its_strides(as_module):
    view = torch.rand(1, 8, 8, 3).permute(0, 3, 1, 2)
    graph = capture(as_module(lambda x: x.as_strided(x.shape, x.stride())), view)
    assert graph.ops[0].attributes["stride"] == view.stride()


def test_empty_batch_passes_through(totals):
    found = totals(small_cnn(), torch.rand(0, 3, 8, 8))
    assert found["macs"] == 0
    assert found["params"] == sum(p.numel() for p in small_cnn().parameters())


@pytest.mark.parametrize("batch", [2, 16])
def test_operations_grow_with_the_batch_and_parameters_do_not(batch, totals):
    one, many = totals(small_cnn(), IMAGE), totals(small_cnn(), IMAGE.repeat(batch, 1, 1, 1))
    for key in ("macs", "flops", "activations"):
        assert many[key] == batch * one[key]
    for key in ("params", "buffers", "param_bytes", "depth"):
        assert many[key] == one[key]


# -- ops that torch describes in unusual ways ----------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.max(x, dim=1)[0],
        lambda x: x.topk(2, dim=1)[1],
        lambda x: torch.cat([x, x], 1).chunk(2, 1)[0],
        lambda x: torch.stack([x, x]).unbind(0)[1],
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda x: F.interpolate(x, size=(5, 5), mode="bicubic"),
        lambda x: F.grid_sample(x, torch.zeros(1, 4, 4, 2), align_corners=False),
        lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
        lambda x: F.unfold(x, 3),
        lambda x: torch.where(x > 0, x, -x),
        lambda x: x.cumsum(1).roll(1, 2).flip(3),
        lambda x: F.normalize(x, dim=1),
        lambda x: torch.linalg.vector_norm(x, dim=1),
        lambda x: x.var(dim=1) + x.std(dim=1),
        lambda x: F.dropout(x, 0.5, training=True),
        lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
        lambda x: F.local_response_norm(x, 2),
        lambda x: F.instance_norm(x),
        lambda x: F.glu(x.repeat(1, 2, 1, 1), dim=1),
        lambda x: F.one_hot(torch.arange(3), 5),
        lambda x: x.clamp(min=0).clamp(max=6).abs().sqrt().exp().log(),
        lambda x: x.sort(dim=1)[0].argmax(dim=1),
        lambda x: x.scatter(1, torch.zeros(1, 1, 8, 8, dtype=torch.int64), 2.0),
        lambda x: torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")[0],
    ],
)
def test_ordinary_function_is_known_on_meta(function, as_module, totals):
    graph = capture(as_module(function), IMAGE)
    assert graph.device == "meta"
    assert totals(as_module(function), IMAGE)["unknown_ops"] == 0


@pytest.mark.parametrize(
    "name",
    ["CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
     "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU",
     "Sigmoid", "Softmax", "Softmax2d", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh",
     "Tanhshrink"],
)  # fmt: skip
def test_every_activation_layer_of_torch_is_known_and_costs_something(name, totals):
    options = {"dim": 1} if name in ("LogSoftmax", "Softmax", "Softmin") else {}
    found = totals(getattr(nn, name)(**options), IMAGE)
    assert found["unknown_ops"] == 0
    assert found["flops"] >= 3 * 8 * 8


def test_capture_inside_inference_mode_gives_the_graph_of_one_outside():
    net = small_cnn()
    with torch.inference_mode():
        inside = capture(net, IMAGE)
    assert inside == capture(net, IMAGE)


def test_forward_that_enters_inference_mode_has_the_same_layers_and_costs(as_module, totals):
    net = small_cnn()
    inferring = as_module(torch.inference_mode()(lambda x: net(x)), net=net)
    layers = [op.module for op in capture(net, IMAGE).ops if op.kind in ("conv", "linear")]
    found = [op.module for op in capture(inferring, IMAGE).ops if op.kind in ("conv", "linear")]
    assert found == [f"net.{path}" for path in layers]
    within, alone = totals(inferring, IMAGE), totals(net, IMAGE)
    assert within.pop("global_from") == f"net.{alone.pop('global_from')}"
    assert within == alone


def test_capture_of_a_common_cnn_imports_no_compiler():
    program = (
        "import sys, torch; from torch import nn; from archstat.frontends.module import capture;"
        "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),"
        " nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4), nn.Softmax(-1));"
        "before = set(sys.modules); capture(net, torch.empty(1, 3, 8, 8));"
        "print([n for n in sys.modules if n in ('torch._dynamo', 'sympy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


_LIFETIMES = """
from archstat.models.pipeline import graph_of_spec
print(*(graph_of_spec("lenet5", None, 2).storages for _ in range(2)), sep=chr(10))
"""


@pytest.mark.slow
def test_first_capture_of_a_process_finds_the_lifetimes_of_the_next():
    done = subprocess.run(
        [sys.executable, "-c", _LIFETIMES], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == second

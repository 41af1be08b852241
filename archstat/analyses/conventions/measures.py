"""The ways in which a network's figures are counted, each with who counts so and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from archstat.analyses.conventions import counts
from archstat.analyses.conventions.tools import TOOLS, Tool
from archstat.result import Report

Quantity = Literal["macs", "flops", "params", "activations"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A way to count: what is printed as which quantity, by whom, and as what arithmetic.

    `form` is what was done to the network first, if anything; `square` is a side at which the
    source counts before it scales to the input's, None where it counts at the input itself.
    """

    convention: str
    quantity: Quantity
    sources: tuple[str, ...]
    count: Callable[[Report], int]
    form: str = ""
    square: int | None = None


def _macs_without_attention(report: Report) -> int:
    attention = report.by_kind.get("attention", {}).get("macs", 0)
    products = report.by_kind.get("matmul", {}).get("macs", 0)
    return counts.total("macs")(report) - int(attention or 0) - int(products or 0)


def _of_tool(report: Report, tool: Tool, times: int = 1) -> int:
    return times * tool.total(report.graph)


_TOOL_SOURCES: Mapping[str, tuple[str, ...]] = {
    "fvcore": ("fvcore", "timm", "detectron2"),
    "flop_counter": ("torch FlopCounterMode",),
    "ptflops_aten": ("ptflops",),
    "mmcv": ("mmcv", "MMPretrain"),
}
_THOP = next(tool for tool in TOOLS if tool.name == "thop")

MEASURES: tuple[Measure, ...] = (
    Measure("macs", "macs", ("papers", "torchvision", "pycls", "TF-slim"), counts.total("macs")),
    Measure("2 x macs", "flops", ("TensorFlow", "Hailo", "open_clip"), counts.twice_macs),
    Measure("flops: 2 x macs, bias, norm, activation, pooling", "flops", ("archstat",),
            counts.total("flops")),
    Measure("macs and one for each bias", "macs", ("mobilenetv3.pytorch",), counts.macs_and_bias),
    Measure("macs and one for each of all other flops", "macs", ("osmr",),
            counts.macs_and_all_else),
    Measure("macs of convolutions", "macs", ("ResNet paper",), counts.macs_of_convolutions),
    Measure("2 x macs of convolutions", "flops", ("Darknet",),
            counts.twice_macs_of_convolutions),
    Measure("macs", "macs", ("ShuffleNet v1 paper",), counts.macs_without_classifier,
            form="without classifier"),
    Measure("macs without products of attention", "macs", ("DeepSpeed", "timm"),
            _macs_without_attention),
    *(
        Measure(f"{tool.figure} of {tool.name}", "flops" if tool.figure == "FLOPs" else "macs",
                _TOOL_SOURCES.get(tool.name, (tool.name,)), partial(_of_tool, tool=tool))
        for tool in TOOLS
    ),
    Measure("2 x MACs of thop", "flops", ("thop",), partial(_of_tool, tool=_THOP, times=2)),
    Measure("2 x MACs of thop at 32x32, scaled", "flops", ("Ultralytics",),
            partial(_of_tool, tool=_THOP, times=2), square=32),
    Measure("params", "params",
            ("papers", "torchvision", "timm", "thop", "fvcore", "pycls", "MMPretrain"),
            counts.total("params")),
    Measure("params and running statistics", "params", ("Keras", "MXNet", "PaddleClas"),
            counts.with_running_statistics),
    Measure("params and running statistics of norms without scale", "params", ("Keras",),
            counts.with_running_statistics_without_scale),
    Measure("params and running statistics, every convolution biased", "params", ("Keras",),
            counts.with_conv_bias),
    Measure("weights and biases of conv and linear", "params", ("TF-slim", "MobileNet v2 paper"),
            counts.without_norm_params),
    Measure("params", "params", ("deployment",), counts.with_folded_norms,
            form="batch norm folded"),
    Measure("params", "params", ("feature extractors",), counts.without_top(counts.total("params")),
            form="without classifier"),
    Measure("params without biases of convolutions", "params", ("osmr",),
            counts.without_conv_bias),
    Measure("activations", "activations", ("pycls", "timm"), counts.total("activations")),
    Measure("activations and max pooling", "activations", ("pycls",),
            counts.activations_and_max_pools),
)  # fmt: skip

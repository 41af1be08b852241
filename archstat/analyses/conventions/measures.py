"""The conventions: every way of counting that archstat knows, one record each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from archstat.analyses.conventions import (
    Convention,
    Count,
    by_module,
    counts,
    features,
    pages,
)
from archstat.analyses.conventions.bits import Bits, bops, parse_bits
from archstat.analyses.conventions.by_op import TIMM
from archstat.analyses.conventions.tools import TOOLS, Tool, tool_named
from archstat.graph import Graph
from archstat.result import Report

_MACS, _PARAMS = counts.total("macs"), counts.total("params")


def _macs_without_attention(report: Report) -> int:
    return _MACS(report) - int(report.by_kind.get("attention", {}).get("macs", 0))


def _of_tool(report: Report, tool: Tool, times: int = 1) -> int:
    return times * tool.total(report.graph)


def _without_classifier(report: Report, count: Callable[[Graph], Mapping[str, int]]) -> int:
    """MMPretrain counts the features that it extracts, where the head is no part of them."""
    found = count(report.graph)
    heads = [op.module for op in report.graph.ops if op.kind == "linear"][-1:]
    return sum(found.values()) - sum(found.get(head, 0) for head in heads)


def _bops(report: Report, widths: Bits) -> int:
    return bops(report.graph, widths).total()


def _with_and_without_top(
    name: str, meaning: str, count: Count, *others: str
) -> tuple[Convention, ...]:
    """What Keras adds up of a network with and without its linear layers."""
    return (
        Convention(name, "params", ("Keras", *others), count, meaning),
        Convention(name, "params", ("Keras",), counts.without_top(count), meaning,
                   "without classifier"),
    )  # fmt: skip


_TOOL_SOURCES: Mapping[str, tuple[str, ...]] = {
    "fvcore": ("fvcore", "timm", "detectron2"),
    "flop_counter": ("torch FlopCounterMode",),
    "ptflops_aten": ("ptflops",),
    "mmcv": ("mmcv", "MMPretrain"),
    "openvino": ("OpenVINO",),
    "openvino_ir10": ("OpenVINO",),
    "paddle": ("PaddleClas",),
}
_ELSEWHERE = ("timm", "mmpretrain", "ultralytics")  # records of their own
_THOP, _FVCORE = tool_named("thop"), tool_named("fvcore")

CONVENTIONS: tuple[Convention, ...] = (
    Convention("macs", "macs", ("papers", "torchvision", "pycls", "TF-slim"), _MACS,
               "multiply-accumulates of conv, linear, attention"),
    Convention("2 x macs", "flops", ("TensorFlow", "Hailo", "open_clip"), counts.twice_macs,
               "two operations a multiply-accumulate"),
    Convention("flops: 2 x macs, bias, norm, activation, pooling", "flops", ("archstat",),
               counts.total("flops")),
    Convention("macs and one for each bias", "macs", ("mobilenetv3.pytorch",),
               counts.macs_and_bias),
    Convention("FLOPs/2 of imgclsmob", "macs", ("osmr",), pages.imgclsmob,
               "macs, and half of 4 an element of norms, 1 of ReLU, a window of pooling, less 1/2 "
               "a weight column without bias"),
    Convention("FLOPs/2 of imgclsmob, global pooling as 1x1", "macs", ("osmr",),
               pages.imgclsmob_global, "the same where Gluon's global pooling has a window of 1x1"),
    Convention("FLOPs of convnet-burden", "macs", ("convnet-burden",),
               pages.counted(pages.CONVNET_BURDEN),
               "macs and bias, 2 an element of ReLU and a stride of pooling; norms are merged"),
    Convention("macs of convolutions", "macs", ("ResNet paper",), counts.macs_of_convolutions),
    Convention("2 x macs of convolutions", "flops", ("Darknet",),
               counts.twice_macs_of_convolutions),
    Convention("2 x macs of convolutions, bias, pooling", "flops", ("TensorFlow profiler",),
               pages.counted(pages.TF_PROFILER),
               "what TensorFlow's profiler counts up to the last convolution"),
    Convention("macs", "macs", ("ShuffleNet v1 paper",), counts.macs_without_classifier,
               form="without classifier"),
    Convention("FLOPs of fvcore, averages of gates free", "macs", ("timm",),
               pages.counted(TIMM), "as fvcore, of networks that average by a plain mean"),
    Convention("macs without fused attention", "macs", ("timm",), _macs_without_attention),
    *(
        Convention(f"{tool.figure} of {tool.name}", "flops" if "FLOPs" in tool.figure else "macs",
                   _TOOL_SOURCES.get(tool.name, (tool.name,)), partial(_of_tool, tool=tool),
                   tool.meaning)
        for tool in TOOLS if tool.counts_products and tool.name not in _ELSEWHERE
    ),
    Convention("FLOPs of mmcv", "flops", ("MMPretrain",),
               partial(_without_classifier, count=by_module.mmcv),
               "as mmcv, of a network that ends with its features", "without classifier"),
    Convention("FLOPs of mmcv, layer norms of a class of its own", "flops", ("MMPretrain",),
               partial(_without_classifier, count=by_module.mmcv_without_layer_norm),
               "as mmcv, of a ConvNeXt: no layer norm, and its last average is a function",
               "without classifier"),
    Convention("FLOPs of fvcore", "flops", ("MMPretrain",),
               partial(_without_classifier, count=_FVCORE.count),
               "as fvcore, of a network that ends with its features", "without classifier"),
    *(
        Convention(f"BOPs, {text}", "flops", ("HAWQ",), partial(_bops, widths=parse_bits(text)),
                   "macs x bits of weight x bits of activation")
        for text in ("w32a32", "w8a8", "w4a4,first=8")
    ),
    Convention("2 x MACs of thop", "flops", ("thop",), partial(_of_tool, tool=_THOP, times=2)),
    Convention("2 x MACs of thop at 32x32, scaled", "flops", ("Ultralytics",),
               partial(_of_tool, tool=_THOP, times=2), square=32),
    Convention("params", "params",
               ("papers", "torchvision", "timm", "thop", "fvcore", "pycls", "MMPretrain"), _PARAMS,
               "parameters, batch norm's scale and shift included"),
    *_with_and_without_top("params and running statistics",
                           "params and the two running statistics of a channel",
                           counts.with_running_statistics, "MXNet", "PaddleClas"),
    *_with_and_without_top("params and running statistics of norms without scale",
                           "the same where batch norms have no scale",
                           counts.with_running_statistics_without_scale),
    *_with_and_without_top("params and running statistics, every convolution biased",
                           "the same where every convolution has a bias", counts.with_conv_bias),
    *_with_and_without_top("params and running statistics, convolutions before no norm biased",
                           "the same where a convolution before no norm has a bias",
                           counts.with_conv_bias_before_no_norm),
    Convention("running statistics", "params", ("Keras summary",), counts.running_statistics,
               "running means and variances alone"),
    Convention("weights and biases of conv and linear", "params",
               ("TF-slim", "MobileNet v2 paper"), counts.without_norm_params),
    Convention("params", "params", ("OpenVINO",), counts.with_folded_norms,
               "a bias a channel in place of batch norm's scale and shift", "batch norm folded"),
    Convention("params", "params", (), counts.without_top(_PARAMS), form="without classifier"),
    Convention("params without biases of convolutions", "params", ("osmr",),
               counts.without_conv_bias),
    Convention("activations", "activations", ("pycls", "timm"), counts.total("activations"),
               "output elements of conv and linear"),
    Convention("activations and max pooling", "activations", ("pycls",),
               counts.activations_and_max_pools, "output elements of conv, linear, max pooling"),
    Convention("depth", "layers", ("papers",), counts.total("depth"),
               "conv and linear layers on the longest path"),
    Convention("layers with weights", "layers", ("LeNet-5 paper",), counts.layers_with_weights,
               "layers that hold weights, fixed ones too"),
    Convention("receptive field", "receptive_field", ("TF-slim",), counts.receptive_field,
               "pixels a side that the value before the first global pooling or flatten sees"),
    Convention("connections", "connections", ("LeNet-5 paper",), counts.connections,
               "macs, biases, sub-sampling and prototypes"),
    Convention("layer outputs", "feature_memory", ("convnet-burden",), features.layer_outputs,
               "bytes of all layers' outputs, softmax included, ReLU in place; MB of 1024 x 1024"),
    Convention("layer outputs", "feature_memory", ("convnet-burden",),
               features.layer_outputs_without_response_norm,
               "of an import trained with batch norm, folded, for response norm",
               "response norm dropped"),
)  # fmt: skip
BY_KEY: Mapping[str, Convention] = MappingProxyType({one.key: one for one in CONVENTIONS})

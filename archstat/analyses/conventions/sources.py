"""What each source's pages mean by a quantity, and to how many digits they print it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple, Protocol

from archstat.analyses.conventions import Convention, Count, counts
from archstat.analyses.conventions.measures import BY_KEY, CONVENTIONS
from archstat.analyses.conventions.printed import Printed
from archstat.result import Report

# The only source that prints bytes divides them by 1024 twice, and writes MB.
SCALES = {"count": 1, "px": 1, "K": 10**3, "M": 10**6, "G": 10**9, "MB": 2**20}

# Where a source's way to count is written, as docs/conventions.md shows it.
WRITTEN_IN: Mapping[str, str] = MappingProxyType({
    "fvcore": "`fvcore/nn/jit_handles.py` of facebookresearch/fvcore",
    "timm": "`benchmark.py`: DeepSpeed where it is installed, else fvcore",
    "deepspeed": "`deepspeed/profiling/flops_profiler/profiler.py` of deepspeedai/DeepSpeed",
    "calflops": "`calflops/pytorch_ops.py` of MrYxJ/calculate-flops.pytorch",
    "thop": "`thop/vision/basic_hooks.py` of Lyken17/pytorch-OpCounter",
    "Ultralytics": "`utils/torch_utils.py` of ultralytics/yolov5",
    "ptflops": "`ptflops/pytorch_ops.py` and `aten_ops.py` of sovrasov/flops-counter.pytorch",
    "torchinfo": "`torchinfo/layer_info.py` of TylerYep/torchinfo",
    "torchprofile": "`torchprofile/handlers.py` of zhijian-liu/torchprofile",
    "torch FlopCounterMode": "`torch/utils/flop_counter.py` of pytorch/pytorch",
    "pycls": "`pycls/core/net.py` of facebookresearch/pycls",
    "mmcv": "`mmcv/cnn/utils/flops_counter.py` of open-mmlab/mmcv, version 1",
    "MMPretrain": "`tools/analysis_tools/get_flops.py`: from 1.0 fvcore on `extract_feat`, the "
    "network without its classifier, before that mmcv",
    "OpenVINO": "`model_analyzer/layer_provider.py` of openvinotoolkit/model_analyzer",
    "Keras": "`keras/src/utils/summary_utils.py`: trainable and other weights",
    "TensorFlow profiler": "`tensorflow/python/profiler/internal/flops_registry.py` of "
    "tensorflow/tensorflow",
    "PaddleClas": "`python/paddle/hapi/dynamic_flops.py` of PaddlePaddle/Paddle",
    "osmr": "`pytorch/model_stats.py` of osmr/imgclsmob",
    "HAWQ": "`model_zoo.md` of Zhen-Dong/HAWQ",
    "convnet-burden": "`core/burden.m` of albanie/convnet-burden",
})  # fmt: skip


class Figure(Protocol):
    """A printed figure: whose it is, of which quantity, and what the source calls the network."""

    @property
    def source(self) -> str: ...
    @property
    def quantity(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def unit(self) -> str: ...


class Rule(NamedTuple):
    """What a source means by a quantity; `model` and `variant` are patterns of the whole text.

    `decimals` is what the source prints to where it drops trailing zeros.
    """

    source: str
    quantity: str
    convention: str
    model: str = ".*"
    variant: str = ".*"
    cuts_off: bool = False
    decimals: int | None = None

    def holds(self, figure: Figure) -> bool:
        """Whether this rule is about a figure."""
        if (self.source, self.quantity) != (figure.source, figure.quantity):
            return False
        patterns = ((self.model, figure.model), (self.variant, figure.variant))
        return all(re.fullmatch(pattern, text) for pattern, text in patterns)

    @property
    def said(self) -> str:
        """The convention, and how it is printed where that is not by plain rounding."""
        to = "" if self.decimals is None else f", to {10**-self.decimals:g}"
        return f"{self.convention}{', cut off' if self.cuts_off else ''}{to}"

    def prints(self, report: Report, figure: Figure) -> bool:
        """Whether a figure is what this rule gives for a network."""
        exact = BY_KEY[self.convention].count(report)
        printed = _printed(figure, self.decimals)
        if self.cuts_off:
            return printed.value <= exact < printed.value + printed.step
        return printed.shows(exact) == "rounded"


def _printed(figure: Figure, decimals: int | None = None) -> Printed:
    scale = SCALES[figure.unit]
    places = len(figure.value.partition(".")[2]) if decimals is None else decimals
    return Printed(figure.value, Fraction(figure.value) * scale, Fraction(10) ** -places * scale)


def _of_keras() -> Iterator[Rule]:
    """What each network of keras-applications has, with and without its top."""
    source, no_top = "keras-applications", "keras-applications, include_top=False"
    networks = (
        ("params and running statistics of norms without scale", "InceptionV3|InceptionResNetV2"),
        ("params and running statistics, every convolution biased", r"ResNet\d+"),
        ("params and running statistics, convolutions before no norm biased", r"ResNet\d+V2"),
        ("params and running statistics", ".*"),
    )
    for convention, model in networks:
        yield Rule(source, "params", f"{convention}, without classifier", model, no_top)
        yield Rule(source, "params", convention, model)


_WITHOUT_NORM = "weights and biases of conv and linear"
RULES = (
    Rule("torchvision", "macs", "macs", decimals=3),
    Rule("timm", "params", "params", decimals=2),
    Rule("timm", "macs", "FLOPs of fvcore, averages of gates free", decimals=2),
    Rule("timm", "activations", "activations", decimals=2),
    Rule("osmr", "macs", "FLOPs/2 of imgclsmob, global pooling as 1x1", "EfficientNet.*"),
    Rule("osmr", "macs", "FLOPs/2 of imgclsmob"),
    Rule("osmr", "params", "params, batch norm folded", "WRN-50-2|wrn50_2"),
    Rule("osmr", "params", "params without biases of convolutions", r"BN-VGG-\d+|bn_vgg\d+"),
    Rule("ptflops", "macs", "MACs of ptflops", variant=".*pytorch backend"),
    Rule("ptflops", "macs", "MACs of ptflops_aten", variant=".*aten backend"),
    Rule("pycls", "activations", "activations and max pooling"),
    Rule("convnet-burden", "macs", "FLOPs of convnet-burden"),
    Rule("convnet-burden", "feature_memory", "layer outputs, response norm dropped", "alexnet"),
    Rule("convnet-burden", "feature_memory", "layer outputs"),
    Rule("receptive_field", "flops", "2 x macs of convolutions, bias, pooling"),
    *_of_keras(),
    Rule("Keras summary", "params", "running statistics", ".*non-trainable.*"),
    Rule("Keras summary", "params", "params and running statistics"),
    Rule("PyramidNet-PyTorch", "params", "params and running statistics", "ResNet-101"),
    Rule("LeNet-5 paper", "layers", "layers with weights"),
    Rule("ResNet paper", "macs", "macs", "ResNet-34|ResNet-50", cuts_off=True),
    Rule("ResNet paper", "macs", "macs of convolutions", "VGG-16"),
    Rule("ResNeXt paper", "params", _WITHOUT_NORM, "ResNeXt-29.*"),
    Rule("DenseNet paper", "params", _WITHOUT_NORM, "ResNet pre-activation.*"),
    Rule("PyramidNet repo", "params", _WITHOUT_NORM,
         r"PyramidNet-110 \((add|mul)\), alpha=(48|84|8)|PyramidNet-164 \(add\), alpha=270",
         cuts_off=True),
    Rule("PyramidNet repo", "params", _WITHOUT_NORM),
    Rule("AlexNet paper", "params", "params", cuts_off=True),
    Rule("MobileNet v1 paper", "macs", "2 x macs", "Squeezenet", decimals=-2),
    Rule("MobileNet v1 paper", "macs", "macs", "AlexNet", decimals=-1),
    Rule("MobileNet v1 paper", "params", "params", "AlexNet", cuts_off=True),
    Rule("MobileNet v1 paper", "macs", "macs of convolutions", "VGG 16", decimals=-2),
    Rule("MobileNet v1 paper", "macs", "macs", r"1\.0 MobileNet-160|0\.50 MobileNet-160",
         cuts_off=True),
    Rule("MobileNet v2 paper", "macs", "macs", "MobileNetV2", cuts_off=True),
    Rule("MobileNet v2 paper", "params", _WITHOUT_NORM, "MobileNetV2", cuts_off=True),
    Rule("MobileNet v3 paper", "macs", "macs", r"V2.*|V3-Small 1\.0", cuts_off=True),
    Rule("MobileNet v3 paper", "params", _WITHOUT_NORM, "V2.*", cuts_off=True),
    Rule("MobileNet v3 paper", "params", "params", r"V3-Large 1\.0", cuts_off=True),
    Rule("slim", "params", "params", r"mobilenet_v3_large_1\.0", cuts_off=True),
    Rule("slim", "params", _WITHOUT_NORM, "mobilenet_v2.*"),
    Rule("slim", "params", "params and running statistics of norms without scale",
         "mobilenet_v1.*"),
    Rule("slim", "macs", "macs", "mobilenet_v2.*", cuts_off=True),
    Rule("mobilenetv3.pytorch", "macs", "macs and one for each bias"),
    Rule("ShuffleNet v1 paper", "macs", "macs, without classifier", r"ShuffleNetV1 1x g=\d"),
    Rule("ShuffleNet v1 paper", "macs", "macs of convolutions", "VGG-16", decimals=-2),
    Rule("ShuffleNet v1 paper", "macs", "macs", "AlexNet", decimals=-1),
    Rule("ShuffleNet v2 paper", "macs", "macs", r"ResNet-50|1\.0 MobileNet v2", cuts_off=True),
    Rule("ShuffleNet-Series", "macs", "macs", "MobileNetV2", cuts_off=True),
    Rule("ShuffleNet-Series", "params", _WITHOUT_NORM, "MobileNetV2", cuts_off=True),
    Rule("SENet paper", "params", "params", "ShuffleNet 1x.*", cuts_off=True),
)  # fmt: skip
_ALIASES = {"params_trainable": "params"}
# Where a source counts parts of the rest for a variant of its own, what it may add: from, to.
_PARTS = (counts.total("macs"), counts.macs_and_all_else)
BANDS: Mapping[tuple[str, str], tuple[Count, Count]] = MappingProxyType({
    **dict.fromkeys((("timm", "macs"), ("osmr", "macs"), ("convnet-burden", "macs"),
                     ("SENet paper", "macs")), _PARTS),
    ("ptflops", "macs"): (counts.total("macs"), counts.macs_and_twice_all_else),
    ("receptive_field", "flops"): (counts.twice_macs_of_convolutions, counts.flops_without_linear),
})  # fmt: skip


def rule_of(figure: Figure) -> Rule:
    """What a figure's source means by it; by default the first convention of the quantity."""
    found = next((rule for rule in RULES if rule.holds(figure)), None)
    return found or Rule(figure.source, figure.quantity, _default(figure.quantity).key)


def _default(quantity: str) -> Convention:
    wanted = _ALIASES.get(quantity, quantity)
    return next(convention for convention in CONVENTIONS if convention.quantity == wanted)


def in_band(report: Report, figure: Figure) -> bool:
    """Whether a figure lies where its source's own variants of the network may be."""
    band = BANDS.get((figure.source, figure.quantity))
    if band is None:
        return False
    least, most = (count(report) for count in band)
    printed = _printed(figure)
    return least - printed.step / 2 <= printed.value <= most + printed.step / 2

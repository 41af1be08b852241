"""Which convention each source counts and prints by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from archstat.analyses.conventions import Convention
from archstat.analyses.conventions.counts import (
    activations_and_max_pools,
    connections,
    flops_without_linear,
    layers_with_weights,
    macs_and_all_else,
    macs_and_bias,
    macs_and_twice_all_else,
    macs_of_convolutions,
    macs_without_classifier,
    receptive_field,
    running_statistics,
    total,
    twice_macs,
    twice_macs_of_convolutions,
    with_conv_bias,
    with_conv_bias_before_no_norm,
    with_folded_norms,
    with_running_statistics,
    with_running_statistics_without_scale,
    without_conv_bias,
    without_norm_params,
    without_top,
)
from archstat.analyses.conventions.features import (
    layer_outputs,
    layer_outputs_without_response_norm,
)

_KERAS = (
    ("Keras", "params and the two running statistics of a channel", with_running_statistics),
    ("Keras, norm without scale", "as Keras, where batch norms have no scale",
     with_running_statistics_without_scale),
    ("Keras, conv with bias", "as Keras, where every convolution has a bias", with_conv_bias),
    ("Keras, some conv with bias", "as Keras, where a convolution before no norm has a bias",
     with_conv_bias_before_no_norm),
)  # fmt: skip
KERAS: Mapping[str, Convention] = {
    **{name: Convention(text, count) for name, text, count in _KERAS},
    **{
        f"{name}, without top": Convention(f"{text}, no linear layer counted", without_top(count))
        for name, text, count in _KERAS
    },
}
CONVENTIONS: Mapping[str, Convention] = MappingProxyType({
    "params": Convention("parameters, batch norm's scale and shift included", total("params")),
    "params to 2 decimals": Convention("params, to two decimals", total("params"), decimals=2),
    "params, cut off": Convention("params, further digits cut off", total("params"), "truncated"),
    **KERAS,
    "running statistics": Convention("running means and variances alone", running_statistics),
    "params without norm": Convention(
        "weights and biases of conv and linear alone", without_norm_params
    ),
    "params without norm, cut off": Convention(
        "weights and biases of conv and linear, further digits cut off",
        without_norm_params,
        "truncated",
    ),
    "params with folded norm": Convention(
        "a bias a channel in place of batch norm's scale and shift", with_folded_norms
    ),
    "params without conv bias": Convention(
        "params but for the biases of convolutions", without_conv_bias
    ),
    "macs": Convention("multiply-accumulates of conv, linear, attention", total("macs")),
    "macs to 3 decimals": Convention("macs, to three decimals", total("macs"), decimals=3),
    "macs, cut off": Convention("macs, further digits cut off", total("macs"), "truncated"),
    "macs with bias": Convention("macs and one for each bias added", macs_and_bias),
    "macs without classifier": Convention("macs but for the last layer", macs_without_classifier),
    "FLOPs/2": Convention(
        "macs plus a part of the rest (norm, activation, pooling, bias): from macs to flops - macs",
        total("macs"),
        ceiling=macs_and_all_else,
    ),
    "gmacs of timm": Convention(
        "as FLOPs/2, of a profiler and to two decimals: from macs to flops - macs",
        total("macs"),
        decimals=2,
        ceiling=macs_and_all_else,
    ),
    "macs with a part of the rest": Convention(
        "macs plus a part of norm, activation, pooling and bias: from macs to flops - macs",
        total("macs"),
        ceiling=macs_and_all_else,
    ),
    "macs with the rest, of ptflops": Convention(
        "macs plus norm, activation and pooling as its pytorch backend has them: at most twice",
        total("macs"),
        ceiling=macs_and_twice_all_else,
    ),
    "macs of convolutions, to hundreds": Convention(
        "macs of the convolutions alone, to two zeros", macs_of_convolutions, decimals=-2
    ),
    "macs of convolutions": Convention("macs of the convolutions alone", macs_of_convolutions),
    "macs to tens": Convention("macs, to one zero", total("macs"), decimals=-1),
    "2 x macs to hundreds": Convention(
        "two operations a multiply-accumulate, to two zeros", twice_macs, decimals=-2
    ),
    "2 x macs of convolutions": Convention(
        "two operations a multiply-accumulate of a convolution, plus a part of the rest",
        twice_macs_of_convolutions,
        ceiling=flops_without_linear,
    ),
    "activations": Convention("output elements of conv and linear", total("activations")),
    "activations to 2 decimals": Convention(
        "activations, to two decimals", total("activations"), decimals=2
    ),
    "activations with max pooling": Convention(
        "output elements of conv, linear and max pooling", activations_and_max_pools
    ),
    "depth": Convention("conv and linear layers on the longest path", total("depth")),
    "layers with weights": Convention("layers that hold weights, fixed ones too",
                                      layers_with_weights),
    "receptive field": Convention(
        "pixels a side that the value before the first global pooling or flatten sees",
        receptive_field,
    ),
    "connections": Convention("macs, biases, sub-sampling and prototypes", connections),
    "layer outputs": Convention(
        "bytes of all layers' outputs, softmax included, ReLU in place; MB of 1024 x 1024",
        layer_outputs,
    ),
    "layer outputs without response norm": Convention(
        "as layer outputs, of an import trained with batch norm, folded, for response norm",
        layer_outputs_without_response_norm,
    ),
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


class Rule(NamedTuple):
    """What a source means by a quantity; `model` and `variant` are patterns of the whole text."""

    source: str
    quantity: str
    convention: str
    model: str = ".*"
    variant: str = ".*"

    def holds(self, figure: Figure) -> bool:
        """Whether this rule is about a figure."""
        if (self.source, self.quantity) != (figure.source, figure.quantity):
            return False
        patterns = ((self.model, figure.model), (self.variant, figure.variant))
        return all(re.fullmatch(pattern, text) for pattern, text in patterns)


def keras_rules() -> Iterator[Rule]:
    """What each network of keras-applications has, with and without its top."""
    source, no_top = "keras-applications", "keras-applications, include_top=False"
    networks = (
        ("Keras, norm without scale", "InceptionV3|InceptionResNetV2"),
        ("Keras, conv with bias", r"ResNet\d+"),
        ("Keras, some conv with bias", r"ResNet\d+V2"),
        ("Keras", ".*"),
    )
    for convention, model in networks:
        yield Rule(source, "params", f"{convention}, without top", model, no_top)
        yield Rule(source, "params", convention, model)


RULES = (
    Rule("torchvision", "macs", "macs to 3 decimals"),
    Rule("timm", "params", "params to 2 decimals"),
    Rule("timm", "macs", "gmacs of timm"),
    Rule("timm", "activations", "activations to 2 decimals"),
    Rule("osmr", "macs", "FLOPs/2"),
    Rule("osmr", "params", "params with folded norm", "WRN-50-2|wrn50_2"),
    Rule("osmr", "params", "params without conv bias", r"BN-VGG-\d+|bn_vgg\d+"),
    Rule("ptflops", "macs", "macs with the rest, of ptflops",
         variant=".*pytorch backend"),
    Rule("ptflops", "macs", "macs with bias", variant=".*aten backend"),
    Rule("pycls", "activations", "activations with max pooling"),
    Rule("convnet-burden", "macs", "macs with a part of the rest"),
    Rule("convnet-burden", "feature_memory", "layer outputs without response norm", "alexnet"),
    Rule("convnet-burden", "feature_memory", "layer outputs"),
    Rule("SENet paper", "macs", "macs with a part of the rest", ".*(Res|Inception).*"),
    Rule("receptive_field", "flops", "2 x macs of convolutions"),
    *keras_rules(),
    Rule("Keras summary", "params", "running statistics", ".*non-trainable.*"),
    Rule("Keras summary", "params", "Keras"),
    Rule("PyramidNet-PyTorch", "params", "Keras", "ResNet-101"),
    Rule("LeNet-5 paper", "layers", "layers with weights"),
    Rule("ResNet paper", "macs", "macs, cut off", "ResNet-34|ResNet-50"),
    Rule("ResNet paper", "macs", "macs of convolutions", "VGG-16"),
    Rule("ResNeXt paper", "params", "params without norm", "ResNeXt-29.*"),
    Rule("DenseNet paper", "params", "params without norm", "ResNet pre-activation.*"),
    Rule("PyramidNet repo", "params", "params without norm, cut off",
         r"PyramidNet-110 \((add|mul)\), alpha=(48|84|8)|PyramidNet-164 \(add\), alpha=270"),
    Rule("PyramidNet repo", "params", "params without norm"),
    Rule("AlexNet paper", "params", "params, cut off"),
    Rule("MobileNet v1 paper", "macs", "2 x macs to hundreds", "Squeezenet"),
    Rule("MobileNet v1 paper", "macs", "macs to tens", "AlexNet"),
    Rule("MobileNet v1 paper", "params", "params, cut off", "AlexNet"),
    Rule("MobileNet v1 paper", "macs", "macs of convolutions, to hundreds", "VGG 16"),
    Rule("MobileNet v1 paper", "macs", "macs, cut off", r"1\.0 MobileNet-160|0\.50 MobileNet-160"),
    Rule("MobileNet v2 paper", "macs", "macs, cut off", "MobileNetV2"),
    Rule("MobileNet v2 paper", "params", "params without norm, cut off", "MobileNetV2"),
    Rule("MobileNet v3 paper", "macs", "macs, cut off", r"V2.*|V3-Small 1\.0"),
    Rule("MobileNet v3 paper", "params", "params without norm, cut off", "V2.*"),
    Rule("MobileNet v3 paper", "params", "params, cut off", r"V3-Large 1\.0"),
    Rule("slim", "params", "params, cut off", r"mobilenet_v3_large_1\.0"),
    Rule("slim", "params", "params without norm", "mobilenet_v2.*"),
    Rule("slim", "params", "Keras, norm without scale", "mobilenet_v1.*"),
    Rule("slim", "macs", "macs, cut off", "mobilenet_v2.*"),
    Rule("mobilenetv3.pytorch", "macs", "macs with bias"),
    Rule("ShuffleNet v1 paper", "macs", "macs without classifier", r"ShuffleNetV1 1x g=\d"),
    Rule("ShuffleNet v1 paper", "macs", "macs of convolutions, to hundreds", "VGG-16"),
    Rule("ShuffleNet v1 paper", "macs", "macs to tens", "AlexNet"),
    Rule("ShuffleNet v2 paper", "macs", "macs, cut off", r"ResNet-50|1\.0 MobileNet v2"),
    Rule("ShuffleNet-Series", "macs", "macs, cut off", "MobileNetV2"),
    Rule("ShuffleNet-Series", "params", "params without norm, cut off", "MobileNetV2"),
    Rule("SENet paper", "params", "params, cut off", "ShuffleNet 1x.*"),
)  # fmt: skip
DEFAULTS = {
    "params": "params",
    "params_trainable": "params",
    "macs": "macs",
    "activations": "activations",
    "layers": "depth",
    "connections": "connections",
    "receptive_field": "receptive field",
}


def convention_of(figure: Figure) -> str:
    """The name of the convention that a figure's source counts by."""
    rule = next((rule for rule in RULES if rule.holds(figure)), None)
    return rule.convention if rule else DEFAULTS[figure.quantity]

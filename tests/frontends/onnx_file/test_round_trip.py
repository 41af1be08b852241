"""What torch's own exporter writes has the figures of the model that it was written from."""

from __future__ import annotations

import pytest
import torch

from archstat import analyze, zoo

pytestmark = [
    pytest.mark.slow,
    # onnxscript's and torch's own; what they warn of has nothing to do with figures.
    pytest.mark.filterwarnings("ignore"),
]
SAME = ("params", "macs", "flops", "activations", "depth", "receptive_field", "unknown_ops")


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "shufflenet_v1",
        "squeezenet1_1",
        "ghostnet",
        "densenet121",
        "convnext_tiny",
    ],
)
def test_export_has_the_figures_of_the_network(name, tmp_path):
    pytest.importorskip("onnxscript")
    example = (torch.zeros(1, 3, 224, 224),)
    # Optimised, batch norm is folded into the convolutions, and parameters are fewer.
    torch.onnx.export(zoo.build(name).eval(), example, str(tmp_path / "m.onnx"), dynamo=True,
                      external_data=False, optimize=False, verbose=False)  # fmt: skip
    expected, found = analyze(name).totals, analyze(str(tmp_path / "m.onnx")).totals
    assert {key: found[key] for key in SAME} == {key: expected[key] for key in SAME}


TIMM = ("mnasnet_small", "nfnet_f0", "deit_tiny_patch16_224", "coat_tiny")
TORCHVISION = ("shufflenet_v2_x0_5", "swin_t")


@pytest.mark.parametrize(
    "spec", [*(f"timm:{name}" for name in TIMM), *(f"torchvision:{name}" for name in TORCHVISION)]
)
def test_export_of_a_library_has_the_products_and_parameters(spec, tmp_path, torchvision):
    pytest.importorskip("onnxscript")
    library, _, name = spec.partition(":")
    made = pytest.importorskip(library)
    build = made.create_model if library == "timm" else made.models.get_model
    net = build(name).eval()
    side = getattr(net, "default_cfg", {}).get("input_size", (3, 224, 224))
    torch.onnx.export(net, (torch.zeros(1, *side),), str(tmp_path / "m.onnx"), dynamo=True,
                      external_data=False, optimize=False, verbose=False)  # fmt: skip
    expected, found = analyze(net, input=side).totals, analyze(str(tmp_path / "m.onnx")).totals
    # The exporter writes some activations as several operators, so flops may differ.
    assert {key: found[key] for key in ("params", "macs")} == {
        key: expected[key] for key in ("params", "macs")
    }

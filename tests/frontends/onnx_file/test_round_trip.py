"""What torch's own exporters write has the figures of the model that it was written from."""

from __future__ import annotations

import pytest
import torch

from archstat import analyze, zoo

pytestmark = [
    pytest.mark.slow,
    # onnxscript's and torch's own; what they warn of has nothing to do with figures.
    pytest.mark.filterwarnings("ignore"),
]
# The older exporter takes seconds a network, the newer one many; both fold batch norm unless told.
OLDER = {
    "dynamo": False,
    "training": torch.onnx.TrainingMode.PRESERVE,
    "do_constant_folding": False,
}
NEWER = {"dynamo": True, "optimize": False, "verbose": False, "external_data": False}
SMALL, USUAL = 64, 224
OF_OLDER = {
    "zoo": "mobilenet_v1 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x1_0 squeezenet1_1 ghostnet "
           "efficientnet_b0 convnext_tiny googlenet regnet_y_400mf",
    "timm": "resnet10t efficientvit_b0 regnetx_002 mobilevit_xxs repvgg_a0 lcnet_050 convnext_atto "
            "edgenext_xx_small nfnet_f0",
    "torchvision": "shufflenet_v2_x0_5 regnet_x_400mf mnasnet0_5 fcn_resnet50 googlenet",
}  # fmt: skip
NETWORKS = {
    **{f"{library}:{name}": (SMALL, OLDER)
       for library, names in OF_OLDER.items() for name in names.split()},
    **dict.fromkeys(("timm:vit_tiny_patch16_224", "timm:levit_128s", "torchvision:alexnet"),
                    (USUAL, OLDER)),
    **dict.fromkeys(("zoo:resnet18", "zoo:shufflenet_v1", "torchvision:swin_t"), (SMALL, NEWER)),
}  # fmt: skip
# Heads of training alone, which an exporter of inference leaves out.
LEFT_OUT = {"torchvision:googlenet": ("aux1", "aux2")}
OF_ALL = ("params", "macs")
# Libraries write some activations in a way that exporters write as other operators.
OF_THE_ZOO = (*OF_ALL, "flops", "activations", "depth", "receptive_field", "unknown_ops")


def built(library, name):
    if library == "zoo":
        return zoo.build(name)
    made = pytest.importorskip(library)
    if library == "timm":
        return made.create_model(name)
    further = {"weights_backbone": None} if name.startswith("fcn") else {}
    return made.models.get_model(name, weights=None, **further)


def test_thirty_networks_are_exported():
    assert len(NETWORKS) == 30


@pytest.mark.parametrize("spec", NETWORKS)
def test_export_has_the_figures_of_the_network(spec, tmp_path, torchvision):
    pytest.importorskip("onnxscript")
    side, exporter = NETWORKS[spec]
    library, _, name = spec.partition(":")
    net = built(library, name).eval()
    with torch.no_grad():  # as after training: the older exporter writes equal tensors once
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point() and tensor.numel() < 10_000:
                tensor.uniform_()
    file = str(tmp_path / "net.onnx")
    torch.onnx.export(net, (torch.zeros(1, 3, side, side),), file, **exporter)
    expected, found = analyze(net, input=(3, side, side)).totals, analyze(file).totals
    heads = [getattr(net, head) for head in LEFT_OUT.get(spec, ())]
    left_out = sum(p.numel() for head in heads for p in head.parameters())
    keys = OF_THE_ZOO if library == "zoo" else OF_ALL
    wanted = {key: expected[key] for key in keys}
    assert {key: found[key] for key in keys} == {**wanted, "params": wanted["params"] - left_out}

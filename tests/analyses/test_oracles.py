"""Whole networks against counters that others wrote, where those are right."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archstat import zoo
from archstat.analyses.operations import operations
from archstat.analyses.parameters import parameters
from archstat.frontends.module import capture


def totals(net, *args):
    graph = capture(net, *args)
    return {**operations(graph).totals, **parameters(graph).totals}


def torch_macs(net, *args):
    """Half of what torch's own counter says: it adds two for a multiply-accumulate."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*args)
    return counter.get_total_flops() // 2


NETWORKS = ["alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "mobilenet_v1"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [1, 3])
def test_network_has_the_multiply_accumulates_that_torch_counts(name, batch):
    with torch.device("meta"):
        net = zoo.build(name).eval()
    image = torch.empty(batch, 3, 227, 227, device="meta")
    found = totals(net, image)
    assert found["macs"] == torch_macs(net, image)
    assert found["params"] == sum(p.numel() for p in net.parameters())
    assert found["buffers"] == sum(b.numel() for b in net.buffers())
    assert found["param_bytes"] == 4 * found["params"]
    assert found["unknown_ops"] == 0


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a skip that is concatenated."""

    def __init__(self):
        super().__init__()
        self.down, self.middle = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.up, self.head = nn.ConvTranspose2d(8, 4, 4, 2, 1, groups=2), nn.Conv2d(7, 2, 1)

    def forward(self, x):
        y = self.up(torch.relu(self.middle(self.down(x))))
        return self.head(torch.cat([x, y], 1))


def encoder():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


OTHERS = [
    ("u-net", UNet, (2, 3, 16, 16)),
    ("transformer", encoder, (2, 7, 16)),
    ("volumes", lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.ConvTranspose3d(4, 2, 2, 2)),
     (1, 2, 6, 6, 6)),
    ("signals", lambda: nn.Sequential(nn.Conv1d(2, 4, 5, 2, 2, 2), nn.ConvTranspose1d(4, 2, 3)),
     (1, 2, 40)),
    ("recurrent", lambda: nn.LSTM(8, 16, 2, bidirectional=True), (5, 2, 8)),
]  # fmt: skip


@pytest.mark.parametrize(("build", "shape"), [r[1:] for r in OTHERS], ids=[r[0] for r in OTHERS])
def test_module_has_the_multiply_accumulates_that_torch_counts(build, shape):
    with torch.device("meta"):
        net, x = build(), torch.empty(shape)
    # In training mode torch decomposes what it fuses in eval and then counts as nothing.
    assert totals(net, x)["macs"] == torch_macs(net.train(), x)


@st.composite
def stacks(draw):
    """A network of up to six layers that fit one another, and its input channels."""
    channels = first = draw(st.integers(1, 4))
    layers = []
    for _ in range(draw(st.integers(1, 6))):
        after = draw(st.integers(1, 6))
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        choice = draw(st.sampled_from(["conv", "depthwise", "transposed", "norm", "act", "pool"]))
        if choice == "conv":
            layers.append(nn.Conv2d(channels, after, kernel, stride, kernel, device="meta"))
            channels = after
        elif choice == "depthwise":
            layers.append(nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels,
                                    bias=draw(st.booleans()), device="meta"))  # fmt: skip
        elif choice == "transposed":
            layers.append(nn.ConvTranspose2d(channels, after, kernel, stride, device="meta"))
            channels = after
        elif choice == "norm":
            layers.append(nn.BatchNorm2d(channels, device="meta"))
        elif choice == "act":
            layers.append(nn.ReLU(inplace=draw(st.booleans())))
        else:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3, device="meta")]
    return nn.Sequential(*layers).eval(), first


@settings(max_examples=60, deadline=None)
@given(stacks(), st.integers(1, 2))
def test_random_stack_has_the_multiply_accumulates_and_parameters_that_torch_counts(stack, batch):
    net, channels = stack
    image = torch.empty(batch, channels, 9, 11, device="meta")
    found = totals(net, image)
    assert found["macs"] == torch_macs(net, image)
    assert found["params"] == sum(p.numel() for p in net.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: zoo.build("resnet18"), (1, 3, 64, 64)),
        (lambda: zoo.build("mobilenet_v1", width=0.25), (1, 3, 64, 64)),
        (UNet, (2, 3, 16, 16)),
    ],
    ids=["resnet18", "mobilenet", "u-net"],
)
def test_convolutions_and_linear_layers_are_those_that_fvcore_counts(build, shape):
    from fvcore.nn import FlopCountAnalysis, parameter_count

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    net, x = build().eval(), torch.rand(shape)
    theirs = FlopCountAnalysis(net, x).unsupported_ops_warnings(False).by_operator()
    found = totals(net, x)
    assert found["macs"] == theirs["conv"] + theirs["linear"]
    assert found["params"] == parameter_count(net)[""]

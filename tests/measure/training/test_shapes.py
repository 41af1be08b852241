"""Every shape rule against torch's own meta kernels, over the ops of whole training steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from archstat import zoo
from archstat.frontends.trees import tensors
from archstat.measure.training import kernels, loss, mode, shapes


class Comparing(TorchDispatchMode):
    """Runs torch's own kernel and compares what a rule says; keeps the rules that spoke."""

    def __init__(self):
        super().__init__()
        self.spoke = set()
        self.faults = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        target, rule, *_ = mode._handler(func)
        made = rule(args, kwargs) if rule is not None else None
        result = func(*args, **kwargs)
        if made is not None:
            self.spoke.add(target)
            pairs = list(zip(tensors(result), tensors(made), strict=True))
            told = sizes if target == "aten.convolution.default" else facts
            if any(told(a) != told(b) for a, b in pairs):
                self.faults.append((target, [(facts(a), facts(b)) for a, b in pairs]))
        return result


def sizes(x):
    """All but the memory format, which kernels of devices take over and those of meta do not."""
    return tuple(x.shape), x.dtype, x.untyped_storage().nbytes()


def facts(x):
    if x.untyped_storage().nbytes() <= 8:
        return tuple(x.shape), x.dtype
    # the step along an axis of one element means nothing
    steps = [step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1]
    return tuple(x.shape), x.dtype, steps, x.untyped_storage().nbytes()


def compared(net, *shape, dtype=torch.float32, amp=False):
    net = net.to("meta", dtype).train()
    x = torch.empty(shape, device="meta", dtype=dtype)
    with Comparing() as seen:
        with kernels.DeviceKernels("cuda" if amp else "cpu", amp):
            outputs = loss.differentiable("net", net(x))
            total = loss.loss_of(outputs, loss.targets_for(outputs))
        torch.autograd.backward(total)
    return seen


class Functions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(10)

    def forward(self, x):
        x = self.norm(self.first(x))
        f = nn.functional
        for function in (f.hardswish, f.hardsigmoid, f.sigmoid, f.tanh, f.silu, f.gelu, f.relu6,
                         f.leaky_relu, f.relu, f.softmax):  # fmt: skip
            x = x + (function(x, dim=1) if function is f.softmax else function(x))
        corner = x[:, :, 0:1, 0:1]
        x = f.adaptive_avg_pool2d(f.avg_pool2d(f.max_pool2d(x, 2), 2), 2) * x.mean() - corner
        return x.contiguous().clone() + f.dropout(-x) + torch.zeros_like(x)


NETS = {
    "functions": (Functions, (2, 3, 12, 12)),
    "resnet18": (lambda: zoo.build("resnet18"), (2, 3, 64, 64)),
    "mobilenet_v3_large": (lambda: zoo.build("mobilenet_v3_large"), (2, 3, 64, 64)),
    "shufflenet_v2_x1_0": (lambda: zoo.build("shufflenet_v2_x1_0"), (2, 3, 64, 64)),
    "googlenet": (lambda: zoo.build("googlenet"), (2, 3, 64, 64)),
    "densenet": (lambda: zoo.build("densenet_40_k12_cifar10"), (2, 3, 32, 32)),
    "convnext_tiny": (lambda: zoo.build("convnext_tiny"), (2, 3, 64, 64)),
    "vit_b_16": (lambda: zoo.build("vit_b_16"), (1, 3, 224, 224)),
}


@pytest.mark.parametrize("name", NETS)
def test_rules_say_what_torch_makes(name):
    build, shape = NETS[name]
    seen = compared(build(), *shape)
    assert seen.spoke
    assert seen.faults == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_rules_say_what_torch_makes_in_other_dtypes(dtype):
    seen = compared(NETS["functions"][0](), 2, 3, 12, 12, dtype=dtype)
    assert seen.spoke
    assert seen.faults == []


def test_rules_say_what_torch_makes_under_autocast():
    seen = compared(zoo.build("resnet18"), 2, 3, 64, 64, amp=True)
    assert {"aten.native_batch_norm.default", "aten._to_copy.default"} <= seen.spoke
    assert seen.faults == []


def test_every_rule_is_held_against_torch():
    optimizers = {"aten.sqrt.default"}
    # The kernels of recurrent layers are held in tests/frontends/test_recurrent.py.
    recurrent = {name for name in shapes.RULES if "_rnn" in name}
    spoke = optimizers | recurrent
    for build, shape in NETS.values():
        spoke |= compared(build(), *shape).spoke
    spoke |= compared(zoo.build("resnet18"), 2, 3, 64, 64, amp=True).spoke
    assert set(shapes.RULES) - spoke == set()


def test_channels_last_is_left_to_torch():
    grad = torch.empty(2, 3, 4, 4, device="meta").to(memory_format=torch.channels_last)
    rule = shapes.RULES["aten.threshold_backward.default"]
    assert rule(grad, grad, 0) is None
    assert rule(grad.contiguous(), grad.contiguous(), 0) == (((2, 3, 4, 4), torch.float32),)

"""Hooks: what they return replaces, what they compute belongs to the call, and they stay put."""

from __future__ import annotations

import torch
from torch import nn

from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.second(self.first(x))


def test_value_that_a_forward_hook_returns_replaces_the_output(unchanged):
    net = Two()
    net.first.register_forward_hook(lambda module, inputs, output: output[:, :, ::2].clone())
    with unchanged(net):
        graph = capture(net, IMAGE)
    assert [op.name for op in graph.ops] == ["convolution", "slice", "clone", "convolution"]
    assert graph.values[graph.outputs[0]].shape == (1, 2, 4, 8)
    assert graph.calls[1].outputs == graph.ops[2].outputs == graph.calls[2].inputs


def test_op_inside_a_hook_belongs_to_the_hooked_module():
    net = Two()
    net.first.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    net.first.register_forward_hook(lambda module, inputs, output: output + 1)
    graph = capture(net, IMAGE)
    assert [(op.name, op.module) for op in graph.ops] == [
        ("mul", "first"),
        ("convolution", "first"),
        ("add", "first"),
        ("convolution", "second"),
    ]
    assert (graph.calls[1].first, graph.calls[1].last) == (0, 3)


def test_hook_with_keywords_may_change_them(as_module):
    inner = as_module(lambda x, *, scale: x * scale)
    inner.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 3}), with_kwargs=True)
    graph = capture(as_module(lambda x: inner(x, scale=2), inner=inner), IMAGE)
    assert graph.ops[0].attributes["other"] == 3


def test_hook_that_keeps_an_output_keeps_its_storage_alive():
    net, kept = Two(), []
    net.first.register_forward_hook(lambda module, inputs, output: kept.append(output))
    graph = capture(net, IMAGE)
    assert graph.storages[graph.values[graph.ops[0].outputs[0]].storage].released is None
    assert kept[0].is_meta


def test_hook_that_returns_nothing_leaves_the_output():
    net, seen = Two(), []
    net.first.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    graph = capture(net, IMAGE)
    assert seen == [(1, 4, 8, 8)]
    assert graph.calls[1].outputs == graph.ops[0].outputs


def test_hooks_for_every_module_run_and_stay(unchanged):
    net, seen = Two(), []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: seen.append(type(module).__name__)
    )
    try:
        capture(net, IMAGE)
    finally:
        handle.remove()
    assert seen == ["Conv2d", "Conv2d", "Two"]


def test_hook_that_removes_itself_is_back_and_its_handle_still_removes_it(unchanged):
    net, seen = Two(), []

    def once(module, inputs, output):
        seen.append(1)
        handle.remove()

    handle = net.first.register_forward_hook(once)
    with unchanged(net):
        capture(net, IMAGE)
    assert seen == [1]
    assert len(net.first._forward_hooks) == 1
    handle.remove()
    assert len(net.first._forward_hooks) == 0


def test_hook_that_forward_registers_is_gone_afterwards(as_module, unchanged):
    conv = nn.Conv2d(3, 4, 1)

    def registering(x):
        conv.register_forward_hook(lambda module, inputs, output: output * 2)
        return conv(x)

    net = as_module(registering, conv=conv)
    with unchanged(net):
        graph = capture(net, IMAGE)
    assert [op.name for op in graph.ops] == ["convolution", "mul"]


def test_backward_hooks_do_not_disturb(unchanged):
    net = Two()
    net.first.register_full_backward_hook(lambda module, before, after: None)
    net.second.register_full_backward_pre_hook(lambda module, gradient: None)
    with unchanged(net):
        graph = capture(net, IMAGE)
    assert [op.kind for op in graph.ops if op.kind == "conv"] == ["conv", "conv"]

"""Paths of modules and of their tensors: shared ones under every path, cycles once."""

from __future__ import annotations

import torch
from torch import nn

from archstat.frontends.trees import module_paths, tensor_paths


def of_parameters(root):
    return tensor_paths((module._parameters, paths) for module, paths in module_paths(root))


def test_parents_come_before_children_in_the_order_of_the_tree():
    net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh()), nn.SiLU())
    assert [paths for _, paths in module_paths(net)] == [[""], ["0"], ["0.0"], ["0.1"], ["1"]]


def test_shared_module_has_all_its_paths_and_its_children_one():
    inner = nn.Sequential(nn.ReLU())
    net = nn.Sequential(inner, nn.Tanh(), inner)
    assert [paths for _, paths in module_paths(net)] == [[""], ["0", "2"], ["0.0"], ["1"]]


def test_cycle_ends():
    net = nn.Sequential(nn.Sequential())
    net[0].add_module("back", net)
    assert [paths for _, paths in module_paths(net)] == [["", "0.back"], ["0"]]


def test_missing_child_and_missing_tensor_have_no_path():
    net = nn.Sequential(nn.Linear(2, 3, bias=False))
    net[0].register_module("none", None)
    assert [paths for _, paths in module_paths(net)] == [[""], ["0"]]
    assert [paths for _, paths in of_parameters(net)] == [["0.weight"]]


def test_tied_tensor_has_the_paths_of_every_owner():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    found = of_parameters(net)
    assert [paths for _, paths in found] == [["0.weight", "1.weight"], ["0.bias"], ["1.bias"]]
    assert found[0][0] is net[0].weight


def test_tensor_of_a_shared_module_has_each_path_of_the_module():
    layer = nn.Linear(2, 2, bias=False)
    assert [paths for _, paths in of_parameters(nn.Sequential(layer, layer))] == [
        ["0.weight", "1.weight"]
    ]


def test_tensor_of_the_root_has_a_bare_name():
    root = nn.Module()
    root.scale = nn.Parameter(torch.ones(2))
    assert [paths for _, paths in of_parameters(root)] == [["scale"]]


def test_lazy_tensors_are_left_out():
    assert of_parameters(nn.LazyLinear(3)) == []
    norm = nn.LazyBatchNorm2d()
    known = tensor_paths([(norm._buffers, ["norm"])])
    assert [paths for _, paths in known] == [["norm.num_batches_tracked"]]

"""The tree of modules: what is folded, how deep it goes, which window a layer has."""

from __future__ import annotations

import pytest
from torch import nn

import archstat
from archstat.analyses import COLUMNS
from archstat.tables.module_tree import fitting_depth, folded, module_tree, walk
from archstat.tables.summary import KNOWN_ADDITIVE

KEYS = [column.key for column in KNOWN_ADDITIVE if column in COLUMNS]


def tree(model, shape=None):
    return module_tree(archstat.analyze(model, input=shape), KEYS)


def labels(root, depth=None):
    return [node.label for node, _ in walk(root, depth) if node.path]


def test_one_map_convolutions_of_lenet_are_folded():
    found = labels(folded(tree("lenet5")))
    # Of the 16 maps 6 see three maps below, 9 see four, and one sees all six.
    assert [label for label in found if label.endswith(("x6", "x9")) or label == "15 Conv2d"] == [
        "0..5 Conv2d x6", "6..14 Conv2d x9", "15 Conv2d"]  # fmt: skip


def test_equal_blocks_are_folded_and_what_is_inside_stands_once():
    root = folded(tree("resnet50"))
    found = labels(root)
    assert [label for label in found if "Bottleneck" in label] == [
        "0 Bottleneck", "1..2 Bottleneck x2", "0 Bottleneck", "1..3 Bottleneck x3",
        "0 Bottleneck", "1..5 Bottleneck x5", "0 Bottleneck", "1..2 Bottleneck x2"]  # fmt: skip
    assert sum(label.startswith("conv1 Conv2d") for label in found) == 1 + 8


def test_alike_modules_that_are_no_neighbours_stay_apart():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    assert labels(folded(tree(model, (4, 8, 8)))) == ["0 Conv2d", "1 ReLU", "2 Conv2d", "3 ReLU"]


def test_modules_of_other_shapes_stay_apart():
    model = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(3)))
    assert len(labels(folded(tree(model, (4, 8, 8))))) == 3


def test_equal_modules_within_equal_blocks_are_folded_too():
    def block():
        return nn.Sequential(nn.ReLU(), nn.ReLU(), nn.Conv2d(4, 4, 1))

    found = labels(folded(tree(nn.Sequential(block(), block(), block()), (4, 8, 8))))
    assert found == ["0..2 Sequential x3", "0..1 ReLU x2", "2 Conv2d"]


def test_numbered_names_are_shortened():
    layers = {f"layer_{n}": nn.ReLU() for n in range(12)}
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    assert labels(folded(tree(model, (4, 8, 8)))) == ["layer_0..11 ReLU x12"]


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v3_small", "googlenet"])
def test_folding_loses_no_figure(name):
    whole = tree(name)
    root = folded(whole)
    for node, _ in walk(root, None):
        for key in KEYS:
            assert node.total[key] == node.own.get(key, 0) + sum(
                child.total[key] for child in node.children)  # fmt: skip
    assert root.total == whole.total


def test_depth_is_the_most_that_fits_and_at_least_one():
    root = folded(tree("resnet50"))
    levels = root.height
    assert levels == 4
    for depth in range(1, levels + 1):
        rows = len(list(walk(root, depth)))
        assert fitting_depth(root, rows) == depth
        assert fitting_depth(root, rows - 1) == max(1, depth - 1)
    assert fitting_depth(root, -5) == 1


def test_kernel_shows_window_and_stride_of_a_layer_alone():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, (1, 7)), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=(2, 1)), nn.ReLU())  # fmt: skip
    kernels = [node.kernel for node, _ in walk(tree(model, (3, 64, 64)), None)]
    assert kernels == ["", "3x3/2", "1x7", "2x2/2", "3x3/2x1", ""]


def test_input_is_that_of_the_first_call():
    nodes = {node.path: node for node, _ in walk(tree("resnet18"), None)}
    assert nodes["conv2_x"].input == "1x64x56x56"
    assert nodes["conv2_x.0.conv1"].input == "1x64x56x56"


class Moves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, images):
        return self.conv(images).transpose(2, 3).contiguous()


def test_row_of_functional_ops_that_only_move_data_names_them():
    assert labels(tree(Moves(), (3, 8, 8))) == ["conv Conv2d", "transpose, clone"]

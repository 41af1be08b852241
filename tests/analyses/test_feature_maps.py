"""The elements of every map: those of CS231n's table of VGG-16, and what counts as one."""

from __future__ import annotations

import torch
from torch import nn

import archstat
from archstat.analyses.feature_maps import feature_maps, with_feature_maps
from archstat.tables.summary import summary

# memory of each line of the table, https://cs231n.github.io/convolutional-networks/
VGG16 = (
    *(224 * 224 * 3, 224 * 224 * 64, 224 * 224 * 64, 112 * 112 * 64),
    *(112 * 112 * 128, 112 * 112 * 128, 56 * 56 * 128),
    *(56 * 56 * 256, 56 * 56 * 256, 56 * 56 * 256, 28 * 28 * 256),
    *(28 * 28 * 512, 28 * 28 * 512, 28 * 28 * 512, 14 * 14 * 512),
    *(14 * 14 * 512, 14 * 14 * 512, 14 * 14 * 512, 7 * 7 * 512),
    *(4096, 4096, 1000),
)


def test_maps_of_vgg16_are_those_of_the_table():
    table = summary(with_feature_maps(archstat.analyze("vgg16")))
    rows = {row["module"]: row["own_feature_maps"] for row in table.records()}
    # torch has an adaptive pooling of 7x7 to 7x7 that the table does not have.
    assert rows.pop("pool") == 7 * 7 * 512
    assert [number for number in rows.values() if number] == list(VGG16)


def test_total_has_the_input():
    graph = archstat.analyze("vgg16").graph
    assert feature_maps(graph).totals["feature_maps"] == sum(VGG16) + 7 * 7 * 512


def test_input_belongs_to_the_root_also_where_the_root_computes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(x) + x

    table = summary(with_feature_maps(archstat.analyze(Net(), input=(3, 8, 8))))
    rows = {row["module"]: row["own_feature_maps"] for row in table.records()}
    assert rows == {"": 3 * 8 * 8, "conv": 3 * 8 * 8, "(functional)": 3 * 8 * 8}


def test_activations_views_and_sums_in_place_make_no_map():
    class Net(nn.Module):
        def forward(self, x):
            y = (x * 2).relu()
            y += 1
            return y.flatten(1).sigmoid()

    graph = archstat.capture(Net(), torch.zeros(1, 3, 8, 8))
    assert feature_maps(graph).totals["feature_maps"] == 2 * 3 * 8 * 8

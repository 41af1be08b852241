"""Which network, and which of its modules, stands for each end point of the published table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import archstat
from archstat.analyses.field import FieldRow, Fields


class Network(NamedTuple):
    """A spec or a list of layers, its modules by end point, and whether it pads as TF pads."""

    spec: str
    modules: Mapping[str, str]
    pads_as_tf: bool = False
    is_list: bool = False

    def text(self, resolution: str) -> str:
        """The spec at a resolution, or the list of layers, as a command takes it."""
        if self.is_list:
            return f"--layers {self.spec}"
        return f"{self.spec},resolution={resolution}" if resolution else self.spec

    def row(self, end_point: str, resolution: str) -> FieldRow:
        """The receptive field of an end point; of the whole network where it has no module."""
        fields = _fields(self, resolution)
        module = self.modules.get(end_point)
        if module is None:
            return fields.final
        if self.is_list:
            return next(row for row in fields.rows if row.module == module)
        call = [call for call in fields.graph.calls if call.module == module][-1]
        row = fields.of_value(call.outputs[0])
        assert row is not None
        return row


@cache
def _fields(network: Network, resolution: str) -> Fields:
    if network.is_list:
        graph = archstat.layers(network.spec)
    else:
        graph = archstat.analyze(network.text(resolution)).graph
    return archstat.receptive_field(graph)


def _numbered(names: str, places: str) -> dict[str, str]:
    return dict(zip(names.split(), places.split(), strict=True))


_VGG = (
    "conv1/conv1_1 pool1 conv2/conv2_1 pool2 conv3/conv3_1 conv3/conv3_2 pool3 conv4/conv4_1 "
    "conv4/conv4_2 pool4 conv5/conv5_1 conv5/conv5_2 pool5"
)
_INCEPTION = (
    "Conv2d_1a_7x7 MaxPool_2a_3x3 Conv2d_2b_1x1 Conv2d_2c_3x3 MaxPool_3a_3x3 Mixed_3b Mixed_3c "
    "Mixed_4a Mixed_4b Mixed_4c Mixed_4d Mixed_4e Mixed_5a Mixed_5b Mixed_5c"
)


class _Hashable(dict[str, str]):
    """A mapping that a cache may take as a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _network(
    spec: str, modules: dict[str, str], *, pads_as_tf: bool = False, is_list: bool = False
) -> Network:
    return Network(spec, _Hashable(modules), pads_as_tf, is_list)


def _blocks(model: str) -> dict[str, str]:
    return {f"{model}/block{n}": f"conv{n + 1}_x" for n in (1, 2, 3, 4)}


NETWORKS: Mapping[str, Network] = MappingProxyType({
    "alexnet_v2": _network(
        "11x11/4p0,max3x3/2p0,5x5,max3x3/2p0,3x3*3,max3x3/2p0",
        _numbered(
            "alexnet_v2/conv1 alexnet_v2/pool1 alexnet_v2/conv2 alexnet_v2/conv3 "
            "alexnet_v2/conv4 alexnet_v2/conv5 alexnet_v2/pool5", "1 2 3 5 6 7 8",
        ),
        pads_as_tf=True, is_list=True,
    ),
    "vgg_16": _network("vgg16", {
        f"vgg_16/{name}": f"features.{place}"
        for name, place in _numbered(_VGG, "0 4 5 9 10 12 16 17 19 23 24 26 30").items()
    }, pads_as_tf=True),
    "inception_v2-no-separable-conv": _network("inception_v2", _numbered(
        _INCEPTION,
        "conv1.0 pool1 reduce2 conv2 pool2 inception3a inception3b inception3c inception4a "
        "inception4b inception4c inception4d inception4e inception5a inception5b",
    )),
    "mobilenet_v1": _network("mobilenet_v1", {
        "Conv2d_0": "features.0",
        **{f"Conv2d_{n}_pointwise": f"features.{n + 2}" for n in range(1, 14)},
    }),
    "resnet_v1_50": _network("resnet50,layout=slim", _blocks("resnet_v1_50"), pads_as_tf=True),
    "resnet_v2_50": _network(
        "preact_resnet50,layout=slim", _blocks("resnet_v2_50"), pads_as_tf=True
    ),
    "test network 1: 1x1/4 + (pad1 -> 3x3/2 -> 1x1/2), add": _network(
        "(1x1/4p0|3x3/2p1,1x1/2p0)", {}, pads_as_tf=True, is_list=True
    ),
    "test network 5 (x): 3x5/2 then 3x1/2, x direction": _network(
        "3x5/2p0,3x1/2p0", {}, pads_as_tf=True, is_list=True
    ),
    "test network 5 (y)": _network("3x5/2p0,3x1/2p0", {}, pads_as_tf=True, is_list=True),
    "test network 8: two stacked two-path adds": _network(
        "(1x1/4p0|3x3/2p1,1x1/2p0),(1x1/2p0|3x3/2p1)", {}, pads_as_tf=True, is_list=True
    ),
})  # fmt: skip

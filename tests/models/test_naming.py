"""What tables call networks, and the specs that may be meant."""

from __future__ import annotations

import pytest

from archstat import zoo
from archstat.models.naming import specs_named


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("ResNet-50", "resnet50"),
        ("resnet50_8xb32_in1k", "resnet50"),
        ("ResNet50_Weights.IMAGENET1K_V1", "resnet50"),
        ("RegNetX-3.2GF", "regnet_x_3_2gf"),
        ("RegNetX-32GF", "regnet_x_32gf"),
        ("ResNeXt-50 (32x4d)", "resnext50_32x4d"),
        ("ResNet-50 (ours)", "resnet50"),
        ("shufflenet-v2-1x", "shufflenet_v2_x1_0"),
        ("ShuffleNetV2 1.0x", "shufflenet_v2_x1_0"),
        ("SqueezeNet v1.1", "squeezenet1_1"),
        ("MobileNet V2 1.4 224", "mobilenet_v2,width=1.4,resolution=224"),
        ("ViT-B/16", "vit_b_16"),
        ("mobilenet_v2,width=1.4", "mobilenet_v2,width=1.4"),
        ("torchvision:alexnet", "torchvision:alexnet"),
    ],
)
def test_name_means_a_spec(name, spec):
    assert spec in specs_named(name)


@pytest.mark.parametrize("name", ["", "foo", "ResNet", "50", "mobilenet 9.5"])
def test_name_of_nothing_means_nothing(name):
    assert specs_named(name) == ()


def test_every_network_of_the_zoo_is_known_by_its_name():
    names = [name for name, entry in zoo.catalogue().items() if entry.category != "block"]
    assert [name for name in names if name not in specs_named(name)] == []

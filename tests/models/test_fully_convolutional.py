"""Classifiers as convolutions: equal outputs at the native size, scores of crops at a larger."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archstat import zoo
from archstat.errors import SpecError
from archstat.frontends.module import capture
from archstat.models.fully_convolutional import FullyConvolutional, convolution_of


class Vgg(nn.Sequential):
    """VGG-16's plan at small widths, without padding: crops and the one pass see the same."""

    def __init__(self, padding=0, pool=None):
        features, channels = [], 3
        for width, depth in ((4, 2), (6, 2), (8, 2)):
            for _ in range(depth):
                features += [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU()]
                channels = width
            features.append(nn.MaxPool2d(2))
        self.side = 3 if padding == 0 else 6
        hidden = [nn.Linear(8 * self.side**2, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)]
        super().__init__(*features, *([pool] if pool else []), nn.Flatten(), *hidden)


class Functional(nn.Module):
    """A classifier whose forward flattens and pools by itself, with a gate that does so, too."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.gate = nn.Linear(8, 8)
        self.body = nn.Conv2d(8, 8, 3, stride=2)
        self.fc = nn.Linear(8 * 49 if how in ("view", "reshape") else 8, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        x = F.relu(self.body(x * gate.view(-1, 8, 1, 1)))
        if self.how == "mean":
            x = x.mean([2, 3])
        elif self.how == "pool":
            x = torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1)
        elif self.how == "avg_pool2d":
            x = F.avg_pool2d(x, 7).reshape(x.shape[0], -1)
        elif self.how == "view":
            x = x.view(x.size(0), -1)
        else:
            x = x.reshape(-1, 8 * 49)
        return self.fc(F.dropout(x, training=self.training))


def converted(network, side):
    """A network in double precision and its convolutional form."""
    network = network.double().eval()
    graph = capture(network, torch.empty(1, 3, side, side, dtype=torch.float64))
    return network, FullyConvolutional(graph)(network)


def images(side, count=2):
    torch.manual_seed(0)
    return torch.randn(count, 3, side, side, dtype=torch.float64)


def assert_equal_at(network, made, side):
    with torch.no_grad():
        given, maps = network(images(side)), made(images(side))
    assert maps.shape == (*given.shape, 1, 1)
    assert given.std() > 0
    torch.testing.assert_close(maps[:, :, 0, 0], given, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("resnet18", 64, {"num_classes": 7}),
        ("squeezenet1_1", 64, {"num_classes": 7}),
        *(
            pytest.param(name, side, {"num_classes": 7}, marks=pytest.mark.slow)
            for name, side in (
                ("mobilenet_v3_small", 64),
                ("densenet121", 64),
                ("alexnet", 227),
                ("vgg11", 224),
            )
        ),
    ],
)
def test_zoo_network_gives_the_same_scores(name, side, options):
    network = zoo.build(name, **options)
    assert_equal_at(*converted(network, side), side)


def test_lenet_gives_the_same_scores():
    network = zoo.build("lenet5_modern").double().eval()
    graph = capture(network, torch.empty(1, 1, 32, 32, dtype=torch.float64))
    image = images(32)[:, :1]
    with torch.no_grad():
        maps = FullyConvolutional(graph)(network)(image)
        torch.testing.assert_close(maps[:, :, 0, 0], network(image))


@pytest.mark.parametrize("how", ["mean", "pool", "avg_pool2d", "view", "reshape"])
def test_forward_that_flattens_by_itself(how):
    network, made = converted(Functional(how), 31)
    assert_equal_at(network, made, 31)
    with torch.no_grad():
        assert made(images(47)).shape == (2, 5, 5, 5)
        assert network(images(31)).shape == (2, 5)


def test_score_at_each_place_is_the_crops():
    network, made = converted(Vgg(), 52)
    assert_equal_at(network, made, 52)
    image, stride = images(84, count=1), 8
    with torch.no_grad():
        maps = made(image)
        assert maps.shape == (1, 5, 5, 5)
        for down, across in ((0, 0), (1, 3), (4, 4), (2, 0)):
            top, left = stride * down, stride * across
            crop = image[:, :, top : top + 52, left : left + 52]
            torch.testing.assert_close(maps[:, :, down, across], network(crop))


@pytest.mark.parametrize("cells", [6, 3, 2, 1])
def test_adaptive_pooling_slides_as_on_crops(cells):
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(cells)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), pool, nn.Flatten(), nn.Linear(4 * cells**2, 5))
    network, made = converted(network, 8)
    assert_equal_at(network, made, 8)
    image = images(11, count=1)
    with torch.no_grad():
        maps = made(image)
        assert maps.shape == (1, 5, 4, 4)
        for place in range(4):
            crop = image[:, :, place : place + 8, 1:9]
            torch.testing.assert_close(maps[:, :, place, 1], network(crop))


def test_given_network_is_not_touched_and_weights_are_shared():
    network = Vgg().eval()
    before = {name: id(value) for name, value in network.state_dict(keep_vars=True).items()}
    graph = capture(network, torch.empty(1, 3, 52, 52))
    made = FullyConvolutional(graph)(network)
    assert before == {n: id(v) for n, v in network.state_dict(keep_vars=True).items()}
    assert [type(module) for module in network][-5:-3] == [nn.Flatten, nn.Linear]
    kinds = [type(module) for module in made][-5:]
    assert kinds == [nn.Identity, nn.Conv2d, nn.ReLU, nn.Dropout, nn.Conv2d]
    own = {tensor.data_ptr() for tensor in network.parameters()}
    assert {tensor.data_ptr() for tensor in made.parameters()} == own
    assert not any(module.training for module in made.modules())


def test_network_on_meta_stays_there(on_meta):
    network = on_meta(zoo.factory("vgg16"))
    graph = capture(network, torch.empty(1, 3, 224, 224, device="meta"))
    made = FullyConvolutional(graph)(network)
    assert made.eval()(torch.empty(1, 3, 384, 384, device="meta")).shape == (1, 1000, 6, 6)
    assert {parameter.device.type for parameter in made.parameters()} == {"meta"}


@pytest.mark.parametrize("bias", [True, False])
def test_dense_layer_as_a_convolution(bias):
    linear = nn.Linear(3 * 2 * 4, 5, bias=bias)
    conv = convolution_of(linear, (2, 4))
    maps = torch.randn(2, 3, 2, 4)
    torch.testing.assert_close(conv(maps)[:, :, 0, 0], linear(maps.flatten(1)))
    assert (conv.bias is None) != bias


def test_layer_that_only_looks_like_a_dense_one_is_refused():
    class Linear(nn.Linear):
        pass

    network = nn.Sequential(nn.Flatten(), Linear(12, 3))
    change = FullyConvolutional(capture(network, torch.empty(1, 3, 2, 2)))
    with pytest.raises(SpecError, match=r"1 is a Linear, not an nn\.Linear"):
        change(network)

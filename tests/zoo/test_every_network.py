"""Every network and block of the catalogue: it captures, runs, trains, and saves.

Small networks run for real in every test run; the others, which differ in size alone, with -m slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from archstat import zoo
from archstat.analyses import ANALYSES
from archstat.frontends.building import build_on_meta
from archstat.models.pipeline import graph_of_spec
from archstat.units import parse_input

CATALOGUE = zoo.catalogue()
BATCH = 2
# A real run is at this side, networks for 32x32 at the smaller one ...
SIDE = 32
CIFAR_SIDE = 8
# ... but for those whose strides and unpadded windows leave nothing of so small a map
SIDES = {
    "nin_imagenet": 48,
    "inception_v3": 80,
    "inception_v4": 80,
    "inception_resnet_v1": 80,
    "inception_resnet_v2": 80,
    "xception": 80,
}
# and those whose fully connected layer or position embedding is made for one size: not reduced
OWN_SIZE = {
    *("lenet5", "lenet5_modern", "lenet_caffe", "highway10_mnist", "dense"),
    *("alexnet", "zfnet", "vit_b_16"),
}
# A run of more parameters, or of one of these hundreds of layers, takes a second or more.
MOST_PARAMS = 6_000_000
DEEP = ("100", "110", "164", "200", "236", "250", "272", "1001", "1202")


@dataclass(frozen=True, slots=True)
class Sample:
    """A real network with random weights, in eval mode, and what to run it on."""

    name: str
    network: nn.Module
    image: torch.Tensor


def is_slow(entry):
    return entry.params > MOST_PARAMS or any(
        part.lstrip("abcdefghijklmnopqrstuvwxyz") in DEEP for part in entry.name.split("_")
    )


def shape_of(entry):
    channels, *sides = parse_input(entry.input).shape
    if entry.name in OWN_SIZE:
        return (channels, *sides)
    usual = CIFAR_SIDE if sides == [32, 32] else SIDE
    return (channels, *(min(side, SIDES.get(entry.name, usual)) for side in sides))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow if is_slow(entry) else ())
        for name, entry in CATALOGUE.items()
    ],
)
def sample(request):
    entry = CATALOGUE[request.param]
    torch.manual_seed(0)
    network = zoo.build(entry.name).eval()
    return Sample(entry.name, network, torch.randn(BATCH, *shape_of(entry)))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Many small operations: several threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def training(sample):
    """The network in training mode, as it was before when the test is over."""
    state = {name: value.clone() for name, value in sample.network.state_dict().items()}
    yield sample.network.train()
    sample.network.eval().load_state_dict(state)
    sample.network.zero_grad()


@pytest.mark.parametrize("name", CATALOGUE)
def test_capture_knows_every_operation(name):
    graph = graph_of_spec(name)
    totals = {key: n for a in ANALYSES for key, n in a.run(graph).totals.items()}
    assert totals["unknown_ops"] == 0
    assert (totals["params"], totals["macs"]) == (CATALOGUE[name].params, CATALOGUE[name].macs)
    assert graph.notes == ()
    if CATALOGUE[name].category != "block":
        (output,) = graph.outputs
        assert len(graph.values[output].shape) == 2


def test_output_has_the_shape_that_the_capture_tells(sample):
    with torch.no_grad():
        output = sample.network(sample.image)
    size = "x".join(map(str, sample.image.shape[1:]))
    graph = graph_of_spec(f"{sample.name},input={size},batch={BATCH}")
    assert output.shape == graph.values[graph.outputs[0]].shape
    assert output.isfinite().all()


def test_gradient_reaches_every_parameter(sample, training):
    training(sample.image).square().sum().backward()
    unreached = [name for name, p in training.named_parameters() if p.grad is None]
    assert unreached == []


def test_training_differs_by_dropout_and_batch_norm_alone(sample, training):
    for module in training.modules():
        if isinstance(module, nn.Dropout | nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        trained = training(sample.image)
        torch.testing.assert_close(trained, training.eval()(sample.image), rtol=0, atol=0)


def test_state_dict_round_trips(sample):
    twin = build_on_meta(zoo.factory(sample.name)).eval()
    twin.load_state_dict(sample.network.state_dict(), assign=True)
    with torch.no_grad():
        expected = sample.network(sample.image)
        torch.testing.assert_close(twin(sample.image), expected, rtol=0, atol=0)


def test_named_exceptions_are_networks():
    assert {*SIDES, *OWN_SIZE} <= CATALOGUE.keys()

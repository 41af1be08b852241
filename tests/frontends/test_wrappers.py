"""Compiled, parallel and scripted modules: what is inside is captured, and nothing is compiled."""

from __future__ import annotations

import copy
import functools
import pickle

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from archstat.errors import CaptureError
from archstat.frontends.module import capture, unwrapped

IMAGE = torch.rand(1, 3, 8, 8)
MACS_1X1 = 4 * 3 * 8 * 8


class Nested(nn.Module):
    """Ops at three depths, one of them a functional call."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return torch.sigmoid(self.head(self.stem(x)))


class CompiledTooEarly(AssertionError):
    """Raised by a compiler that must not be asked."""


def refuse_to_compile(graph_module, example_inputs):
    raise CompiledTooEarly


def test_compiled_module_is_captured_without_being_compiled():
    net = nn.Conv2d(3, 4, 1)
    wrapped = torch.compile(net, backend=refuse_to_compile)
    assert capture(wrapped, IMAGE) == capture(net, IMAGE)


def test_compiled_call_of_a_module_is_captured_without_being_compiled(unchanged):
    net = Nested()
    plain = capture(net, IMAGE)
    net.compile(backend=refuse_to_compile)
    net.head.compile(backend=refuse_to_compile)
    with unchanged(net):
        assert capture(net, IMAGE) == plain
    with pytest.raises(Exception, match="refuse_to_compile"):
        net(IMAGE)


def test_compiled_child_is_captured_without_being_compiled():
    net = nn.Sequential(torch.compile(nn.Conv2d(3, 4, 1), backend=refuse_to_compile))
    graph = capture(net, IMAGE)
    assert [op.kind for op in graph.ops] == ["conv"]
    assert graph.device == "meta"


def test_data_parallel_wrapper_is_taken_off():
    net = nn.Conv2d(3, 4, 1)
    assert capture(nn.DataParallel(net), IMAGE) == capture(net, IMAGE)
    assert unwrapped(nn.DataParallel(nn.DataParallel(net))) is net


@pytest.mark.parametrize(
    ("thing", "remedy"),
    [
        *((thing, "a module") for thing in (None, "resnet50", 3)),
        (nn.Conv2d, "an object of it"),
        (lambda x: x, "what it returns"),
    ],
)
def test_what_is_no_module_is_refused(thing, remedy):
    with pytest.raises(CaptureError, match=rf"not a torch\.nn\.Module; give {remedy}"):
        capture(thing, IMAGE)


@pytest.mark.filterwarnings("ignore:`?torch.jit")
@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, IMAGE)])
def test_script_module_gives_parameters_and_multiply_accumulates(make, totals):
    script = make(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    script.train()
    found = totals(script, IMAGE)
    assert found["params"] == 4 * 3 + 4
    assert found["macs"] == MACS_1X1


@pytest.mark.filterwarnings("ignore:`?torch.jit")
def test_script_module_keeps_its_mode():
    script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()))
    for mode in (True, False):
        script.train(mode)
        capture(script, IMAGE)
        assert [module.training for module in script.modules()] == [mode] * 3


# -- one network, wrapped, made and called in every way -----------------------------------------

BATCH, SIDE = 2, 8
CONV = BATCH * 4 * 6 * 6 * 3 * 3 * 3
HEAD = BATCH * 4 * 6 * 6 * 5
WEIGHTS = 4 * 3 * 3 * 3 + 4 + 4 * 6 * 6 * 5 + 5
IMAGES = torch.rand(BATCH, 3, SIDE, SIDE)


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


def changed(change):
    net = network()
    change(net)
    return net


class Holding(nn.Module):
    """Hands its input to a network in a way of its own."""

    def __init__(self, way):
        super().__init__()
        self.inner, self.way = network(), way

    def forward(self, x):
        return self.way(self.inner, x)


def made_fake():
    with FakeTensorMode():
        return network()


def averaged():
    return torch.optim.swa_utils.AveragedModel(network())


WRAPPED = {
    "scripted": lambda: torch.jit.script(network()),
    "traced": lambda: torch.jit.trace(network(), IMAGES),
    "script inside": lambda: nn.Sequential(torch.jit.script(network())),
    "symbolic trace": lambda: torch.fx.symbolic_trace(network()),
    "exported": lambda: torch.export.export(network(), (IMAGES,)).module(),
    "data parallel": lambda: nn.DataParallel(network()),
    "data parallel inside": lambda: nn.Sequential(nn.DataParallel(network())),
    "averaged": averaged,
    "made fake": made_fake,
    "pickled": lambda: pickle.loads(pickle.dumps(network())),
    "copied": lambda: copy.deepcopy(network()),
    "half": lambda: network().half(),
    "channels last": lambda: network().to(memory_format=torch.channels_last),
    "pruned": lambda: changed(lambda n: prune.l1_unstructured(n[0], "weight", 0.5)),
    "pruned by channel": lambda: changed(lambda n: prune.ln_structured(n[0], "weight", 0.5, 2, 0)),
    "pruned for good": lambda: changed(
        lambda n: prune.remove(prune.l1_unstructured(n[0], "weight", 0.5), "weight")),
    "frozen weights": lambda: network().requires_grad_(requires_grad=False),
    "called with a state": lambda: Holding(
        lambda n, x: torch.func.functional_call(n, dict(n.named_parameters()), (x,))),
    "vmap": lambda: Holding(lambda n, x: torch.vmap(lambda one: n(one[None])[0])(x)),
    "in autocast": lambda: Holding(lambda n, x: torch.autocast("cpu", torch.bfloat16)(n)(x)),
    "checkpointed": lambda: Holding(lambda n, x: checkpoint(n, x, use_reentrant=False)),
    "in inference mode": lambda: Holding(torch.inference_mode()(lambda n, x: n(x))),
    "with gradients": lambda: Holding(torch.enable_grad()(lambda n, x: n(x))),
    "in float64": lambda: Holding(lambda n, x: copy.deepcopy(n).double()(x.double())),
    "by keyword": lambda: Holding(lambda n, x: n(input=x)),
    "layer by layer": lambda: Holding(lambda n, x: functools.reduce(lambda y, m: m(y), n, x)),
    "forward called": lambda: Holding(lambda n, x: n.forward(x)),
    "class call": lambda: Holding(lambda n, x: type(n).__call__(n, x)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", WRAPPED.values(), ids=list(WRAPPED))
def test_network_counts_the_same_however_it_is_wrapped(make, totals):
    net = make()
    dtype = next(net.parameters()).dtype
    found = totals(net, IMAGES.to(dtype))
    assert (found["macs"], found["params"]) == (CONV + HEAD, WEIGHTS)


NORMED = {
    "weight norm": (parametrizations.weight_norm, 0, 4),
    "weight norm of old": (nn.utils.weight_norm, 0, 4),
    "spectral norm": (parametrizations.spectral_norm, 4 * 27 + 4, 0),
    "spectral norm of old": (nn.utils.spectral_norm, 4 * 27 + 4, 0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("norm", "products", "more"), NORMED.values(), ids=list(NORMED))
def test_norm_of_weights_counts_what_it_multiplies(norm, products, more, totals):
    found = totals(changed(lambda n: norm(n[0])), IMAGES)
    assert (found["macs"], found["params"]) == (CONV + HEAD + products, WEIGHTS + more)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("fake_images", [True, False])
def test_capture_under_fake_tensors_counts_as_without(strict, fake_images, totals):
    net = network()
    with FakeTensorMode(allow_non_fake_inputs=not strict):
        images = torch.rand(BATCH, 3, SIDE, SIDE) if fake_images else IMAGES
        found = totals(net, images)
    assert (found["macs"], found["params"]) == (CONV + HEAD, WEIGHTS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("around", [lambda m: m, nn.Sequential])
def test_frozen_script_is_refused(around):
    frozen = around(torch.jit.freeze(torch.jit.script(network())))
    with pytest.raises(CaptureError, match=r"^a frozen TorchScript .* torch.jit.freeze"):
        capture(frozen, IMAGES)


@pytest.mark.parametrize("given", [network().state_dict(), nn.Linear, "resnet50", None, len, 3])
def test_what_is_no_module_is_refused_in_one_short_line(given):
    with pytest.raises(CaptureError, match=r"not a torch\.nn\.Module; give ") as raised:
        capture(given, IMAGES)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300

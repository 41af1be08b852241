"""Capture: what a forward is called with and gives back, and what happens when it raises."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import archstat
from archstat.errors import CaptureError
from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)
MACS_1X1 = 4 * 3 * 8 * 8


class Pair(NamedTuple):
    scores: torch.Tensor
    features: torch.Tensor


@dataclasses.dataclass
class Output:
    scores: torch.Tensor
    features: torch.Tensor
    loss: Any = None


class Answering(nn.Module):
    """A convolution whose outputs are packed in one way or another."""

    def __init__(self, pack):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.pack = pack

    def forward(self, x):
        features = self.conv(x)
        return self.pack(features.mean((2, 3)), features)


PACKAGES = [
    ("tuple", lambda s, f: (s, f)),
    ("list", lambda s, f: [s, f]),
    ("dict", lambda s, f: {"scores": s, "features": f}),
    ("named tuple", Pair),
    ("dataclass", Output),
    ("nested", lambda s, f: {"out": [(s,), {"deep": f}], "loss": None, "names": ["a", 1]}),
]


@pytest.mark.parametrize("pack", [row[1] for row in PACKAGES], ids=[row[0] for row in PACKAGES])
def test_every_tensor_of_a_packed_output_is_an_output(pack):
    graph = capture(Answering(pack), IMAGE)
    assert [graph.values[v].shape for v in graph.outputs] == [(1, 4), (1, 4, 8, 8)]
    assert [graph.ops[graph.producers[v]].kind for v in graph.outputs] == ["reduce", "conv"]


def test_output_without_a_tensor_gives_a_graph_without_outputs():
    graph = capture(Answering(lambda s, f: None), IMAGE)
    assert graph.outputs == ()
    assert len(graph.ops) == 2


def test_input_that_is_returned_unchanged_is_the_output():
    graph = capture(nn.Identity(), IMAGE)
    assert graph.outputs == graph.inputs
    assert graph.ops == ()


def test_several_positional_inputs_are_values_in_order(as_module):
    graph = capture(as_module(lambda a, b, c: a * b + c), *(torch.rand(n, 1) for n in (2, 1, 1)))
    assert [graph.values[v].shape for v in graph.inputs] == [(2, 1), (1, 1), (1, 1)]
    assert {graph.values[v].role for v in graph.inputs} == {"input"}


def test_keyword_only_inputs_carry_their_names(totals):
    class Keywords(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, *, image, scale=2.0, mask):
            return self.conv(image * scale) * mask

    arguments = {"image": IMAGE, "mask": torch.ones(1, 1, 8, 8), "scale": 0.5}
    graph = capture(Keywords(), **arguments)
    assert [graph.values[v].name for v in graph.inputs] == ["image", "mask"]
    assert totals(Keywords(), **arguments)["macs"] == MACS_1X1


def test_inputs_nested_in_lists_and_dicts_are_inputs(as_module):
    net = as_module(lambda batch, extra: batch["image"] + extra[0] + extra[1])
    graph = capture(net, {"image": IMAGE, "id": "seven"}, extra=[IMAGE, torch.rand(1)])
    assert [graph.values[v].shape for v in graph.inputs] == [IMAGE.shape, IMAGE.shape, (1,)]


@pytest.mark.parametrize(
    "packed",
    [lambda x: OrderedDict(scores=x), lambda x: Output(x, None), lambda x: Pair(x, None)],
    ids=["ordered dict", "dataclass", "named tuple"],
)
def test_input_in_a_container_of_another_class_is_an_input_that_is_only_read(packed, as_module):
    def overwriting(batch):
        x = batch["scores"] if isinstance(batch, dict) else batch.scores
        return x.mul_(0)

    image = IMAGE.clone()
    graph = capture(as_module(overwriting), packed(image))
    assert torch.equal(image, IMAGE)
    assert graph.device == "meta"
    assert [graph.values[v].role for v in graph.inputs] == ["input"]
    assert graph.ops[0].inputs == graph.inputs


def test_one_tensor_given_twice_is_one_input_and_stays_the_same_object(as_module):
    net = as_module(lambda a, b, c: a + b + c if a is b is c else None)
    graph = capture(net, IMAGE, IMAGE, c=IMAGE)
    assert [op.name for op in graph.ops] == ["add", "add"]
    assert len({graph.values[v].storage for v in graph.inputs}) == 1


def test_inputs_that_need_a_gradient_or_share_memory_are_only_read(as_module):
    x = torch.rand(4, 4, requires_grad=True)
    graph = capture(as_module(lambda a: F.relu_(a * 2)), x)
    assert x.grad is None
    assert [op.name for op in graph.ops] == ["mul", "relu"]


def test_result_has_no_gradient_history(as_module):
    def forward(a, layer):
        result = layer(a)
        return None if result.requires_grad else result

    assert capture(as_module(forward, layer=None), IMAGE, nn.ReLU()).outputs


# -- errors -----------------------------------------------------------------------------------


class Refusing(nn.Module):
    def forward(self, x):
        raise KeyError("no such stage")


def test_forward_that_raises_is_named_with_its_own_error():
    with pytest.raises(CaptureError, match="forward pass of Refusing raised KeyError") as refusal:
        capture(Refusing(), IMAGE)
    assert isinstance(refusal.value.__cause__, KeyError)
    assert "test_module.py" in str(refusal.value)


def test_input_that_does_not_fit_is_the_users_error_with_torchs_own_words():
    with pytest.raises(CaptureError, match=r"expected input.* to have 3 channels"):
        capture(nn.Conv2d(3, 4, 1), torch.rand(1, 5, 8, 8))


def test_model_on_meta_that_needs_numbers_raises_without_a_second_attempt(looking):
    with torch.device("meta"):
        net = looking(nn.Conv2d(3, 4, 1))
    with pytest.raises(CaptureError, match="meta"):
        capture(net, IMAGE)


def test_interrupt_is_not_mistaken_for_a_model_that_cannot_run_on_meta(as_module):
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(as_module(interrupted), IMAGE)


def test_public_capture_is_this_one():
    assert archstat.capture is capture


def test_forward_that_ends_the_process_does_not():
    class Exit(nn.Module):
        def forward(self, x):
            raise SystemExit(0)

    with pytest.raises(CaptureError, match="forward pass of Exit raised SystemExit: 0"):
        capture(Exit(), torch.zeros(4))

"""Capture: what a forward is called with and gives back, and which module owns which op."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import archstat
from archstat.errors import CaptureError
from archstat.frontends.module import capture, unwrapped

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


def test_one_tensor_given_twice_is_one_input_and_stays_the_same_object(as_module):
    seen = []
    net = as_module(lambda a, b, c: seen.append(a is b is c) or a + b + c)
    graph = capture(net, IMAGE, IMAGE, c=IMAGE)
    assert seen == [True]
    assert len({graph.values[v].storage for v in graph.inputs}) == 1


def test_inputs_that_need_a_gradient_or_share_memory_are_only_read(as_module):
    x = torch.rand(4, 4, requires_grad=True)
    graph = capture(as_module(lambda a: F.relu_(a * 2)), x)
    assert x.grad is None
    assert [op.name for op in graph.ops] == ["mul", "relu"]


def test_result_has_no_gradient_history(as_module):
    outputs = []
    capture(as_module(lambda a, layer: outputs.append(layer(a)), layer=None), IMAGE, nn.ReLU())
    assert not outputs[0].requires_grad


# -- who owns an op ---------------------------------------------------------------------------


class Nested(nn.Module):
    """Ops at three depths, one of them a functional call."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return torch.sigmoid(self.head(self.stem(x)))


def test_op_belongs_to_the_innermost_module_that_runs_it():
    graph = capture(Nested(), IMAGE)
    assert [(op.name, op.module, op.module_type) for op in graph.ops] == [
        ("convolution", "stem.0", "Conv2d"),
        ("relu", "stem.1", "ReLU"),
        ("convolution", "head", "Conv2d"),
        ("sigmoid", "", "Nested"),
    ]


def test_calls_are_spans_of_ops_with_parents_inputs_and_outputs():
    graph = capture(Nested(), IMAGE)
    calls = graph.calls
    assert [(c.module, c.module_type, c.first, c.last, c.parent) for c in calls] == [
        ("", "Nested", 0, 4, None),
        ("stem", "Sequential", 0, 2, 0),
        ("stem.0", "Conv2d", 0, 1, 1),
        ("stem.1", "ReLU", 1, 2, 1),
        ("head", "Conv2d", 2, 3, 0),
    ]
    assert calls[0].inputs == graph.inputs
    assert calls[0].outputs == graph.outputs
    assert calls[2].outputs == calls[3].inputs == graph.ops[0].outputs
    assert calls[1].outputs == calls[4].inputs == graph.ops[1].outputs


def test_keyword_inputs_of_an_inner_call_are_its_inputs(as_module):
    inner = as_module(lambda a, *, b: a + b)
    graph = capture(as_module(lambda x, y: inner(x, b=y), inner=inner), IMAGE, IMAGE * 2)
    assert graph.calls[1].inputs == graph.inputs


def test_every_module_is_listed_called_or_not():
    graph = capture(Nested(), IMAGE)
    assert [(m.path, m.type) for m in graph.modules] == [
        ("", "Nested"),
        ("stem", "Sequential"),
        ("stem.0", "Conv2d"),
        ("stem.1", "ReLU"),
        ("head", "Conv2d"),
    ]


def test_module_that_is_never_called_has_parameters_and_no_ops(totals):
    class WithSpare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 4, 1), nn.Linear(10, 10)

        def forward(self, x):
            return self.used(x)

    graph = capture(WithSpare(), IMAGE)
    assert [call.module for call in graph.calls] == ["", "used"]
    assert [module.path for module in graph.modules] == ["", "used", "spare"]
    assert totals(WithSpare(), IMAGE)["params"] == 4 * 3 + 4 + 10 * 10 + 10
    assert totals(WithSpare(), IMAGE)["macs"] == MACS_1X1


def test_parameter_used_without_its_modules_call_is_counted_where_it_is_used(totals):
    class Borrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return F.conv2d(x, self.conv.weight)

    graph = capture(Borrowing(), IMAGE)
    assert graph.ops[0].module == ""
    assert totals(Borrowing(), IMAGE)["macs"] == MACS_1X1


def test_forward_that_is_called_directly_belongs_to_the_caller(as_module):
    conv = nn.Conv2d(3, 4, 1)
    graph = capture(as_module(lambda x: conv.forward(x), conv=conv), IMAGE)
    assert [(op.kind, op.module) for op in graph.ops] == [("conv", "")]


def test_module_that_calls_itself_through_a_child_ends():
    class Ring(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.again = self
            self.turns = 0

        def forward(self, x):
            self.turns += 1
            return self.again(self.conv(x)) if self.turns < 3 else x

    ring = Ring()
    graph = capture(ring, IMAGE)
    assert [call.module for call in graph.calls] == ["", "conv", "", "conv", ""]
    assert [m.aliases for m in graph.modules] == [("again",), ()]
    assert ring.turns == 0


# -- wrappers ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize("thing", [None, "resnet50", 3, nn.Conv2d, lambda x: x])
def test_what_is_no_module_is_refused(thing):
    with pytest.raises(CaptureError, match=r"not a torch\.nn\.Module; give a module"):
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

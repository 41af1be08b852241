"""Layouts of inputs, and examples that a function of the user's returns."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import archstat
from archstat.errors import ArchstatError, InputError, OptionError, SpatialAxesError
from archstat.graph import Graph, parse_layout, positions
from archstat.models.asked import Asked, arguments_of, asked_of, laid_out
from archstat.models.cache.key import key_of
from archstat.models.pipeline import graph_of_spec
from archstat.models.specs import parse_resolution, parse_spec
from archstat.units import InputSpec

NETS = """
import torch
from torch import nn


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)

    def forward(self, x):
        return self.conv(x.permute(0, 3, 1, 2))


class Video(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (1, 3, 5))

    def forward(self, x):
        return self.conv(x.transpose(1, 2))


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(40, 16)

    def forward(self, x):
        return self.rnn(x)[0]


class Named(nn.Module):
    def __init__(self, layout="NHWC"):
        super().__init__()
        self.conv = nn.Conv2d(3, 8 if layout == "NHWC" else 4, 3)

    def forward(self, x):
        return self.conv(x.permute(0, 3, 1, 2))


class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, steps: int = 1, mode: str = "slow", lengths=None):
        for _ in range(steps):
            x = self.fc(x)
        if lengths is not None:
            x = x[:, : int(lengths.max())]
        return x.relu() if mode == "fast" else x


def make_input():
    return {"x": torch.ones(2, 16, 8), "steps": 3, "mode": "fast", "lengths": torch.tensor([4, 7])}


def pair():
    return (torch.ones(1, 16, 8),), {"steps": 2}


def sized(size: int = 4):
    return torch.ones(1, size, 8)


def nothing():
    return None


def text():
    return "tensor"


def failing():
    raise KeyError("data")


def leaving():
    raise SystemExit(0)


def endless():
    inside = []
    inside.append(inside)
    return inside


example = torch.ones(1, 16, 8)
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return path


# -- layouts


@given(st.text("NBCFTDHWLnhwc q", max_size=8))
def test_text_is_a_layout_or_an_input_error(text):
    try:
        layout = parse_layout(text)
    except InputError:
        return
    assert parse_layout(layout.lower()) == layout
    assert len(layout) == len(text.strip())
    assert all(layout[axis] in "TDHWL" for axis in positions(layout))


@pytest.mark.parametrize("text", ["", "NHWCQ", "NN", "NB", "CF", "NHH", "N" * 10**6, "N\0C"])
def test_nonsense_is_no_layout(text):
    with pytest.raises(InputError):
        parse_layout(text)


@pytest.mark.parametrize(("layout", "dims"), [("NHWC", (1, 2)), ("BTCHW", (1, 3, 4)),
                                              ("btf", (1,)), ("BC", ())])  # fmt: skip
def test_axes_of_a_layout_that_hold_positions(layout, dims):
    assert positions(parse_layout(layout)) == dims


def test_batch_goes_where_the_layout_has_it():
    (spec,) = laid_out([InputSpec((50, 40))], "TBF")
    assert spec.with_batch(4) == (50, 4, 40)


def test_layout_without_a_batch_puts_none():
    (spec,) = laid_out([InputSpec((50, 40))], "TF")
    assert spec.with_batch(4) == (50, 40)


def test_receptive_field_walks_over_the_axes_that_a_layout_names(nets):
    report = archstat.analyze(f"{nets}:Video", "8x3x20x30", layout="BTCHW")
    assert report.totals["receptive_field"] == (1, 3, 5)
    assert report.totals["macs"] == 8 * 3 * 1 * 3 * 5 * 8 * (20 - 2) * (30 - 4)


def test_captured_graph_takes_a_layout():
    graph = archstat.capture(nn.Linear(40, 8), torch.zeros(1, 100, 40))
    assert archstat.analyze(graph, layout="BTF").totals["receptive_field"] == (1,)
    assert archstat.analyze(graph).totals["receptive_field"] is None
    assert archstat.analyze(graph).graph is graph
    with pytest.raises(InputError, match="NHWC"):
        archstat.analyze(graph, layout="NHWC")


def test_guess_has_the_axes_of_the_layout(nets):
    graph = graph_of_spec(f"{nets}:Last", ["layout:NHWC"])
    assert graph.values[graph.inputs[0]].shape == (1, 224, 224, 3)
    assert graph.layout == "NHWC"


def test_layout_stands_in_a_spec(nets):
    graph = graph_of_spec(f"{nets}:Sequence,input=50x40,layout=TBF", None, 4)
    assert graph.values[graph.inputs[0]].shape == (50, 4, 40)


def test_factory_that_takes_a_layout_gets_it_too(nets):
    graph = graph_of_spec(f"{nets}:Named,layout=NCHW,input=32x32x3")
    assert sum(value.numel for value in graph.parameters()) == 4 * (3 * 3 * 3 + 1)


def test_other_words_for_a_layout_are_the_factorys():
    spec = parse_spec("alexnet,layout=torchvision")
    assert (spec.layout, spec.options) == ("", (("layout", "torchvision"),))


def test_resolution_is_of_the_axes_of_space(nets):
    asked = Asked(parse_resolution("64x32"), "NHWC")
    (spec,) = (graph_of_spec("lenet5", Asked(parse_resolution("32x32"), "NCHW")),)
    assert spec.values[spec.inputs[0]].shape == (1, 1, 32, 32)
    with pytest.raises(InputError):
        graph_of_spec(f"{nets}:Last", asked)


def test_layout_of_other_axes_than_the_inputs_is_refused():
    with pytest.raises(InputError):
        graph_of_spec("lenet5", ["layout:BTF"])


def test_layout_without_positions_leaves_no_receptive_field():
    net = nn.Sequential(nn.Linear(8, 4))
    with pytest.raises(SpatialAxesError):
        archstat.receptive_field(net, "8", layout="BC")


def test_graph_with_a_layout_and_a_call_is_saved_whole(nets):
    graph = graph_of_spec(f"{nets}:Steps", ["x=16x8", "steps=3:number", "mode=fast"])
    assert graph.call == ("x=1x16x8:nobatch", "steps=3:number", "mode=fast")
    assert Graph.from_json(graph.to_json()) == graph


def test_older_graph_without_the_fields_is_loaded():
    graph = graph_of_spec("lenet5")
    document = json.loads(graph.to_json())
    del document["layout"], document["call"]
    assert Graph.from_json(json.dumps(document)) == graph


# -- examples


def test_example_gives_tensors_and_plain_values(nets):
    graph = graph_of_spec(f"{nets}:Steps", [f"example:{nets}:make_input"])
    assert archstat.analyze(graph).totals["macs"] == 3 * 2 * 16 * 8 * 8
    assert graph.values[graph.outputs[0]].shape == (2, 7, 8)


def test_example_stands_in_a_spec_and_is_a_function_in_python(nets):
    by_spec = archstat.analyze(f"{nets}:Steps,example={nets}:pair")
    by_name = archstat.analyze(f"{nets}:Steps", example=f"{nets}:pair")
    by_function = archstat.analyze(
        f"{nets}:Steps", example=lambda: ((torch.ones(1, 16, 8),), {"steps": 2})
    )
    assert by_spec.totals == by_name.totals == by_function.totals
    assert by_spec.totals["macs"] == 2 * 16 * 8 * 8


@pytest.mark.parametrize(("example", "args"), [("example", 1), ("sized,size=7", 1), ("pair", 1)])
def test_example_may_be_a_tensor_or_take_options(nets, example, args):
    assert len(arguments_of(f"{nets}:{example}")[0]) == args


@pytest.mark.parametrize("name", ["nothing", "text", "failing", "leaving", "endless", "Last"])
def test_example_that_gives_no_input_is_refused(nets, name):
    with pytest.raises(InputError):
        arguments_of(f"{nets}:{name}")


@pytest.mark.parametrize("text", ["", "lenet5", "net.pt2", "hf:bert", "nowhere.py:f", "a b", ":"])
def test_example_that_names_no_function_is_refused(text, nets):
    with pytest.raises(ArchstatError):
        archstat.analyze(f"{nets}:Steps", example=text)


def test_example_takes_no_shapes_and_no_batch(nets):
    with pytest.raises(InputError):
        archstat.analyze(f"{nets}:Steps", "16x8", example=f"{nets}:pair")
    with pytest.raises(InputError):
        archstat.analyze(f"{nets}:Steps", batch=2, example=f"{nets}:pair")


def test_spec_with_an_input_goes_before_an_example(nets):
    graph = graph_of_spec(f"{nets}:Steps,input=4x8", [f"example:{nets}:pair"])
    assert graph.values[graph.inputs[0]].shape == (1, 4, 8)


def test_what_a_function_of_the_users_gives_is_not_kept():
    assert key_of("lenet5", ["example:net.py:make"], None, ()) is None
    assert key_of("lenet5,example=net.py:make", None, None, ()) is None
    assert key_of("lenet5", ["layout:NCHW"], None, ()) != key_of("lenet5", None, None, ())


def test_words_among_inputs_are_told_from_shapes():
    asked = asked_of(["x=3x4", "layout:NCW", "example:net.py:make"])
    assert asked == Asked(["x=3x4"], "NCW", "net.py:make")
    assert asked_of(None) == Asked()


def test_option_that_an_example_needs_is_missing(nets):
    nets.with_name("needing.py").write_text("def make(size): ...", encoding="utf-8")
    with pytest.raises(OptionError):
        arguments_of(f"{nets.with_name('needing.py')}:make")


def test_path_that_is_nested_without_end_is_refused(nets):
    with pytest.raises(InputError):
        graph_of_spec(f"{nets}:Steps", ["x" + ".a" * 3000 + "=3x3"])

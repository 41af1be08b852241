"""`analyze`: a module, a spec or a Graph, the input it takes, and what it says when it cannot."""

from __future__ import annotations

import ast
import importlib.util
import re
import signal
import sys

import pytest
import torch
from torch import nn

import archstat
from archstat.errors import ArchstatError, CaptureError, InputError, LookupFailedError, SpecError
from archstat.graph import Graph
from archstat.models.pipeline import analyze, graph_of
from archstat.reporters.to_console import to_console

NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, bias=False)

    def forward(self, x):
        return self.conv(x)


class Looking(Net):
    def forward(self, x):
        assert x.sum() >= 0
        return super().forward(x)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Make a folder with nets.py the working directory; sys.path is put back."""
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


class TwoImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, bias=False)
        self.right = nn.Conv2d(1, 4, 3, bias=False)

    def forward(self, left, right):
        return self.left(left) + self.right(right)


class Looking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2, bias=False)

    def forward(self, x):
        assert x.sum() >= 0
        return self.fc(x)


# -- three kinds of model --------------------------------------------------------------------------


def test_module_gives_its_totals_at_an_input():
    report = analyze(nn.Conv2d(3, 4, 3), (3, 8, 8))
    assert report.model == "Conv2d"
    assert report.input == "1x3x8x8"
    macs = 6 * 6 * 4 * 3 * 3 * 3
    tensors = 3 * 8 * 8 + 4 * 3 * 3 * 3 + 4 + 4 * 6 * 6
    counts = {"params", "macs", "flops", "activations", "unknown_ops", "depth"}
    expected = {
        "params": 4 * 3 * 3 * 3 + 4,
        "trainable_params": 4 * 3 * 3 * 3 + 4,
        "buffers": 0,
        "param_bytes": 4 * (4 * 3 * 3 * 3 + 4),
        "macs": macs,
        "flops": 2 * macs + 6 * 6 * 4,
        "activations": 6 * 6 * 4,
        "unknown_ops": 0,
        "depth": 1,
        "memory_access": tensors,
        "memory_access_bytes": 4 * tensors,
        "peak_memory_bytes": 4 * tensors,
        "ideal_peak_bytes": 4 * tensors,
        "arithmetic_intensity": (2 * macs + 6 * 6 * 4) / (4 * tensors),
        "receptive_field": (3, 3),
        "effective_stride": (1, 1),
        "effective_padding": (0, 0),
        "global_from": None,
    }
    assert {key: report.totals[key] for key in expected} == expected
    assert {type(report.totals[key]) for key in counts} == {int}


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("vgg16", 138_357_544, 15_470_264_320), ("mobilenet_v1", 4_231_976, 568_740_352)],
)
def test_spec_gives_the_published_totals(name, params, macs):
    report = analyze(name)
    assert report.model == name
    assert report.input == "1x3x224x224"
    assert (report.totals["params"], report.totals["macs"]) == (params, macs)


def test_spec_module_and_graph_of_one_network_agree():
    module = archstat.zoo.build("resnet18")
    graph = archstat.capture(module, torch.zeros(1, 3, 224, 224))
    totals = analyze("resnet18").totals
    assert analyze(module, "3x224x224").totals == totals
    assert analyze(graph).totals == totals
    assert analyze(Graph.from_json(graph.to_json())).totals == totals


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_other_peoples_resnet18_costs_what_the_zoos_does(package, torchvision):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    theirs, ours = analyze(f"{package}:resnet18"), analyze("resnet18")
    assert theirs.input == "1x3x224x224"
    for key in ("params", "buffers", "macs", "activations", "depth", "unknown_ops"):
        assert theirs.totals[key] == ours.totals[key]


def test_graph_keeps_its_name_and_its_input():
    graph = archstat.capture(nn.Linear(6, 2), torch.zeros(5, 6))
    report = analyze(graph)
    assert (report.model, report.input) == ("Linear", "5x6")
    assert report.graph is graph


def test_model_is_the_spec_as_typed(nets):
    assert analyze("./nets.py:Net,width=2,input=3x8x8").model == "./nets.py:Net,width=2,input=3x8x8"


def test_same_model_gives_the_same_report_twice():
    first, second = analyze("mobilenet_v1,width=0.25"), analyze("mobilenet_v1,width=0.25")
    assert first.graph == second.graph
    assert first.totals == second.totals


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_model_of_another_type_runs_in_it(dtype):
    report = analyze(nn.Conv2d(3, 4, 3, dtype=dtype), (3, 8, 8))
    size = torch.empty((), dtype=dtype).element_size()
    assert report.totals["param_bytes"] == size * (4 * 3 * 3 * 3 + 4)
    assert {value.dtype for value in report.graph.values} == {str(dtype).removeprefix("torch.")}


# -- the input -------------------------------------------------------------------------------------


def test_argument_comes_before_the_networks_own_input():
    assert analyze("mobilenet_v1", "3x64x64").input == "1x3x64x64"


def test_spec_comes_before_the_argument(nets):
    report = analyze("nets.py:Net,input=3x16x16,batch=4", "3x8x8", 2)
    assert report.input == "4x3x16x16"


def test_batch_multiplies_macs_and_leaves_parameters():
    one, four = analyze("mobilenet_v1"), analyze("mobilenet_v1", batch=4)
    assert four.input == "4x3x224x224"
    assert four.totals["macs"] == 4 * one.totals["macs"]
    assert four.totals["activations"] == 4 * one.totals["activations"]
    assert four.totals["params"] == one.totals["params"]


@pytest.mark.parametrize(
    ("resolution", "expected"), [("160", "1x3x160x160"), ("160x192", "1x3x160x192")]
)
def test_resolution_sets_the_spatial_axes(resolution, expected):
    assert analyze(f"mobilenet_v1,resolution={resolution}").input == expected


def test_resolution_applies_to_the_argument_too(nets):
    assert analyze("nets.py:Net,resolution=16", "3x8x8").input == "1x3x16x16"


def test_resolution_keeps_an_input_without_a_batch(nets):
    assert analyze("nets.py:Net,resolution=16", "3x8x8:nobatch").input == "3x16x16"


def test_resolution_keeps_the_name_and_the_type(nets):
    report = analyze("nets.py:Net,resolution=16", "x=3x8x8:float32")
    assert report.input == "x=1x3x16x16"


@pytest.mark.parametrize("resolution", ["8x8x8", "1x2x3x4"])
def test_resolution_of_too_many_axes_is_refused(resolution):
    with pytest.raises(InputError, match="one for each of 2 axes"):
        analyze(f"vgg16,resolution={resolution}")


def test_resolution_without_any_input_is_refused(nets):
    with pytest.raises(InputError, match="resolution="):
        analyze("nets.py:Net,resolution=16")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["3x8x8", "1x8x8"], "1x3x8x8, 1x1x8x8"),
        ({"left": (3, 8, 8), "right": "1x8x8"}, "left=1x3x8x8, right=1x1x8x8"),
        (["3x8x8", "right=1x8x8"], "1x3x8x8, right=1x1x8x8"),
    ],
)
def test_several_inputs_stand_in_order_or_by_name(given, expected):
    report = analyze(TwoImages(), given)
    assert report.input == expected
    assert report.totals["macs"] == 6 * 6 * 4 * (3 + 1) * 3 * 3


# -- when it cannot --------------------------------------------------------------------------------


def suggested(refusal: object) -> object:
    """What the message says to write, as Python reads it."""
    written = re.search(r"\binput=(.*?)(?:, batch=\d+)?\??$", str(refusal))
    assert written, refusal
    return ast.literal_eval(written[1])


WANTING = [
    (nn.Conv2d(3, 4, 3), "4x8x8"),
    (nn.Conv2d(3, 4, 3), "3x2x2"),
    (nn.Conv2d(3, 4, 3), "8"),
    (nn.Conv2d(3, 4, 3), "3x8x8:int64"),
    (nn.Conv1d(4, 8, 3), "3x100"),
    (nn.Conv3d(3, 8, 3), "3x8x8"),
    (nn.Linear(6, 2), "7"),
    (nn.LSTM(6, 8), "128x7"),
    (nn.Embedding(100, 8), "128"),
    (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 26 * 26, 2)), "1x32x32"),
]


@pytest.mark.parametrize(
    ("model", "wrong"), WANTING, ids=[f"{type(model).__name__}-{wrong}" for model, wrong in WANTING]
)
def test_wrong_input_is_refused_with_one_that_works(model, wrong):
    with pytest.raises(InputError) as refusal:
        analyze(model, wrong)
    assert "\n" not in str(refusal.value)
    assert analyze(model, suggested(refusal.value)).graph.ops


@pytest.mark.parametrize(
    "model",
    [nn.Conv1d(4, 8, 3), nn.Conv2d(3, 4, 3), nn.Conv3d(3, 8, 3), nn.Linear(6, 2), nn.LSTM(6, 8),
     nn.Embedding(100, 8)],
    ids=lambda model: type(model).__name__,
)  # fmt: skip
def test_model_without_an_input_runs_with_a_guess_that_a_note_tells(model):
    found = analyze(model)
    assert found.graph.ops
    told = suggested(found.findings[-1])
    assert analyze(model, told).totals == found.totals
    with pytest.raises(InputError, match="has no default input") as refusal:
        graph_of(model, guesses=False)
    assert suggested(refusal.value) == told


def test_model_that_no_guess_runs_is_refused_with_a_shape_to_give():
    class Stubborn(nn.Module):
        def forward(self, x):
            raise ValueError("never")

    with pytest.raises(InputError, match=r"give its shape, such as input=\(3, 224, 224\)"):
        analyze(Stubborn())


def test_missing_second_input_is_refused_with_both():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, left, right):
            return self.conv(left) + self.conv(right)

    with pytest.raises(InputError) as refusal:
        analyze(Pair(), "3x8x8")
    assert suggested(refusal.value) == {"left": (3, 8, 8), "right": (3, 8, 8)}
    assert analyze(Pair(), suggested(refusal.value)).graph.ops


def test_file_without_an_input_runs_with_a_guess(nets):
    found = analyze("nets.py:Net")
    assert found.input == "1x3x224x224"
    assert suggested(found.findings[-1]) == (3, 224, 224)


@pytest.mark.parametrize(
    "text", ["nets.py:Net,input=4x8x8", "nets.py:Net,input=3x2x2", "vgg16,resolution=1"]
)
def test_wrong_input_of_a_spec_is_refused_with_advice_that_works(nets, text):
    with pytest.raises(InputError) as refusal:
        analyze(text)
    advice = str(refusal.value).partition("runs with")[2]
    shape = re.search(r"input[= ](\d+(?:x\d+)*)", advice)
    assert shape, refusal.value
    if "--input" in advice:
        assert analyze(text, shape[1]).graph.ops
    else:
        assert analyze(f"{text.partition(',')[0]},input={shape[1]}").graph.ops


def test_network_of_the_zoo_at_another_number_of_channels_is_refused_with_its_own():
    with pytest.raises(InputError, match=r"input=\(3, 224, 224\)"):
        analyze("vgg16", "1x224x224")


def test_refused_input_names_the_module_and_the_users_line(nets):
    with pytest.raises(InputError, match=r"in conv \(Conv2d\), given 1x4x8x8 \(nets\.py:11\)"):
        analyze("nets.py:Net", "4x8x8")


def test_forward_that_never_runs_gives_its_own_error():
    class Stubborn(nn.Module):
        def forward(self, x):
            raise KeyError("no such head")

    with pytest.raises(CaptureError, match="KeyError: 'no such head'") as failure:
        analyze(Stubborn(), "3x8x8")
    assert isinstance(failure.value.__cause__, KeyError)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True, "many"])
@pytest.mark.parametrize("model", ["mobilenet_v1", nn.Linear(6, 2)], ids=["spec", "module"])
def test_batch_that_is_no_whole_number_from_one_up_is_refused(model, batch):
    with pytest.raises(SpecError, match="at least 1"):
        analyze(model, "6" if isinstance(model, nn.Module) else None, batch)


def test_batch_may_be_a_number_as_text():
    assert analyze(nn.Linear(6, 2), "6", batch="2").input == "2x6"


@pytest.mark.parametrize("shape", [None, "3x8x8"], ids=["no input", "input"])
@pytest.mark.parametrize("model", [5, None, nn.Linear], ids=["number", "none", "class"])
def test_what_is_no_model_is_refused(model, shape):
    with pytest.raises(ArchstatError, match="not a model"):
        analyze(model, shape)


@pytest.mark.parametrize(
    "text",
    ["mobilenet_v1,batch=100000000000000000000", "vgg16,input=2147483647x2147483647x2147483647"],
)
def test_input_larger_than_any_tensor_is_refused(text):
    with pytest.raises(ArchstatError):
        analyze(text)


def test_missing_file_is_an_error_of_the_lookup():
    with pytest.raises(LookupFailedError, match=r"There is no file nets/absent\.py"):
        analyze("nets/absent.py:Net")


# -- a real run ------------------------------------------------------------------------------------


def test_forward_that_looks_at_numbers_runs_on_cpu_and_says_so():
    report = analyze(Looking(), "6")
    assert report.totals["macs"] == 6 * 2
    assert report.graph.device == "cpu"
    (note,) = report.findings
    assert note.topic == "note"
    assert note.text.startswith("Looking: ran for real on cpu")


def test_spec_whose_forward_looks_at_numbers_is_built_for_real(nets):
    report = analyze("nets.py:Looking,width=2", "3x8x8")
    assert report.totals["macs"] == 6 * 6 * 2 * 3 * 3 * 3
    assert report.graph.device == "cpu"
    assert "ran for real on cpu" in report.findings[0].text
    assert "ran for real on cpu" in to_console(report.table())


def test_real_run_with_a_wrong_input_gives_the_models_own_error():
    with pytest.raises(ArchstatError, match="Looking"):
        analyze(Looking(), "7")


# -- unknown operations ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swirl():
    """A module whose one operation no table knows; it has a kernel for meta alone."""
    library = torch.library.Library("tests_pipeline", "DEF")
    library.define("swirl(Tensor x) -> Tensor")
    library.impl("swirl", torch.empty_like, "Meta")

    class Swirl(nn.Module):
        def forward(self, x):
            return torch.ops.tests_pipeline.swirl(x)

    yield Swirl
    library._destroy()


def test_unknown_operation_is_named_and_makes_lower_bounds(swirl):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), swirl(), swirl())
    report = analyze(model, "3x8x8")
    assert report.totals["unknown_ops"] == 2
    assert report.totals["macs"] == 6 * 6 * 4 * 3 * 3 * 3
    held = {"memory_access", "memory_access_bytes", "peak_memory_bytes", "ideal_peak_bytes"}
    assert report.lower_bounds == {"macs", "flops", "activations", *held}
    assert [(finding.topic, finding.module) for finding in report.findings] == [
        ("unknown_ops", "1"),
        ("unknown_ops", "2"),
        ("receptive_field", "1"),
    ]
    assert all("tests_pipeline.swirl" in finding.text for finding in report.findings)


def test_lower_bounds_are_marked_on_the_screen_and_only_they(swirl):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), swirl())
    text = to_console(analyze(model, "3x8x8").table())
    assert ">= 3.89 k" in text
    assert text.count(">=") == 7
    assert "tests_pipeline.swirl" in text


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50",
                                  "mobilenet_v1"])  # fmt: skip
def test_common_network_has_no_unknown_operation(name):
    report = analyze(name)
    assert report.totals["unknown_ops"] == 0
    assert report.lower_bounds == frozenset()
    assert report.findings == ()


def test_settings_that_a_constructor_leaves_do_not_reach_the_next_model(tmp_path):
    path = tmp_path / "double.py"
    path.write_text(
        "import signal, torch\n"
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        torch.set_default_dtype(torch.float64)\n"
        "        signal.signal(signal.SIGTERM, print)\n"
        "        self.l = nn.Linear(4, 4)\n"
        "    def forward(self, x):\n"
        "        return self.l(x.double()) + torch.ones(4)\n"
    )
    before = torch.get_default_dtype(), signal.getsignal(signal.SIGTERM)
    figures = analyze(f"{path}:Net", "4").totals
    assert figures["param_bytes"] == (4 * 4 + 4) * 8
    assert (torch.get_default_dtype(), signal.getsignal(signal.SIGTERM)) == before
    assert analyze("lenet5").graph.values[0].dtype == "float32"


def test_training_mode_takes_statistics_of_the_batch_and_drops(tmp_path, monkeypatch):
    (tmp_path / "drops.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))\n"
        "    def train(self, mode=True):\n"
        "        raise RuntimeError('called')\n"
    )
    monkeypatch.chdir(tmp_path)
    counted = analyze("drops.py:Net,train_mode=true,input=3x8x8,batch=2")
    usual = analyze("drops.py:Net,input=3x8x8,batch=2")
    made = 2 * 4 * 8 * 8
    assert counted.totals["macs"] == usual.totals["macs"] == made * 3
    assert counted.totals["flops"] - usual.totals["flops"] >= made * (5 - 2)
    assert counted.totals["unknown_ops"] == 0
    assert {op.attributes.get("training") for op in counted.graph.ops if op.kind == "norm"} == {
        True
    }
    assert len(counted.findings) == len(usual.findings) + 1


@pytest.mark.parametrize("text", ["lenet5,train_mode=yes", "lenet5,train_mode=1"])
def test_training_mode_is_true_or_false(text):
    with pytest.raises(SpecError, match="write true or false"):
        analyze(text)

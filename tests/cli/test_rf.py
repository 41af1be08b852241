"""`archstat rf`: layer lists, models, positions, advice, measurement, pictures, bad input."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archstat import cli
from archstat.measure.field.measured import FieldCheck


def rows(text):
    return json.loads(text)["rows"]


def cells(text, key):
    return [row[key] for row in csv.DictReader(io.StringIO(text))]


def test_layer_list_shows_a_row_a_layer(archstat):
    ran = archstat("rf", "--layers", "3x3,3x3,3x3")
    assert (ran.code, ran.err) == (0, "")
    head, _, *lines = ran.out.splitlines()
    assert head.split() == ["layer", "type", "kernel", "stride", "pad", "rf", "rf", "stride", "rf",
                            "pad"]  # fmt: skip
    assert lines[2].split() == ["3", "3x3", "3x3", "1x1", "1x1", "7x7", "1x1", "3x3"]
    assert "27 C^2 weights; a single 7x7 with the same field holds 49 C^2" in lines[-1]


def test_json_holds_lists_and_csv_holds_7x7(archstat):
    line = ("rf", "--layers", "3x5/2,3x1", "--input", "32", "--channels", "2")
    first, second, *_ = rows(archstat(*line, "-f", "json").out)
    assert second["receptive_field"] == [7, 5]
    assert second["effective_stride"] == [2, 2]
    assert (first["output"], first["weights"], first["macs"]) == ([16, 16], 60, 60 * 256)
    text = archstat(*line, "-f", "csv").out
    assert cells(text, "receptive_field")[:2] == ["3x5", "7x5"]
    assert cells(text, "effective_padding")[:2] == ["1x2", "3x2"]


def test_assumed_sizes_and_channels_are_shown_nowhere(archstat):
    (row,) = rows(archstat("rf", "--layers", "3x3/2", "-f", "json").out)
    assert [row[key] for key in ("output", "lost", "weights", "macs")] == [None] * 4
    (row,) = rows(archstat("rf", "--layers", "3x3", "--input", "3x8x8", "-f", "json").out)
    assert (row["output"], row["weights"]) == ([8, 8], 27 // 3 * 9)
    (row, _) = rows(archstat("rf", "--layers", "3", "--layers", "5", "-f", "json").out)
    assert (row["input"], row["output"]) == (None, None)


def test_model_shows_its_layers_and_what_they_say_of_the_design(archstat):
    ran = archstat("rf", "resnet18")
    assert (ran.code, ran.err) == (0, "")
    assert "conv5_x.1 (add)" in ran.out
    assert "The last map, of conv5_x.1.relu, sees 435x435 pixels of the input." in ran.out
    assert "From pool on, every output sees the whole input." in ran.out
    line = next(line for line in ran.out.splitlines() if line.startswith("pool "))
    assert "global" in line


def test_gates_are_told_apart_from_the_local_field(archstat):
    ran = archstat("rf", "mobilenet_v3_small", "-f", "json")
    notes = json.loads(ran.out)["notes"]
    assert any(note.startswith("From features.3") and "gates" in note for note in notes)


def test_every_operation_has_a_row_on_request(archstat):
    usual = rows(archstat("rf", "alexnet", "-f", "json").out)
    every = rows(archstat("rf", "alexnet", "--every", "-f", "json").out)
    assert "relu" not in {row["op"] for row in usual}
    assert "relu" in {row["op"] for row in every}


def test_local_response_norm_is_no_layer_of_its_own(archstat):
    layers = [row["layer"] for row in rows(archstat("rf", "alexnet", "-f", "json").out)]
    assert layers.count("features.2") == 1


def test_several_networks_have_a_row_each(archstat):
    ran = archstat("rf", "vgg16", "alexnet", "--layers", "3x3*4", "-f", "csv")
    assert cells(ran.out, "model") == ["3x3*4", "vgg16", "alexnet"]
    assert cells(ran.out, "receptive_field") == ["9x9", "212x212", "195x195"]
    assert cells(ran.out, "effective_padding") == ["4x4", "90x90", "64x64"]


def test_position_sees_an_interval_clipped_at_the_border(archstat):
    line = ("rf", "--layers", "3x3,3x3", "--input", "8x9", "--position", "0,8")
    (row,) = rows(archstat(*line, "-f", "json").out)
    assert (row["position"], row["first_seen"], row["last_seen"]) == ([0, 8], [0, 6], [2, 8])
    assert "sees rows 0..2 of 8, columns 6..8 of 9" in archstat(*line).out


def test_layer_is_chosen_by_its_path(archstat):
    (row,) = rows(archstat("rf", "vgg16", "--at", "features.2", "-f", "json").out)
    assert row["receptive_field"] == [5, 5]


def test_advice_is_a_table_of_rules(archstat):
    text = archstat("rf", "resnet18", "--advise", "-f", "csv").out
    assert cells(text, "verdict") == ["kept", "kept", "kept", "kept", "broken"]
    assert cells(text, "layers")[-1].startswith("conv1, maxpool, ")
    assert cells(text, "figure")[-1] == "conv1: (224 - 7 + 2*3)/2 = 111.5"
    assert "and 5 more" in archstat("rf", "resnet18", "--advise").out


def test_columns_are_those_asked_for(archstat):
    ran = archstat("rf", "--layers", "3,3", "--columns", "receptive_field", "-f", "csv")
    assert ran.out == "layer,receptive_field\n1,3x3\n2,5x5\n"


def test_check_measures_the_real_module(archstat):
    ran = archstat("rf", "resnet20_cifar10", "--check", "-f", "json")
    assert (ran.code, ran.err) == (0, "")
    assert [row["disagreements"] for row in rows(ran.out)] == [0, 0]


def test_check_that_disagrees_exits_with_one(archstat, monkeypatch):
    monkeypatch.setattr(FieldCheck, "agrees", property(lambda self: False))
    ran = archstat("rf", "lenet5", "--check")
    assert ran.code == 1
    assert "DIFFERS from the theory" in ran.err


def test_effective_field_is_a_row_and_a_map(archstat):
    ran = archstat("rf", "resnet20_cifar10", "--effective", "--at", "stage1")
    assert (ran.code, ran.err) == (0, "")
    assert "two_sigma" in ran.out
    assert len(ran.out.splitlines()) > 10
    (row,) = rows(archstat("rf", "resnet20_cifar10", "--effective", "--at", "stage1",
                           "-f", "json").out)  # fmt: skip
    assert row["side_20"] < row["side_99"] <= row["theoretical_field"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--layers", "3,3/2,3"),
        ("--layers", "3,3/2,3", "--layers", "7x1"),
        ("--layers", "3,3/2", "--input", "9", "--position", "0,2"),
        ("--layers", "3x3x3", "--input", "9"),
        ("lenet5", "--effective"),
    ],
)
def test_picture_is_drawn_beside_the_table(archstat, tmp_path, arguments):
    pytest.importorskip("matplotlib")
    ran = archstat("rf", *arguments, "--plot", str(tmp_path / "field.svg"))
    assert (ran.code, ran.err) == (0, f"archstat: wrote {tmp_path / 'field.svg'}\n")
    assert ran.out
    assert (tmp_path / "field.svg").read_text(encoding="utf-8").startswith("<?xml")


WRONG = [
    ((), "rf needs a MODEL or --layers LIST"),
    (("--layers", ""), "the layer list is empty"),
    (("--layers", "3x3,3x"), "    3x3,3x\n          ^"),
    (("--layers", "7p0", "--input", "5"), "a kernel of 7 is larger than its input of 5"),
    (("--layers", "3", "--input", "0"), "must lie between 1"),
    (("--layers", "3", "--input", "8", "--input", "9"), "give --input once"),
    (("--layers", "3", "--channels", "0"), "0 channels"),
    (("--layers", "3*12", "--at", "112"), "no layer '112'. Did you mean"),
    (("--layers", "3", "--position", "0,0"), "give --input"),
    (("--layers", "3", "--input", "8", "--position", "a"), "give an index for each axis"),
    (("--layers", "3", "--input", "8", "--position", "9,9"), "9"),
    (("--layers", "3", "--check"), "a layer list has no module"),
    (("--layers", "3", "--effective"), "a layer list has no module"),
    (("--layers", "3", "--columns", "feild"), "There is no column 'feild'"),
    (("--layers", "3", "--plot", "field.doc"), "is not a picture format"),
    (("--layers", "3", "--plot", "field.svg", "--advise"), "--advise takes no --plot"),
    (("--layers", "3", "--advise", "--every"), "--advise takes no --every"),
    (("lenet5", "alexnet", "--at", "fc"), "--at takes one model; 2 were given."),
    (("lenet5", "--channels", "3"), "--channels needs --layers"),
    (("lenet5", "--weights", "x.pt"), "--weights needs --effective"),
    (("resnet18", "--at", "conv55_x"), "Did you mean conv5_x"),
    (("lenet6",), "Did you mean lenet5"),
    (("nets.py:Vector", "--input", "8"), "spatial axes"),
]

VECTOR = """
from torch import nn

class Vector(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(8, 8))
"""


@pytest.mark.parametrize(("arguments", "part"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_what_cannot_be_done_is_one_message(archstat, tmp_path, monkeypatch, arguments, part):
    (tmp_path / "nets.py").write_text(VECTOR, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = archstat("rf", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert part in ran.err
    assert ran.err.startswith("archstat: ")
    assert "Traceback" not in ran.err and "bug in archstat" not in ran.err


VIEWS = [[], ["--advise"], ["--every"], ["--position", "0,0"], ["--at", "1"]]
pieces = st.sampled_from([
    *("3", "3x3", "7x1", "3x3x3", "max2", "avg3", "t4", "up2", "id", "0", "99999999", "1000000"),
    *("/2", "/2x1", "p0", "p1", "d2", "g2", "dw", "-8", "*2", "*9", "*9999"),
    *(",", ",", ",", "(", ")", "|", " ", "-", "\x00", "\ud800", "\uff13"),
])  # fmt: skip
lists = st.one_of(st.text(max_size=20), st.lists(pieces, max_size=12).map("".join))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lists, st.sampled_from(["", "1", "7", "32", "8x9", "3x8x8", "0", "x", "\u0663"]),
       st.sampled_from(["", "0", "2", "8"]), st.sampled_from(VIEWS),
       st.sampled_from(["csv", "json", "console", "latex"]))  # fmt: skip
def test_no_text_of_any_kind_gives_a_traceback(
    capsys, monkeypatch, text, size, channels, view, format
):
    options = [f"--input={size}"] * bool(size) + [f"--channels={channels}"] * bool(channels)
    line = ["archstat", "rf", f"--layers={text}", *options, *view, "-f", format]
    with monkeypatch.context() as patch:
        patch.setattr("sys.argv", line)
        try:
            code = cli.main()
        except SystemExit as stop:
            code = stop.code
    out, err = capsys.readouterr()
    assert code in (0, 2, None), (code, err)
    assert "bug in archstat" not in err, err
    assert bool(err) == (code == 2)
    assert bool(out) == (code != 2)


def test_narrow_terminal_keeps_the_most_needed_columns(archstat, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name, value in {"COLUMNS": "80", "PAGER": "", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    out = archstat("rf", "resnet18").out
    head = out.splitlines()[0]
    assert len(head) <= 80
    assert head.split()[:2] == ["layer", "kernel"]
    assert "Hidden for width: " in out


@pytest.mark.parametrize("form", ["console", "csv"])
def test_top_shows_the_largest_fields(archstat, form):
    lines = archstat("rf", "--layers", "3x3,1x1,3x3/2,5x5", "--top", "2", "-f", form).out.split(
        "\n"
    )
    names = [line.split(",")[0].split()[0] for line in lines if line.strip()]
    assert names[names.index("layer") + 1 :][int(form == "console") :][:2] == ["4", "3"]

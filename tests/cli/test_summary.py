"""`archstat summary` on a screen: an overview; in files: every row, as it was counted."""

from __future__ import annotations

import csv
import io
import json

import pytest


def body(text):
    return text.split("\n\n")[0].splitlines()[2:]


def test_console_folds_equal_neighbours_and_full_does_not(archstat):
    assert any("0..5 Conv2d x6" in line for line in body(archstat("summary", "lenet5").out))
    whole = body(archstat("summary", "lenet5", "--full").out)
    assert not any(".." in line for line in whole)
    assert sum("Conv2d" in line for line in whole) == 1 + 16 + 1


def test_console_goes_no_deeper_than_a_page_and_says_so(archstat):
    out = archstat("summary", "resnet50").out
    assert "Depth 2 of 4; --depth N or --full shows more." in out
    assert "Depth" not in archstat("summary", "resnet50", "--depth", "1").out


def test_zero_is_a_dot_and_a_share_has_a_bar(archstat):
    out = archstat("summary", "lenet5", "--columns", "macs,macs_share").out
    flat = next(line for line in body(out) if "Flatten" in line)
    assert flat.split()[-2:] == ["·", "·"]
    root = body(out)[0]
    assert root.split() == ["lenet5", "325.68", "k", "100.0%", "██████"]


def test_totals_stand_below_with_units(archstat):
    closing = archstat("summary", "lenet5").out.split("\n\n")[1].splitlines()
    assert closing[0] == "params         60.00 k  all trainable; 234.38 KiB"
    assert [line.split("  ")[0] for line in closing] == [
        "params", "macs", "flops", "activations", "peak memory 296.78 KiB", "input"]  # fmt: skip


def test_attention_goes_by_its_name(archstat):
    out = archstat("summary", "vit_b_16", "--full").out
    assert "scaled_dot_product" not in out
    assert "attention" in out


def test_sorted_rows_show_paths_and_the_root_has_a_name(archstat):
    lines = body(archstat("summary", "vgg16", "--sort=-macs_share", "--columns", "macs").out)
    assert [line.split()[0] for line in lines[:3]] == ["vgg16", "features", "features.2"]


@pytest.mark.parametrize("format", ["csv", "json"])
def test_raw_formats_hold_every_row_and_shapes_on_request(archstat, format):
    def read(text):
        return list(csv.DictReader(io.StringIO(text))) if format == "csv" else json.loads(text)[
            "rows"]  # fmt: skip

    rows = read(archstat("summary", "lenet5", "-f", format).out)
    assert sum(row["type"] == "Conv2d" for row in rows) == 18
    assert rows[0]["module"] == ""
    assert not {"tree", "input", "kernel"} & set(rows[0])
    asked = read(archstat("summary", "lenet5", "-f", format, "--columns", "input,kernel").out)
    assert asked[1] == {"module": "c1", "input": "1x1x32x32", "kernel": "5x5"}


@pytest.mark.parametrize("extra", [[], ["--by", "type"]])
def test_every_column_can_be_asked_for_of_a_model_without_buffers(archstat, extra):
    ran = archstat("summary", "vgg11", "--columns", "all", "-f", "csv", *extra)
    assert (ran.code, ran.err) == (0, "")
    assert next(csv.DictReader(io.StringIO(ran.out)))["buffers"] == "0"


@pytest.mark.parametrize("format", ["markdown", "latex"])
def test_tables_for_papers_hold_every_row(archstat, format):
    out = archstat("summary", "lenet5", "-f", format).out
    assert ".." not in out
    assert "·" not in out
    assert out.count("Conv2d") == 18


@pytest.mark.parametrize("format", ["console", "csv", "json", "markdown", "latex"])
@pytest.mark.parametrize("by", ["stage", "type", "block"])
def test_groups_go_out_in_every_format(archstat, by, format):
    ran = archstat("summary", "resnet18", "--by", by, "-f", format)
    assert ran.code == 0
    assert by in ran.out


def test_groups_can_be_sorted(archstat):
    out = archstat("summary", "resnet18", "--by", "type", "--sort=-flops", "-f", "csv").out
    flops = [int(row["flops"]) for row in csv.DictReader(io.StringIO(out))]
    assert flops == sorted(flops, reverse=True)


def test_map_elements_come_on_request(archstat):
    out = archstat("summary", "vgg16", "--columns", "own_feature_maps", "-f", "csv").out
    rows = {row["module"]: int(row["own_feature_maps"])
            for row in csv.DictReader(io.StringIO(out))}  # fmt: skip
    assert rows["features.0"] == 224 * 224 * 64
    assert "feature_maps" not in archstat("summary", "vgg16", "-f", "csv").out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--by", "stages"], "Did you mean stage"),
        (["--by", "type", "--depth", "1"], "--by takes no --depth"),
        (["--full", "--depth", "1"], "--full takes no --depth"),
        (["--as", "fvcore", "--top", "3"], "--as takes no --top"),
        (["--as", "nope"], "Known: fvcore, flop_counter"),
        (["--bits", "many"], "'many' gives no bit widths"),
    ],
)
def test_what_does_not_go_together_is_refused(archstat, given, told):
    ran = archstat("summary", "lenet5", *given)
    assert ran.code == 2
    assert told in ran.err


def test_tool_is_shown_beside_macs_with_the_layers_that_make_the_difference(archstat):
    ran = archstat("summary", "resnet18", "--as", "fvcore", "--depth", "1")
    lines = body(ran.out)
    assert lines[0].split()[:3] == ["resnet18", "1.81", "G"]
    assert lines[0].endswith("BatchNorm2d, AdaptiveAvgPool2d")
    assert "as_fvcore: FLOPs of fvcore" in ran.out


def test_bits_add_a_column_of_bops(archstat):
    rows = list(csv.DictReader(io.StringIO(
        archstat("summary", "resnet18", "--bits", "w4a4,first=8,last=8", "--format", "csv").out
    )))  # fmt: skip
    by_path = {row["module"]: row for row in rows}
    assert int(by_path["conv1"]["bops"]) == 64 * int(by_path["conv1"]["macs"])
    assert int(by_path["conv3_x"]["bops"]) == 16 * int(by_path["conv3_x"]["macs"])


@pytest.mark.parametrize("name, said", [
    ("treemap.svg", ("features", "convolution")), ("strip.svg:3.3in", (">Conv2d<", "1000"))
])  # fmt: skip
def test_plot_draws_the_tree_or_the_strip(archstat, tmp_path, name, said):
    ran = archstat("summary", "alexnet", "--plot", str(tmp_path / name))
    file = tmp_path / name.partition(":")[0]
    assert (ran.code, ran.err) == (0, f"archstat: wrote {file}\n")
    text = file.read_text(encoding="utf-8")
    assert [word for word in said if word not in text] == []


@pytest.mark.parametrize("words, said", [
    (("--plot", "t.jpg"), ".jpg"),
    (("--plot", "none/t.svg"), "there is no folder none"),
    (("--plot", "t.svg", "--sort", "unknown_ops"), "--sort takes macs"),
])  # fmt: skip
def test_picture_that_cannot_be_drawn_is_one_message(archstat, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    ran = archstat("summary", "lenet5", *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []

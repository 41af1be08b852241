"""`archstat guidelines`, and memory access in `compare` and `summary`."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.reporters import FORMATS


def rows(text):
    return json.loads(text)["rows"]


def test_one_model_shows_a_line_a_guideline_and_its_worst_modules(archstat):
    ran = archstat("guidelines", "shufflenet_v1")
    assert (ran.code, ran.err) == (0, "")
    head, _, *lines = ran.out.splitlines()
    assert head.split()[:4] == ["guideline", "module", "figure", "limit"]
    g1 = next(line for line in lines if line.startswith("G1"))
    assert g1.split()[:6] == ["G1", "equal", "channel", "widths", "+17.2%", "+5.0%"]
    assert "30 of 32 layers unequal" in g1
    below = lines[lines.index(g1) + 1]
    assert below.split()[0] == "stage2.1.residual.conv1"
    assert "240->60, 1x1 on 28x28, 3 groups, ratio 4" in below
    assert "fusion inference" in lines[-1]


def test_several_models_stand_side_by_side(archstat):
    ran = archstat("guidelines", "shufflenet_v1", "shufflenet_v2_x1_0", "mobilenet_v2")
    lines = [line.split() for line in ran.out.splitlines()[2:]]
    verdicts = {words[0]: words[3::3] for words in lines}
    assert verdicts == {
        "shufflenet_v1": ["broken", "broken", "kept", "kept"],
        "shufflenet_v2_x1_0": ["kept"] * 4,
        "mobilenet_v2": ["broken", "kept", "kept", "broken"],
    }


def test_top_shows_the_modules_of_several_models_too(archstat):
    out = archstat("guidelines", "shufflenet_v1", "mobilenet_v2", "--top", "1").out
    assert "features.4.residual.expand" in out
    assert sum(line.startswith("mobilenet_v2") for line in out.splitlines()) == 4 + 2


def test_raw_formats_hold_every_module_worst_first(archstat):
    found = rows(archstat("guidelines", "mobilenet_v2", "-f", "json").out)
    assert found[0]["module"] == ""
    assert found[0]["model"] == "mobilenet_v2"
    layers = [row for row in found if row["guideline"] == "G1" and row["module"]]
    assert len(layers) == 34
    wasted = [row["access"] - row["optimum"] for row in layers]
    assert wasted == sorted(wasted, reverse=True)
    assert found[0]["access"] == sum(row["access"] for row in layers)
    assert found[0]["figure"] == pytest.approx(found[0]["access"] / found[0]["optimum"] - 1)
    assert {row["verdict"] for row in layers} == {"broken", "kept"}
    table = csv.DictReader(io.StringIO(archstat("guidelines", "mobilenet_v2", "-f", "csv").out))
    assert [row["module"] for row in table] == [row["module"] for row in found]


@pytest.mark.parametrize("name", [known.name for known in FORMATS])
@pytest.mark.parametrize("models", [["vgg11"], ["vgg11", "alexnet"]])
def test_every_format_shows_every_model(archstat, name, models):
    ran = archstat("guidelines", *models, "--format", name)
    assert (ran.code, ran.err) == (0, "")
    assert "G1" in ran.out
    assert "G4" in ran.out
    assert len(models) == 1 or all(model in ran.out for model in models)


def test_file_gets_the_format_of_its_suffix(archstat, tmp_path):
    assert archstat("guidelines", "vgg11", "-o", str(tmp_path / "out.json")).code == 0
    assert rows((tmp_path / "out.json").read_text())[0]["guideline"] == "G1"


def test_limits_are_options(archstat):
    (row, *_) = rows(archstat("guidelines", "mobilenet_v2", "--g1", "0.5", "-f", "json").out)
    assert (row["verdict"], row["limit"]) == ("kept", 0.5)
    loose = ("--g1", "9", "--g2", "9", "--g3", "99", "--g4", "1")
    assert "broken" not in archstat("guidelines", "shufflenet_v1", *loose).out
    tight = ("--g1", "0", "--g2", "0", "--g3", "0", "--g4", "0")
    found = rows(archstat("guidelines", "shufflenet_v2_x1_0", *tight, "-f", "json").out)
    assert {row["verdict"] for row in found if not row["module"]} == {"broken"}


def test_fusion_is_an_option_and_in_the_footer(archstat):
    ran = archstat("guidelines", "resnet18", "--fusion", "none", "-f", "json")
    assert "fusion none" in json.loads(ran.out)["convention"]["access"]
    share = next(row["figure"] for row in rows(ran.out) if row["guideline"] == "G4")
    fused = rows(archstat("guidelines", "resnet18", "-f", "json").out)
    assert share > next(row["figure"] for row in fused if row["guideline"] == "G4")


def test_columns_are_those_asked_for(archstat):
    ran = archstat("guidelines", "vgg11", "--columns", "figure,module", "-f", "csv")
    assert ran.out.splitlines()[0] == "model,figure,module"


MISTAKES = [
    (("vgg11", "--fusion", "training"), "There is no fusion 'training'"),
    (("vgg11", "--fusion", "infrence"), "Did you mean inference?"),
    (("vgg11", "--g1", "-1"), "--g1 -1.0: a limit is a number of at least 0"),
    (("vgg11", "--g4", "nan"), "--g4 nan: a limit is a number of at least 0"),
    (("vgg11", "--columns", "zzz"), "There is no column 'zzz'"),
    (("vgg11", "--format", "xml"), "There is no format 'xml'"),
    (("vg11",), "There is no network 'vg11'"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistake_is_one_message_and_exit_code_2(archstat, arguments, message):
    ran = archstat("guidelines", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_unknown_operation_is_told_and_refused_when_strict(archstat, unknown):
    ran = archstat("guidelines", unknown)
    assert ran.code == 0
    assert "unknown: tests_cli.swirl.default" in ran.out
    ran = archstat("guidelines", unknown, "--strict")
    assert ran.code == 3
    assert "the count is incomplete" in ran.err


# -- compare and summary ---------------------------------------------------------------------------


def test_compare_shows_memory_with_what_was_chosen_below(archstat):
    keys = "memory_access,arithmetic_intensity,peak_memory_bytes"
    ran = archstat("compare", "vgg11", "resnet18", "--columns", keys)
    assert "memory_access: each op by itself" in ran.out
    assert "fusion none" in ran.out
    assert "workspaces of libraries are not included" in ran.out
    fused = archstat("compare", "vgg11", "--columns", "memory_access", "--fusion", "inference")
    assert "fusion inference" in fused.out
    assert "workspaces" not in fused.out
    assert "memory_access" not in archstat("compare", "vgg11").out


def test_fusion_moves_less_and_changes_nothing_else(archstat):
    plain, fused = (
        rows(archstat("compare", "resnet18", "--fusion", name, "-f", "json").out)[0]
        for name in ("none", "inference")
    )
    assert fused["memory_access"] < plain["memory_access"]
    changed = {key for key in plain if plain[key] != fused[key]}
    assert changed == {"memory_access", "memory_access_bytes", "arithmetic_intensity"}


def test_json_says_how_memory_was_counted(archstat):
    document = json.loads(archstat("compare", "vgg11", "-f", "json").out)
    assert "fusion none" in document["convention"]["memory_access"]
    assert "workspaces" in document["convention"]["peak_memory_bytes"]


@pytest.mark.parametrize("command", ["compare", "summary"])
def test_unknown_fusion_is_refused(archstat, command):
    ran = archstat(command, "vgg11", "--fusion", "inferense")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "archstat: There is no fusion 'inferense'. Did you mean inference? "
        "Known: none, inference.\n"
    )


def test_summary_has_im2col_and_gemm_on_request(archstat):
    spec = "alexnet,input=3x227x227"
    keys = "im2col,im2col_weight,im2col_copy_factor,gemm_batch,gemm_m,gemm_n,gemm_k"
    found = rows(archstat("summary", spec, "--columns", keys, "-f", "json").out)
    first = next(row for row in found if row["module"] == "features.0")
    assert (first["im2col"], first["im2col_weight"]) == ([363, 3025], [96, 363])
    assert (first["gemm_m"], first["gemm_n"], first["gemm_k"]) == (96, 3025, 363)
    assert "im2col" not in rows(archstat("summary", spec, "-f", "json").out)[0]
    assert "363x3025" in archstat("summary", spec, "--columns", "im2col").out


def test_summary_adds_memory_access_up_and_divides_the_sums(archstat):
    found = rows(archstat("summary", "resnet18", "--fusion", "inference", "-f", "json").out)
    whole = found[0]
    assert whole["memory_access"] == sum(row["own_memory_access"] for row in found)
    for row in found:
        if row["memory_access_bytes"]:
            quotient = row["flops"] / row["memory_access_bytes"]
            assert row["arithmetic_intensity"] == quotient

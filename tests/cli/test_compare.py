"""`archstat compare`: the rows, the columns and the order asked for, and complete counts."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.measure.latency.store import LatencyStore
from archstat.tables.compare import COMPARISON_COLUMNS

VGG_16 = {"params": 138_357_544, "macs": 15_470_264_320}
MOBILENET = {"params": 4_231_976, "macs": 568_740_352}


def rows(text: str) -> list[dict[str, object]]:
    return json.loads(text)["rows"]


# -- what is shown ---------------------------------------------------------------------------------


def test_main_job_prints_the_table(archstat):
    ran = archstat("compare", "vgg16", "mobilenet_v1")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == [
        "model", "input", "params", "macs", "flops", "activ.", "depth",
    ]  # fmt: skip
    assert lines[2].split() == [
        "vgg16", "3x224x224", "138.36", "M", "15.47", "G", "30.97", "G", "13.56", "M", "16",
    ]  # fmt: skip
    assert lines[3].split()[:6] == ["mobilenet_v1", "3x224x224", "4.23", "M", "568.74", "M"]
    assert lines[4].split()[:4] == ["32.7x", "less", "27.2x", "less"]


def test_json_holds_the_published_figures(archstat):
    ran = archstat("compare", "vgg16", "mobilenet_v1", "--format", "json")
    first, second = rows(ran.out)
    assert {key: first[key] for key in VGG_16} == VGG_16
    assert {key: second[key] for key in MOBILENET} == MOBILENET


@pytest.mark.parametrize("option", ["--format", "-f"])
def test_csv_holds_every_cheap_column(archstat, option):
    ran = archstat("compare", "mobilenet_v1", option, "csv")
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert list(row) == [column.key for column in COMPARISON_COLUMNS]
    assert (row["params"], row["macs"]) == ("4231976", "568740352")


def test_one_model_has_no_ratios_on_the_screen(archstat):
    ran = archstat("compare", "mobilenet_v1")
    assert len(ran.out.splitlines()) == 3
    assert "same" not in ran.out


def test_model_of_a_file_takes_options(archstat, nets):
    ran = archstat("compare", "nets.py:Net,width=2", "nets.py:Net", "--input", "3x8x8", "-f", "csv")
    assert (ran.code, ran.err) == (0, "")
    table = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["model"] for row in table] == ["nets.py:Net,width=2", "nets.py:Net"]
    assert [row["params"] for row in table] == [str(2 * 3 * 9), str(4 * 3 * 9)]


def test_reference_is_the_model_named(archstat):
    ran = archstat(
        "compare", "alexnet", "mobilenet_v1", "--reference", "mobilenet_v1", "-f", "json"
    )
    first, second = rows(ran.out)
    assert second["macs_ratio"] == 1.0
    assert first["macs_ratio"] == first["macs"] / second["macs"]


def test_real_run_is_said_below_the_table(archstat, nets):
    ran = archstat("compare", "nets.py:Looking,input=3x8x8")
    assert ran.code == 0
    assert "nets.py:Looking,input=3x8x8: ran for real on cpu" in ran.out


# -- inputs ----------------------------------------------------------------------------------------


def test_input_is_for_every_model_that_brings_none(archstat, nets):
    ran = archstat("compare", "nets.py:Net", "nets.py:Net,input=3x9x9", "mobilenet_v1",
                   "--input", "3x32x32", "-f", "json")  # fmt: skip
    assert [row["input"] for row in rows(ran.out)] == ["1x3x32x32", "1x3x9x9", "1x3x32x32"]


def test_several_inputs_stand_in_order(archstat, nets):
    ran = archstat("compare", "nets.py:Pair", "--input", "3x8x8", "--input", "3x8x8", "-f", "json")
    assert rows(ran.out)[0]["input"] == "1x3x8x8, 1x3x8x8"


def test_named_inputs_go_to_their_arguments(archstat, nets):
    ran = archstat("compare", "nets.py:Pair", "--input", "right=3x8x8", "--input", "left=3x8x8",
                   "--batch", "2", "-f", "json")  # fmt: skip
    assert ran.code == 0
    assert rows(ran.out)[0]["input"] == "right=2x3x8x8, left=2x3x8x8"


def test_batch_is_in_the_input(archstat):
    ran = archstat("compare", "mobilenet_v1", "--batch", "4", "-f", "json")
    (row,) = rows(ran.out)
    assert row["input"] == "4x3x224x224"
    assert row["macs"] == 4 * MOBILENET["macs"]


# -- columns and order -----------------------------------------------------------------------------


def test_columns_are_those_asked_for_in_that_order_after_the_model(archstat):
    ran = archstat("compare", "mobilenet_v1", "--columns", "depth,macs,params_ratio", "-f", "csv")
    assert ran.out == "model,depth,macs,params_ratio\nmobilenet_v1,28,568740352,1.0\n"


@pytest.mark.parametrize("columns", ["macs,macs", "model,macs", " macs ,", "macs"])
def test_columns_are_shown_once_and_the_model_always(archstat, columns):
    ran = archstat("compare", "mobilenet_v1", "--columns", columns, "-f", "csv")
    assert ran.out.splitlines()[0] == "model,macs"


def test_columns_bring_their_ratios_to_the_screen(archstat):
    ran = archstat("compare", "vgg16", "mobilenet_v1", "--columns", "macs")
    assert [line.split() for line in ran.out.splitlines()[2:]] == [
        ["vgg16", "15.47", "G"],
        ["mobilenet_v1", "568.74", "M"],
        ["27.2x", "less"],
    ]


@pytest.mark.parametrize("option", ["--columns", "--sort"])
@pytest.mark.parametrize(("typo", "meant"), [("parms", "params"), ("Macz", "macs"),
                                             ("macs_ration", "macs_ratio")])  # fmt: skip
def test_misspelt_column_gets_the_nearest_before_any_model_is_built(archstat, option, typo, meant):
    ran = archstat("compare", "no_such_network", option, typo)
    assert (ran.code, ran.out) == (2, "")
    assert f"There is no column '{typo}'. Did you mean {meant}" in ran.err


def test_column_unlike_any_gets_the_command_that_lists_them(archstat):
    ran = archstat("compare", "vgg16", "--columns", "zzz")
    assert "`archstat columns compare` lists all" in ran.err


MODELS = ("alexnet", "vgg16", "mobilenet_v1")


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (["--sort", "macs"], ["mobilenet_v1", "alexnet", "vgg16"]),
        (["--sort", "-macs"], ["vgg16", "alexnet", "mobilenet_v1"]),
        (["--sort=-macs"], ["vgg16", "alexnet", "mobilenet_v1"]),
        (["--sort", "model"], ["alexnet", "mobilenet_v1", "vgg16"]),
        (["--sort", "-model"], ["vgg16", "mobilenet_v1", "alexnet"]),
        ([], list(MODELS)),
    ],
)
def test_rows_stand_as_asked_for_or_sorted(archstat, arguments, order):
    ran = archstat("compare", *MODELS, *arguments, "--columns", "macs", "-f", "json")
    assert [row["model"] for row in rows(ran.out)] == order


def test_sorting_leaves_the_reference_what_it_was(archstat):
    ran = archstat("compare", *MODELS, "--sort", "macs", "-f", "json")
    ratios = {row["model"]: row["macs_ratio"] for row in rows(ran.out)}
    assert ratios["alexnet"] == 1.0


# -- complete and incomplete counts ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg16_bn", "resnet50", "mobilenet_v1"])
def test_common_network_passes_strict(archstat, name):
    ran = archstat("compare", name, "--strict")
    assert (ran.code, ran.err) == (0, "")
    assert ">=" not in ran.out


def test_unknown_operation_gives_lower_bounds_a_count_and_a_note(archstat, unknown):
    ran = archstat("compare", unknown)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count(">=") == 3
    assert "unknown_ops" in ran.out.splitlines()[0]
    assert "tests_cli.swirl" in ran.out
    assert "in 1 (Swirl)" in ran.out


def test_strict_prints_the_table_and_exits_with_3(archstat, unknown):
    ran = archstat("compare", "mobilenet_v1", unknown, "--strict")
    assert ran.code == 3
    assert ">= 3.89 k" in ran.out
    assert len(ran.err.splitlines()) == 1
    assert "1 operation" in ran.err
    # what is unknown is told once, below the table
    assert (ran.out + ran.err).count("tests_cli.swirl") == 1


@pytest.mark.parametrize("form", ["csv", "json"])
def test_strict_names_the_unknown_operation_and_its_module_in_every_format(archstat, unknown, form):
    ran = archstat("compare", unknown, "--strict", "--format", form)
    assert ran.code == 3
    assert "tests_cli.swirl" in ran.out + ran.err
    assert "in 1 (Swirl)" in ran.out + ran.err


def test_unknown_operation_is_in_the_notes_and_columns_of_json(archstat, unknown):
    ran = archstat("compare", unknown, "--format", "json")
    document = json.loads(ran.out)
    assert document["rows"][0]["unknown_ops"] == 1
    assert "tests_cli.swirl" in document["notes"][0]


def test_model_that_fails_comes_before_an_incomplete_count(archstat, unknown):
    ran = archstat("compare", unknown, "no_such_network", "--strict")
    assert ran.code == 2


# -- latency ---------------------------------------------------------------------------------------


MEASURED = ("nets.py:Net", "nets.py:Net,width=16")


@pytest.fixture
def compare(archstat, nets, asked):
    def run(*arguments: str):
        return archstat("compare", *MEASURED, "--input", "3x8x8", *arguments)

    return run


def test_measured_columns_stand_beside_the_counted_ones(compare, asked, store):
    done = compare("--latency", "-f", "json")
    assert done.code == 0, done.err
    first, second = json.loads(done.out)["rows"]
    assert (first["macs"], first["latency_ms"]) == (3888, 10.0 * len(MEASURED[0]))
    assert second["latency_ms_ratio"] == pytest.approx(len(MEASURED[1]) / len(MEASURED[0]))
    assert first["device"] == "cpu"
    assert (asked[0].models, asked[0].input) == (MEASURED, ("3x8x8",))
    assert asked[0].budget_s == 30.0
    kept = LatencyStore(store).of_machine("m1")
    assert [one.measurement.model for one in kept] == list(MEASURED)


def test_screen_has_macs_latency_and_verdict(compare):
    out = compare("--latency").out
    for said in ("macs", "latency_ms", "verdict", "slower", "ended by: budget"):
        assert said in out


def test_options_are_passed_on(compare, asked):
    done = compare("--latency", "--device", "cuda", "--budget", "5s", "--batch", "4",
                   "--reference", MEASURED[1])  # fmt: skip
    assert done.code == 0, done.err
    (call,) = asked
    assert (call.conditions.device, call.conditions.batch) == ("cuda", 4)
    assert (call.budget_s, call.reference) == (5.0, 1)


def test_measured_columns_are_chosen_and_sorted_by(compare):
    done = compare("--latency", "--columns", "latency_ms", "--sort", "-latency_ms", "-f", "csv")
    head, first, _ = done.out.splitlines()
    assert head == "model,latency_ms"
    assert first.startswith('"nets.py:Net,width=16"')


def test_without_latency_nothing_is_measured_and_no_store_is_made(compare, asked, store):
    out = compare().out
    assert "latency" not in out
    assert asked == []
    assert not store.exists()


def test_interrupt_prints_what_is_finished(compare):
    done = compare("--latency", "--batch", "7", "-f", "json")
    assert done.code == 130
    assert [row["rule"] for row in json.loads(done.out)["rows"]] == ["interrupted"] * 2
    done = compare("--latency", "--batch", "9")
    assert (done.code, done.out) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cpu"), "--device needs --latency."),
        (("--budget", "3s"), "--budget needs --latency."),
        (("--latency", "--variants"), "--latency takes no --variants"),
        (("--latency", "--budget", "3"), "'3' is not a time with a unit"),
        (("--latency", "--device", "tpu"), "not a device to measure on"),
        (("--columns", "latency_ms"), "no column 'latency_ms'"),
    ],
)
def test_wrong_request_to_measure_is_one_message(compare, asked, arguments, message):
    done = compare(*arguments)
    assert (done.code, done.out, asked) == (2, "", [])
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--fully-convolutional", "--resolution"])
def test_sizes_are_given_in_the_spec(archstat, asked, option):
    given = (option,) if option == "--fully-convolutional" else (option, "384")
    done = archstat("compare", "vgg16", "--latency", *given)
    assert (done.code, done.out, asked) == (2, "", [])
    assert f"--latency takes no {option}: " in done.err and "MODEL,resolution=SIZE" in done.err


def test_top_shows_the_largest_models_and_ratios_without_sort_by_macs(archstat):
    ran = archstat("compare", "lenet5", "vgg16", "alexnet", "--top", "2", "-f", "csv")
    assert [line.split(",")[0] for line in ran.out.splitlines()] == ["model", "vgg16", "alexnet"]
    assert "less" not in archstat("compare", "lenet5", "vgg16", "alexnet", "--top", "2").out
    by = archstat("compare", "lenet5", "vgg16", "alexnet", "--top", "1", "--sort", "params")
    assert "lenet5" in by.out
    assert "vgg16" not in by.out


@pytest.mark.parametrize("command", [["summary"], ["explain"], ["reconcile", "--macs", "5.34G"]])
def test_resolution_is_taken_where_a_model_is_captured(archstat, command):
    name, *more = command
    ran = archstat(name, "resnet50", *more, "--resolution", "256", "-f", "json")
    assert (ran.code, ran.err) == (0, "")
    assert "5340348416" in ran.out


def test_footer_says_what_a_tool_misses_in_this_model(archstat):
    ran = archstat("compare", "vit_b_16", "resnet18", "--as", "torchinfo")
    assert "It misses 17.36 G macs of vit_b_16 (Linear, SelfAttention)." in ran.out


def test_bits_add_a_column_of_bops(archstat):
    (row,) = json.loads(archstat("compare", "resnet18", "--bits", "8", "--format", "json").out)[
        "rows"
    ]
    assert row["bops"] == 64 * row["macs"]


def test_bits_that_are_none_are_refused(archstat):
    ran = archstat("compare", "resnet18", "--bits", "w4a8,frst=8")
    assert ran.code == 2
    assert "gives no bit widths" in ran.err


def test_plot_draws_two_columns_with_names_and_front(archstat, tmp_path):
    file, picture = tmp_path / "own.csv", tmp_path / "p.svg"
    file.write_text("model,top1\nlenet5,98.9\nalexnet,56.5\n")
    ran = archstat(
        "compare", "lenet5", "alexnet", "--join", str(file), "--plot", f"{picture}:3.3in"
    )
    assert (ran.code, ran.err) == (0, f"archstat: wrote {picture}\n")
    text = picture.read_text(encoding="utf-8")
    assert [w for w in ("macs", "top1", ">lenet5<", ">alexnet<", "front") if w not in text] == []


@pytest.mark.parametrize("words, said", [
    (("--plot", "p.svg", "--y", "top5"), "'top5'"),
    (("--plot", "p.svg", "--x", "input"), "--x input"),
    (("--plot", "p.jpg"), ".jpg"),
    (("--plot", "none/p.svg"), "there is no folder none"),
    (("--x", "macs"), "--x needs --plot"),
    (("--accuracy", "paper"), "--accuracy paper"),
    (("--accuracy", "timm"), "lenet5"),
])  # fmt: skip
def test_picture_or_accuracy_that_cannot_be_is_one_message(
    archstat, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    ran = archstat("compare", "lenet5", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_command_joins_timms_results_and_says_what_it_missed(archstat, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("model,top1\nlenet5.tag,80\n")
    ran = archstat("compare", "lenet5", "alexnet", "--join", str(path), "--columns", "top1",
                   "-f", "csv")  # fmt: skip
    assert (ran.code, ran.out) == (0, "model,top1\nlenet5,80\nalexnet,\n")
    assert ran.err == "archstat: --join: 1 of 2 models found; not there: alexnet.\n"


def test_joined_accuracy_is_one_column_and_kept_on_a_narrow_screen(archstat, tmp_path, monkeypatch):
    path = tmp_path / "own.csv"
    path.write_text("model,top1\nlenet5,80\n")
    whole = archstat("compare", "lenet5", "--join", str(path)).out
    assert whole.splitlines()[0].split().count("top1") == 1
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("PAGER", "")
    assert "top1" in archstat("compare", "lenet5", "--join", str(path)).out.splitlines()[0]


def test_command_that_joins_nothing_exits_with_2(archstat, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("model,top1\nother,80\n")
    ran = archstat("compare", "lenet5", "--join", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert "0 of 1 models found" in ran.err

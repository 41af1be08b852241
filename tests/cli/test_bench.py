"""``archstat bench``: what is asked, what is shown and kept, interruption, and wrong requests."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.errors import UnknownModelError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import this_machine
from archstat.measure.latency.store import LatencyStore
from archstat.tables.bench import LATENCY_COLUMNS


def rows(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


def test_row_a_model_with_every_column(archstat, asked):
    first, second = rows(archstat("bench", "ab", "abcd", "-f", "json"))
    assert list(first) == [column.key for column in LATENCY_COLUMNS]
    assert (first["model"], first["latency_ms"], first["latency_ms_ratio"]) == ("ab", 20.0, 1.0)
    assert (second["latency_ms"], second["latency_ms_ratio"]) == (40.0, 2.0)
    assert second["verdict"] == "slower"
    assert len(asked) == 1


def test_screen_says_machine_rule_noise_and_remarks(archstat, asked):
    out = archstat("bench", "ab", "abcd").out
    for said in ("2.00x more", "slower", "Some CPU, 2 cores", "ended by: budget of 30 s used",
                 "ab against itself: 0.980x to 1.020x", "a remark."):  # fmt: skip
        assert said in out
    assert "phase" not in out
    assert "wall_ms" not in out


def test_options_become_conditions(archstat, asked):
    rows(archstat("bench", "ab", "--batch", "8", "--dtype", "bf16", "--channels-last",
                  "--compile", "--threads", "3", "--backward", "--budget", "2min",
                  "--input", "3x8x8", "-f", "json"))  # fmt: skip
    (call,) = asked
    conditions = call.conditions
    assert (conditions.device, conditions.dtype, conditions.batch) == ("cpu", "bf16", 8)
    assert (conditions.channels_last, conditions.compile, conditions.backward) == (True,) * 3
    assert conditions.threads == 3
    assert (call.budget_s, call.input, call.reference) == (120.0, ("3x8x8",), 0)


def test_options_of_gpus_become_conditions(archstat, asked):
    rows(archstat("bench", "ab", "--device", "cuda:1", "--cuda-graph", "--cold", "-f", "json"))
    conditions = asked[0].conditions
    assert (conditions.device, conditions.cuda_graph, conditions.cold) == ("cuda:1", True, True)


def test_without_options_batch_and_threads_are_the_models_and_torchs_own(archstat, asked):
    rows(archstat("bench", "ab", "-f", "json"))
    assert (asked[0].conditions.batch, asked[0].conditions.threads) == (None, None)
    assert asked[0].budget_s == 30.0


@pytest.mark.parametrize("batches", [("--batch", "1,8"), ("--batch", "1", "--batch", "8")])
def test_several_batches_and_threads_are_every_combination(archstat, asked, batches):
    table = rows(archstat("bench", "ab", "abcd", *batches, "--threads", "1,2", "-f", "json"))
    conditions = [(1, 1), (1, 8), (2, 1), (2, 8)]
    assert [(call.conditions.threads, call.conditions.batch) for call in asked] == conditions
    assert [(row["threads"], row["batch"]) for row in table[::2]] == conditions
    assert [row["model"] for row in table] == ["ab", "abcd"] * 4
    assert table[2]["throughput"] == 8 / 0.020


def test_budget_too_small_for_its_conditions_is_said_before_they_start(archstat, asked):
    ran = archstat("bench", "ab", "--batch", "1,2,4,8", "--budget", "10s")
    assert ran.code == 0
    assert ran.err.startswith("4 conditions need about 20 s or more, and --budget is 10 s")
    assert archstat("bench", "ab", "--budget", "1s").err == ""


def test_budget_is_shared_by_the_conditions(archstat, asked):
    ran = archstat("bench", "ab", "--batch", "1,8", "--budget", "40s")
    assert ran.err == ""
    first, second = asked
    assert first.budget_s == 20.0
    # The stand-in took no time, so that all of the budget is left for the second.
    assert second.budget_s == pytest.approx(40.0, abs=1.0)


def test_sweep_shows_what_differs(archstat, asked):
    heads = archstat("bench", "ab", "--batch", "1,8").out.splitlines()[0].split()
    assert heads[:3] == ["model", "batch", "latency_ms"]
    assert "threads" not in heads


def test_training_shows_its_phases(archstat, asked):
    out = archstat("bench", "ab", "--backward").out
    for phase in ("forward", "backward", "optimizer", "step"):
        assert phase in out


def test_reference_is_the_one_named(archstat, asked):
    table = rows(archstat("bench", "ab", "abcd", "--reference", "abcd", "-f", "json"))
    assert asked[0].reference == 1
    assert [row["latency_ms_ratio"] for row in table] == [0.5, 1.0]


def test_columns_and_order_are_as_asked(archstat, asked):
    done = archstat("bench", "ab", "abcd", "--columns", "throughput,device_name", "--sort",
                    "-latency_ms", "-f", "csv")  # fmt: skip
    table = list(csv.DictReader(io.StringIO(done.out)))
    assert list(table[0]) == ["model", "throughput", "device_name"]
    assert [row["model"] for row in table] == ["abcd", "ab"]


@pytest.mark.parametrize("suffix", ["csv", "json", "md", "tex", "txt"])
def test_file_is_written_in_the_format_of_its_suffix(archstat, asked, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    done = archstat("bench", "ab", "abcd", "-o", str(path))
    assert (done.code, done.out) == (0, "")
    assert "abcd" in path.read_text(encoding="utf-8")


def test_same_model_twice_has_two_rows(archstat, asked):
    table = rows(archstat("bench", "ab", "ab", "-f", "json"))
    assert [(row["model"], row["latency_ms_ratio"]) for row in table] == [("ab", 1.0)] * 2


@pytest.mark.parametrize("width", [20, 40, 80, 160])
def test_no_latency_is_lost_on_a_narrow_screen(archstat, asked, monkeypatch, width):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PAGER", "")
    done = archstat("bench", "a" * 100, "b" * 50)
    assert done.code == 0, done.err
    assert "1.00 s" in done.out
    assert "500.00 ms" in done.out


# -- the store ---------------------------------------------------------------------------------


def kept(store):
    return [one.measurement.model for one in LatencyStore(store).of_machine("m1")]


def test_measurements_are_kept(archstat, asked, store):
    archstat("bench", "ab", "abcd", "--batch", "1,8")
    assert kept(store) == ["ab", "abcd"] * 2


def test_no_store_keeps_nothing_and_looks_at_none(archstat, asked, store):
    store.parent.mkdir()
    store.write_bytes(b"damaged " * 1000)
    assert archstat("bench", "ab", "--no-store").code == 0
    assert store.read_bytes() == b"damaged " * 1000


def test_damaged_store_is_told_before_anything_is_measured(archstat, asked, store):
    store.parent.mkdir()
    store.write_bytes(b"damaged " * 1000)
    done = archstat("bench", "ab")
    assert (done.code, done.out, asked) == (2, "", [])
    assert done.err.count("\n") == 1
    assert "is damaged (file is not a database): move it away" in done.err


# -- interruption ------------------------------------------------------------------------------


def test_interrupt_prints_and_keeps_what_is_finished(archstat, asked, store):
    done = archstat("bench", "ab", "--batch", "1,7,8")
    assert done.code == 130
    assert [call.conditions.batch for call in asked] == [1, 7]
    assert "interrupted" in done.out
    assert "Interrupted: measured at 2 of 3 conditions." in done.out
    assert kept(store) == ["ab", "ab"]
    assert "Traceback" not in done.err


def test_interrupt_before_a_conditions_first_samples_prints_those_before(archstat, asked, store):
    done = archstat("bench", "ab", "--batch", "1,9", "-f", "json")
    assert done.code == 130
    document = json.loads(done.out)
    assert [row["batch"] for row in document["rows"]] == [1]
    assert "Interrupted: measured at 1 of 2 conditions." in document["notes"]
    assert kept(store) == ["ab"]


def test_interrupt_with_nothing_finished_prints_nothing(archstat, asked, store):
    done = archstat("bench", "ab", "--batch", "9")
    assert (done.code, done.out, done.err) == (130, "", "")
    assert kept(store) == []


def test_failure_prints_nothing_and_keeps_what_was_finished(archstat, asked, store, monkeypatch):
    assert archstat("bench", "ab").code == 0
    done = archstat("bench", "ab", "raising")
    assert (done.code, done.out) == (2, "")
    assert done.err == "archstat: a measuring process died: raising.\n"
    assert kept(store) == ["ab"]


def test_models_that_fail_are_rows_below_those_that_are_measured(archstat, asked, monkeypatch):
    def check(model, input, *, alone):
        assert (input, alone) == (None, False)
        if model == "nope":
            raise UnknownModelError("There is no network 'nope' in the zoo.")

    monkeypatch.setattr("archstat.cli.bench_grid.check_model", check)
    done = archstat("bench", "nope", "ab", "abcd", "-f", "csv")
    assert (done.code, done.err) == (2, "archstat: 1 of 3 models failed: nope.\n")
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [(row["model"], row["failed"]) for row in rows] == [
        ("ab", ""), ("abcd", ""), ("nope", "There is no network 'nope' in the zoo."),
    ]  # fmt: skip
    assert [call.models for call in asked] == [("ab", "abcd")]


def test_model_that_fails_while_it_is_measured_is_a_row_and_the_others_are_measured(
    archstat, asked, store
):
    done = archstat("bench", "failing", "ab", "abcd", "--reference", "abcd", "-f", "csv")
    assert (done.code, done.err) == (2, "archstat: 1 of 3 models failed: failing.\n")
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [(row["model"], row["latency_ms_ratio"], row["failed"]) for row in rows] == [
        ("ab", "0.5", ""), ("abcd", "1.0", ""), ("failing", "", "failing does not run on cpu."),
    ]  # fmt: skip
    assert [(call.models, call.reference) for call in asked] == [
        (("failing", "ab", "abcd"), 2), (("ab", "abcd"), 1),
    ]  # fmt: skip
    assert kept(store) == ["ab", "abcd"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (("failing",), "failing does not run on cpu."),
        (("failing", "failing"), "all 2 models failed: failing does not run on cpu."),
        (("ab", "failing", "--reference", "failing"), "failing does not run on cpu."),
    ],
)
def test_nothing_that_can_be_measured_is_an_error(archstat, asked, models, message):
    done = archstat("bench", *models)
    assert (done.code, done.out, done.err) == (2, "", f"archstat: {message}\n")


# -- wrong requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "bench needs a MODEL, or --history"),
        (("ab", "--batch", "0"), "--batch 0 is impossible: give whole numbers of at least 1"),
        (("ab", "--batch", "1,,8"), "--batch '' is impossible"),
        (("ab", "--batch", "two"), "--batch two is impossible"),
        (("ab", "--batch", "8,8"), "--batch gives 8 twice"),
        (("ab", "--threads", "-1"), "--threads -1 is impossible"),
        (("ab", "--budget", "30"), "'30' is not a time with a unit such as 30s"),
        (("ab", "--budget", "0s"), "--budget 0s: give a time above zero"),
        (("ab", "--dtype", "bf17"), "Did you mean bf16"),
        (("ab", "--device", "tpu"), "not a device to measure on; write cpu, cuda"),
        (("ab", "--cold"), "add --device cuda"),
        (("ab", "--cuda-graph"), "add --device cuda"),
        (("ab", "--reference", "abcd"), "'abcd' is not one of the models: ab"),
        (("ab", "--columns", "speed"), "no column 'speed'"),
        (("ab", "--sort", "speed"), "no column 'speed'"),
        (("ab", "-f", "jsn"), "Did you mean json"),
        (("ab", "-o", "absent/out.csv"), "there is no folder absent"),
        (("ab", "abcd", "--per-layer"), "--per-layer takes one model; 2 were given."),
        (("ab", "--per-layer", "--by-kind"), "--per-layer takes no --by-kind: leave one out."),
        (("ab", "--by-kind", "--batch", "1,8"), "--by-kind takes one condition"),
        (("ab", "--by-kind", "--budget", "3s"), "--by-kind takes no --budget"),
        (("ab", "--per-layer", "--columns", "speed"), "no column 'speed'"),
        (("--history", "--budget", "3s"), "--history takes no --budget: it measures nothing."),
    ],
)
def test_wrong_request_is_one_message_and_nothing_is_measured(archstat, asked, arguments, message):
    done = archstat("bench", *arguments)
    assert (done.code, done.out, asked) == (2, "", [])
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [("vgg17", "Did you mean vgg"), ("vgg16,", "separate models by spaces"),
     ("vgg16,batch=0", "at least 1"), ("absent.py", "There is no file absent.py")],
)  # fmt: skip
def test_misspelt_model_is_told_before_processes_start(
    archstat, store, monkeypatch, model, message
):
    def started(*_: object, **__: object) -> None:
        raise AssertionError("measuring has begun")

    monkeypatch.setattr("archstat.measure.latency.runs.measure", started)
    done = archstat("bench", model)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert not store.exists()


# -- for real ----------------------------------------------------------------------------------


def test_real_processes_measure_a_real_model_which_history_finds(archstat, nets, store):
    spec = "nets.py:Net,input=3x8x8"
    (row,) = rows(archstat("bench", spec, "--budget", "10ms", "--threads", "1", "-f", "json"))
    assert (row["model"], row["input"], row["batch"], row["threads"]) == (spec, "1x3x8x8", 1, 1)
    assert 0 < row["latency_ms_p5"] <= row["latency_ms"] <= row["latency_ms_p95"]
    assert row["latency_ms_low"] < row["latency_ms_high"]
    assert row["processes"] == 3
    assert row["samples"] >= 9
    (found,) = rows(archstat("bench", "--history", spec, "-f", "json"))
    assert found["machine"] == row["machine"]
    assert (found["runs"], found["runs_before"], found["verdict"]) == (1, 0, None)


def test_time_of_layers_and_kinds_of_a_real_model(archstat, nets, monkeypatch):
    from archstat.measure.latency import local_device

    mine = '[devices.mine]\nbandwidth = 1e9\nvector = { float32 = 1e9 }\nsource = "me"\n'
    monkeypatch.setenv("XDG_CACHE_HOME", str(nets / "cache"))
    monkeypatch.setattr(local_device, "measured", lambda *_: mine)
    spec = "nets.py:Net,input=3x8x8"
    conv, whole = rows(archstat("bench", spec, "--per-layer", "--threads", "1", "-f", "json"))
    assert (conv["layer"], whole["layer"], whole["time_share"]) == ("conv", "", 1)
    shown = archstat("bench", spec, "--by-kind", "--threads", "1", "--columns", "time_share")
    assert [line.split() for line in shown.out.splitlines()[2:4]] == [
        ["convolution", "100.0%"], ["all", "100.0%"]]  # fmt: skip


@pytest.mark.cuda
@pytest.mark.parametrize(
    "options",
    [
        ["--cuda-graph"],
        ["--cold", "--dtype", "fp16"],
        ["--channels-last", "--dtype", "amp"],
        ["--backward"],
        ["--compile"],
    ],
    ids=" ".join,
)
def test_a_real_gpu_is_measured(archstat, options):
    found = rows(archstat("bench", "lenet5", "--device", "cuda", "--batch", "4", "--budget", "1s",
                          "--no-store", *options, "-f", "json"))  # fmt: skip
    assert all(row["latency_ms"] > 0 and row["device"] == "cuda" for row in found)
    if "--backward" not in options:
        assert all(row["wall_ms"] > 0 and row["dispatch_ms"] > 0 for row in found)
    if "--cuda-graph" in options:
        assert all(row["cuda_graph_ms"] > 0 for row in found)


@pytest.mark.cuda
@pytest.mark.parametrize("option", ["--per-layer", "--by-kind"])
def test_time_on_a_real_gpu_is_shown_by_part(archstat, option):
    found = rows(archstat("bench", "resnet18", "--device", "cuda", option, "-f", "json"))
    assert sum(row["time_ms"] or 0 for row in found) > 0


# -- history ---------------------------------------------------------------------------------------


@pytest.fixture
def here():
    return this_machine(Conditions()).identity


@pytest.fixture
def keep(store, measurement, here):
    """Keep a run of a day, by default of this machine."""

    def run(model: str, ms: float, day: str, **more: object) -> None:
        one = measurement(model, ms, date=f"{day}T08:00:00+00:00", **{"machine": here, **more})
        LatencyStore(store).append([one])

    return run


def test_newest_day_stands_beside_the_month_before_it(archstat, keep):
    keep("ab", 10.0, "2026-11-02")
    keep("ab", 10.0, "2026-11-05", torch_version="2.7.0")
    keep("ab", 13.0, "2026-11-22")
    (row,) = rows(archstat("bench", "--history", "-f", "json"))
    shown = {key: row[key] for key in ("model", "day", "runs", "latency_ms_before", "runs_before",
                                       "first_day_before", "last_day_before", "torch",
                                       "torch_before", "verdict")}  # fmt: skip
    assert shown == {
        "model": "ab", "day": "2026-11-22", "runs": 1, "latency_ms_before": pytest.approx(10),
        "runs_before": 2, "first_day_before": "2026-11-02", "last_day_before": "2026-11-05",
        "torch": "2.8.0", "torch_before": "2.8.0, 2.7.0", "verdict": "slower",
    }  # fmt: skip
    assert row["latency_ms"] == pytest.approx(13)
    assert row["latency_ms_ratio"] == pytest.approx(1.3)
    out = " ".join(archstat("bench", "--history").out.split())
    assert "1.30x more" in out
    assert "Some rows compare two versions of torch" in out
    assert "on this machine alone" in out


def test_other_machines_are_never_in_it(archstat, keep):
    keep("ab", 99.0, "2026-11-02", machine="another")
    keep("ab", 10.0, "2026-11-22")
    (row,) = rows(archstat("bench", "--history", "-f", "json"))
    assert (row["latency_ms_before"], row["runs_before"], row["verdict"]) == (None, 0, None)
    assert "nothing to compare with" in archstat("bench", "--history").out


def test_models_and_conditions_filter(archstat, keep):
    keep("ab", 10.0, "2026-11-22", batch=1)
    keep("ab", 20.0, "2026-11-22", batch=8)
    keep("ab", 30.0, "2026-11-22", dtype="bf16", threads=1)
    keep("cd", 40.0, "2026-11-22", channels_last=True)

    def found(*options: str) -> list[float]:
        table = rows(archstat("bench", "--history", *options, "-f", "json"))
        return [round(row["latency_ms"]) for row in table]

    assert found() == [10, 20, 30, 40]
    assert found("cd") == [40]
    assert found("--batch", "8") == [20]
    assert found("--batch", "1,8") == [10, 20, 30, 40]
    assert found("--dtype", "bf16") == [30]
    assert found("--threads", "1") == [30]
    assert found("--channels-last") == [40]
    assert found("ab", "--sort", "-latency_ms") == [30, 20, 10]


def test_screen_shows_the_conditions_that_differ(archstat, keep):
    keep("ab", 10.0, "2026-11-22", batch=1)
    keep("ab", 20.0, "2026-11-22", batch=8)
    heads = archstat("bench", "--history").out.splitlines()[0].split()
    assert "batch" in heads
    assert "dtype" not in heads


def test_nothing_measured_yet_is_told(archstat, store, keep):
    done = archstat("bench", "--history")
    assert (done.code, done.out) == (2, "")
    assert "nothing measured on this machine's cpu: measure with `archstat bench" in done.err
    assert not store.exists()


def test_model_that_was_never_measured_is_told_with_those_that_were(archstat, keep):
    keep("ab", 10.0, "2026-11-22")
    done = archstat("bench", "--history", "cd")
    assert (done.code, done.out) == (2, "")
    assert "No run of cd with these options" in done.err
    assert "measured on this machine: ab." in done.err


def test_gpu_that_is_not_there_has_no_history(archstat, keep):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = archstat("bench", "--history", "--device", "cuda")
    assert done.code == 2
    assert "Devices: cpu" in done.err


def test_damaged_store_is_one_sentence(archstat, store):
    store.parent.mkdir()
    store.write_bytes(b"damaged " * 1000)
    done = archstat("bench", "--history")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "is damaged" in done.err

"""``archstat bench --history``: this machine alone, the newest day against the month before."""

from __future__ import annotations

import json

import pytest

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import this_machine
from archstat.measure.latency.store import LatencyStore


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


def rows(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


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
    assert "torch is another version than before in some rows" in out
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

"""``compare --latency``: measured columns beside the counted ones."""

from __future__ import annotations

import json

import pytest

from archstat.measure.latency.store import LatencyStore

MODELS = ("nets.py:Net", "nets.py:Net,width=16")


@pytest.fixture
def compare(archstat, nets, asked):
    def run(*arguments: str):
        return archstat("compare", *MODELS, "--input", "3x8x8", *arguments)

    return run


def test_measured_columns_stand_beside_the_counted_ones(compare, asked, store):
    done = compare("--latency", "-f", "json")
    assert done.code == 0, done.err
    first, second = json.loads(done.out)["rows"]
    assert (first["macs"], first["latency_ms"]) == (3888, 10.0 * len(MODELS[0]))
    assert second["latency_ms_ratio"] == pytest.approx(len(MODELS[1]) / len(MODELS[0]))
    assert first["device"] == "cpu"
    assert (asked[0].models, asked[0].input) == (MODELS, ("3x8x8",))
    assert asked[0].budget_s == 30.0
    kept = LatencyStore(store).of_machine("m1")
    assert [one.measurement.model for one in kept] == list(MODELS)


def test_screen_has_macs_latency_and_verdict(compare):
    out = compare("--latency").out
    for said in ("macs", "latency_ms", "verdict", "slower", "ended by: budget"):
        assert said in out


def test_options_are_passed_on(compare, asked):
    done = compare("--latency", "--device", "cuda", "--budget", "5s", "--batch", "4",
                   "--reference", MODELS[1])  # fmt: skip
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
        (("--device", "cpu"), "--device cpu is of measuring: add --latency"),
        (("--budget", "3s"), "--budget 3s is of measuring: add --latency"),
        (("--latency", "--variants"), "leave --variants out"),
        (("--latency", "--budget", "3"), "'3' is not a time with a unit"),
        (("--latency", "--device", "tpu"), "no device to measure on"),
        (("--columns", "latency_ms"), "no column 'latency_ms'"),
    ],
)
def test_wrong_request_is_one_message_and_nothing_is_measured(compare, asked, arguments, message):
    done = compare(*arguments)
    assert (done.code, done.out, asked) == (2, "", [])
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--fully-convolutional", "--resolution"])
def test_sizes_are_given_in_the_spec(archstat, asked, option):
    given = (option,) if option == "--fully-convolutional" else (option, "384")
    done = archstat("compare", "vgg16", "--latency", *given)
    assert (done.code, done.out, asked) == (2, "", [])
    assert f"leave {option} out, or give the size as MODEL,resolution=SIZE" in done.err

"""The progress bar: only for several models on a terminal, and never on standard output."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from archstat.cli import progress
from archstat.cli.progress import budget_bar, described, spent, tracked, working
from archstat.measure.latency.measurement import Interval, Progress

MODELS = ["a", "b", "c"]


def test_models_come_in_order_without_a_terminal(capsys):
    assert list(tracked(MODELS)) == MODELS
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal as standard error, with as much patience in seconds."""

    def make(patience: float) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(progress, "_PATIENCE_S", patience)

    return make


def test_what_is_done_soon_shows_nothing(terminal, capsys):
    terminal(60)
    assert list(tracked(MODELS)) == MODELS
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [None, 1.0])
def test_what_takes_long_shows_its_stage_on_standard_error(total, terminal, capsys):
    terminal(0)
    with working("checking net", total) as tell:
        while not tell.__self__.bar:
            pass
        tell(0.5, "checking more")
    out, err = capsys.readouterr()
    assert out == ""
    assert "checking net" in err or "checking more" in err


# -- the bar of a measurement ----------------------------------------------------------------------


TOLD = Progress("measuring", 3.0, 10.0, (Interval(9.5, 10.0, 10.5), Interval(0.02, 0.02, 0.02)))


@pytest.mark.parametrize(
    ("runs", "text"),
    [(1, "measuring  ab 10.00 ms ±5.0%  cd 20.00 us"),
     (4, "measuring 2/4  ab 10.00 ms ±5.0%  cd 20.00 us")],
)  # fmt: skip
def test_text_is_stage_run_and_interval_of_each_model(runs, text):
    assert described(["ab", "cd"], runs, 1, TOLD) == text


def test_text_before_there_is_an_interval_is_the_stage():
    assert described(["ab"], 1, 0, Progress("warming up", 1.0, 10.0)) == "warming up"


def test_start_up_is_named():
    assert described(["ab"], 2, 0, Progress("starting", 1.0, 10.0)) == "starting processes 1/2"


@pytest.mark.parametrize(
    ("elapsed_s", "text"), [(0.2, "0 of 12 s"), (12.4, "12 of 12 s"), (13.0, "13 s")]
)
def test_no_more_is_used_of_a_budget_than_it_has(elapsed_s, text):
    assert spent(elapsed_s, 12.0) == text


LONG = replace(TOLD, needed_s=83.6)
SAID = "archstat: a minimum of samples takes about 84 s, more than the budget of 10 s."


def test_only_a_budget_that_is_too_small_is_told_without_a_terminal(capsys):
    with budget_bar(["ab"], 2) as teller:
        teller(0)(TOLD)
        assert capsys.readouterr() == ("", "")
        for run in (0, 0, 1):
            teller(run)(LONG)
    assert capsys.readouterr() == ("", f"{SAID}\n")


def test_bar_is_on_standard_error_of_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    with budget_bar(["ab", "cd"], 1) as teller:
        teller(0)(TOLD)
        teller(0)(LONG)
        teller(0)(LONG)
    out, err = capsys.readouterr()
    assert out == ""
    assert "measuring  ab 10.00 ms ±5.0%" in err
    assert "3 of 10 s" in err and err.count(SAID) == 1

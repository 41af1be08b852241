"""The progress bar: only for several models on a terminal, and never on standard output."""

from __future__ import annotations

import sys

import pytest

from archstat.cli.progress import tracked

MODELS = ["a", "b", "c"]


def test_models_come_in_order_without_a_terminal(capsys):
    assert list(tracked(MODELS)) == MODELS
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("count", "bar"), [(2, False), (3, True)])
def test_bar_shows_for_more_than_two_models_on_a_terminal(count, bar, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(tracked(MODELS[:count])) == MODELS[:count]
    out, err = capsys.readouterr()
    assert out == ""
    assert bool(err) == bar

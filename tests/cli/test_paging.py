"""Long tables go through a pager on a terminal, and straight out elsewhere."""

from __future__ import annotations

import sys

import pytest

from archstat.cli import output


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "3")


def test_long_text_goes_through_the_pager(screen, monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    monkeypatch.setenv("PAGER", f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\")"
                                f".write(sys.stdin.read())' {seen}")  # fmt: skip
    output.page_or_print("1\n2\n3\n4\n")
    assert seen.read_text() == "1\n2\n3\n4\n"


def test_text_that_fits_is_printed(screen, monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "false")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    output.page_or_print("1\n2\n")
    assert capsys.readouterr().out == "1\n2\n"


@pytest.mark.parametrize("pager", ["", "no-such-pager-anywhere"])
def test_without_a_pager_long_text_is_printed(pager, monkeypatch, capsys):
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    output.page_or_print("1\n" * 500)
    assert capsys.readouterr().out == "1\n" * 500


def test_long_text_that_is_piped_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "false")
    output.page_or_print("1\n" * 500)
    assert capsys.readouterr().out == "1\n" * 500

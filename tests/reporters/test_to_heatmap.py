from __future__ import annotations

import io
import sys

import pytest

from archstat.reporters.to_heatmap import to_heatmap

PEAK = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_densest_cell_has_the_darkest_mark_and_empty_ones_none():
    assert to_heatmap(PEAK, colour=False, ascii=True) == "\n  @@\n\n"
    assert to_heatmap(PEAK, colour=False, ascii=False) == "\n  ██\n\n"


def test_denser_cells_never_look_lighter():
    row = [n / 200 for n in range(201)]
    for marks, ascii in ((" .:-=+*#%@", True), (" ░▒▓█", False)):
        (line,) = to_heatmap([row], width=201, colour=False, ascii=ascii).splitlines()
        levels = [marks.index(mark) for mark in line]
        assert levels == sorted(levels)
        assert set(levels) == set(range(len(marks)))


@pytest.mark.parametrize("width", [1, 7, 40, 500])
def test_width_holds_and_no_peak_is_lost(width):
    rows = [[0.0] * 100 for _ in range(60)]
    rows[31][57] = 1.0
    lines = to_heatmap(rows, width=width, colour=False, ascii=True).splitlines()
    assert max(map(len, lines)) <= width
    assert any("@" in line for line in lines)


def test_square_looks_square():
    lines = to_heatmap([[1.0] * 50] * 50, width=40, colour=False, ascii=True).splitlines()
    assert (len(lines), len(lines[0])) == (20, 40)


def test_colour_only_where_asked_or_on_a_terminal(monkeypatch):
    assert "\x1b[" in to_heatmap(PEAK, colour=True, ascii=True)
    assert "\x1b[" not in to_heatmap(PEAK)

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in to_heatmap(PEAK)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in to_heatmap(PEAK)


def test_encoding_without_shades_gets_ascii(monkeypatch):
    class Plain(io.StringIO):
        encoding = "ascii"

    monkeypatch.setattr(sys, "stdout", Plain())
    assert to_heatmap(PEAK).isascii()

"""Markdown pipe tables."""

from __future__ import annotations

from archstat.reporters.to_markdown import to_markdown
from archstat.result import Column, Table, notes_of

TABLE = Table(
    (Column("model", "text", ""), Column("macs", "count", "")),
    (("a|b_c*d", 15_470_264_320), ("`x`", None)),
    bounds=frozenset({(0, "macs")}),
    notes=notes_of(["one [note]"]),
)


def test_every_line_has_the_same_number_of_cells():
    lines = to_markdown(TABLE).splitlines()[:4]
    assert [line.replace(r"\|", "").count("|") for line in lines] == [3, 3, 3, 3]


def test_special_characters_are_escaped_and_bounds_shown():
    text = to_markdown(TABLE)
    assert r"| a\|b\_c\*d | \>= 15.47 G |" in text
    assert r"| \`x\` | - |" in text
    assert r"one \[note\]" in text


def test_numbers_are_aligned_to_the_right():
    assert to_markdown(TABLE).splitlines()[1] == "| --- | --: |"

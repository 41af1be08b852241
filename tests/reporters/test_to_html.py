"""HTML of notebooks: what the screen shows, units that do not break, bars, a caption."""

from __future__ import annotations

import archstat
from archstat.reporters.to_html import to_html
from archstat.result import Column, Table, notes_of

TABLE = Table(
    (Column("model", "text", "name"), Column("macs", "count", "<all>"),
     Column("macs_share", "share", "part")),
    (("a <b>", 15_470_264_320, 0.25), ("│  └─ c", None, None)),
    notes=notes_of(["one & two"]), convention={"macs": "without bias", "mode": "inference"},
    inputs=("1x3x8x8",),
)  # fmt: skip


def test_a_number_is_not_parted_from_its_unit():
    assert ">15.47&nbsp;G</td>" in to_html(TABLE)


def test_texts_are_escaped_and_keep_the_spaces_of_a_tree():
    text = to_html(TABLE)
    assert "a &lt;b&gt;" in text and "<p>one &amp; two</p>" in text
    assert 'title="&lt;all&gt;"' in text
    assert "white-space: pre" in text and "│  └─ c" in text


def test_a_share_has_a_bar_of_its_length():
    assert to_html(TABLE).count("25.0%, transparent 25.0%") == 1


def test_caption_has_input_and_conventions():
    assert ">1x3x8x8; macs: without bias; inference</caption>" in to_html(TABLE)


def test_a_comparison_shows_the_columns_of_the_screen_and_a_report_a_column_a_row():
    table = archstat.compare(["lenet5"])
    assert table._repr_html_().count("<th ") == len(table.shown) == 7
    report = archstat.analyze("lenet5")
    assert report._repr_html_().count("<tr>") == 1 + len(report.columns)

"""Columns and tables: what reporters, notebooks and terminals get."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from archstat import analyze, layers, receptive_field
from archstat.analyses import COLUMNS
from archstat.errors import ColumnError, OutputError
from archstat.hints import unknown_column
from archstat.result import Column, Table, notes_of

NAME = Column("model", "text", "the spec")
MACS = Column("macs", "count", "multiply-accumulates", "lower")
BYTES = Column("param_bytes", "bytes", "bytes", "lower")

TABLE = Table(
    (NAME, MACS, BYTES),
    (("vgg16", 15_470_264_320, 553_430_176), ("tiny", 999, 512), ("odd", None, 2048)),
    bounds=frozenset({(0, "macs")}),
    reference=0,
    notes=notes_of(["vgg16: a note."]),
)


# -- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "cell", "text"),
    [
        ("count", 4_089_184_256, "4.09 G"),
        ("bytes", 553_430_176, "527.79 MiB"),
        ("ratio", 0.0368, "27.2x less"),
        ("number", 50, "50"),
        ("number", 76.13, "76.13"),
        ("number", 2 / 3, "0.6667"),
        ("text", "vgg16", "vgg16"),
        ("count", None, "-"),
        ("text", None, "-"),
        ("ratio", None, "-"),
        ("count", "n/a", "n/a"),
    ],
)
def test_cell_is_written_in_the_unit_of_its_column(unit, cell, text):
    assert Column("key", unit, "meaning").format(cell) == text


def test_lower_bound_is_marked_and_an_absent_value_is_not():
    assert MACS.format(1500, lower_bound=True) == ">= 1.50 k"
    assert MACS.format(None, lower_bound=True) == "-"


def test_ratio_of_a_column_has_its_key_with_a_suffix():
    assert MACS.ratio().key == "macs_ratio"
    assert MACS.ratio().unit == "ratio"


def test_every_key_stands_in_one_column():
    keys = [column.key for column in COLUMNS]
    assert len(keys) == len(set(keys))
    assert all(column.meaning for column in COLUMNS)


# -- tables --------------------------------------------------------------------------------------


def test_table_gives_its_keys_columns_and_length():
    assert TABLE.keys() == ("model", "macs", "param_bytes")
    assert TABLE.column("macs") == (15_470_264_320, 999, None)
    assert len(TABLE) == 3


def test_selection_has_just_these_columns_in_this_order():
    chosen = TABLE.select(["param_bytes", "model"])
    assert chosen.keys() == ("param_bytes", "model")
    assert chosen.rows[0] == (553_430_176, "vgg16")
    assert chosen.notes == TABLE.notes
    assert chosen.reference == 0


def test_selection_of_one_column_keeps_its_bounds():
    assert TABLE.select(["macs"]).formatted()[0] == [">= 15.47 G"]


@pytest.mark.parametrize("method", ["column", "index", "sort"])
def test_unknown_column_is_refused_with_the_nearest(method):
    with pytest.raises(ColumnError, match=r"no column 'mac'.*Did you mean macs"):
        getattr(TABLE, method)("mac")
    with pytest.raises(ColumnError, match="Did you mean param_bytes"):
        TABLE.select(["model", "param_byte"])


def test_unknown_column_like_none_is_refused_with_all_of_them():
    assert "Known columns: model, macs" in str(unknown_column("zzz", TABLE.keys()))


@pytest.mark.parametrize(
    ("key", "descending", "order"),
    [
        ("macs", False, ["tiny", "vgg16", "odd"]),
        ("macs", True, ["vgg16", "tiny", "odd"]),
        ("param_bytes", False, ["tiny", "odd", "vgg16"]),
        ("param_bytes", True, ["vgg16", "odd", "tiny"]),
        ("model", False, ["odd", "tiny", "vgg16"]),
        ("model", True, ["vgg16", "tiny", "odd"]),
    ],
)
def test_sorting_puts_rows_without_a_value_last(key, descending, order):
    assert list(TABLE.sort(key, descending).column("model")) == order


@pytest.mark.parametrize("descending", [True, False])
def test_sorting_by_text_puts_rows_without_a_value_last(descending):
    table = Table((NAME, MACS), (("b", 1), (None, 2), ("a", 3)))
    assert table.sort("model", descending).column("model")[-1] is None


@pytest.mark.parametrize("descending", [True, False])
def test_rows_that_are_equal_keep_their_order(descending):
    for cell in (7, "same"):
        table = Table((NAME, MACS), (("first", cell), ("second", cell), ("third", cell)))
        assert table.sort("macs", descending).column("model") == ("first", "second", "third")


def test_bounds_and_reference_follow_their_rows():
    ordered = TABLE.sort("macs")
    assert ordered.bounds == {(1, "macs")}
    assert ordered.reference == 1
    assert ordered.formatted()[1][1] == ">= 15.47 G"


def test_sorting_leaves_the_table_alone():
    TABLE.sort("macs", descending=True)
    assert TABLE.column("model") == ("vgg16", "tiny", "odd")


def test_records_are_raw_cells_by_key():
    assert list(TABLE.records())[1] == {"model": "tiny", "macs": 999, "param_bytes": 512}


def test_formatted_cells_are_pretty_and_marked():
    assert TABLE.formatted() == [
        ["vgg16", ">= 15.47 G", "527.79 MiB"],
        ["tiny", "999", "512 B"],
        ["odd", "-", "2.00 KiB"],
    ]


def test_data_frame_has_the_raw_cells():
    frame = TABLE.to_dataframe()
    assert list(frame.columns) == ["model", "macs", "param_bytes"]
    assert frame["param_bytes"].tolist() == [553_430_176, 512, 2048]
    assert frame.loc[1, "macs"] == 999
    assert frame["macs"].isna().tolist() == [False, False, True]


def test_empty_table_has_a_frame_a_text_and_a_page():
    empty = Table((NAME, MACS), ())
    assert list(empty.to_dataframe().columns) == ["model", "macs"]
    assert repr(empty) == "model  macs"
    assert empty._repr_html_().count("<tr>") == 1
    assert empty.sort("macs").rows == ()


def test_text_of_a_table_is_aligned_with_its_notes_below():
    assert repr(TABLE).splitlines() == [
        "model        macs  param_bytes",
        "vgg16  >= 15.47 G   527.79 MiB",
        "tiny          999        512 B",
        "odd             -     2.00 KiB",
        "vgg16: a note.",
    ]


def test_page_of_a_table_escapes_what_users_named():
    name = "<script>alert('&')</script>"
    table = Table((NAME, MACS), ((name, 1),), notes=notes_of(["a < b & c"]))
    page = table._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page
    assert "<p>a &lt; b &amp; c</p>" in page


def test_page_of_a_table_escapes_the_mark_of_a_bound():
    assert ">&gt;=&nbsp;15.47&nbsp;G</td>" in TABLE._repr_html_()
    assert TABLE._repr_html_().count("<tr>") == 1 + 3


def test_columns_are_chosen_by_words_or_by_a_list():
    assert TABLE.select("macs", "model") == TABLE.select(["macs", "model"])


def test_reader_gets_the_shown_columns_and_files_of_numbers_every_one(tmp_path):
    table = replace(TABLE, shown=("model", "macs"))
    assert table.for_reader().keys() == ("model", "macs")
    assert "param_bytes" not in repr(table) + table.to_markdown() + table.to_latex()
    assert table.select("model").for_reader().keys() == ("model",)
    for suffix, expected in ((".csv", True), (".json", True), (".md", False), (".tex", False)):
        table.save(tmp_path / f"t{suffix}")
        assert ("param" in (tmp_path / f"t{suffix}").read_text()) is expected


def test_style_reaches_latex_and_markdown():
    assert "15470.26 M" in TABLE.to_markdown(unit="M")
    assert r"\label{tab:x}" in TABLE.to_latex(label="tab:x")


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"digits": 0}, "from 1 to 15"),
        ({"unit": ["parsec"]}, "is not one of"),
        ({"digits": "3"}, "from 1 to 15"),
    ],
)
def test_style_that_cannot_be_is_refused(style, message):
    with pytest.raises(OutputError, match=message):
        TABLE.to_latex(**style)


def test_style_and_format_of_a_file_are_those_of_the_command_line(tmp_path):
    TABLE.save(tmp_path / "table", format="markdown", unit="M")
    assert "15470.26 M" in (tmp_path / "table").read_text()
    with pytest.raises(OutputError, match=r"caption= is for latex; the format here is csv"):
        TABLE.save(tmp_path / "table.csv", caption="Cost")


def test_report_and_fields_are_saved_as_tables_are(tmp_path):
    report = analyze(nn.Linear(6, 2), "6")
    report.save(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text().startswith("model,")
    assert "| Linear |" in report.to_markdown()
    assert r"\toprule" in receptive_field(layers("3x3,3x3")).to_latex()


@pytest.mark.parametrize("name", ["t.xyz", "no/t.csv"])
def test_table_that_cannot_be_saved_is_refused(name, tmp_path):
    with pytest.raises(OutputError):
        TABLE.save(tmp_path / name)


def test_table_without_a_picture_is_drawn_as_bars(tmp_path):
    TABLE.plot(tmp_path / "t.svg")
    assert "527.79" not in (tmp_path / "t.svg").read_text()
    drawn = []
    replace(TABLE, picture=drawn.append).plot("x.png")
    assert drawn == ["x.png"]
    with pytest.raises(OutputError, match="no numbers"):
        TABLE.select("model").plot(tmp_path / "t.svg")


def test_texts_among_numbers_are_sorted_behind_them():
    table = Table((Column("acc", "number", "joined"),), ((71.6,), ("x",), (None,), (3,)))
    assert table.sort("acc").column("acc") == (3, 71.6, "x", None)

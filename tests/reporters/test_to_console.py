"""The screen: every number at every width, ratios that mean something, colour where wanted."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.reporters.to_console import heading, to_console
from archstat.reporters.to_csv import to_csv
from archstat.result import Column, Mark, Note, Table, notes_of

MODEL = Column("model", "text", "the spec as typed")
INPUT = Column("input", "text", "shape of each input")
PARAMS = Column("params", "count", "parameter elements", "lower")
MACS = Column("macs", "count", "multiply-accumulates", "lower")
BYTES = Column("param_bytes", "bytes", "bytes of the parameters", "lower")
DEPTH = Column("depth", "number", "layers on the longest path", "lower")
NEUTRAL = Column("buffers", "count", "buffer elements")
FASTER = Column("throughput", "count", "images a second", "higher")

VALUES = (PARAMS, MACS, BYTES, DEPTH)
COLUMNS = (MODEL, INPUT, *VALUES, *(column.ratio() for column in VALUES))


def row(model: str, shape: str, *values: int, over: tuple[int, ...] | None = None) -> tuple:
    return (model, shape, *values, *(a / b for a, b in zip(values, over or values, strict=True)))


VGG = (138_357_544, 15_470_264_320, 553_430_176, 16)
MOBILENET = (4_231_976, 568_740_352, 16_927_904, 28)
TABLE = Table(
    COLUMNS,
    (
        row("vgg16", "1x3x224x224", *VGG),
        row("nets/a_long_file.py:Net,width=0.5,depth=50", "left=1x3x224x224, right=1x3x160x160",
            *MOBILENET, over=VGG),
    ),
    reference=0,
)  # fmt: skip

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def columns_of(text: str) -> list[list[str]]:
    """The pieces of every column of a table, cut where all lines are blank."""
    found = []
    lines = [line for line in text.partition("\n\n")[0].splitlines() if set(line) - {"─"}]
    width = max(map(len, lines))
    blank = [all(line.ljust(width)[x] == " " for line in lines) for x in range(width)]
    gaps = re.finditer(r"1{2,}", "".join("1" if gap else "0" for gap in blank))
    edges = [0, *(edge for gap in gaps for edge in gap.span()), width]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        pieces = [line[start:end].strip() for line in lines]
        found.append([piece for piece in pieces if piece])
    return found


def hidden(text: str) -> list[str]:
    """The keys that the last line says have no room."""
    said = re.search(r"Hidden for width: ([^(]*)\(", " ".join(text.split()))
    return said[1].strip().split(", ") if said else []


def shown(table: Table, text: str, cell: str) -> bool:
    """Whether a cell stands in one column, line breaks and spaces undone."""
    wanted = cell.replace(" ", "")
    return any(wanted in "".join(pieces).replace(" ", "") for pieces in columns_of(text))


# -- numbers ---------------------------------------------------------------------------------------


def test_table_is_one_line_a_row_and_one_for_its_ratios():
    text = to_console(TABLE.select(["model", "macs", "depth", "macs_ratio", "depth_ratio"]))
    assert text.splitlines() == [
        "model                                             macs       depth",
        "──────────────────────────────────────────────────────────────────",
        "vgg16                                          15.47 G          16",
        "nets/a_long_file.py:Net,width=0.5,depth=50    568.74 M          28",
        "                                            27.2x less  1.75x more",
    ]


@pytest.mark.parametrize("width", [30, 40, 80, 160, None])
def test_column_without_room_is_named_below_and_no_other_loses_a_cell(width):
    text = to_console(TABLE, width, colour=False)
    for line, name in zip(TABLE.formatted(), ("vgg16", "nets"), strict=True):
        for column, cell in zip(TABLE.columns, line, strict=True):
            if column.key.removesuffix("_ratio") in hidden(text):
                continue
            if name == "nets" or column.unit != "ratio":
                assert shown(TABLE, text, cell), (column.key, cell)
    for column in COLUMNS[: 2 + len(VALUES)]:
        assert shown(TABLE, text, heading(column)) or column.key in hidden(text)
    assert (hidden(text) == []) == (width in (160, None))


@pytest.mark.parametrize("width", [30, 40, 80, 160])
def test_no_number_is_broken_over_lines(width):
    text = to_console(TABLE, width, colour=False)
    whole = [piece for pieces in columns_of(text) for piece in pieces]
    for line in TABLE.formatted():
        for column, cell in zip(TABLE.columns, line, strict=True):
            if column.unit not in ("text", "ratio") and column.key not in hidden(text):
                assert cell in whole


@pytest.mark.parametrize("width", [30, 40, 80, 160])
def test_no_line_is_wider_than_the_screen(width):
    assert max(map(len, to_console(TABLE, width, colour=False).splitlines())) <= width


def test_narrow_screen_keeps_the_name_of_a_row_and_what_is_needed_most():
    table = replace(TABLE, needed=("depth", "param_bytes"))
    text = to_console(table, 40, colour=False)
    assert text.splitlines()[0].split() == ["model", "param", "bytes", "depth"]
    assert hidden(text) == ["input", "params", "macs"]


@pytest.mark.parametrize("width", range(5, 40, 3))
def test_no_limit_of_an_interval_is_shown_without_the_other(width):
    limits = [Column(key, "ms", "a time") for key in ("ms", "ms_low", "ms_high", "other")]
    table = Table((MODEL, *limits), (("a", 1.0, 0.5, 2.0, 3.0),))
    head = to_console(table, width, colour=False).splitlines()[0]
    assert ("ms_low" in head) == ("ms_high" in head)


def test_figure_without_room_for_its_ratio_is_shown_without_it():
    depth = Column("depth", "number", "layers")
    ratio = Column("depth_ratio", "ratio", "depth over the reference's")
    rows = (("a", 1, 18, 1.0), ("b", 2, 53, 2.9444))
    table = Table((MODEL, MACS, depth, ratio), rows, reference=0)
    wide, narrow = to_console(table, 23, colour=False), to_console(table, 18, colour=False)
    assert "2.94x more" in wide
    assert [line.split() for line in narrow.splitlines()[2:]] == [
        ["a", "1", "18"],
        ["b", "2", "53"],
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("mobilenet_v1,width=0.5", ["mobilenet_v1,", "width=0.5"]),
        ("features.4.residual.depthwise", ["features.4.", "residual.", "depthwise"]),
        ("moved or unread, twice", ["moved or unread,", "twice"]),
    ],
)
def test_long_name_is_broken_between_its_words(name, lines):
    text = to_console(Table((MODEL, MACS), ((name, 1),)), 22, colour=False)
    assert [line[:16].strip() for line in text.splitlines()[2:]] == lines


def test_lower_bound_of_a_large_number_is_not_lost_on_a_narrow_screen():
    table = Table((MODEL, MACS), (("vgg16", 123_456_789 * 10**12),), frozenset({(0, "macs")}))
    text = to_console(table, 20, colour=False)
    assert ">= 123456789.00 T" in [piece for pieces in columns_of(text) for piece in pieces]


def test_one_image_is_written_without_its_batch():
    table = Table((MODEL, INPUT), (("a", "1x3x224x224"), ("b", "1x1x28x28")))
    assert [line.split()[1] for line in to_console(table).splitlines()[2:]] == [
        "3x224x224", "1x28x28",
    ]  # fmt: skip


@pytest.mark.parametrize("other", ["8x3x224x224", "1x128:int64", "left=1x3x8x8, right=1x3x8x8"])
def test_batch_is_written_where_an_input_is_no_single_image(other):
    table = Table((MODEL, INPUT), (("a", "1x3x224x224"), ("b", other)))
    assert "1x3x224x224" in to_console(table)
    assert other in to_console(table)


@pytest.mark.parametrize(
    ("tone", "sign", "code"), [("good", "✓", "32"), ("bad", "✗", "31"), ("open", "~", "35")]
)
def test_verdict_has_a_sign_and_a_colour(tone, sign, code):
    verdict = Column("verdict", "text", "kept or broken")
    table = Table((MODEL, verdict), (("a", Mark("so it is", tone)),))
    assert to_console(table, colour=False).splitlines()[-1] == f"a      {sign} so it is"
    assert f"\x1b[{code}m{sign} so it is" in to_console(table, 80, colour=True)
    assert to_csv(table) == "model,verdict\na,so it is\n"


def test_what_is_said_below_is_apart_and_dim():
    notes = (*notes_of(["how it was made"]), Note("unknown_ops", "", "one is unknown"))
    text = to_console(Table((MODEL,), (("a",),), notes=notes), 80, colour=True)
    assert text.splitlines()[-3:] == ["", "\x1b[2mhow it was made\x1b[0m", "one is unknown"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**6)), min_size=1, max_size=4),
    st.integers(24, 120),
)
def test_any_numbers_are_whole_on_any_screen(numbers, width):
    rows = tuple((f"net{i}", params, depth) for i, (params, depth) in enumerate(numbers))
    text = to_console(Table((MODEL, PARAMS, DEPTH), rows), width, False)
    whole = {piece for pieces in columns_of(text) for piece in pieces}
    shown = [key for key in ("model", "params", "depth") if key not in hidden(text)]
    lines = Table((MODEL, PARAMS, DEPTH), rows).select(shown).formatted()
    assert {cell for line in lines for cell in line} <= whole


def test_text_with_markup_or_colour_names_is_printed_as_it_is():
    table = Table((MODEL, MACS), (("[red]net[/red] :smile:", 1),))
    assert "[red]net[/red] :smile:" in to_console(table)


def test_empty_cell_is_a_dash():
    assert to_console(Table((MODEL, MACS), (("vgg16", None),))).splitlines()[-1].split() == [
        "vgg16",
        "-",
    ]


def test_table_without_rows_is_its_header():
    assert to_console(Table((MODEL, MACS), ())).splitlines()[0].split() == ["model", "macs"]


@pytest.mark.parametrize("width", [20, 80, None])
def test_notes_stand_below_in_full(width):
    note = "unknown: aten.swirl in mid.0 (Swirl) is neither counted nor known to be free"
    table = Table((MODEL, MACS), (("vgg16", 1),), notes=notes_of([note, "ran for real on cpu"]))
    text = to_console(table, width, colour=False)
    assert " ".join(text.split()).endswith(f"{note} ran for real on cpu")


def test_text_ends_with_one_line_break_and_no_line_with_spaces():
    text = to_console(TABLE, 80, colour=False)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert all(line == line.rstrip() for line in text.splitlines())


# -- ratios ----------------------------------------------------------------------------------------


def two_rows(*bounds: tuple[int, str], reference: int | None = 0) -> str:
    columns = (MODEL, MACS, MACS.ratio())
    rows = (("first", 100, 1.0), ("second", 50, 0.5))
    return to_console(Table(columns, rows, frozenset(bounds), reference))


def test_ratio_stands_below_its_value_and_has_no_column():
    lines = two_rows().splitlines()
    assert lines[0].split() == ["model", "macs"]
    assert [line.split() for line in lines[2:]] == [
        ["first", "100"], ["second", "50"], ["2.00x", "less"],
    ]  # fmt: skip


def test_reference_has_no_ratio():
    assert two_rows().count("same") == 0
    assert two_rows(reference=1).count("less") == 0


def test_table_without_a_reference_has_every_ratio():
    assert "same" in two_rows(reference=None)


@pytest.mark.parametrize("bound", [(0, "macs"), (1, "macs")], ids=["of the reference", "own"])
def test_lower_bound_has_no_ratio_and_a_sign(bound):
    text = two_rows(bound)
    assert text.count(">=") == 1
    assert "less" not in text


def test_ratio_to_nothing_is_left_out():
    table = Table((MODEL, MACS, MACS.ratio()), (("a", 0, None), ("b", 5, None)), reference=0)
    assert len(to_console(table).splitlines()) == 4


def test_ratio_without_its_value_is_a_column():
    table = Table((MODEL, MACS.ratio()), (("a", 1.0), ("b", 0.5)), reference=0)
    lines = to_console(table).splitlines()
    assert lines[0].split() == ["model", "macs_ratio"]
    assert lines[3].split() == ["b", "2.00x", "less"]


# -- colour and terminals --------------------------------------------------------------------------


def test_colour_changes_nothing_but_escape_codes():
    coloured = to_console(TABLE, 80, colour=True)
    assert ESCAPE.search(coloured)
    plain = to_console(TABLE, 80, colour=False)
    stripped = "\n".join(line.rstrip() for line in ESCAPE.sub("", coloured).splitlines())
    assert stripped + "\n" == plain


@pytest.mark.parametrize(
    ("column", "ratio", "green"),
    [(MACS, 0.5, True), (MACS, 2.0, False), (FASTER, 2.0, True), (FASTER, 0.5, False),
     (NEUTRAL, 0.5, False), (NEUTRAL, 2.0, False)],
)  # fmt: skip
def test_ratio_is_green_where_the_row_is_better(column, ratio, green):
    rows = (("a", 100, 1.0), ("b", int(100 * ratio), ratio))
    text = to_console(Table((MODEL, column, column.ratio()), rows, reference=0), 80, colour=True)
    assert ("\x1b[32m" in text) == green


class Screen:
    """A standard output that says what it is."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def screen(monkeypatch):
    """Stand a terminal, or something else, in for standard output, with an environment."""

    def make(terminal: bool, **environment: str) -> None:
        for name in ("NO_COLOR", "TERM", "COLUMNS", "LINES", "FORCE_COLOR", "CLICOLOR_FORCE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", Screen(terminal))

    return make


def test_terminal_gets_colour(screen):
    screen(True, COLUMNS="80")
    assert ESCAPE.search(to_console(TABLE))


@pytest.mark.parametrize(
    ("terminal", "environment"),
    [
        (True, {"NO_COLOR": "1"}),
        (True, {"NO_COLOR": "0"}),
        (True, {"TERM": "dumb"}),
        (False, {}),
        (False, {"FORCE_COLOR": "1"}),
    ],
    ids=["NO_COLOR=1", "NO_COLOR=0", "TERM=dumb", "no terminal", "no terminal, forced"],
)
def test_plain_text_has_no_escape_code(screen, terminal, environment):
    screen(terminal, COLUMNS="80", **environment)
    assert "\x1b" not in to_console(TABLE)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_terminal_gives_its_width(screen, width):
    screen(True, COLUMNS=str(width), NO_COLOR="1")
    assert to_console(TABLE) == to_console(TABLE, width, colour=False)


def test_what_is_no_terminal_has_no_width(screen):
    screen(False, COLUMNS="40")
    text = to_console(TABLE)
    assert len(text.splitlines()) == 5
    assert "nets/a_long_file.py:Net,width=0.5,depth=50" in text

"""LaTeX for papers: booktabs rules, one unit a column, named in its head, and no wider than a page.

A table is set over one column of a two-column page where that holds it, else over both. What even
these do not hold is said in a comment, and by `too_large`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archstat.reporters.numbers import PLAIN, Scale, Style, scale_of
from archstat.result import Cell, Column, Table

# Points of one and of both columns of the narrowest common page, with some room since widths are
# estimated, and lines that a page holds.
_ONE, _BOTH, _ROWS = 230, 480, 50
# Text, in em, that a column may be wide; longer text is broken into lines of this width.
_WIDEST = 14.5

_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"`": r"\textasciigrave{}", '"': "''", "\n": " "},
    **{"\u00d7": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$"},
    **{"→": r"$\to$", "\u2212": "$-$", "≈": r"$\approx$", "∞": r"$\infty$", "√": r"$\surd$"},
    **{"²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}", "°": r"$^{\circ}$"},
    **{"✓": r"$\surd$", "✗": r"$\times$", "µ": r"$\mu$", "\u03c3": r"$\sigma$", "…": r"\ldots{}"},
    **{"\u2013": r"\textendash{}", "\u2014": r"\textemdash{}", "\u2019": "'", "\u00a0": "~"},
}
_RUNS = re.compile("-{2,}")  # which LaTeX makes a dash of
# What a tree draws before a name, three signs a level.
_BRANCHES = re.compile("(?:│  |├─ |└─ |   )*")
_NARROW, _WIDE = frozenset("ijlftrI.,:;|!'()[]- "), frozenset("mwMW%@")


@dataclass(frozen=True, slots=True)
class _Type:
    """A size of type in points, and half the gap between two columns."""

    command: str
    points: float
    gap: float


_TYPES = (_Type("small", 9, 4), _Type("footnotesize", 8, 3))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as it is set: its head in lines, its cells, their lines, its width in em."""

    key: str
    head: tuple[str, ...]
    cells: tuple[str, ...]
    width: float
    layout: str
    lines: tuple[int, ...]


def to_latex(table: Table, style: Style = PLAIN) -> str:
    """A complete ``table`` environment; the preamble needs booktabs and array.

    A column's numbers share a unit and their decimals, three digits at least of the smallest; a
    lower bound has a >= sign.
    """
    columns = [_column(table, column, style) for column in table.columns]
    chosen = _type(columns)
    place = "table*" if _width(columns, chosen) > _ONE else "table"
    label = [] if style.label is None else [f"  \\label{{{style.label}}}"]
    caption = [] if style.caption is None else [f"  \\caption{{{escaped(style.caption)}}}"]
    lines = [
        "% needs \\usepackage{array,booktabs}",
        *(f"% {remark}" for remark in too_large(table, style)),
        f"\\begin{{{place}}}",
        *caption,
        *label,
        f"  \\centering\\{chosen.command}\\setlength{{\\tabcolsep}}{{{chosen.gap:g}pt}}",
        f"  \\begin{{tabular}}{{@{{}}{' '.join(column.layout for column in columns)}@{{}}}}",
        "    \\toprule",
        *(f"    {' & '.join(head)} \\\\" for head in _heads(columns)),
        "    \\midrule",
        *(f"    {_guarded(' & '.join(row))} \\\\" for row in _rows(columns)),
        "    \\bottomrule",
        "  \\end{tabular}",
        "",
        "  \\smallskip",
        f"  \\footnotesize\\raggedright {_footnote(table)}\\par",
        f"\\end{{{place}}}",
    ]
    return "\n".join(lines) + "\n"


def too_large(table: Table, style: Style = PLAIN) -> Iterator[str]:
    """What a two-column page does not hold, a sentence each: columns to leave out, and rows."""
    columns = [_column(table, column, style) for column in table.columns]
    kept = list(columns)
    while len(kept) > 1 and _width(kept, _TYPES[-1]) > _BOTH:
        kept.pop()
    if len(kept) < len(columns):
        left = ", ".join(column.key for column in columns[len(kept) :])
        yield f"wider than a two-column page; these columns are too many: {left}"
    lines = sum(map(max, zip(*(column.lines for column in columns), strict=True)))
    if lines > _ROWS:
        yield f"longer than a page, {lines} lines; a page holds about {_ROWS}"


def escaped(text: str) -> str:
    """Text with every sign that LaTeX would read as a command, or not know, made harmless.

    The branches of a tree become an indentation.
    """
    drawn = _BRANCHES.match(text)
    width = drawn.end() if drawn else 0
    name = "".join(_SIGNS.get(sign) or _known(sign) for sign in text[width:])
    name = _RUNS.sub(lambda dashes: "{}".join(dashes[0]), name)
    return r"\quad " * (width // 3) + name


def _known(sign: str) -> str:
    """A sign as pdflatex knows it: those of western Europe, or what comes nearest in ASCII."""
    if sign.isascii():
        return sign if sign.isprintable() else " "
    if "À" <= sign <= "ÿ":
        return {"÷": r"$\div$"}.get(sign, sign)
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return "".join(_SIGNS.get(part, part) for part in plain if part.isprintable()) or (
        f"U+{ord(sign):04X}"
    )


def _type(columns: Sequence[_Column]) -> _Type:
    """The largest type in which the columns fit a page, else the smallest."""
    return next((size for size in _TYPES if _width(columns, size) <= _BOTH), _TYPES[-1])


def _column(table: Table, column: Column, style: Style) -> _Column:
    given = table.column(column.key)
    scale = scale_of(column, given, style)
    cells = tuple(
        _cell(column, cell, scale, (row, column.key) in table.bounds)
        for row, cell in enumerate(given)
    )
    widths = [_em(cell) for cell in map(_seen, given, cells)]
    body = max(widths, default=0.0)
    if body > _WIDEST and column.unit == "text":
        cells = tuple(_breakable(cell) for cell in cells)
        head = _head(column, scale, _WIDEST)
        layout = f">{{\\raggedright\\arraybackslash}}p{{{_WIDEST:g}em}}"
        lines = tuple(1 + int(width / _WIDEST) for width in widths)
        return _Column(column.key, head, cells, _WIDEST, layout, lines)
    head = _head(column, scale, body)
    width = max([body, *map(_em, head)])
    layout = "l" if column.unit == "text" else "r"
    return _Column(column.key, head, cells, width, layout, (1,) * len(cells))


def _cell(column: Column, cell: Cell, scale: Scale, bounded: bool) -> str:
    if cell is None:
        return "--"
    if isinstance(cell, str):
        return escaped(column.format(cell))
    if isinstance(cell, tuple):
        return column.format(cell).replace("x", r"$\times$")
    text = f"$-${scale.text(-cell)}" if cell < 0 else escaped(scale.text(cell))
    return f"$\\geq$ {text}" if bounded else text


def _seen(given: Cell, cell: str) -> str:
    """A cell in about as many signs as are set."""
    if isinstance(given, str):
        return _BRANCHES.sub(lambda drawn: "mm" * (len(drawn[0]) // 3), given, count=1)
    return re.sub(r"\$?\\[a-z]+(?:\{\})?\$?", "m", cell)


def _breakable(cell: str) -> str:
    return re.sub(r"([.,/]|\\_)(?=\S)", r"\1\\allowbreak{}", cell)


def _head(column: Column, scale: Scale, width: float) -> tuple[str, ...]:
    """The head in lines about as wide as the cells, the unit behind the last word."""
    words = column.key.replace("_", " ").split(" ")
    if scale.unit == words[-1] and len(words) > 1:
        words.pop()
    if scale.unit:
        words.append(f"({scale.unit})")
    lines = [words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if _em(longer) <= max(width, *map(_em, words)):
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def _heads(columns: Sequence[_Column]) -> Iterator[list[str]]:
    """The lines of the head, the last ones side by side."""
    most = max(len(column.head) for column in columns)
    for line in range(-most, 0):
        yield [escaped(column.head[line]) if -line <= len(column.head) else ""
               for column in columns]  # fmt: skip


def _rows(columns: Sequence[_Column]) -> Iterator[tuple[str, ...]]:
    return zip(*(column.cells for column in columns), strict=True)


def _guarded(line: str) -> str:
    """A row that ``\\\\`` of the row before does not take for its argument."""
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _width(columns: Sequence[_Column], size: _Type) -> float:
    """Points of all columns side by side."""
    return size.points * sum(c.width for c in columns) + 2 * size.gap * (len(columns) - 1)


def _em(text: str) -> float:
    return sum(
        0.3 if sign in _NARROW else 0.85 if sign in _WIDE else 0.72 if sign.isupper() else 0.52
        for sign in text
    )


def _footnote(table: Table) -> str:
    meanings = [
        f"{column.key.replace('_', ' ')}: {table.convention[column.key]}"
        for column in table.columns
        if column.key in table.convention
    ]
    inputs = sorted({str(cell) for row in table.records() if (cell := row.get("input"))})
    if not inputs:
        inputs = list(table.inputs)
    at = [f"input (batch first) {', '.join(inputs)}"] if inputs else []
    mode = [table.convention["mode"]] if "mode" in table.convention else []
    facts = "; ".join([*meanings, *mode, *at])
    made = f"Counted by archstat {table.archstat_version}."
    sentences = [f"{facts}." if facts else "", *map(str, table.notes), made]
    return escaped(" ".join(filter(None, sentences)))

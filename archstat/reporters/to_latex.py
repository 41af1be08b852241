"""LaTeX for papers: booktabs rules, siunitx columns, one unit a column, named in its header."""

from __future__ import annotations

import re

from archstat.result import Cell, Column, Table
from archstat.units import format_axes

_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
}
# Signs of text that a column may be wide; longer text is broken into lines.
_WIDEST = 40
_SIGNS = re.compile("|".join(re.escape(sign) for sign in _SPECIAL))
# What a tree draws before a name, three signs a level; pdflatex knows none of them.
_BRANCHES = re.compile("(?:│  |├─ |└─ |   )*")
_COUNT_UNITS = (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_BYTE_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def to_latex(table: Table) -> str:
    """A complete ``table`` environment; the preamble needs booktabs and siunitx (version 2 or 3).

    A column's numbers share the unit of its largest, on two decimals; a lower bound has a >= sign.
    """
    units = [_unit(column, table.column(column.key)) for column in table.columns]
    bodies = [
        [
            _cell(column, cell, factor, (row, column.key) in table.bounds)
            for column, cell, (_, factor) in zip(table.columns, cells, units, strict=True)
        ]
        for row, cells in enumerate(table.rows)
    ]
    widths = [
        _format(column, table.column(column.key), [body[i] for body in bodies])
        for i, column in enumerate(table.columns)
    ]
    head = [_head(column, unit) for column, (unit, _) in zip(table.columns, units, strict=True)]
    lines = [
        "% needs \\usepackage{booktabs,siunitx}",
        "\\begin{table}",
        "  \\centering",
        f"  \\begin{{tabular}}{{{' '.join(widths)}}}",
        "    \\toprule",
        f"    {' & '.join(head)} \\\\",
        "    \\midrule",
        *(f"    {' & '.join(body)} \\\\" for body in bodies),
        "    \\bottomrule",
        "  \\end{tabular}",
        "",
        "  \\smallskip",
        f"  \\footnotesize {_footnote(table)}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text with every character that LaTeX would read as a command made harmless.

    The branches of a tree become an indentation.
    """
    drawn = _BRANCHES.match(text)
    width = drawn.end() if drawn else 0
    name = _SIGNS.sub(lambda match: _SPECIAL[match[0]], text[width:])
    return r"\quad " * (width // 3) + name


def _unit(column: Column, cells: tuple[Cell, ...]) -> tuple[str, int]:
    units = {"count": _COUNT_UNITS, "bytes": _BYTE_UNITS}.get(column.unit, ())
    largest = max((abs(cell) for cell in cells if isinstance(cell, (int, float))), default=0)
    for unit, factor in units:
        if largest >= factor:
            return unit, factor
    return ("B", 1) if column.unit == "bytes" else ("", 1)


def _head(column: Column, unit: str) -> str:
    name = escaped(column.key.replace("_", " "))
    shown = {"share": r"\%", "ratio": "ratio"}.get(column.unit, unit)
    shown = "" if column.unit == "ratio" else shown
    text = f"{name} ({shown})" if shown else name
    return text if column.unit == "text" else f"{{{text}}}"


def _cell(column: Column, cell: Cell, factor: int, bounded: bool) -> str:
    if cell is None:
        return "{--}"
    if isinstance(cell, str):
        return escaped(cell)
    if isinstance(cell, tuple):
        return "$" + format_axes(cell).replace("x", r" \times ") + "$"
    if column.unit == "share":
        text = f"{100 * cell:.1f}"
    elif column.unit == "ratio":
        text = f"{cell:.3f}"
    elif factor == 1:
        text = f"{cell:g}" if isinstance(cell, float) else str(cell)
    else:
        text = f"{cell / factor:.2f}"
    return f"{{$\\geq$ {text}}}" if bounded else text


def _format(column: Column, given: tuple[Cell, ...], cells: list[str]) -> str:
    if column.unit == "text":
        long = max((len(str(cell)) for cell in given), default=0) > _WIDEST
        return r"p{0.3\linewidth}" if long else "l"
    if column.unit in ("pixels", "figure"):
        return "r"
    numbers = [cell for cell in cells if not cell.startswith("{")] or ["0"]
    whole = max(len(number.partition(".")[0]) for number in numbers)
    decimals = max(len(number.partition(".")[2]) for number in numbers)
    return f"S[table-format={whole}.{decimals}]"


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
    text = "; ".join([*meanings, *mode, *at, *(note.text.rstrip(".") for note in table.notes)])
    return escaped(f"{text}. Counted by archstat {table.archstat_version}.".lstrip(". "))

"""The page itself: one file that loads nothing, with the data of every chart inside."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from math import isfinite
from typing import Any

from archstat.reporters.page.svg import broken, tag, text
from archstat.result import Cell, Column, Mark, Table

_SIGNS = {"good": "✓\u00a0", "bad": "✗\u00a0", "open": "~\u00a0"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its heading, a sentence about it, and its markup.

    `table` names the data that its button saves, and a `half` has room for another beside it.
    """

    title: str
    about: str
    body: str
    table: str = ""
    half: bool = False


def document(title: str, head: str, sections: Sequence[Section], tables: Mapping[str, Table]) -> (
    str
):  # fmt: skip
    """The page as text: `head` is markup below the title, `tables` the data behind the charts."""
    script, style = asset("script.js"), asset("style.css")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = (f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
              "base-uri 'none'; form-action 'none'")  # fmt: skip
    parts = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="color-scheme" content="light dark"><title>{text(title)}</title>',
        f"<style>{style}</style></head>\n<body><main>",
        tag("header", tag("h1", broken(title)), head),
        *map(_section, sections),
        '</main><div id="tip" hidden></div>\n',
        f'<script type="application/json" id="data">{as_json(tables)}</script>\n',
        f"<script>{script}</script></body></html>\n",
    )
    # What is no character, as in the name of a file, cannot be written.
    return "".join(parts).encode("utf-8", "replace").decode().replace("\0", "�")


def asset(name: str) -> str:
    """A file that stands beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").strip()


def as_json(tables: Mapping[str, Table]) -> str:
    """The tables by name, as text that stands in a script: nothing in it ends the element."""
    plain = {name: _plain(table) for name, table in tables.items()}
    return json.dumps(plain, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _plain(table: Table) -> dict[str, Any]:
    columns = [[column.key, column.unit] for column in table.columns]
    return {"columns": columns, "rows": [[_number(cell) for cell in row] for row in table.rows]}


def _number(cell: Cell) -> Any:
    return None if isinstance(cell, float) and not isfinite(cell) else cell


def _section(section: Section) -> str:
    save = tag("button", "csv", type="button", data_csv=section.table, title="Save these data as "
               "csv") if section.table else ""  # fmt: skip
    heading = tag("h2", text(section.title), save)
    about = tag("p", text(section.about), class_="about") if section.about else ""
    return tag("section", heading, about, section.body, class_="half" if section.half else None)


def table_element(name: str, table: Table, keys: Sequence[str],
                  *, levels: Sequence[int] = ()) -> str:  # fmt: skip
    """A table with sortable heads and bars below figures.

    Args:
        name: of the data that it shows, with the same rows.
        keys: the columns that are shown.
        levels: how deep each row stands, which folds; of many rows the deep ones are in the data
            alone.
    """
    places = [table.index(key) for key in keys]
    columns = [table.columns[place] for place in places]
    greatest = [_greatest(table, place) for place in places]
    head = tag("tr", *map(_heading, columns, places))
    shown = _shown(len(table), levels)
    body = []
    for number in shown:
        row = table.rows[number]
        cells = (
            _cell(column, row[place], full, (number, column.key) in table.bounds)
            for column, place, full in zip(columns, places, greatest, strict=True)
        )
        body.append(tag("tr", *cells, data_n=number, data_l=levels[number] if levels else None))
    more = len(table) - len(shown)
    note = tag("p", f"{more:,} more rows are in the csv.", class_="about") if more else ""
    element = tag("table", tag("thead", head), tag("tbody", *body), data_t=name,
                  class_="tree" if levels else None)  # fmt: skip
    return tag("div", element, class_="wide") + note


_MOST_ROWS = 700


def _shown(count: int, levels: Sequence[int]) -> Sequence[int]:
    """The numbers of the rows that are written: as deep as there is room, and the first of many."""
    numbers: Sequence[int] = range(count)
    deepest = max(levels, default=0)
    while len(numbers) > _MOST_ROWS and deepest > 1:
        deepest -= 1
        numbers = [number for number in numbers if levels[number] <= deepest]
    return numbers[:_MOST_ROWS]


def _greatest(table: Table, place: int) -> float:
    """What a full bar stands for; 0 where there are no bars."""
    if table.columns[place].unit not in ("count", "bytes", "ms", "number"):
        return 0.0
    return max((float(cell) for row in table.rows if isinstance(cell := row[place], (int, float))),
               default=0.0)  # fmt: skip


def _heading(column: Column, place: int) -> str:
    key = column.key.removesuffix("_bytes").replace("_", " ")
    side = None if column.unit == "text" else "r"
    return tag("th", tag("button", text(key), type="button", data_c=place),
               title=f"{column.key}: {column.meaning}", class_=side, scope="col")  # fmt: skip


def _cell(column: Column, cell: Cell, greatest: float, is_bound: bool) -> str:
    shown = column.format(cell, is_bound)
    if isinstance(cell, Mark):
        return tag("td", text(_SIGNS[cell.tone] + shown), class_=cell.tone)
    if column.unit == "text":
        return tag("td", text("" if cell is None else shown))
    is_bar = greatest > 0 and isinstance(cell, (int, float)) and cell > 0
    bar = f"--b:{100 * float(cell) / greatest:.3g}%" if is_bar else None  # type: ignore[arg-type]
    return tag("td", text(shown), class_="r", style=bar, data_b=">= " if is_bound else None)


def switch(name: str, choices: Mapping[str, str]) -> str:
    """Several drawings of which one is seen, the first at first; works without a script."""
    buttons, panes = [], []
    for number, (said, body) in enumerate(choices.items()):
        own = f"{name}-{number}"
        buttons.append(tag("input", type="radio", name=name, id=own, class_=f"pick{number}",
                           checked=number == 0).removesuffix("</input>"))  # fmt: skip
        buttons.append(tag("label", text(said), for_=own))
        panes.append(tag("div", body, class_=f"pane pane{number}"))
    return tag("div", *buttons, *panes, class_="switch")


def tiles(entries: Sequence[tuple[str, str, str]]) -> str:
    """Figures to be seen first: name, figure, and what is counted."""
    return tag("dl", *(tag("div", tag("dt", text(name)), tag("dd", text(figure)),
                           tag("p", text(told))) for name, figure, told in entries),
               class_="tiles")  # fmt: skip


def facts(entries: Sequence[tuple[str, str]]) -> str:
    """A line a fact: what it is, and how it is."""
    return tag("dl", *_facts(entries), class_="facts")


def _facts(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, told in entries:
        yield tag("dt", text(name)) + tag("dd", text(told))

"""The files that hold a sweep's results: a csv that grows with it, Parquet, and a page."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from archstat.errors import ColumnError, OutputError
from archstat.measure.latency.intervals import percentile
from archstat.reporters.page.charts import Axes, Point, Series, lines, scales, scatter
from archstat.reporters.page.document import Section, document, facts, switch, table_element
from archstat.reporters.page.svg import line, tag, text
from archstat.reporters.to_csv import to_csv
from archstat.result import Cell, Column, Table
from archstat.tables.scale import law_between, sentence, summary_table
from archstat.tables.sweep import (
    FAILED,
    PREDICTED,
    SWEEP_COLUMNS,
    Candidate,
    front,
    plain,
    told,
)
from archstat.units import format_count
from archstat.version import __version__

_KNOWN = {column.key: column for column in (*SWEEP_COLUMNS, *PREDICTED)}


class Results:
    """A CSV file of candidates, which grows with the sweep and with the next one of the same kind.

    Args:
        path: where; an existing file must be of this sweep.
        columns: `model` first.
        specs: the sweep's candidates, in order.

    Raises:
        OutputError: the file is of another sweep, or cannot be read; it is left as it is.
    """

    def __init__(self, path: Path, columns: Sequence[Column], specs: Iterable[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.head = to_csv(Table(self.columns, ()))
        # Of these specs the file has dealt with so many. The last row is made again, and compared:
        # what else a sweep is asked for would show there.
        self.done, self._last, self._end = 0, b"", 0
        self.rows = self.failed = 0  # in the file
        try:
            if path.exists() and path.stat().st_size:
                self._resume(specs)
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from error

    def _resume(self, specs: Iterable[str]) -> None:
        numbers, head = enumerate(specs), self.head.encode()
        with self.path.open("rb") as file:
            begun = file.readline()
            if not begun.endswith(b"\n") and head.startswith(begun):
                return
            if begun != head:
                raise OutputError(
                    f"{self.path} holds other columns than this sweep; name a new file."
                )
            self._end = len(head)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # a row that was cut short is written again
                row = next(csv.reader([line.decode()]))
                number = next((number for number, spec in numbers if [spec] == row[:1]), None)
                if number is None:
                    raise self._of_another()
                is_failed = self.columns[-1].key == FAILED.key and row[-1] != ""
                self.rows, self.failed = self.rows + 1, self.failed + is_failed
                self.done, self._last = (number + 1, b"") if is_failed else (number, line)
                self._end += len(line)

    def _of_another(self) -> OutputError:
        return OutputError(f"{self.path} belongs to another sweep; name a new file.")

    def append(self, found: Sequence[Candidate]) -> None:
        """Write rows, of which the first one brings the head.

        Raises:
            OutputError: the file is of another sweep, or cannot be written, for want of space, say.
        """
        keys = [column.key for column in self.columns]
        rows = tuple(tuple(one.cells.get(key) for key in keys) for one in found)
        text = to_csv(Table(self.columns, rows)).removeprefix(self.head).encode()
        if not text.startswith(self._last):
            raise self._of_another()
        self.rows += len(rows) - bool(self._last)
        self.failed += sum(one.failed for one in found)
        text, self._last = text.removeprefix(self._last), b""
        try:
            with self.path.open("ab") as file:
                if self._end < file.tell():
                    file.truncate(self._end)
                file.write(text if self._end else self.head.encode() + text)
                self._end = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}."
            ) from error


def _unreadable(path: str | Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or "not UTF-8 text"
    return OutputError(f"{path} cannot be read: {reason}.")


def read_results(path: str | Path) -> Table:
    """The candidates of a CSV file, with whatever columns it has beside `model`.

    Raises:
        OutputError, ColumnError: it cannot be read, or has no such rows.
    """
    try:
        rows = [row for row in csv.reader(_text_of(Path(path)).splitlines(), strict=True) if row]
    except csv.Error as error:
        raise ColumnError(f"{path} is not csv: {error}.") from error
    keys = rows.pop(0) if rows else []
    if "model" not in keys or len(keys) < 2 or len(set(keys)) < len(keys):
        raise ColumnError(f"{path} has no column `model` with figures beside it, each column once.")
    if not rows:
        raise ColumnError(f"{path} has no candidates below its head.")
    for number, row in enumerate(rows, 2):
        if len(row) != len(keys):
            raise ColumnError(f"{path}, row {number}: {len(row)} cells instead of {len(keys)}.")
    columns = tuple(_KNOWN.get(key) or _own(key, [row[n] for row in rows], path)
                    for n, key in enumerate(keys))  # fmt: skip
    cells = tuple(_with_whole_field(tuple(map(_read, row, columns)), keys) for row in rows)
    return told(Table(columns, cells))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _own(key: str, texts: Sequence[str], path: str | Path) -> Column:
    """A column of the user's, accuracy say: of numbers where all its cells are."""
    numbers = all(not isinstance(_number(text), str) for text in texts)
    return Column(key, "number" if numbers else "text", f"from {path}")


def _number(text: str) -> int | float | str | None:
    for kind in (int, float):
        try:
            return kind(text) if text.strip() else None
        except ValueError:
            continue
    return text


def _with_whole_field(cells: tuple[Cell, ...], keys: Sequence[str]) -> tuple[Cell, ...]:
    """A row of a file, which leaves the field empty of what sees everything."""
    record = dict(zip(keys, cells, strict=True))
    if record.get("receptive_field", 0) is None and record.get("global_from"):
        record["receptive_field"] = (None,)
    return tuple(record.values())


def _read(text: str, column: Column) -> Cell:
    if column.unit == "text":
        return text or None
    if column.unit == "pixels" and text:
        axes = [_number(size) for size in text.split("x")]
        return tuple(size if isinstance(size, (int, float)) else None for size in axes)
    found = _number(text)
    if isinstance(found, str):
        raise ColumnError(f"{column.key}: {text!r} is not a number.")
    return found


def write_parquet(table: Table, path: Path) -> None:
    """Write the rows for pyarrow, numbers an axis as texts such as ``7x7``.

    Raises:
        OutputError: the file cannot be written.
    """
    import io

    import pandas

    texts = {c.key: str for c in table.columns if c.unit in ("text", "pixels")}
    frame = pandas.read_csv(io.StringIO(to_csv(table)), dtype=texts)
    try:
        frame.to_parquet(path, engine="pyarrow", index=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


# -- a page ----------------------------------------------------------------------------------------

_MOST_ROWS = 2000  # in the page; more make it slow, and a picture no clearer
_PLACES = 101
_HELD = ("params", "macs", "activations", "memory_access_bytes", "peak_memory_bytes",
         "receptive_field", "predicted_ms")  # fmt: skip
_FRONT, _OTHERS = 1, 0


def page(table: Table, axes: Sequence[tuple[str, bool]], against: str, command: str) -> str:
    """The page as text.

    Args:
        table: the candidates.
        axes: of the front: two keys, and whether more is better; it may be none.
        against: the key that exponents refer to.
        command: what makes the page again, as it is typed.
    """
    best = front(table, *axes) if axes else None
    tables = {"summary": summary_table(table, against, raw=True), "distribution": _quantiles(table)}
    tables["candidates"] = _some(table, best)
    if best is not None:
        tables["front"] = best
    made = [_scatter(table, tables["candidates"], best, axes, against), _front(best, axes),
            _distributions(tables["distribution"]), _grown(table, against)]  # fmt: skip
    count = f"{len(table):,} candidates"
    head = "".join(tag("p", text(str(note))) for note in table.notes)
    head += facts([("made by", f"archstat {__version__}")])
    head += tag("p", "Made again by ", tag("code", text(command)))
    return document(count, head, [one for one in made if one is not None], tables)


def _some(table: Table, best: Table | None) -> Table:
    """The candidates that the page has: of many some, at equal distances, and the front's."""
    if len(table) <= _MOST_ROWS:
        return table
    kept = set(range(0, len(table), -(-len(table) // _MOST_ROWS)))
    names = set(best.column("model")) if best is not None else set()
    kept |= {row for row, name in enumerate(table.column("model")) if name in names}
    return table.take(sorted(kept))


def _told(table: Table, some: Table) -> str:
    if len(some) == len(table):
        return "Each point is a candidate."
    return f"{len(some):,} of {len(table):,} candidates, at equal distances."


def _scatter(
    table: Table, some: Table, best: Table | None, axes: Sequence[tuple[str, bool]], against: str
) -> Section | None:
    x, y = [key for key, _ in axes] or [against, "activations"]
    names = set(best.column("model")) if best is not None else set()
    points = list(_points(some, x, y, names))
    if not points:
        return None
    across, up = scales(points)
    law, under = law_between(table, x, y), ""
    if law is not None and best is None:
        ends = [f(point.x for point in points) for f in (min, max)]
        heights = [up.place(law.at(end)) for end in ends]
        under = line(across.place(ends[0]), heights[0], across.place(ends[1]), heights[1], "level")
    drawn = scatter(f"{y} against {x}", points, across, up, (x, y), _short, "candidates",
                    under)  # fmt: skip
    grows = f" {sentence(y, x, law)}." if law is not None else ""
    about = f"{_told(table, some)} Both axes are logarithmic.{grows}"
    return Section(f"{y} against {x}", about, tag("div", drawn, class_="chart"), "candidates")


def _short(number: float) -> str:
    return format_count(number).replace(".00", "")


def _points(some: Table, x: str, y: str, names: Collection[object]) -> Iterator[Point]:
    cells = zip(some.column("model"), some.column(x), some.column(y), strict=True)
    for row, (name, a, b) in enumerate(cells):
        here, there = plain(a), plain(b)
        if here and there and min(here, there) > 0:
            series = _FRONT if name in names else _OTHERS
            yield Point(row, str(name), here, there, 2.5 + 1.5 * series, series)


def _front(best: Table | None, axes: Sequence[tuple[str, bool]]) -> Section | None:
    if best is None:
        return None
    keys = ["model", *(key for key, _ in axes)]
    shown = best.for_reader().keys()
    keys += [key for key in shown if key not in keys and key != "failed"]
    better = " and ".join(f"{'more' if more else 'less'} {key}" for key, more in axes)
    return Section("Pareto front", f"No candidate beats these in {better} at once.",
                   table_element("front", best, keys), "front")  # fmt: skip


def _quantiles(table: Table) -> Table:
    """A row a share of the candidates: what so many of them have at most."""
    keys = [key for key in _HELD if key in table.keys()]  # noqa: SIM118
    ordered = {key: sorted(n for cell in table.column(key) if (n := plain(cell)) is not None)
               for key in keys}  # fmt: skip
    kept = [column for column in table.columns if ordered.get(column.key)]
    shares = [place / (_PLACES - 1) for place in range(_PLACES)]
    rows = tuple((share, *(percentile(ordered[c.key], share) for c in kept)) for share in shares)
    units = (Column(c.key, "number", c.meaning) for c in kept)
    return Table((Column("share", "share", "part of the candidates"), *units), rows)


def _distributions(quantiles: Table) -> Section | None:
    choices = {}
    for column in quantiles.columns[1:]:
        heights = tuple(float(cell) for cell in quantiles.column(column.key))  # type: ignore[arg-type]
        axes = Axes("share of the candidates, from none to all", column.key, _short)
        drawn = lines(f"Distribution of {column.key}", [Series(column.key, heights)], axes,
                      ["distribution"], filled=True)  # fmt: skip
        choices[column.key.removesuffix("_bytes").replace("_", " ")] = drawn
    about = "The share of candidates at or below each value."
    if not choices:
        return None
    return Section("Distributions", about, switch("distribution", choices), "distribution")


def _grown(table: Table, against: str) -> Section:
    shown = summary_table(table, against)
    about = (f"Each figure over the candidates, and the power of {against} that it grows with, "
             "with 95 % limits.")  # fmt: skip
    return Section("Figures", about, table_element("summary", shown, list(shown.keys())), "summary")

"""`sweep`: a row a candidate of a design space, and the files that hold them."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.memory_access import checked_fusion
from archstat.budgets.workers import Ended, each_alone
from archstat.errors import ArchstatError, ColumnError, FailedModelsError, OutputError, SpecError
from archstat.models.pipeline import analyze
from archstat.models.sources import find
from archstat.models.spaces import candidates, spaces_of
from archstat.models.specs import parse_spec
from archstat.reporters.to_csv import to_csv
from archstat.result import IDENTITY, Cell, Column, Table, notes_of
from archstat.tables.compare import ON_SCREEN

FAILED = Column("failed", "text", "why a candidate has no figures")
SWEEP_COLUMNS: tuple[Column, ...] = (*IDENTITY, *COLUMNS, FAILED)
_KNOWN = {column.key: column for column in SWEEP_COLUMNS}
# What a process is given at once: a fork is then a small part of it, and so is what it may lose.
_AT_ONCE = 32


class Candidate(NamedTuple):
    """A row of `SWEEP_COLUMNS`, the keys that are lower bounds in it, and its torch."""

    cells: tuple[Cell, ...]
    bounds: frozenset[str] = frozenset()
    torch_version: str = ""

    @property
    def failed(self) -> bool:
        """Whether there are no figures."""
        return self.cells[-1] is not None

    def record(self) -> dict[str, Cell]:
        """The cells by key."""
        return dict(zip(_KNOWN, self.cells, strict=True))


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every candidate of a sweep: see `analyze`; `jobs` processes work at once."""

    input: Any = None
    batch: int | None = None
    fusion: str = "none"
    jobs: int | None = None


def sweep(
    specs: str | Sequence[str],
    input: Any = None,
    batch: int | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    fusion: str = "none",
) -> Table:
    """A row a candidate of design spaces, those that fail with their reason in `failed`.

    Args:
        specs: specs whose options may be ranges and lists, such as
            ``"mobilenet_v1,width=0.25..1.0:0.05,resolution=128|160"``, or TOML files.
        input, batch, fusion: as `analyze` takes them.
        sample: so many candidates drawn at random with `seed`, not all.
        jobs: processes at work; by default one a core.

    Raises:
        SpecError: no such space, or one too large without `sample`.
        FailedModelsError: every candidate failed.
    """
    texts = [specs] if isinstance(specs, str) else list(specs)
    chosen = chosen_candidates(texts, sample, seed)
    settings = Settings(input, batch, checked_fusion(fusion), jobs)
    found = list(measured(chosen, settings))
    refuse_all_failed(found)
    return table_of(found)


def chosen_candidates(texts: Sequence[str], sample: int | None, seed: int) -> list[str]:
    """The specs to sweep; a single space's model and options are looked up before the work.

    Raises:
        ArchstatError: see `spaces_of`, `candidates` and, of a single space, `find`.
    """
    spaces = spaces_of(texts)
    found = candidates(spaces, sample, seed)
    if not found:
        raise SpecError("There is nothing to sweep; give a spec with ranges or lists.")
    if len(spaces) == 1:
        find(parse_spec(found[0]))
    return found


def measured(specs: Sequence[str], settings: Settings) -> Iterator[Candidate]:
    """The candidates in order, from processes that start now; one that dies takes none with it."""
    import archstat.frontends.module  # noqa: F401 - once for all processes, which are forked

    jobs = settings.jobs or os.cpu_count() or 1
    size = max(1, min(_AT_ONCE, len(specs) // (4 * jobs)))
    groups = [specs[start : start + size] for start in range(0, len(specs), size)]
    work = partial(_analyzed, settings=settings)
    return _received(groups, each_alone(work, groups, jobs), work)


def _received(
    groups: Sequence[Sequence[str]], results: Iterator[list[Candidate] | Ended], work: Any
) -> Iterator[Candidate]:
    for group, result in zip(groups, results, strict=True):
        if isinstance(result, Ended) and len(group) > 1:
            alone = [[spec] for spec in group]
            yield from _received(alone, each_alone(work, alone, 1), work)
        elif isinstance(result, Ended):
            yield _failure(group[0], f"{group[0]} {result.how}")
        else:
            yield from result


def _analyzed(specs: Sequence[str], settings: Settings) -> list[Candidate]:
    import torch

    torch.set_num_threads(1)  # the other cores have candidates of their own
    return [_candidate(spec, settings) for spec in specs]


def _candidate(spec: str, settings: Settings) -> Candidate:
    try:
        report = analyze(spec, settings.input, settings.batch, fusion=settings.fusion)
    except ArchstatError as error:
        return _failure(spec, str(error))
    totals = (report.totals[column.key] for column in COLUMNS)
    return Candidate(
        (spec, report.input, *totals, None), report.lower_bounds, report.graph.torch_version
    )


def _failure(spec: str, reason: str) -> Candidate:
    return Candidate((spec, *(None for _ in SWEEP_COLUMNS[2:]), " ".join(reason.split())))


def table_of(found: Sequence[Candidate]) -> Table:
    """The rows as a table."""
    bounds = frozenset((row, key) for row, one in enumerate(found) for key in one.bounds)
    version = max((one.torch_version for one in found), default="")
    rows = tuple(one.cells for one in found)
    return _told(Table(SWEEP_COLUMNS, rows, bounds, torch_version=version))


def _told(table: Table) -> Table:
    """The candidates with what must be said of them: failures, and counts that are incomplete."""
    columns = table.keys()
    reasons = [cell for cell in table.column("failed") if cell] if "failed" in columns else []
    unknown = sum(map(bool, table.column("unknown_ops"))) if "unknown_ops" in columns else 0
    notes = []
    if reasons:
        notes.append(f"{len(reasons)} of {len(table)} candidates failed; the first: {reasons[0]}")
    if unknown:
        notes.append(f"{unknown} of {len(table)} candidates have unknown operations: their counts "
                     "are lower bounds.")  # fmt: skip
    shown = tuple(key for key in ON_SCREEN if key in columns)
    return replace(table, notes=notes_of(notes), convention=CONVENTION, shown=shown)


def refuse_all_failed(found: Sequence[Candidate]) -> None:
    """Raise where there are candidates and each of them failed.

    Raises:
        FailedModelsError: the reason of the first is in it.
    """
    if found and all(one.failed for one in found):
        reason = found[0].cells[-1]
        raise FailedModelsError(f"all {len(found)} candidates failed; the first: {reason}")


class Results:
    """A CSV file of candidates, which grows with the sweep and with the next one of the same kind.

    Args:
        path: where; an existing file must be of this sweep.
        keys: the columns, `model` first.
        specs: the sweep's candidates, in order.

    Raises:
        OutputError: the file is of another sweep, or cannot be read; it is left as it is.
    """

    def __init__(self, path: Path, keys: Sequence[str], specs: Sequence[str]) -> None:
        self.path, self.places = path, [list(_KNOWN).index(key) for key in keys]
        self.columns = tuple(_KNOWN[key] for key in keys)
        self.head = to_csv(Table(self.columns, ()))
        self.done = self._resumed(specs)

    def _resumed(self, specs: Sequence[str]) -> int:
        """How many of the specs the file has dealt with: those up to its last row."""
        if not self.path.exists() or not self.path.stat().st_size:
            return 0
        text = _text_of(self.path)
        whole = text[: text.rfind("\n") + 1]  # a row that was cut short is written again
        if not whole.startswith(self.head):
            raise OutputError(f"{self.path} holds other columns than this sweep; name a new file.")
        place = {spec: number for number, spec in enumerate(specs)}
        numbers = [place.get(row[0], -1) for row in csv.reader(whole.splitlines()[1:])]
        if -1 in numbers or any(b <= a for a, b in itertools.pairwise(numbers)):
            raise OutputError(f"{self.path} is of another sweep; name a new file.")
        if whole != text:
            os.truncate(self.path, len(whole.encode()))
        return numbers[-1] + 1 if numbers else 0

    def append(self, found: Iterable[Candidate]) -> None:
        """Write rows, of which the first one brings the head.

        Raises:
            OutputError: the file cannot be written, for want of space, say.
        """
        rows = tuple(tuple(one.cells[place] for place in self.places) for one in found)
        if not rows:
            return
        text = to_csv(Table(self.columns, rows))
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text if not file.tell() else text.removeprefix(self.head))
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}."
            ) from error


def read_results(path: str | Path) -> Table:
    """The candidates of a CSV file, with whatever columns it has beside `model`.

    Raises:
        OutputError, ColumnError: it cannot be read, or has no such rows.
    """
    try:
        rows = [row for row in csv.reader(_text_of(Path(path)).splitlines(), strict=True) if row]
    except csv.Error as error:
        raise ColumnError(f"{path} is no csv: {error}.") from error
    keys = rows.pop(0) if rows else []
    if "model" not in keys or len(keys) < 2 or len(set(keys)) < len(keys):
        raise ColumnError(f"{path} has no column `model` with figures beside it, each column once.")
    if not rows:
        raise ColumnError(f"{path} has no candidates below its head.")
    for number, row in enumerate(rows, 2):
        if len(row) != len(keys):
            raise ColumnError(f"{path}, row {number}: {len(row)} cells in place of {len(keys)}.")
    columns = tuple(_KNOWN.get(key) or _own(key, [row[n] for row in rows], path)
                    for n, key in enumerate(keys))  # fmt: skip
    cells = tuple(_with_whole_field(tuple(map(_read, row, columns)), keys) for row in rows)
    return _told(Table(columns, cells))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text in UTF-8"
        raise OutputError(f"{path} cannot be read: {reason}.") from error


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
        raise ColumnError(f"{column.key}: {text!r} is no number.")
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


def front(table: Table, x: tuple[str, bool], y: tuple[str, bool]) -> Table:
    """The Pareto front: the rows that no other beats in one column without losing in the other.

    Args:
        x, y: a key, and whether more is better. The rows are in the order of x, the best first.
    """
    kept: list[tuple[float, float, int]] = []
    signs = [-1 if better_is_more else 1 for _, better_is_more in (x, y)]
    pairs = enumerate(_pairs(table, x[0], y[0]))
    ordered = sorted((signs[0] * a, signs[1] * b, row) for row, (a, b) in pairs
                     if a is not None and b is not None)  # fmt: skip
    for point in ordered:
        if not kept or point[1] < kept[-1][1] or point[:2] == kept[-1][:2]:
            kept.append(point)
    return table.take([row for _, _, row in kept])


def points(table: Table, x: str, y: str) -> tuple[tuple[float, float], ...]:
    """The rows that have both columns, as points."""
    return tuple((a, b) for a, b in _pairs(table, x, y) if a is not None and b is not None)


def _pairs(table: Table, x: str, y: str) -> Iterator[tuple[float | None, float | None]]:
    return zip(*(map(plain, table.column(key)) for key in (x, y)), strict=True)


def plain(cell: Cell) -> float | None:
    """A cell as one number: of several axes the smallest; None where there is none."""
    if isinstance(cell, tuple):
        sizes = [size for size in cell if size is not None]
        return min(sizes) if len(sizes) == len(cell) > 0 else None
    return cell if isinstance(cell, (int, float)) else None

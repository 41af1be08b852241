"""The lock file: what every budget's model is, as raw numbers, totals and layer by layer."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archstat.errors import LockFileError
from archstat.files import draft_prefix, read_regular, write_whole
from archstat.result import Cell, Number, Report
from archstat.version import __version__

LOCK_SCHEMA_VERSION = 1
ALWAYS_LOCKED = ("params", "macs")
_ENTRY_KEYS = {"input", "layers", "lower_bounds", "model", "totals"}
_BEYOND = 1e100  # infinity, not-a-number, and what float arithmetic could not bear


@dataclass(frozen=True, slots=True)
class Layer:
    """A module's own figures by column key, without those of its children."""

    module: str
    type: str
    figures: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Entry:
    """One budget's record: its model and input, raw totals, and its layers in their order.

    A total has one number an axis in a tuple, or None. Keys in `lower_bounds` may be too small.
    """

    model: str
    input: str
    totals: Mapping[str, Cell]
    layers: tuple[Layer, ...] = ()
    lower_bounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockFile:
    """The records by name of budget, and the versions that made them."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    archstat_version: str = __version__
    torch_version: str = ""

    def to_json(self) -> str:
        """The file's text: keys sorted, one line a layer, the same bytes for the same figures."""
        budgets = [
            f"    {_json(name)}: {_entry_text(self.entries[name])}" for name in sorted(self.entries)
        ]
        return (
            f'{{\n  "archstat": {_json(self.archstat_version)},\n'
            f'  "budgets": {{{_lines(budgets, "  ")}}},\n'
            f'  "schema_version": {LOCK_SCHEMA_VERSION},\n'
            f'  "torch": {_json(self.torch_version)}\n}}\n'
        )


def entry_of(report: Report, keys: Iterable[str] = ()) -> Entry:
    """The record of a Report: params, macs and the given columns, in total and by layer.

    Layers without a figure are left out.
    """
    wanted = dict.fromkeys((*ALWAYS_LOCKED, *keys))
    known = report.layers.keys()
    additive = [key for key in wanted if key in known]
    layers = []
    for record in report.layers.records():
        figures = {k: n for k in additive if isinstance(n := record[k], (int, float)) and n}
        if figures:
            layers.append(Layer(str(record["module"]), str(record["type"]), figures))
    totals = {key: report.totals[key] for key in wanted}
    uncertain = report.lower_bounds | report.unknown
    bounds = tuple(sorted(key for key in wanted if key in uncertain))
    return Entry(report.model, report.input, totals, tuple(layers), bounds)


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def _entry_text(entry: Entry) -> str:
    rows = [
        f"        {_json({'module': layer.module, 'type': layer.type, **layer.figures})}"
        for layer in entry.layers
    ]
    bounds = f'      "lower_bounds": {_json(sorted(entry.lower_bounds))},\n'
    return (
        f'{{\n      "input": {_json(entry.input)},\n'
        f'      "layers": [{_lines(rows, "      ")}],\n'
        f"{bounds if entry.lower_bounds else ''}"
        f'      "model": {_json(entry.model)},\n'
        f'      "totals": {_json(dict(entry.totals))}\n    }}'
    )


def _lines(rows: Sequence[str], indent: str) -> str:
    return "\n" + ",\n".join(rows) + f"\n{indent}" if rows else ""


def read_lock(path: str | Path) -> LockFile | None:
    """The lock file at a path; None where there is none.

    Raises:
        LockFileError: it cannot be read, or is damaged; the message says where.
    """
    try:
        text = read_regular(path).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockFileError(f"{path} cannot be read: {error}. It was left unchanged.") from error
    return parse_lock(text, str(path))


def parse_lock(text: str, path: str) -> LockFile:
    """The lock file that a text holds; `path` is for the message.

    Raises:
        LockFileError: not a lock file of this schema, or damaged.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<<", ">>>>>>>")):
            raise LockFileError(_damaged(f"{path}:{number}", "it holds a merge conflict"))
    try:
        document = json.loads(text, parse_constant=_refused, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        place = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else path
        raise LockFileError(_damaged(place, f"it is not JSON ({error})")) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int or version != LOCK_SCHEMA_VERSION:
        said = f"its schema_version is {version!r}, this archstat reads {LOCK_SCHEMA_VERSION}"
        raise LockFileError(_damaged(path, said))
    try:
        entries = {name: _entry(content) for name, content in document["budgets"].items()}
        return LockFile(entries, _text(document["archstat"]), _text(document["torch"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LockFileError(_damaged(path, f"{type(error).__name__}: {error}")) from error


def _damaged(place: str, what: str) -> str:
    return (
        f"{place}: this lock file cannot be used, {what}. It was left unchanged: restore it from "
        "version control, or delete it and run `archstat check --update`."
    )


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as a dict; merges by hand leave a key twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} appears twice")
    return content


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _entry(content: Mapping[str, Any]) -> Entry:
    entry = Entry(
        model=_text(content["model"]),
        input=_text(content["input"]),
        totals={_text(key): _cell(cell) for key, cell in content["totals"].items()},
        layers=tuple(_layer(row) for row in _list(content["layers"])),
        lower_bounds=tuple(_text(key) for key in _list(content.get("lower_bounds", []))),
    )
    if not content.keys() <= _ENTRY_KEYS:
        raise ValueError(f"{min(content.keys() - _ENTRY_KEYS)!r} is not a key of a budget")
    return entry


def _layer(row: Mapping[str, Any]) -> Layer:
    figures = {key: _number(row[key]) for key in row if key not in ("module", "type")}
    return Layer(_text(row["module"]), _text(row["type"]), figures)


def _cell(cell: Any) -> Cell:
    if isinstance(cell, list):
        return tuple(None if size is None else _number(size) for size in cell)
    return None if cell is None else _number(cell)


def _number(number: Any) -> Number:
    if type(number) not in (int, float) or not abs(number) < _BEYOND:
        raise ValueError(f"{repr(number)[:40]} is not a number")
    return number  # type: ignore[no-any-return]


def _list(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise ValueError(f"{str(items)[:40]} is not a list")
    return items


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not text")
    return text


def write_lock(path: Path, lock: LockFile, seen: LockFile | None) -> bool:
    """Make a lock file hold new figures; False where it holds them already.

    Args:
        seen: what it held when the figures were made. If it holds something else by now, another
            run has written it.

    Raises:
        LockFileError: it cannot be written, is damaged, or was changed meanwhile. It still holds
            what it held.
    """
    path = path.resolve()
    try:
        with _alone(path.parent):
            _sweep(path)
            current = read_lock(path)
            if current is not None and current.entries == lock.entries:
                return False  # other versions alone are no reason for a diff
            if (current and current.entries) != (seen and seen.entries):
                raise LockFileError(
                    f"{path} was changed by another run while this one counted. It was left "
                    "unchanged; run `archstat check --update` again."
                )
            write_whole(path, lock.to_json())
            return True
    except OSError as error:
        raise LockFileError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other writers of a folder out; the kernel lets them in when this process dies."""
    try:
        import fcntl
    except ImportError:  # there is none on Windows: replacing is atomic all the same
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems know no such locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep(path: Path) -> None:
    """Remove drafts of runs that were killed; those of living runs are kept out by the lock."""
    for draft in path.parent.glob(f"{glob.escape(draft_prefix(path))}*"):
        with suppress(OSError):
            draft.unlink()

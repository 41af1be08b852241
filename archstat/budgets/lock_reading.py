"""Reading a lock file: whatever stands in it, the answer is a LockFile or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archstat.budgets.lock import LOCK_SCHEMA_VERSION, Entry, Layer, LockFile
from archstat.errors import LockFileError
from archstat.result import Cell, Number


def read_lock(path: str | Path) -> LockFile | None:
    """The lock file at a path; None where there is none.

    Raises:
        LockFileError: it cannot be read, or is damaged; the message says where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockFileError(f"{path} cannot be read: {error}. It was left as it is.") from error
    return parse_lock(text, str(path))


def parse_lock(text: str, path: str) -> LockFile:
    """The lock file that a text holds; `path` is for the message.

    Raises:
        LockFileError: not a lock file of this schema, or damaged.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<<", ">>>>>>>")):
            raise LockFileError(_damaged(f"{path}:{number}", "it holds a conflict of a merge"))
    try:
        document = json.loads(text, parse_constant=_refused, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        place = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else path
        raise LockFileError(_damaged(place, f"it is not JSON ({error})")) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != LOCK_SCHEMA_VERSION:
        said = f"its schema_version is {version!r}, this archstat reads {LOCK_SCHEMA_VERSION}"
        raise LockFileError(_damaged(path, said))
    try:
        entries = {name: _entry(content) for name, content in document["budgets"].items()}
        return LockFile(entries, _text(document["archstat"]), _text(document["torch"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LockFileError(_damaged(path, f"{type(error).__name__}: {error}")) from error


def _damaged(place: str, what: str) -> str:
    return (
        f"{place}: this lock file cannot be used, {what}. It was left as it is: restore it from "
        "version control, or delete it and write it anew with `archstat check --update`."
    )


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as a dict; merges by hand leave a key twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands in it twice")
    return content


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _entry(content: Mapping[str, Any]) -> Entry:
    return Entry(
        model=_text(content["model"]),
        input=_text(content["input"]),
        totals={_text(key): _cell(cell) for key, cell in content["totals"].items()},
        layers=tuple(_layer(row) for row in content["layers"]),
        lower_bounds=tuple(_text(key) for key in content.get("lower_bounds", [])),
    )


def _layer(row: Mapping[str, Any]) -> Layer:
    figures = {key: _number(row[key]) for key in row if key not in ("module", "type")}
    return Layer(_text(row["module"]), _text(row["type"]), figures)


def _cell(cell: Any) -> Cell:
    if isinstance(cell, list):
        return tuple(None if size is None else _number(size) for size in cell)
    return None if cell is None else _number(cell)


def _number(number: Any) -> Number:
    if type(number) not in (int, float):
        raise ValueError(f"{number!r} is no number")
    return number  # type: ignore[no-any-return]


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no text")
    return text

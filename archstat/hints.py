"""From a typo to a name, from an exception to one line."""

from __future__ import annotations

import difflib
import os
import re
import traceback
from collections.abc import Container, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from archstat.errors import ColumnError


def spelled_alike(name: str, names: Iterable[str]) -> list[str]:
    """The names that are `name` but for case, hyphens, blanks and underscores.

    An exact name is alone, and one with the same separators in other signs comes before one that
    sets them elsewhere.
    """
    known = list(names)
    if name in known:
        return [name]
    for separator in ("_", ""):
        wanted = _plain(name, separator)
        found = [one for one in known if wanted and _plain(one, separator) == wanted]
        if found:
            return found
    return []


def as_known(name: str, names: Iterable[str]) -> str:
    """The one name that is spelled like `name`, else `name` as it is."""
    found = spelled_alike(name, names)
    return found[0] if len(found) == 1 else name


def _plain(name: str, separator: str = "") -> str:
    return re.sub(r"[-_\s]+", separator, name.strip()).casefold()


def like(glob: str, names: Iterable[str]) -> list[str]:
    """The names that a glob matches, whatever the case; else those but for their separators."""
    known = list(names)
    found = [name for name in known if fnmatchcase(name.casefold(), glob.casefold())]
    if found or "[" in glob:
        return found
    return [name for name in known if fnmatchcase(_plain(name), _plain(glob))]


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts ``resnet50`` before ``resnet101``, and both before ``resnet50_tiny``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(False, int(part), "") if part.isascii() and part.isdigit() else (True, 0, part)
            for part in (str(name.count("_")), *parts)]  # fmt: skip


def nearest(
    name: str, names: Iterable[str], count: int = 3, last: Container[str] = ()
) -> list[str]:
    """The names that begin with `name`, or else those most like it; those in `last` come last."""
    known = list(names)
    wanted = _plain(name)
    found = sorted((one for one in known if _plain(one).startswith(wanted)), key=natural)
    if len(wanted) < _LEAST_BEGINNING or not found:
        lowered = {one.lower(): one for one in known}
        close = difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)
        found = [lowered[key] for key in close]
    return sorted(found, key=lambda one: one in last)[:count]


def did_you_mean(name: str, names: Iterable[str], last: Container[str] = ()) -> str:
    """A sentence with the names that begin so, or else the nearest; nothing where none is near."""
    known = list(names)
    same = spelled_alike(name, known)
    close = same or nearest(name, known, _MOST_BEGINNING + 1, last)
    if not close:
        return ""
    if same or not _plain(close[0]).startswith(_plain(name)):
        return f" Did you mean {' or '.join(close[:3])}?"
    more = ", ..." if len(close) > _MOST_BEGINNING else ""
    return f" Did you mean {', '.join(_abbreviated(close[:_MOST_BEGINNING]))}{more}?"


_LEAST_BEGINNING, _MOST_BEGINNING = 2, 8


def _abbreviated(names: Sequence[str]) -> Iterator[str]:
    """``resnet18, 34, 50``: of names that differ in their last number, the number alone."""
    stem = ""
    for name in names:
        before, number = stem, name.rstrip("0123456789")
        stem = number if number != name else ""
        yield name[len(stem) :] if stem and stem == before else name


def shortened(error: BaseException) -> str:
    """An exception on one line: type, first line of its message, notes, the user's own line."""
    try:  # what a user's exception says of itself is the user's code, too
        said = error.msg if isinstance(error, SyntaxError) and error.filename else str(error)
        lines = said.strip().splitlines()
        notes = [str(note) for note in getattr(error, "__notes__", ())]
    except BaseException:
        lines, notes = ["(an exception whose text raises)"], []
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    text = " ".join([text.rstrip("."), *notes])
    if isinstance(error, SyntaxError) and error.filename:
        return f"{text} ({_nearby(error.filename)}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    return f"{text} ({_nearby(frames[-1].filename)}:{frames[-1].lineno})" if frames else text


def _is_users(filename: str) -> bool:
    """Whether a line belongs neither to archstat nor to Python nor to an installed package."""
    if filename.startswith("<") or "site-packages" in filename:
        return False
    return not filename.startswith((str(Path(__file__).parent), str(Path(os.__file__).parent)))


def _nearby(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def unknown_column(key: str, keys: Sequence[str]) -> ColumnError:
    """The error for a column nobody has, with the nearest keys or all of them."""
    hint = did_you_mean(key, keys) or f" Known columns: {', '.join(keys)}."
    return ColumnError(f"There is no column {key!r}.{hint}")

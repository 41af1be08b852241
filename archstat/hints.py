"""From a typo to a name, from an exception to one line."""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from archstat.errors import ColumnError


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first, at most `count`."""
    lowered = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)
    return [lowered[key] for key in close]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence with the nearest names, or nothing where none is near."""
    close = nearest(name, names)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def shortened(error: BaseException) -> str:
    """An exception on one line: type, first line of its message, notes, the user's own line."""
    try:  # what a user's exception says of itself is the user's code, too
        lines = str(error).strip().splitlines()
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

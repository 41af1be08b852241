"""``--columns`` and ``--sort``, checked before any model is built."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.result import Column, unknown_column


def chosen_columns(text: str | None, known: Sequence[Column]) -> list[str] | None:
    """The keys of ``a,b,c``, with `model` in front; None where nothing was chosen.

    Raises:
        ColumnError: a key that no column has.
    """
    if text is None:
        return None
    keys = [key.strip() for key in text.split(",") if key.strip()]
    names = [column.key for column in known]
    for key in keys:
        if key not in names:
            raise unknown_column(key, names)
    return list(dict.fromkeys(["model", *keys]))


def sort_key(text: str | None, known: Sequence[Column]) -> tuple[str, bool] | None:
    """The key of ``[-]key`` and whether the largest comes first.

    Raises:
        ColumnError: a key that no column has.
    """
    if text is None:
        return None
    key = text.removeprefix("-")
    names = [column.key for column in known]
    if key not in names:
        raise unknown_column(key, names)
    return key, text.startswith("-")

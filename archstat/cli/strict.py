"""``--strict``: an incomplete count is an error of its own."""

from __future__ import annotations

from archstat.errors import IncompleteCountError


def refuse_incomplete(unknown: int, strict: bool) -> None:
    """Raise where operations are unknown and ``--strict`` was given.

    Raises:
        IncompleteCountError: exit code 3.
    """
    if strict and unknown:
        raise IncompleteCountError(
            f"the count is incomplete: {unknown} operations are neither counted nor known to be "
            "free, and --strict was given. The notes above name them."
        )

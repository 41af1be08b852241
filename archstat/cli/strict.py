"""``--strict``: an incomplete count is an error of its own."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.errors import IncompleteCountError


def refuse_incomplete(unknown: int, strict: bool, notes: Sequence[str]) -> None:
    """Raise where operations are unknown and ``--strict`` was given.

    Raises:
        IncompleteCountError: exit code 3.
    """
    if strict and unknown:
        raise IncompleteCountError(
            f"the count is incomplete and --strict was given: {unknown} "
            f"operation{'s'[: unknown != 1]} neither counted nor known to be free. "
            + " ".join(note for note in notes if note.startswith("unknown: "))
        )

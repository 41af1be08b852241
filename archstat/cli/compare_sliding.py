"""``compare --fully-convolutional`` and ``--resolution``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archstat.errors import SpecError
from archstat.models.specs import parse_resolution
from archstat.result import Column, Report, Table


class Pairs:
    """What the two options ask for, checked before any model is built.

    Raises:
        SpecError: options that do not go together.
        InputError: a resolution that is no size.
    """

    def __init__(
        self,
        wanted: bool,
        resolution: str | None,
        input: Sequence[str] | None,
        variants: bool,
    ) -> None:
        if resolution is not None and input:
            raise SpecError("--resolution and --input both give the input: leave one out.")
        if wanted and (variants or input):
            other = "--variants" if variants else "--input"
            raise SpecError(f"--fully-convolutional goes without {other}; --resolution says the "
                            "size that the convolutional form gets.")  # fmt: skip
        self.wanted = wanted
        self.resolution = None if resolution is None else parse_resolution(resolution)
        # What is counted without a convolutional form gets these sizes, or the inputs as given.
        self.input: Any = self.resolution or (list(input) if input else None)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The further columns."""
        if not self.wanted:
            return ()
        from archstat.tables.sliding import SLIDING_COLUMNS

        return SLIDING_COLUMNS

    def reports(self, model: str, batch: int | None, fusion: str) -> tuple[Report, ...]:
        """A model and its fully convolutional form; nothing where that is not wanted."""
        if not self.wanted:
            return ()
        from archstat.tables.sliding import fully_convolutional_reports

        return fully_convolutional_reports(model, self.resolution, batch, fusion)

    def with_columns(self, table: Table, groups: Sequence[Sequence[Report]]) -> Table:
        """The comparison with the further columns."""
        if not self.wanted:
            return table
        from archstat.tables.sliding import with_sliding

        return with_sliding(table, groups)

"""Several models of which some may fail: the others are shown, and the failed ones said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from archstat.cli.progress import tracked
from archstat.cli.screen import View
from archstat.errors import ArchstatError, FailedModelsError
from archstat.result import Cell, Column, Mark, Table, notes_of

FAILED = Column("failed", "text", "why a model has no figures")
_Made = TypeVar("_Made")


class Attempts:
    """Does something for each of several models, and remembers those of which it failed."""

    def __init__(self, models: Sequence[str], stage: str = "capturing") -> None:
        self.models, self.stage = models, stage
        self.failed: dict[int, ArchstatError] = {}

    def __call__(self, make: Callable[[str], _Made]) -> list[_Made]:
        """What `make` gives of each model, but for those of which it raises.

        Raises:
            ArchstatError: there is but one model, and it failed.
            FailedModelsError: all failed.
        """
        made = []
        for number, model in enumerate(tracked(self.models, self.stage)):
            try:
                made.append(make(model))
            except ArchstatError as error:
                if len(self.models) == 1:
                    raise
                self.failed[number] = error
        if self.models and not made:
            raise self._all_failed()
        return made

    def fail(self, error: ArchstatError) -> None:
        """Remember what failed of those that were left, whose number among them it carries.

        Raises:
            ArchstatError: there is but one model, or the error is of none.
            FailedModelsError: none is left now.
        """
        if error.model is None or len(self.models) == 1:
            raise error
        self.failed[self.left()[error.model]] = error
        if not self.left():
            raise self._all_failed()

    def _all_failed(self) -> FailedModelsError:
        return FailedModelsError(f"all {len(self.models)} models failed{self._in_lines()}")

    def place(self, number: int) -> int:
        """Where the model of this number stands among those that did not fail.

        Raises:
            ArchstatError: it failed itself.
        """
        if number in self.failed:
            raise self.failed[number]
        return number - sum(one < number for one in self.failed)

    def left(self) -> list[int]:
        """The numbers of the models that did not fail."""
        return [number for number in range(len(self.models)) if number not in self.failed]

    def _in_lines(self) -> str:
        """A line a model with its reason; one reason that all of them share stands alone."""
        told = [(model, str(error)) for model, error in self._reasons()]
        if len({reason for _, reason in told}) == 1:
            return f": {told[0][1]}"
        return ".\n" + "\n".join(f"{model}: {reason}" for model, reason in told)

    def _reasons(self) -> list[tuple[str, ArchstatError]]:
        return [(self.models[number], error) for number, error in self.failed.items()]

    def told(self, table: Table, view: View) -> Table:
        """The table with a row below for each failed model, and its reason in a column `failed`.

        A reader gets the reason in two words there, and whole in a note.
        """
        if not self.failed:
            return table
        if view.chosen is not None and FAILED.key not in view.chosen:
            view.chosen.append(FAILED.key)
        empty: tuple[Cell, ...] = (None,) * (len(table.columns) - 1)
        rows = tuple(
            (model, *empty, str(error) if view.is_raw else Mark(error.brief, "bad"))
            for model, error in self._reasons()
        )
        said = [f"{model} failed: {error}" for model, error in self._reasons()]
        notes = notes_of(said, "failed")
        return replace(
            table,
            columns=(*table.columns, FAILED),
            rows=(*((*row, None) for row in table.rows), *rows),
            notes=(*table.notes, *notes),
        )

    def keys(self, keys: Sequence[str]) -> list[str]:
        """The columns for a reader: that of the reasons behind the first, if any model failed."""
        others = [key for key in keys[1:] if key != FAILED.key]
        return [*keys[:1], *([FAILED.key] if self.failed else []), *others]

    def refuse(self) -> None:
        """Raise where a model failed, after the others are shown.

        Raises:
            FailedModelsError: one did.
        """
        if self.failed:
            names = ", ".join(model for model, _ in self._reasons())
            raise FailedModelsError(
                f"{len(self.failed)} of {len(self.models)} models failed: {names}."
            )

"""Budgets as their file states them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archstat.budgets.rules import Rule


@dataclass(frozen=True, slots=True)
class Budget:
    """The rules of one model; `lines` are where its keys stand, `line` where it begins.

    `input` holds shapes without the batch and is empty for the model's own. `max_increase` is the
    text of it; `rules` holds what it demands, too, as relative rules.
    """

    name: str
    model: str
    input: tuple[str, ...]
    rules: tuple[Rule, ...]
    max_increase: str | None = None
    informational: bool = False
    message: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """The budgets of a file, wildcards already turned into a budget a model."""

    budgets: tuple[Budget, ...]
    path: Path

    @property
    def lock_path(self) -> Path:
        """Where its lock file stands: beside it, ``archstat.lock`` for the two usual names."""
        usual = self.path.name in ("archstat.toml", "pyproject.toml")
        return self.path.parent / ("archstat.lock" if usual else f"{self.path.stem}.lock")

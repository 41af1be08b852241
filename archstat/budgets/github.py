"""GitHub annotations: ``::error file=...,line=...,title=...::message`` on the lines of budgets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from archstat.budgets.config import Config
from archstat.budgets.explanations import remarks
from archstat.budgets.gate import Outcome
from archstat.errors import Mistake

Level = Literal["error", "warning", "notice"]


def annotate(outcome: Outcome, *, locked: bool = False) -> Iterator[str]:
    """A line for each rule that is not kept, and for a stale lock file where `locked`."""
    file = in_repository(outcome.config.path)
    for line, verdict, text in remarks(outcome):
        level: Level = "warning" if verdict.state == "informational" else "error"
        title = f"{verdict.rule.name}: {verdict.state}" if verdict.cell else verdict.state
        yield annotation(level, file, line, title, text)
    stale = outcome.stale()
    if locked and stale:
        text = "Run `archstat check --update` and commit it:\n" + "\n".join(stale)
        file = _lock_or_config(outcome.config)
        yield annotation("error", file, 1, f"{outcome.config.lock_path.name} is stale", text)


def annotations_of_mistakes(mistakes: Sequence[Mistake]) -> Iterator[str]:
    """A line for each mistake in the file of budgets."""
    for mistake in mistakes:
        file = in_repository(Path(mistake.path))
        yield annotation("error", file, mistake.line, "budgets cannot be checked", mistake.text)


def annotation(level: Level, file: str, line: int, title: str, message: str) -> str:
    """One workflow command, with the escapes that GitHub's runner undoes."""
    place = f"file={_property(file)},line={line},title={_property(title)}"
    return f"::{level} {place}::{_data(message)}"


def in_repository(path: Path) -> str:
    """A path as annotations want it: from the folder that was checked out, else from here."""
    path = path.resolve()
    for base in (os.environ.get("GITHUB_WORKSPACE"), os.getcwd()):
        if base and path.is_relative_to(Path(base).resolve()):
            return path.relative_to(Path(base).resolve()).as_posix()
    return path.as_posix()


def _lock_or_config(config: Config) -> str:
    return in_repository(config.lock_path if config.lock_path.exists() else config.path)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""Where the outcome of a check goes: a table, a comment, annotations, GitHub's summary."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from archstat.budgets.gate import Outcome
from archstat.budgets.reading import OWN_FILE
from archstat.cli.output import Destination, page_or_print
from archstat.cli.screen import screen_width
from archstat.errors import ArchstatError, ConfigError, Mistake, OutputError
from archstat.reporters.to_console import to_console
from archstat.reporters.to_json import to_json
from archstat.result import Table, notes_of
from archstat.tables.check import raw_table, shown_table
from archstat.tables.check_markdown import (
    annotate,
    annotations_of_mistakes,
    mistakes_comment,
    to_comment,
)
from archstat.tables.check_reasons import blocks, lock_remark, summary_line

GITHUB = "github"


class CheckDestination(Destination):
    """A destination that knows the format ``github``, too: annotations and the job's summary."""

    def __init__(self, format_name: str | None, output: str | None) -> None:
        self.is_github = format_name == GITHUB
        super().__init__(None if self.is_github else format_name, output)

    @property
    def says_why(self) -> bool:
        """Whether standard output tells a reader why a rule is not kept."""
        return self.is_github or (self.path is None and not self.is_raw)

    def write_outcome(self, outcome: Outcome, *, locked: bool, written: bool | None) -> None:
        """Write what a check found; `written` tells whether the lock file is new.

        Raises:
            OutputError: the file, or GitHub's summary, cannot be written.
        """
        if self.path is not None or not self.is_github:
            self.write_text(self._rendered(outcome, locked, written))
        if self.is_github:
            table = _on_screen(outcome, written, None, why=False)
            lines = annotate(outcome, locked=locked)
            page_or_print(to_console(table, width=None, colour=False) + _block(lines))
            _append_summary(to_comment(outcome, locked=locked))

    def refuse(self, error: ArchstatError) -> None:
        """Annotate what is wrong with the budgets or the lock file, where it is wanted.

        Raises:
            OutputError: the file, or GitHub's summary, cannot be written.
        """
        if not self.is_github:
            return
        mistakes = error.mistakes if isinstance(error, ConfigError) else ()
        mistakes = mistakes or (Mistake(OWN_FILE, 1, str(error)),)
        comment = mistakes_comment([str(mistake) for mistake in mistakes])
        if self.path is not None:
            self.write_text(comment)
        page_or_print(_block(annotations_of_mistakes(mistakes)))
        _append_summary(comment)

    def _rendered(self, outcome: Outcome, locked: bool, written: bool | None) -> str:
        if self.format.name == "markdown":
            return to_comment(outcome, locked=locked)
        if self.format.name == "json":
            return _json(outcome, locked)
        if self.is_raw:
            return self.format.render(raw_table(outcome))
        width = screen_width(self.path)
        return self.format.render(_on_screen(outcome, written, width, why=True))


def reasons(outcome: Outcome, between: Sequence[str] = ()) -> list[str]:
    """Why rules are not kept: a line a budget, and what is to be said of it, indented."""
    said: list[str] = []
    for title, lines in blocks(outcome):
        said += [*between, title, *(f"  {line}" for line in lines)]
    return said


def _on_screen(outcome: Outcome, written: bool | None, width: int | None, *, why: bool) -> Table:
    """The table for a reader, with what is to be said below it; `width` is the screen's."""
    said = reasons(outcome, between=[""]) if why else []
    said += [""] if said else []
    name = outcome.config.lock_path.name
    if written is None:
        said += filter(None, [lock_remark(outcome)])
    elif outcome.new_lock() is None:
        said.append(f"{name} was not written, since a model failed.")
    else:
        said += _update_lines(outcome) if written else [f"{name} is up to date."]
    notes = [_wrapped(line, width) for line in (*said, summary_line(outcome))]
    table = replace(shown_table(outcome), notes=notes_of(notes))
    if width is not None and max(map(len, repr(table).splitlines()[: len(table) + 1])) > width:
        # the reasons below say it of every rule that is not kept
        return table.select([key for key in table.keys() if key != "change"])  # noqa: SIM118
    return table


def _wrapped(line: str, width: int | None) -> str:
    """A line in several, those after the first indented a little more."""
    if width is None:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return "\n".join(
        textwrap.wrap(line, max(width, 20), subsequent_indent=indent, break_long_words=False,
                      break_on_hyphens=False)
    )  # fmt: skip


def _update_lines(outcome: Outcome) -> list[str]:
    name = outcome.config.lock_path.name
    if outcome.lock is None:
        return [f"{name} is new: commit it."]
    return [f"{name} is renewed:", *(f"    {text}" for text in outcome.stale())]


def _json(outcome: Outcome, locked: bool) -> str:
    document = json.loads(to_json(raw_table(outcome)))
    document["counts"] = dict(sorted(outcome.counts().items()))
    document["stale"] = list(outcome.stale()) if outcome.lock is not None else []
    document["exit_code"] = outcome.exit_code(locked=locked)
    document["rows"] = document.pop("rows")
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _block(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _append_summary(text: str) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"GITHUB_STEP_SUMMARY {path}: {error.strerror or error}.") from error

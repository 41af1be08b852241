"""The outcome of a check as Markdown: a fixed heading, the rules, the layers that changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

from archstat.budgets.gate import Judged, Outcome
from archstat.budgets.rules import Config
from archstat.budgets.verdicts import State, changed_layers, described
from archstat.errors import EXIT_DONE, Mistake
from archstat.reporters.to_markdown import escaped, to_markdown
from archstat.result import Column, Table
from archstat.tables.check import shown_table
from archstat.tables.check_reasons import blocks, lock_remark, remarks, summary_line

Level = Literal["error", "warning", "notice"]
_LEVELS: Mapping[State, Level] = {"informational": "warning", "can't tell": "notice"}


def annotate(outcome: Outcome, *, locked: bool = False) -> Iterator[str]:
    """A line for each rule that is not kept, and for a stale lock file where `locked`."""
    file = in_repository(outcome.config.path)
    for line, verdict, text in remarks(outcome):
        level = _LEVELS.get(verdict.state, "error")
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
    """One workflow command, with the escapes that GitHub's runner undoes; line 0 is in no file."""
    place = f"file={_property(file)},line={line}," if line else ""
    return f"::{level} {place}title={_property(title)}::{_data(message)}"


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


HEADING = "## archstat budgets"
_SIGNS = {"kept": "✅", "can't tell": "❔", "informational": "💬", "incomplete": "⚠️",
          "broken": "❌", "failed": "❌"}  # fmt: skip
_MOST_ROWS = 20
_MOST_LAYERS = 30
# A comment on GitHub may have 65,536 characters.
_MOST_SIGNS = 60_000


def to_comment(outcome: Outcome, *, locked: bool = False) -> str:
    """A comment for a pull request; sticky comments find it by its first line, which is fixed."""
    sign = "✅" if outcome.exit_code(locked=locked) == EXIT_DONE else "❌"
    parts = [HEADING, f"{sign} **{summary_line(outcome)}**"]
    room = _MOST_SIGNS
    for part in _parts(outcome):
        room -= len(part) + 2
        if room < 0:
            parts.append("This is too long for a comment: see the log.")
            break
        parts.append(part.rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _parts(outcome: Outcome) -> Iterator[str]:
    yield from _rules(outcome)
    yield from (_list(title, lines) for title, lines in blocks(outcome))
    yield from filter(None, [_text(lock_remark(outcome))])
    yield from _layers(outcome)


def mistakes_comment(mistakes: Sequence[str]) -> str:
    """The comment where the budgets themselves are wrong."""
    lines = "\n".join(f"- {escaped(mistake)}" for mistake in mistakes)
    return f"{HEADING}\n\n❌ **The budgets cannot be checked.**\n\n{lines}\n"


def _list(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"**{escaped(title)}**\n", *map(_item, lines)])


def _item(line: str) -> str:
    """A line as an item of a list, an indented one below the item before it."""
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}- {_text(text)}"


def _text(sentence: str) -> str:
    return escaped(sentence).replace("\\`archstat check --update\\`", "`archstat check --update`")


def _rules(outcome: Outcome) -> Iterator[str]:
    """The table of rules; of a long one, what is kept is folded."""
    table = shown_table(outcome)
    place = table.index("verdict")
    kept = [row for row in table.rows if row[place] == "kept"]
    rest = [row for row in table.rows if row[place] != "kept"]
    if len(table) <= _MOST_ROWS:
        yield _signed(table)
        return
    if rest:
        yield _signed(replace(table, rows=tuple(rest)))
    if kept:
        text = _signed(replace(table, rows=tuple(kept)))
        yield _folded(f"{len(kept)} rules are kept", text)


def _signed(table: Table) -> str:
    place = table.index("verdict")
    rows = tuple(
        (*row[:place], f"{_SIGNS[str(row[place])]} {row[place]}", *row[place + 1 :])
        for row in table.rows
    )
    lines = to_markdown(replace(table, rows=rows)).splitlines()
    fitting = [n for n, size in enumerate(accumulate(map(len, lines))) if size <= _MOST_SIGNS // 2]
    left = len(lines) - len(fitting)
    more = [f"\nand {left} more rules"] if left else []
    return "\n".join([*lines[: len(fitting)], *more])


def _layers(outcome: Outcome) -> Iterator[str]:
    for judged in outcome.judged:
        if table := _changed(judged):
            name = f"{judged.budget.name}: {len(table)} layer{'s'[: len(table) != 1]} changed"
            shown = replace(table, rows=table.rows[:_MOST_LAYERS])
            more = len(table) - len(shown)
            text = to_markdown(shown) + (f"\nand {more} more\n" if more else "")
            yield _folded(f"{name} since {outcome.config.lock_path.name}", text)


def _changed(judged: Judged) -> Table | None:
    """A row for each layer that is not what the lock file says, the largest change first."""
    entry, locked = judged.entry, judged.locked
    if entry is None or locked is None:
        return None
    known = {key for layer in (*entry.layers, *locked.layers) for key in layer.figures}
    keys = [key for key in entry.totals if key in known and key in locked.totals]
    rows = []
    for change in changed_layers(locked, entry, keys):
        layer = change.after or change.before
        assert layer is not None  # a change has one side at least
        name = f"{layer.path or '(root)'} ({layer.type})"
        cells = (described(change, key).removeprefix(f"{name} ") for key in keys)
        rows.append(
            (name, *("" if not change.of(k) else c for k, c in zip(keys, cells, strict=True)))
        )
    columns = (Column("layer", "text", "path and class"), *(Column(k, "number", k) for k in keys))
    return Table(columns, tuple(rows)) if rows else None


def _folded(title: str, text: str) -> str:
    # The blank line is what makes GitHub read Markdown within HTML.
    return f"<details><summary>{_html(title)}</summary>\n\n{text.rstrip()}\n\n</details>"


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

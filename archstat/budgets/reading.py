"""Finding and reading the file of budgets: all its mistakes at once, each with its line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archstat.budgets.entries import EntryReader
from archstat.budgets.rules import Budget, Config
from archstat.errors import ArchstatError, ConfigError, Mistake
from archstat.files import read_regular
from archstat.frontends.registered import registering
from archstat.hints import did_you_mean
from archstat.toml_lines import KeyPath, key_lines, line_at

OP_KEYS = {"name", "macs", "flops", "free"}
OWN_FILE = "archstat.toml"
PROJECT_FILE = "pyproject.toml"
_TABLE = ("tool", "archstat")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")


def find_config(start: Path) -> Path:
    """The file of budgets for a folder: archstat.toml, or pyproject.toml with [tool.archstat].

    The nearest folder upwards counts, up to that of the repository.

    Raises:
        ConfigError: there is none.
    """
    for folder in (start, *start.parents):
        # Also a folder of that name, or a link that leads nowhere: somebody meant it.
        if os.path.lexists(folder / OWN_FILE):
            return folder / OWN_FILE
        project = folder / PROJECT_FILE
        if os.path.lexists(project) and _mentions_budgets(project):
            return project
        if (folder / ".git").exists():
            break
    raise ConfigError(
        f"There are no budgets: no {OWN_FILE} and no {PROJECT_FILE} with [tool.archstat] in "
        f"{start} or above. `archstat check --init MODEL` writes one, `archstat check MODEL "
        f"'params<=3.6M'` needs none; or write {OWN_FILE} with\n"
        '    [[budget]]\n    model = "mobilenet_v2"\n    params = "<= 3.6M"'
    )


def load(path: str | Path) -> Config:
    """The budgets of a file.

    Raises:
        ConfigError: unreadable, not TOML, or mistakes in it; `mistakes` has all of them.
    """
    path = Path(path)
    try:
        text = read_regular(path).decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 ({error}).") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """The budgets that a text holds; `path` decides where they stand in it, and where files are.

    Raises:
        ConfigError: not TOML, or mistakes in it; `mistakes` has all of them.
    """
    try:
        # A byte order mark is what some editors save, and no part of the text.
        content = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        place = _PLACE.search(str(error))
        said = _PLACE.sub("", str(error)) or type(error).__name__
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        raise _refusal([Mistake(str(path), line, f"this is not TOML: {said}.")]) from error
    reader = _Reader(text.removeprefix("\ufeff"), path)
    budgets = tuple(reader.read(content))
    config = Config(budgets, path, tuple(dict.fromkeys(reader.silent)), tuple(reader.ops))
    if reader.mistakes:
        raise _refusal(sorted(reader.mistakes, key=lambda mistake: mistake.line))
    return config


class _Reader:
    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self.silent: list[str] = []
        self.ops: list[Mapping[str, str]] = []
        self._lines = key_lines(text)
        self._prefix: KeyPath = _TABLE if path.name == PROJECT_FILE else ()

    def read(self, content: Mapping[str, Any]) -> list[Budget]:
        table: Any = content
        for key in self._prefix:
            table = table.get(key, {}) if isinstance(table, Mapping) else {}
        if not isinstance(table, Mapping):
            self._report(self._line(), "tool.archstat is not a table.")
            return []
        for key in table:
            if key not in ("budget", "op"):
                hint = did_you_mean(key, ["budget", "op"]) or " Budgets go below [[budget]]."
                self._report(self._line(key), f"there is no key {key!r} here.{hint}")
        entries = table.get("budget")
        if not (isinstance(entries, list) and entries):
            header = ".".join(str(key) for key in (*self._prefix, "budget"))
            self._report(self._line("budget"), f"there is no budget here; write [[{header}]].")
            return []
        self._read_ops(table.get("op", []))
        budgets = [self._budget(entries, number) for number in range(len(entries))]
        self._refuse_repeated(budgets)
        return [budget for made in budgets for budget in made]

    def _read_ops(self, entries: Any) -> None:
        """What ``[[op]]`` tells of operators."""
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            texts = entry if isinstance(entry, Mapping) else {}
            known = OP_KEYS & texts.keys() == texts.keys()
            if not (known and "name" in texts and all(isinstance(t, str) for t in texts.values())):
                wanted = "name, and macs, flops or free, each as text"
                self._report(self._line("op", number), f"an [[op]] has {wanted}.")
                continue
            try:
                with registering([texts]):
                    self.ops.append(texts)
            except ArchstatError as error:
                self._report(self._line("op", number), str(error))

    def _budget(self, entries: list[Any], number: int) -> list[Budget]:
        line = self._line("budget", number)
        if not isinstance(entries[number], Mapping):
            self._report(line, "this budget is not a table; write [[budget]] above its keys.")
            return []

        def line_of(*place: str) -> int:
            return self._line("budget", number, *place)

        folder = self.path.parent.resolve()
        entry = EntryReader(entries[number], folder, line, line_of, self._report)
        budgets = entry.budgets()
        self.silent += entry.silent
        return budgets

    def _refuse_repeated(self, entries: list[list[Budget]]) -> None:
        lines: dict[str, int] = {}
        for budgets in entries:
            # one entry of the file may stand for several models, of one mistake
            repeated = [budget for budget in budgets if budget.name in lines]
            for budget in repeated[:1]:
                self._report(
                    budget.line,
                    f"the budget on line {lines[budget.name]} is also called {budget.name!r}; "
                    "give one of them another name.",
                )
            lines.update((budget.name, budget.line) for budget in budgets)

    def _line(self, *place: str | int) -> int:
        """The line of a key, else of what it stands in."""
        return line_at(self._lines, (*self._prefix, *place))

    def _report(self, line: int, text: str) -> None:
        self.mistakes.append(Mistake(str(self.path), line, text))


def _refusal(mistakes: list[Mistake]) -> ConfigError:
    lines = [str(mistake) for mistake in mistakes]
    count = f"{len(lines)} mistakes in the budgets:\n" if len(lines) > 1 else ""
    return ConfigError(count + "\n".join(lines), mistakes)


def _mentions_budgets(project: Path) -> bool:
    """Whether it holds budgets; where that cannot be told, to read it tells what is wrong."""
    try:
        text = read_regular(project).decode().removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError):
        return True
    try:
        tool = tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError):
        return "archstat" in text
    return isinstance(tool, Mapping) and "archstat" in tool

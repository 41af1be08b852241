"""Reporters: Table -> text. A format is one file and its line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archstat.errors import Option, OutputError
from archstat.files import write_whole
from archstat.hints import did_you_mean
from archstat.reporters.numbers import PLAIN, Style
from archstat.reporters.to_console import to_console
from archstat.reporters.to_csv import to_csv
from archstat.reporters.to_html import to_html as to_html
from archstat.reporters.to_json import to_json
from archstat.reporters.to_latex import to_latex, too_large
from archstat.reporters.to_markdown import to_markdown
from archstat.result import Table


@dataclass(frozen=True, slots=True)
class Format:
    """An output format: its name, the file suffixes that choose it, its reporter.

    `takes` names the fields of a Style that it heeds; `remarks` says what a reader of a table must
    be told before the table is used.
    """

    name: str
    suffixes: tuple[str, ...]
    reporter: Callable[..., str]
    takes: tuple[str, ...] = ()
    remarks: Callable[[Table, Style], Iterable[str]] = lambda table, style: ()

    def style(
        self,
        digits: int | None = None,
        unit: str | Sequence[str] | None = None,
        caption: str | None = None,
        label: str | None = None,
    ) -> Style:
        """The style that was asked for.

        Raises:
            OutputError: an option that the format has no use for, or that is no style.
        """
        asked = {"digits": digits, "unit": unit, "caption": caption, "label": label}
        for name in (name for name, value in asked.items() if value is not None):
            if name not in self.takes:
                able = " or ".join(known.name for known in FORMATS if name in known.takes)
                raise OutputError(f"{Option(name)} is for {able}; the format here is {self.name}.")
        units = unit.split(",") if isinstance(unit, str) else unit or ()
        return Style(digits, tuple(filter(None, units)), caption, label)

    def render(self, table: Table, style: Style = PLAIN) -> str:
        """The table as text."""
        return self.reporter(table, style) if self.takes else self.reporter(table)


FORMATS: tuple[Format, ...] = (
    Format("console", (".txt",), to_console),
    Format("csv", (".csv",), to_csv),
    Format("json", (".json",), to_json),
    Format("markdown", (".md", ".markdown"), to_markdown, ("digits", "unit")),
    Format("latex", (".tex",), to_latex, ("digits", "unit", "caption", "label"), too_large),
)


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        OutputError: no such format.
    """
    for known in FORMATS:
        if known.name == name.lower():
            return known
    names = [known.name for known in FORMATS]
    raise OutputError(
        f"There is no format {name!r}.{did_you_mean(name, names)} Formats: {', '.join(names)}."
    )


def format_for(path: Path) -> Format:
    """The format that a file's suffix chooses.

    Raises:
        OutputError: a suffix that chooses none.
    """
    for known in FORMATS:
        if path.suffix.lower() in known.suffixes:
            return known
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    suffixes = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)
    what = f"the suffix {path.suffix!r} names no format" if path.suffix else "a suffix is missing"
    raise OutputError(f"{path}: {what}; use one of {suffixes}, or give {Option('format')}.")


def text_of(table: Table, form: Format, style: Mapping[str, Any]) -> str:
    """The table in a format and the style that was asked for.

    Raises:
        OutputError: a style that cannot be, or that would change nothing.
    """
    asked = form.style(**style)
    asked.check(table.columns)
    return form.render(table, asked)


def save(table: Table, path: Path, name: str | None, style: Mapping[str, Any]) -> None:
    """Write a table, whole or not at all, in the format of a name or of the path's suffix.

    csv and json hold every column, exactly.

    Raises:
        OutputError: a suffix that chooses no format, or a file that cannot be written.
    """
    form = format_for(path) if name is None else format_named(name)
    shown = table if form.name in ("csv", "json") else table.for_reader()
    try:
        write_whole(path, text_of(shown, form, style))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error

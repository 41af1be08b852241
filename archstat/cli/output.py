"""Where a table goes: standard output or a file that is written whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from archstat.errors import OutputError
from archstat.reporters import format_for, format_named
from archstat.result import Table


class Destination:
    """A checked format and file; made before the work, so that a typo costs no time."""

    def __init__(self, format_name: str | None, output: str | None) -> None:
        self.path = None if output in (None, "-") else Path(str(output))
        if format_name is not None:
            self.format = format_named(format_name)
        else:
            self.format = format_for(self.path) if self.path else format_named("console")
        if self.path is not None:
            _check_writable(self.path)

    @property
    def is_raw(self) -> bool:
        """Whether numbers go out exact and complete, not for a screen."""
        return self.format.name != "console"

    def write(self, table: Table) -> None:
        """Render and write.

        Raises:
            OutputError: the file cannot be written; what was there before is still there.
        """
        text = self.format.render(table)
        if self.path is None:
            _print(text)
        else:
            _write(self.path, text)


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has seen enough; the interpreter's own last flush must be quiet, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_writable(path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: permission denied.")


def _write(path: Path, text: str) -> None:
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a pipe or a device has nothing to replace
            return
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            newline="",
            dir=path.parent,
            prefix=f".{path.name}.",
            delete=False,
        ) as draft:
            draft.write(text)
        _adopt_mode(Path(draft.name), path)
        os.replace(draft.name, path.resolve())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _adopt_mode(draft: Path, path: Path) -> None:
    if path.exists():
        draft.chmod(path.stat().st_mode & 0o777)
        return
    mask = os.umask(0)
    os.umask(mask)
    draft.chmod(0o666 & ~mask)

"""Where a table goes: standard output or a file that is written whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from archstat.cli.style import style_for
from archstat.errors import OutputError
from archstat.files import check_writable, write_whole
from archstat.reporters import FORMATS, Format, format_for, format_named
from archstat.result import Picture, Table

# What ASCII has for the signs of a table; of a bar's last part, the larger half.
_PLAIN = str.maketrans(
    {
        **dict(zip("─│├└✓✗·±█▉▊▋▌▍▎▏", "-||`vx.+#####   ", strict=True)),
        "²": "^2",
        "…": "...",
        "→": "->",
    }
)


def page_or_print(text: str) -> None:
    """Print; on a terminal too short for it, through $PAGER or less, as git does.

    A reader that closes its end early has seen enough: that is no error.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    long = sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines
    if long and _paged(text):
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter's own last flush must be quiet, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror or error}.") from error


def _paged(text: str) -> bool:
    command = shlex.split(os.environ.get("PAGER", "less"))
    if not command or shutil.which(command[0]) is None:
        return False
    # Colours pass, long lines are cut, and what fits is left on the screen.
    environment = {"LESS": "FRSX", **os.environ}
    pager = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
    try:
        pager.communicate(text)
    except (BrokenPipeError, KeyboardInterrupt):
        pager.wait()
    return True


class Destination:
    """A checked format and file; made before the work, so that a typo costs no time."""

    def __init__(self, format_name: str | None, output: str | None) -> None:
        self.path = None if output in (None, "-") else Path(str(output))
        if format_name is not None:
            self.format = format_named(format_name)
        else:
            self.format = format_for(self.path) if self.path else format_named("console")
        self.style = style_for(self.format)
        if self.path is not None:
            check_writable(self.path)

    @property
    def is_raw(self) -> bool:
        """Whether numbers go out exact and complete, not for a reader."""
        return self.format.name in ("csv", "json")

    @property
    def is_screen(self) -> bool:
        """Whether a reader gets aligned columns, as on a terminal."""
        return self.format.name == "console"

    def write(self, *tables: Table) -> None:
        """Render and write, several tables one below the other.

        Raises:
            OutputError: a style that none of the tables can have, or the file cannot be written;
                what was there before is still there.
        """
        self.style.check([column for table in tables for column in table.columns])
        self.write_text("\n".join(self.format.render(table, self.style) for table in tables))
        if self.path is not None and self.path.suffix.lower() in _suffixes(self.format):
            print(f"archstat: {self.path} holds {self.format.name}, as --format says.",
                  file=sys.stderr)  # fmt: skip
        for table in tables:
            for remark in self.format.remarks(table, self.style):
                print(f"archstat: {self.format.name}: {remark}.", file=sys.stderr)

    def write_text(self, text: str) -> None:
        """Write what is rendered already.

        Raises:
            OutputError: the file cannot be written; what was there before is still there.
        """
        if self.path is None:
            page_or_print(text)
        else:
            _write(self.path, text)


def _suffixes(form: Format) -> list[str]:
    """The suffixes of the other formats."""
    return [suffix for other in FORMATS if other is not form for suffix in other.suffixes]


def check_plot(path: str | None) -> None:
    """Whether a picture can be drawn there, if one is wanted, before the work.

    Raises:
        PlotError: not a picture's suffix, or matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    if path is not None:
        from archstat.reporters.plots import check_plot_path

        check_plot_path(path)


def draw(path: str, picture: Picture) -> None:
    """Draw into a file, and say on standard error that it is there."""
    from archstat.reporters.plots import sized

    picture(path)
    print(f"archstat: wrote {sized(path)[0]}", file=sys.stderr)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that no table goes to, and say on standard error that it is there.

    Raises:
        OutputError: it cannot be written.
    """
    _write(path, content)
    print(f"archstat: wrote {path}", file=sys.stderr)


def _write(path: Path, text: str | bytes) -> None:
    path = path.resolve() if path.is_symlink() else path
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device has nothing to replace.
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        else:
            write_whole(path, text)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error

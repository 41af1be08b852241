"""Text on its way to standard output: through a pager where it is longer than the screen."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from archstat.errors import OutputError


def page_or_print(text: str) -> None:
    """Print; on a terminal too short for it, through $PAGER or less, as git does.

    A reader that closes its end early has seen enough: that is no error.
    """
    long = sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines
    if long and _paged(text):
        return
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
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

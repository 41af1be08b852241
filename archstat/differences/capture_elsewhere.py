"""Captures a model in a separate process, with another checkout in place of the repository.

Run as a file, which imports nothing of archstat before `sys.path` is as it must be: what lies in
the repository comes from the checkout, archstat too where the repository is its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def relocated(entries: Iterable[str], repository: Path, checkout: Path) -> list[str]:
    """Import folders with those of the repository replaced by the checkout's, where it has them."""
    moved = []
    for entry in entries:
        path = Path(entry).resolve() if entry else Path.cwd()
        twin = checkout / path.relative_to(repository) if path.is_relative_to(repository) else path
        moved.append(str(twin) if twin.exists() else entry)
    return moved


def files_imported() -> set[Path]:
    """The files of the modules of this process, without installed ones."""
    named = (
        file
        for name, module in list(sys.modules.items())
        if name != "__main__" and isinstance(file := getattr(module, "__file__", None), str)
    )
    # some modules that were made by hand have a file that is none
    files = {Path(file).resolve() for file in named if Path(file).is_absolute()}
    return {file for file in files if file.is_file() and "site-packages" not in file.parts}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The Graph of a spec as JSON, or the message and exit code of what went wrong."""
    repository, checkout = Path(request["repository"]), Path(request["checkout"])
    sys.path[:] = relocated(sys.path, repository, checkout)
    from archstat.errors import AT_COMMAND_LINE, ArchstatError
    from archstat.models.pipeline import graph_of_spec

    AT_COMMAND_LINE.set(request["at_command_line"])
    try:
        graph = graph_of_spec(request["spec"], request["input"], request["batch"])
    except ArchstatError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    files = files_imported()
    stray = sorted(str(f) for f in files if f.is_relative_to(repository) and not _installed(f))
    if stray:
        return {"stray": stray[0]}
    taken = any(file.is_relative_to(checkout) for file in files)
    return {"graph": graph.to_json(), "from_checkout": taken}


def _installed(file: Path) -> bool:
    return file.is_relative_to(Path(sys.prefix).resolve())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is answered by the process that asks
    os.dup2(2, 1)  # standard output is for figures, not for what a model prints
    content = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    reply = json.dumps(answer(content))
    Path(content["reply"]).write_text(reply, encoding="utf-8")

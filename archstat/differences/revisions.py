"""A model as it was at a git revision, captured in a process that sees just that revision."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archstat.differences import capture_elsewhere
from archstat.differences.repository import Repository, repository_of
from archstat.differences.saved import is_file_of_models, saved_snapshots
from archstat.differences.snapshots import Snapshot, snapshot_of
from archstat.errors import AT_COMMAND_LINE, ArchstatError, GraphFileError, RevisionError, SpecError
from archstat.graph import Graph
from archstat.models.pipeline import report
from archstat.models.specs import parse_spec
from archstat.result import notes_of


def snapshots_at(
    text: str, revision: str, input: Sequence[str] | None = None, batch: int | None = None
) -> tuple[Snapshot, ...]:
    """The models that a spec, or a file of models, stands for at a git revision.

    Args:
        text: as it would be typed in the working directory.
        input: shapes without the batch.

    Raises:
        RevisionError: no repository, no such revision, or nothing of that name at it.
        ArchstatError: what the model itself raises, as anywhere else.
    """
    repository = repository_of(Path.cwd())
    within = _within(text, repository)
    with repository.checkout(revision) as checkout:
        if is_file_of_models(text):
            return _saved(text, checkout / str(within), revision)
        # a folder that the revision does not have is no folder to run in
        folder = next(p for p in (checkout / repository.prefix, checkout) if p.is_dir())
        target = parse_spec(text).target
        spec = text if within is None else text.replace(target, str(checkout / within), 1)
        asked = {
            "spec": spec,
            "input": list(input) if input else None,
            "batch": batch,
            "repository": str(repository.root),
            "checkout": str(checkout),
            "at_command_line": AT_COMMAND_LINE.get(),
        }
        reply = _asked(asked, folder, f"{text} at {revision}")
    return (_snapshot(reply, text, revision),)


def _within(text: str, repository: Repository) -> Path | None:
    """The path that an argument means, below the root; None where it names no file."""
    if is_file_of_models(text):
        target = text
    else:
        spec = parse_spec(text)
        if spec.scheme != "python" or not (spec.target.endswith(".py") or "/" in spec.target):
            return None
        target = spec.target
    path = (Path.cwd() / target).resolve()
    if not path.is_relative_to(repository.root):
        raise SpecError(f"{target} lies outside {repository.root}, so no revision holds it.")
    return path.relative_to(repository.root)


def _saved(text: str, path: Path, revision: str) -> tuple[Snapshot, ...]:
    if not path.is_file():
        raise RevisionError(f"{revision} has no file {text}.")
    try:
        return saved_snapshots(path)
    except ArchstatError as error:
        message = str(error).replace(str(path), text)
        raise GraphFileError(f"at {revision}: {message}") from error


def _asked(asked: dict[str, Any], folder: Path, title: str) -> dict[str, Any]:
    """The answer of a fresh process that runs in a folder."""
    with tempfile.TemporaryDirectory(prefix="archstat-") as drafts:
        request, reply = Path(drafts) / "request.json", Path(drafts) / "reply.json"
        request.write_text(json.dumps({**asked, "reply": str(reply)}), encoding="utf-8")
        # -P: only what the process puts on its path itself is importable from a working directory
        command = [sys.executable, "-P", str(capture_elsewhere.__file__), str(request)]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=False)
        if not reply.exists():
            raise RevisionError(
                f"{title}: Python ended with code {done.returncode} while it captured the model."
            )
        answer: dict[str, Any] = json.loads(reply.read_text(encoding="utf-8"))
    if "stray" in answer:
        raise RevisionError(
            f"{title}: the model imports {answer['stray']} from the working tree, not from the "
            "revision; install the package in another way, or run where its folder is importable."
        )
    if "error" in answer:
        message = answer["error"].replace(f"{asked['checkout']}/", "")
        error = RevisionError(f"{title}: {message}")
        error.exit_code = answer["exit_code"]
        raise error
    return answer


def _snapshot(answer: dict[str, Any], text: str, revision: str) -> Snapshot:
    graph = replace(Graph.from_json(answer["graph"]), name=text)
    snapshot = snapshot_of(report(graph, text), f"{text} at {revision}")
    if answer["from_checkout"]:
        return snapshot
    note = f"{text} uses no file of the repository, so {revision} has no effect on it."
    return replace(snapshot, notes=(*snapshot.notes, *notes_of([note])))

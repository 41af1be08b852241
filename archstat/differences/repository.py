"""The git repository around a folder, and checkouts of its revisions that never stay behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archstat.errors import RevisionError
from archstat.hints import did_you_mean

# A hook of git runs with these set, and they would bind every command to the hook's own index.
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_PREFIX = "archstat-revision-"
_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository: its `root`, and the `prefix` of the folder it was found from."""

    root: Path
    prefix: str

    def commit(self, revision: str) -> str:
        """The full hash of the commit that a revision names.

        Raises:
            RevisionError: there is no such commit; the message holds the nearest names.
        """
        wanted = f"{revision}^{{commit}}"
        found = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
        if found.returncode == 0 and revision:
            return found.stdout.strip()
        listed = _git(self.root, "for-each-ref", "--format=%(refname:short)").stdout
        hint = did_you_mean(revision, listed.split())
        if _git(self.root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            hint += " This clone is shallow: fetch more with `git fetch --unshallow`."
        elif not hint:
            hint = " Name a branch, tag or commit that `git log` knows, or fetch it first."
        raise RevisionError(f"There is no git revision {revision!r} in {self.root}.{hint}")

    @contextmanager
    def checkout(self, revision: str) -> Iterator[Path]:
        """A temporary worktree of a revision; it is removed however the block ends.

        Raises:
            RevisionError: no such revision, or git cannot check it out.
        """
        commit = self.commit(revision)
        with _stopping_raises():
            self._remove_abandoned()
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
            held = _held(folder)
            try:
                # no hook of the repository has a part in this
                made = _git(self.root, "-c", f"core.hooksPath={os.devnull}", "worktree", "add",
                            "--quiet", "--detach", str(folder), commit)  # fmt: skip
                if made.returncode:
                    raise RevisionError(f"git cannot check {revision} out: {_last_line(made)}")
                yield folder
            finally:
                with _undisturbed():
                    self._remove(folder)
                    _let_go(held)

    def _remove_abandoned(self) -> None:
        """Remove what runs that were killed outright have left behind, and nobody else's."""
        ours = re.compile(re.escape(str(_temporary() / _PREFIX)) + r"\w+")
        for line in _git(self.root, "worktree", "list", "--porcelain").stdout.splitlines():
            path = line.removeprefix("worktree ")
            if path == line or not ours.fullmatch(path):
                continue
            held = _held(Path(path))
            if held is not None or not os.path.lexists(path):
                self._remove(Path(path))
            _let_go(held)

    def _remove(self, folder: Path) -> None:
        # without `prune`, which would forget other worktrees that happen to be unmounted
        remove = ("worktree", "remove", "--force", "--force", str(folder))
        gone = _git(self.root, *remove).returncode == 0
        shutil.rmtree(folder, ignore_errors=True)
        if not gone:
            _git(self.root, *remove)


def repository_of(folder: Path) -> Repository:
    """The repository that a folder belongs to.

    Raises:
        RevisionError: it belongs to none, or there is no git.
    """
    found = _git(folder, "rev-parse", "--show-toplevel", "--show-prefix")
    if found.returncode:
        raise RevisionError(
            f"{folder} is not in a git repository, so there are no revisions to compare "
            f"(git: {_last_line(found)})."
        )
    root, _, prefix = found.stdout.partition("\n")
    if not root:
        raise RevisionError(f"{folder} is in a bare git repository, which has no files.")
    return Repository(Path(root).resolve(), prefix.strip("\n"))


def _temporary() -> Path:
    return Path(tempfile.gettempdir()).resolve()


def _held(folder: Path) -> int | None:
    """A claim on a folder that ends with this process; None if another one has it."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _let_go(descriptor)
        return None
    return descriptor


def _let_go(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name not in _OF_A_HOOK}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError as error:
        raise RevisionError("git is not installed, and comparing revisions needs it.") from error


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1].removeprefix("fatal: ") if lines else f"exit code {done.returncode}"


@contextmanager
def _stopping_raises() -> Iterator[None]:
    """Let a request to stop unwind the stack as Ctrl-C does, so that nothing stays behind."""
    with _handling(_STOPPING, _stop):
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    with _handling([signal.SIGINT, *_STOPPING], signal.SIG_IGN):
        yield


@contextmanager
def _handling(signals: list[signal.Signals], handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, before in usual.items():
            signal.signal(number, before)


def _stop(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)

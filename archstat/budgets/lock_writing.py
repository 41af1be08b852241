"""Writing a lock file: whole or not at all, and never over what another run has just written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archstat.budgets.lock import LockFile
from archstat.budgets.lock_reading import read_lock
from archstat.errors import LockFileError


def write_lock(path: Path, lock: LockFile, seen: LockFile | None) -> bool:
    """Make a lock file hold new figures; False where it holds them already.

    Args:
        seen: what it held when the figures were made. If it holds something else by now, another
            run has written it.

    Raises:
        LockFileError: it cannot be written, is damaged, or was changed meanwhile. It still holds
            what it held.
    """
    path = path.resolve()
    try:
        with _alone(path.parent):
            _sweep(path)
            current = read_lock(path)
            if current is not None and current.entries == lock.entries:
                return False  # other versions alone are no reason for a diff
            if (current and current.entries) != (seen and seen.entries):
                raise LockFileError(
                    f"{path} was changed by another run while this one counted. It was left as "
                    "it is; run `archstat check --update` again."
                )
            _replace(path, lock.to_json())
            return True
    except OSError as error:
        raise LockFileError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other writers of a folder out; the kernel lets them in when this process dies."""
    try:
        import fcntl
    except ImportError:  # there is none on Windows: replacing is atomic all the same
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems know no such locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prefix(path: Path) -> str:
    return f".{path.name}.draft."


def _sweep(path: Path) -> None:
    """Remove drafts of runs that were killed; those of living runs are kept out by the lock."""
    for draft in path.parent.glob(f"{_prefix(path)}*"):
        with suppress(OSError):
            draft.unlink()


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(_mode(path))
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

"""The user's folders, where each system keeps such things, and files that are written whole."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from pathlib import Path

from archstat.errors import OutputError

MOST = 64 * 1000**2  # bytes of a file of budgets, a lock file or a device file


def cache_folder() -> Path:
    """archstat's folder in the user's cache; it need not exist.

    On Linux below XDG_CACHE_HOME, or else ~/.cache; on macOS and Windows where `platformdirs`
    puts it.

    Raises:
        RuntimeError: the home folder is unknown.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "archstat" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "archstat"
    return _below("XDG_CACHE_HOME", ".cache")


def data_folder() -> Path:
    """archstat's folder in the user's data, below XDG_DATA_HOME or else ~/.local/share.

    Raises:
        RuntimeError: the home folder is unknown.
    """
    return _below("XDG_DATA_HOME", ".local/share")


def _below(variable: str, usual: str) -> Path:
    given = os.environ.get(variable, "")
    # A relative path is to be ignored, says the XDG base directory specification.
    return (Path(given) if os.path.isabs(given) else Path.home() / usual) / "archstat"


def read_regular(path: str | Path) -> bytes:
    """The bytes of a regular file, of at most `MOST` bytes; a pipe or a device is not waited for.

    Raises:
        FileNotFoundError: there is nothing of that name.
        OSError: it cannot be read, is no regular file, a link that leads nowhere, or too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        if os.path.islink(path):
            raise OSError(errno.ENOLINK, "it is a link that leads nowhere") from None
        raise
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise OSError(errno.EFBIG, f"it has more than {MOST // 10**6} MB")
    return content


def draft_prefix(path: Path) -> str:
    """What the name of a draft of a file begins with; a killed writer leaves one behind."""
    return f".{path.name}.draft."


def check_writable(path: Path) -> None:
    """Whether a file can be written there, before the work.

    Raises:
        OutputError: it cannot.
    """
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: permission denied.")


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all: a draft beside it takes its name, and keeps its mode.

    What is `private` nobody but the user may read, and is not waited for until it is on the disk.

    Raises:
        OSError: it cannot be written; what stood there still stands.
    """
    handle, name = tempfile.mkstemp(prefix=draft_prefix(path), dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if not private:
                file.flush()
                os.fsync(file.fileno())
        if not private:
            os.chmod(name, _mode(path))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

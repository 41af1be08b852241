"""The user's folders for what is cached and what is kept, where each system keeps such things."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """archstat's folder in the user's cache; it need not exist.

    On Linux below XDG_CACHE_HOME, or else ~/.cache; on macOS and Windows where `platformdirs`
    puts it, too.

    Raises:
        RuntimeError: nobody's home is known.
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
        RuntimeError: nobody's home is known.
    """
    return _below("XDG_DATA_HOME", ".local/share")


def _below(variable: str, usual: str) -> Path:
    given = os.environ.get(variable, "")
    # A relative path is to be ignored, says the XDG base directory specification.
    return (Path(given) if os.path.isabs(given) else Path.home() / usual) / "archstat"

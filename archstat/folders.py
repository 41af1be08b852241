"""The user's cache folder, where each system keeps such things."""

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
    given = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored, says the XDG base directory specification.
    base_folder = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base_folder / "archstat"

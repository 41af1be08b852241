"""How scripts end that generate files: they write them, or with ``--check`` only compare."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def finish(texts: Mapping[Path, str]) -> int:
    """Write each file; with ``--check`` compare instead, and give 1 if one is stale."""
    if "--check" not in sys.argv:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in texts.items() if not _holds(path, text)]
    script = Path(sys.argv[0]).name
    print(f"stale: {', '.join(stale)}; run python scripts/{script}" if stale else "fresh")
    return 1 if stale else 0


def between(text: str, name: str, body: str) -> str:
    """The text with ``body`` between its markers ``NAME: begin`` and ``NAME: end``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{body}\n{end}{rest.partition(end)[2]}"


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text

"""Write reports/published.csv and .md: every published figure, recomputed.

``--check`` only compares. The figures, the table from zoo_key to spec and the table of exceptions
stand beside the report, the conventions in scripts/published/.
"""

from __future__ import annotations

import sys

from published.figures import REPORTS, figures
from published.tables import csv_text, markdown_text
from published.verdicts import judge


def main() -> int:
    """Generate the report; exit code 1 if ``--check`` finds it stale."""
    verdicts = [judge(figure) for figure in figures()]
    texts = {"published.csv": csv_text(verdicts), "published.md": markdown_text(verdicts)}
    if "--check" in sys.argv:
        stale = [name for name, text in texts.items() if not _is(name, text)]
        print(f"stale: {', '.join(stale)}; run python scripts/make_published.py" if stale
              else "fresh")  # fmt: skip
        return 1 if stale else 0
    for name, text in texts.items():
        (REPORTS / name).write_text(text, encoding="utf-8")
    return 0


def _is(name: str, text: str) -> bool:
    path = REPORTS / name
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())

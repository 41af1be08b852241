"""Write reports/published.csv and .md: every published figure, recomputed.

``--check`` only compares. The figures, the table from zoo_key to spec and the table of exceptions
stand beside the report, the conventions in scripts/published/.
"""

from __future__ import annotations

from generated import finish
from published.figures import REPORTS, figures
from published.tables import csv_text, markdown_text
from published.verdicts import judge


def main() -> int:
    """Write the report, or compare it."""
    verdicts = [judge(figure) for figure in figures()]
    texts = {"published.csv": csv_text(verdicts), "published.md": markdown_text(verdicts)}
    return finish({REPORTS / name: text for name, text in texts.items()})


if __name__ == "__main__":
    raise SystemExit(main())

"""How many figures of somebody's table archstat explains to every printed digit.

    python benchmarks/printed_figures.py FIGURES.csv [--least 95]

The file has a line a figure, with columns that `archstat audit` knows; a spec in `archstat_zoo`, or
a model that is named as elsewhere, and a `convention` that says ERROR or SELF-CONTRADICTION where
the source is wrong by itself. A figure is explained if it agrees with the convention of its column
or with another one; what `audit` finds to be a misprint is wrong at its source, too, and counts as
neither. Exits with 1 where fewer than `--least` per cent of the sound figures of known networks are
explained; each other is named with the reason.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from catalogue import torchvision_importable

_UNSOUND = ("ERROR", "SELF-CONTRADICTION")


def main() -> int:
    """Print a line for each figure that is not explained, and the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--least", type=float, default=95)
    arguments = parser.parse_args()
    with torchvision_importable():
        tally = Counter(verdict for verdict, _ in _told(arguments.figures))
    known = tally["explained"] + tally["not explained"]
    rate = 100 * tally["explained"] / max(known, 1)
    print(f"{tally['explained']} of {known} sound figures explained: {rate:.1f} %")
    print(
        f"{tally['no network']} of no network here, {tally['unsound']} wrong at their source, "
        f"{tally['misprinted']} by audit's own finding"
    )
    return 0 if rate >= arguments.least else 1


def _told(path: Path) -> Iterator[tuple[str, str]]:
    for verdict, line in judged(path):
        if verdict != "explained":
            print(f"{verdict}: {line}")
        yield verdict, line


def judged(path: Path) -> Iterator[tuple[str, str]]:
    """The verdict on each figure, and a line about it."""
    from archstat.models.pipeline import graph_of_spec
    from archstat.tables.audit import Verdict, audit
    from archstat.tables.printed_table import printed_table, text_of

    text = text_of(str(path))
    said = dict(enumerate(csv.DictReader(text.splitlines()), 2))
    words = {Verdict.AGREES: "explained", Verdict.OTHERWISE: "explained",
             Verdict.CANNOT_BE: "misprinted", Verdict.NOT_KNOWN: "not explained"}  # fmt: skip
    for found in audit(printed_table(text, {"spec": "archstat_zoo"}), graph_of_spec).findings:
        row, about = found.row, said[found.row.line]
        line = f"{row.source}, {row.model}, {found.entry.column} {found.entry.printed.text}"
        if any(word in about["convention"] for word in _UNSOUND):
            yield "unsound", f"{line}: {about['note']}"
        elif not found.spec:
            yield "no network", f"{line}: {about['note'] or about['convention']}"
        else:
            yield words[found.verdict], f"{line}: {found.remark}"


if __name__ == "__main__":
    raise SystemExit(main())

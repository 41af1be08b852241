"""How many figures of somebody's table archstat explains to every printed digit.

    python benchmarks/printed_figures.py FIGURES.csv [--least 95]

The file has a line a figure, with columns that `archstat audit` knows; a spec in `archstat_zoo`, or
a model that is named as elsewhere, and a `convention` that says ERROR or SELF-CONTRADICTION where
the source is wrong by itself. Exits with 1 where fewer than `--least` per cent of the sound figures
of known networks are explained; each other is named with the reason.
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
    print(f"{tally['no network']} of no network here, {tally['unsound']} wrong at their source")
    return 0 if rate >= arguments.least else 1


def _told(path: Path) -> Iterator[tuple[str, str]]:
    for verdict, line in judged(path):
        if verdict != "explained":
            print(f"{verdict}: {line}")
        yield verdict, line


def judged(path: Path) -> Iterator[tuple[str, str]]:
    """The verdict on each figure, and a line about it."""
    from archstat.models.pipeline import graph_of_spec
    from archstat.tables.audit import specs_of
    from archstat.tables.printed_table import printed_table, text_of
    from archstat.tables.ways import Asked, reconcile

    text = text_of(str(path))
    said = dict(enumerate(csv.DictReader(text.splitlines()), 2))
    for row in printed_table(text, {"spec": "archstat_zoo"}).rows:
        about = said[row.line]
        for entry in row.entries:
            line = f"{row.source}, {row.model}, {entry.column} {entry.printed.text}"
            specs, asked = specs_of(row), [Asked(entry.printed, entry.quantity)]
            if any(word in about["convention"] for word in _UNSOUND):
                yield "unsound", f"{line}: {about['note']}"
            elif not specs:
                yield "no network", f"{line}: {about['note'] or about['convention']}"
            else:
                found = [reconcile(spec, asked, row.input or None, None, graph_of_spec)
                         for spec in specs]  # fmt: skip
                ways = [w for one in found for w in one.ways if not w.is_misprint]
                misses = [miss for one in found for miss in one.misses]
                near = (
                    f": nearest {misses[0].arithmetic} ({misses[0].off:+.2f} %)" if misses else ""
                )
                yield ("explained" if ways else "not explained",
                       f"{line}: {ways[0].arithmetic}" if ways else line + near)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())

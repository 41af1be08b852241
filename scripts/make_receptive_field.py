"""Write reports/receptive_field.csv: every row of the published table, recomputed.

``--check`` only compares. Size and stride must be equal on every row. Padding is compared where
the published one does not depend on the side that TensorFlow pads: where our network pads as
TensorFlow does, and at 321 pixels, where every halved side is odd and SAME pads both sides alike.
"""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

from generated import ROOT, finish
from receptive.networks import NETWORKS

REPORTS = ROOT / "reports"
HEADER = ("model", "end_point", "resolution", "said_field", "said_stride", "said_padding",
          "command", "receptive_field", "effective_stride", "effective_padding", "verdict",
          "reason", "source")  # fmt: skip
ONE_SIDED = "padding not compared: TensorFlow's SAME pads an even side at its end only"


class Said(NamedTuple):
    """A row of the published table; an empty padding depends on the resolution."""

    model: str
    end_point: str
    resolution: str
    receptive_field: str
    effective_stride: str
    effective_padding: str
    source: str


def main() -> int:
    """Generate the report; exit code 1 if ``--check`` finds it stale or a figure differs."""
    rows = [judged(said) for said in published()]
    differing = [row for row in rows if row[HEADER.index("verdict")] != "agrees"]
    for row in differing:
        print(*row[:6], "but", *row[7:10])
    return finish({REPORTS / "receptive_field.csv": csv_text(rows)}) or int(bool(differing))


def published() -> list[Said]:
    """The published table, carried in reports/."""
    with (REPORTS / "receptive_field_published.csv").open(encoding="utf-8", newline="") as file:
        return [Said(**row) for row in csv.DictReader(file)]


def judged(said: Said) -> tuple[str, ...]:
    """A row of the report: what is published, what is computed, and whether they agree."""
    network = NETWORKS[said.model]
    row = network.row(said.end_point, said.resolution)
    axis = 1 if "(x)" in said.model else 0
    field, stride, padding = (
        str(figures[axis])
        for figures in (row.receptive_field, row.effective_stride, row.effective_padding)
    )
    agrees = (field, stride) == (said.receptive_field, said.effective_stride)
    reason = ""
    if network.pads_as_tf or said.resolution == "321":
        agrees = agrees and said.effective_padding in ("", padding)
    elif said.effective_padding:
        reason = ONE_SIDED
    if not said.effective_padding:
        reason = "no padding published: it depends on the resolution"
    return (*said[:6], network.text(said.resolution), field, stride, padding,
            "agrees" if agrees else "differs", reason, said.source)  # fmt: skip


def csv_text(rows: list[tuple[str, ...]]) -> str:
    """The report as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())

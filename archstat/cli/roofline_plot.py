"""The picture of ``archstat roofline --plot``."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.analyses.roofline import Roofline
from archstat.reporters.plots import RoofLines, RoofPoint, RoofSeries, plot_roofline


def draw(path: str, found: Sequence[Roofline]) -> None:
    """Draw the models, which share a device and a dtype, into a file."""
    first = found[0]
    roof = RoofLines(
        first.device.title, first.dtype, first.roof.bandwidth, first.roof.products,
        first.roof.others,
    )  # fmt: skip
    plot_roofline(roof, [_series(one) for one in found], path)


def _series(one: Roofline) -> RoofSeries:
    total = one.total.seconds
    points = tuple(
        RoofPoint(part.name or part.type, part.work.intensity, part.rate, part.seconds / total)
        for part in one.layers
        if part.work.intensity is not None and part.rate is not None
    )
    return RoofSeries(one.model, points)

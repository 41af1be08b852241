"""The picture of ``archstat experiment --plot``."""

from __future__ import annotations

from archstat.measure.latency.experiment_runs import ExperimentRun, Outcome
from archstat.reporters.plots import SpeedBar, SpeedGroup, SpeedPicture, plot_experiment
from archstat.tables.experiment import conclusion


def draw(path: str, found: ExperimentRun) -> None:
    """Draw an experiment into a file."""
    first = found.run.measurements[0]
    groups = tuple(
        SpeedGroup(size, tuple(_bar(one, outcomes[0], found) for one in outcomes[1:]))
        for size, outcomes in found.sizes.items()
    )
    reference = next(iter(found.sizes.values()))[0].variant.name
    picture = SpeedPicture(
        found.experiment.title, f"{first.machine.device_name}, batch {first.conditions.batch}",
        conclusion(found), reference, groups,
    )  # fmt: skip
    plot_experiment(picture, path)


def _bar(one: Outcome, first: Outcome, found: ExperimentRun) -> SpeedBar:
    assert one.ratio is not None
    published = {
        name: mine / theirs
        for name, mine, theirs in (
            ("GTX 1080 Ti", one.variant.gtx1080ti, first.variant.gtx1080ti),
            ("ARM", one.variant.arm, first.variant.arm),
        )
        if mine is not None and theirs is not None
    }
    if not found.experiment.has_equal_macs:
        published = {"by their macs": first.macs / one.macs}
    ratio = one.ratio
    return SpeedBar(one.variant.name, 1 / ratio.middle, 1 / ratio.high, 1 / ratio.low, published)

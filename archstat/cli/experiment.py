"""``archstat experiment NAME``: the measurements behind ShuffleNet V2's guidelines, made here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.completion import complete_experiment
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.screen import View, filled, show

if TYPE_CHECKING:
    from archstat.measure.latency.experiment_runs import ExperimentRun, Outcome
    from archstat.reporters.plots import SpeedBar

# The most needed first; what no row has is left out.
_NEEDS = ("size", "variant", "batches_per_second", "relative_speed", "relative_speed_gtx1080ti",
          "relative_speed_arm", "verdict", "memory_access_ratio", "latency_ms",
          "latency_ms_ratio_low", "latency_ms_ratio_high", "model")  # fmt: skip
# Networks of different macs: what the macs promise stands beside what the time gives.
_UNEQUAL_NEEDS = ("size", "variant", "macs_ratio", "latency_ms_ratio", "latency_ms_ratio_low",
                  "latency_ms_ratio_high", "verdict", "memory_access_ratio", "batches_per_second",
                  "model")  # fmt: skip

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="g1, g2, g3, g4 or separable.",
                   autocompletion=complete_experiment),
]  # fmt: skip
DeviceName = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu (the default), cuda or cuda:NUMBER.")
]
Budget = Annotated[
    str,
    typer.Option(metavar="TIME", help="Time for the whole measurement; a minimum of samples is "
                 "always taken."),
]  # fmt: skip
Batch = Annotated[
    int | None,
    typer.Option(metavar="N", help="Batch size; by default 8 on a GPU, 1 on a cpu.", min=1),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", help="Threads on the cpu; by default torch's own number.", min=1),
]


def experiment(
    name: Name,
    device: DeviceName = "cpu",
    budget: Budget = "60s",
    batch: Batch = None,
    threads: Threads = None,
    plot: options.Plot = None,
    columns: options.Columns = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Run an experiment of ShuffleNet V2 here: do the guidelines hold on this machine?

    g1 channel widths, g2 groups, g3 fragments, g4 element-wise operations: the paper's networks of
    equal macs (Tables 1 to 4), with its speeds beside those measured. separable sets standard
    against depthwise-separable convolution.
    """
    from archstat.cli.bench_grid import budget_of
    from archstat.cli.progress import budget_bar
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.experiment_runs import run_experiment, with_batch
    from archstat.measure.latency.experiments import experiment_named
    from archstat.tables.experiment import COLUMNS, experiment_table

    view = View(Destination(format, output), COLUMNS, columns, first="variant")
    asked, budget_s = experiment_named(name), budget_of(budget, "60s")
    conditions = with_batch(Conditions(device=device, batch=batch, threads=threads))
    check_plot(plot)
    # The names of its networks would not fit beside the bar.
    with budget_bar((), 1) as teller:
        found = run_experiment(asked, conditions, budget_s, progress=teller(0))
    table = experiment_table(found)
    show(table, view, filled(table, _NEEDS if asked.has_equal_macs else _UNEQUAL_NEEDS))
    if plot is not None:
        draw(plot, partial(_draw, found))
    if found.is_interrupted:
        raise KeyboardInterrupt


def _draw(found: ExperimentRun, path: str | Path) -> None:
    from archstat.reporters.plots import SpeedGroup, SpeedPicture, plot_experiment
    from archstat.tables.experiment import conclusion

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
    from archstat.reporters.plots import SpeedBar

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

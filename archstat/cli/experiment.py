"""``archstat experiment NAME``: the measurements behind ShuffleNet V2's guidelines, made here."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.completion import complete_experiment
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.progress import budget_bar, working
from archstat.cli.screen import View, filled, show

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
    equal macs (Tables 1 to 4), its speeds beside those measured. separable compares standard with
    depthwise-separable convolution.
    """
    with working("importing torch"):
        from archstat.cli.bench_grid import budget_of
        from archstat.measure.latency.conditions import Conditions
        from archstat.measure.latency.experiment_runs import run_experiment, with_batch
        from archstat.measure.latency.experiments import experiment_named
        from archstat.measure.latency.subject import check_here
    from archstat.tables.experiment import COLUMNS, experiment_table

    view = View(Destination(format, output), COLUMNS, columns, first="variant")
    asked, budget_s = experiment_named(name), budget_of(budget, "60s")
    conditions = with_batch(Conditions(device=device, batch=batch, threads=threads))
    if conditions.on_cuda:
        check_here(conditions)
    check_plot(plot)
    # The names of its networks would not fit beside the bar.
    with budget_bar((), 1) as teller:
        found = run_experiment(asked, conditions, budget_s, progress=teller(0))
    table = experiment_table(found)
    shown = filled(table, _NEEDS if asked.has_equal_macs else _UNEQUAL_NEEDS)
    # A narrow screen keeps the verdict, which the limits are the reason of.
    show(table, view, shown, [*shown[:2], "verdict", *shown])
    if plot is not None and table.picture is not None:
        draw(plot, table.picture)
    if found.is_interrupted:
        raise KeyboardInterrupt

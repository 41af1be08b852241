"""What ``archstat experiment`` measures, shows and draws."""

from __future__ import annotations

from dataclasses import dataclass

from archstat.cli.bench_request import budget_of
from archstat.cli.output import Destination
from archstat.cli.progress import budget_bar
from archstat.cli.screen import chosen_columns, fitted
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.experiment_runs import ExperimentRun, run_experiment, with_batch
from archstat.measure.latency.experiments import experiment_named
from archstat.result import Table
from archstat.tables.experiment import COLUMNS, experiment_table

# The most needed first; what no row has is left out.
_NEEDS = ("size", "variant", "batches_per_second", "relative_speed", "relative_speed_gtx1080ti",
          "relative_speed_arm", "verdict", "memory_access_ratio", "latency_ms",
          "latency_ms_ratio_low", "latency_ms_ratio_high", "model")  # fmt: skip
# Networks of different macs: what the macs promise stands beside what the time gives.
_UNEQUAL_NEEDS = ("size", "variant", "macs_ratio", "latency_ms_ratio", "latency_ms_ratio_low",
                  "latency_ms_ratio_high", "verdict", "memory_access_ratio", "batches_per_second",
                  "model")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of ``archstat experiment``."""

    name: str
    device: str = "cpu"
    budget: str = "60s"
    batch: int | None = None
    threads: int | None = None
    plot: str | None = None
    columns: str | None = None


def view(request: Request, destination: Destination) -> None:
    """Measure, write and draw.

    Raises:
        ArchstatError: whatever cannot be carried out.
        KeyboardInterrupt: interrupted; what was finished is written and drawn.
    """
    asked = experiment_named(request.name)
    conditions = with_batch(
        Conditions(device=request.device, batch=request.batch, threads=request.threads)
    )
    budget_s = budget_of(request.budget, "60s")
    chosen = chosen_columns(request.columns, COLUMNS, "variant")
    if request.plot is not None:
        from archstat.reporters.plots import check_plot_path

        check_plot_path(request.plot)
    # Their names would not fit beside the bar.
    with budget_bar((), 1) as teller:
        found = run_experiment(asked, conditions, budget_s, progress=teller(0))
    destination.write(_shown(experiment_table(found), found, chosen, destination))
    if request.plot is not None:
        from archstat.cli.experiment_plot import draw

        draw(request.plot, found)
    if found.is_interrupted:
        raise KeyboardInterrupt


def _shown(
    table: Table, found: ExperimentRun, chosen: list[str] | None, destination: Destination
) -> Table:
    if chosen is not None:
        return table.select(chosen)
    if destination.is_raw:
        return table
    needs = _NEEDS if found.experiment.has_equal_macs else _UNEQUAL_NEEDS
    return fitted(table, needs, destination)

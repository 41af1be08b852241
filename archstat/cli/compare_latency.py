"""``compare --latency``: the models measured, beside what is counted."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.errors import SpecError
from archstat.result import Column, Table

ON_SCREEN = ("latency_ms", "latency_ms_low", "latency_ms_high", "verdict", "throughput")


class Latencies:
    """What ``--latency``, ``--device`` and ``--budget`` ask for, checked before anything is built.

    Raises:
        SpecError: options that do not go together, or no time.
        LatencyError, DeviceError: conditions that cannot be.
        LatencyStoreError: a store that cannot be appended to.
    """

    def __init__(
        self,
        wanted: bool,
        device: str | None,
        budget: str | None,
        clashing: Sequence[tuple[str, object]],
    ) -> None:
        self.wanted, self.interrupted = wanted, False
        if not wanted:
            for option, value in (("--device", device), ("--budget", budget)):
                if value is not None:
                    raise SpecError(f"{option} {value} is of measuring: add --latency.")
            return
        for option, clash in clashing:
            if clash:
                raise SpecError(
                    f"--latency measures models as their specs name them: leave {option} out, or "
                    "give the size as MODEL,resolution=SIZE."
                )
        from archstat.cli.bench_request import Request
        from archstat.measure.latency.store import LatencyStore, store_path

        self.request = Request(device=device, budget=budget)
        self.budget_s = self.request.budget_s()
        self.request.grid()
        self.store = LatencyStore(store_path())
        self.store.check()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The further columns."""
        if not self.wanted:
            return ()
        from archstat.tables.bench import COMPARED

        return COMPARED

    def shown(self, table: Table) -> list[str]:
        """The further columns of a screen that hold something."""
        return [key for key in ON_SCREEN if self.wanted and any(table.column(key))]

    def with_columns(
        self,
        table: Table,
        models: Sequence[str],
        input: Sequence[str] | None,
        batch: int | None,
        reference: int,
    ) -> Table:
        """The comparison of these models with the further columns, measured now.

        Raises:
            KeyboardInterrupt: interrupted before there was anything to tell.
        """
        if not self.wanted:
            return table
        from dataclasses import replace

        from archstat.cli.bench_views import measured
        from archstat.tables.bench import with_latency

        request = replace(self.request, models=tuple(models), input=tuple(input or ()))
        grid = tuple(replace(conditions, batch=batch) for conditions in request.grid())
        series = measured(request, grid, self.budget_s, reference, self.store)
        if not series.runs:
            raise KeyboardInterrupt
        self.interrupted = series.interrupted
        return with_latency(table, series.runs[0], reference)

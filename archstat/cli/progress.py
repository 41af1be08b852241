"""A progress bar on standard error, where somebody looks at it and it is worth it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archstat.measure.latency.measurement import Interval, Progress
from archstat.units import format_milliseconds, format_share

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

Teller = Callable[[Progress], None]


@contextmanager
def budget_bar(models: Sequence[str], runs: int) -> Iterator[Callable[[int], Teller | None]]:
    """Give, for the number of a run among so many, who is to be told of its progress.

    Nobody is told where standard error is not a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda run: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    # The text gives way on a narrow screen, the bar stays.
    text = TextColumn("{task.description}", markup=False,
                      table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))  # fmt: skip
    console = Console(stderr=True)
    with Bar(text, BarColumn(20), _spent(), console=console, transient=True, expand=True) as bar:
        task = bar.add_task("starting", total=float(runs), began=time.monotonic(), budget_s=0.0)

        def teller(run: int) -> Teller:
            def tell(progress: Progress) -> None:
                bar.update(
                    task,
                    completed=run + progress.share,
                    description=described(models, runs, run, progress),
                    began=time.monotonic() - progress.elapsed_s,
                    budget_s=progress.budget_s,
                )

            return tell

        yield teller


def _spent() -> ProgressColumn:
    """A column that goes on between two tellings: processes take seconds to start."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Spent(ProgressColumn):
        def render(self, task: Task) -> Text:
            elapsed_s = time.monotonic() - task.fields["began"]
            return Text(spent(elapsed_s, task.fields["budget_s"]))

    return Spent()


def spent(elapsed_s: float, budget_s: float) -> str:
    """How much of a budget is used: ``3 of 10 s``, and beyond it ``12 s``."""
    whole = round(elapsed_s)
    return f"{whole} of {budget_s:.0f} s" if whole <= budget_s else f"{whole} s"


def described(models: Sequence[str], runs: int, run: int, progress: Progress) -> str:
    """What stands before the bar: ``"measuring 2/4  resnet18 26.31 ms ±3.1%"``."""
    count = f" {run + 1}/{runs}" if runs > 1 else ""
    found = zip(models, progress.intervals, strict=False)
    shown = [f"{model} {_interval(interval)}" for model, interval in found]
    stage = "starting processes" if progress.stage == "starting" else progress.stage
    return "  ".join([f"{stage}{count}", *shown])


def _interval(interval: Interval) -> str:
    middle = format_milliseconds(interval.middle)
    # One turn alone has no interval yet; "±0.0%" would be a lie.
    return f"{middle} ±{format_share(interval.half_width)}" if interval.half_width else middle


_WORTH_A_BAR = 3


def tracked(models: Sequence[str]) -> Iterable[str]:
    """The models in order, with a bar on a terminal when there are more than two."""
    return _with_bar(models) if len(models) >= _WORTH_A_BAR and sys.stderr.isatty() else models


def _with_bar(models: Sequence[str]) -> Iterator[str]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(models))
        for model in models:
            progress.update(task, description=model)
            yield model
            progress.advance(task)

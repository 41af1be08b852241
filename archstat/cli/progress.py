"""A progress bar on standard error, where somebody looks at it and has to wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from archstat.units import format_milliseconds, format_share

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

    from archstat.measure.latency.measurement import Interval, Progress

Teller: TypeAlias = "Callable[[Progress], None]"


@contextmanager
def budget_bar(models: Sequence[str], runs: int) -> Iterator[Callable[[int], Teller]]:
    """Give, for the number of a run among so many, who is to be told of its progress.

    Where standard error is not a terminal, a line says when a run will exceed its budget.
    """
    warned: list[str] = []

    def warn(progress: Progress) -> None:
        said = over_budget(progress)
        if said and not warned:
            warned.append(said)
            print(said, file=sys.stderr)

    if not sys.stderr.isatty():
        yield lambda run: warn
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
                said = over_budget(progress)
                if said and not warned:
                    warned.append(said)
                    bar.console.print(said, markup=False, highlight=False)
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


def over_budget(progress: Progress) -> str:
    """A sentence where a minimum of samples will take longer than the budget, else ""."""
    if progress.needed_s <= progress.budget_s:
        return ""
    return (f"archstat: a minimum of samples takes about {progress.needed_s:.0f} s, more than the "
            f"budget of {progress.budget_s:g} s.")  # fmt: skip


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


def tracked(models: Sequence[str], stage: str = "capturing") -> Iterator[str]:
    """The models in order, with a bar on a terminal that has to wait."""
    with working(stage, len(models) if len(models) > 1 else None) as tell:
        for number, model in enumerate(models):
            tell(number, f"{stage} {model}")
            yield model


_PATIENCE_S = 0.5  # what is done sooner shows nothing


@contextmanager
def working(text: str, total: float | None = None) -> Iterator[Tell]:
    """Give whom to tell what is done of a total, which shows on a terminal that has to wait."""
    if not sys.stderr.isatty():
        yield _Bar(text, total).tell
        return
    bar = _Bar(text, total)
    timer = Timer(_PATIENCE_S, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield bar.tell
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


class Tell(Protocol):
    """Who is told how much is done and, where that changes, what is being done."""

    def __call__(self, done: float, text: str | None = None) -> None:
        """Take note."""


class _Bar:
    """A bar that another thread may start; without a total it moves to and fro."""

    def __init__(self, text: str, total: float | None) -> None:
        self.text, self.total, self.done = text, total, 0.0
        self.bar: Any = None

    def tell(self, done: float, text: str | None = None) -> None:
        """Take note of what is done, and show it if the bar is there."""
        self.done, self.text = done, text or self.text
        if self.bar is not None:
            self.bar.update(0, completed=done, description=self.text)

    def start(self) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        # A spinner of ASCII, and streams that stay as they are while the command redirects them.
        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False),
                   BarColumn(20), TimeElapsedColumn())  # fmt: skip
        bar = Progress(*columns, console=Console(stderr=True), transient=True,
                       redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        task = bar.add_task(self.text, total=self.total)
        bar.update(task, completed=self.done)
        bar.start()
        self.bar = bar

    def stop(self) -> None:
        """Take it away, if it is there."""
        if self.bar is not None:
            self.bar.stop()

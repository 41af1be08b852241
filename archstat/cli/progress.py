"""A progress bar on standard error, where somebody looks at it and it is worth it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

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

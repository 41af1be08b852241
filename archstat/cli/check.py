"""``archstat check``: budgets of models, for a terminal and for continuous integration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.completion import complete_check_format
from archstat.cli.options import Rule, check_options

if TYPE_CHECKING:
    from archstat.budgets.gate import Outcome
    from archstat.budgets.rules import Config

ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Budgets to check, instead of archstat.toml or "
                 "pyproject.toml in this folder or above."),
]  # fmt: skip
Update = Annotated[
    bool, typer.Option("--update", help="Write the lock file with the models' present figures.")
]
Locked = Annotated[
    bool, typer.Option("--locked", help="Fail if the lock file does not match the models.")
]
CheckFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        autocompletion=complete_check_format,
        help="console, csv, json, markdown, latex or github.",
    ),
]


_RULE = Rule("--locked", excludes=["--update"], hint="it would change the lock file")


def check(
    context: typer.Context,
    config: ConfigFile = None,
    update: Update = False,
    locked: Locked = False,
    no_cache: options.NoCache = False,
    format: CheckFormat = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Check the budgets of archstat.toml or of [tool.archstat] in pyproject.toml.

    One row a rule: kept, broken, informational, incomplete or failed. Exit code 1 if a rule is
    broken, 2 if a model or the file fails, 3 if a count is incomplete. With --format github, -o
    writes a second file, whose suffix chooses its format.
    """
    from archstat.budgets import gate
    from archstat.budgets.lock import read_lock, write_lock
    from archstat.budgets.workers import useful_workers
    from archstat.cli.check_output import CheckDestination
    from archstat.cli.progress import tracked
    from archstat.errors import ConfigError, LockFileError

    check_options(context, _RULE)
    destination = CheckDestination(format, output)
    try:
        budgets = _read(config)
        lock = read_lock(budgets.lock_path)
    except (ConfigError, LockFileError) as error:
        destination.refuse(error)
        raise
    graphs, count = graphs_for(no_cache), gate.models(budgets)
    outcome = gate.check(
        budgets, lock, update=update, watch=tracked, workers=useful_workers(count), graphs=graphs
    )
    written = None
    if update:
        new = outcome.new_lock()
        written = new is not None and write_lock(budgets.lock_path, new, lock)
    destination.write_outcome(outcome, locked=locked, written=written)
    tell_of_cache(graphs, count, destination.is_raw)
    _finish(outcome, locked, destination.says_why)


def _read(given: str | None) -> Config:
    from archstat.budgets.reading import find_config, load

    return load(given if given is not None else os.path.relpath(find_config(Path.cwd())))


def _finish(outcome: Outcome, locked: bool, said_why: bool) -> None:
    """Turn the verdicts into the exit code.

    Raises:
        UnjudgedBudgetError, BrokenBudgetError, IncompleteCountError: 2, 1, 3.
    """
    from archstat.cli.check_output import reasons
    from archstat.errors import (
        EXIT_DISAGREES,
        EXIT_DONE,
        EXIT_FAILED,
        BrokenBudgetError,
        IncompleteCountError,
        UnjudgedBudgetError,
    )
    from archstat.tables.check_reasons import place, summary_line

    code = outcome.exit_code(locked=locked)
    if code == EXIT_DONE:
        return
    text = [f"{place(outcome.config)}: {summary_line(outcome)}"]
    if not said_why:
        text += reasons(outcome)
    stale = outcome.stale()
    if locked and stale:
        lock = outcome.config.lock_path.name
        text.append(f"{lock} is stale; run `archstat check --update` and commit it:")
        text += [f"    {sentence}" for sentence in stale]
    message = "\n".join(text)
    if code == EXIT_FAILED:
        raise UnjudgedBudgetError(message)
    raise BrokenBudgetError(message) if code == EXIT_DISAGREES else IncompleteCountError(message)

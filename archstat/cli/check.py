"""``archstat check``: budgets of models, for a terminal and for continuous integration."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.completion import complete_check_format, complete_model
from archstat.cli.options import Rule, check_options

if TYPE_CHECKING:
    from archstat.budgets.gate import Outcome
    from archstat.budgets.rules import Config

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL|RULE", autocompletion=complete_model,
                   help="Models and rules to check without a file, such as mobilenet_v2 "
                   "'params<=5M' 'macs<=300M'; settings as KEY=VALUE."),
]  # fmt: skip
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
Init = Annotated[
    bool,
    typer.Option("--init", help="Write a first file of budgets: today's figures + 5 %."),
]
Force = Annotated[bool, typer.Option("--force", help="With --init, replace the file.")]
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


_RULES = (
    Rule("--locked", excludes=["--update"], hint="--update changes the lock file"),
    Rule("--init", excludes=["--update", "--locked", "--format", "--output"],
         hint="it checks nothing yet"),
    Rule("--force", needs="--init"),
)  # fmt: skip
_OF_FILES = ("config", "update", "locked")


def check(
    context: typer.Context,
    words: Words = None,
    config: ConfigFile = None,
    update: Update = False,
    locked: Locked = False,
    init: Init = False,
    force: Force = False,
    input: options.Input = None,
    batch: options.Batch = None,
    no_cache: options.NoCache = False,
    format: CheckFormat = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Check the budgets of archstat.toml, of [tool.archstat] in pyproject.toml, or typed here.

    One row per rule: kept, broken, can't tell, informational, incomplete or failed. Exit code 1 if
    a rule is broken, 2 if a model or the file fails, 3 if a count is incomplete. With --format
    github, -o writes a second file, whose suffix chooses its format.
    """
    from archstat.budgets import gate
    from archstat.budgets.lock import read_lock, write_lock
    from archstat.budgets.workers import useful_workers
    from archstat.cli.check_output import CheckDestination
    from archstat.cli.progress import budget_bar, tracked
    from archstat.errors import ConfigError, LockFileError

    check_options(context, *_RULES)
    if init:
        _write_first(words or [], config, force, input, batch, no_cache)
        return
    destination = CheckDestination(format, output)
    try:
        budgets = _budgets(context, words, config, input, batch)
        lock = None if words else read_lock(budgets.lock_path)
    except (ConfigError, LockFileError) as error:
        destination.refuse(error)
        raise
    graphs, count = graphs_for(no_cache), gate.models(budgets)
    outcome = gate.check(budgets, lock, update=update, watch=tracked, bar=budget_bar,
                         workers=useful_workers(count), graphs=graphs)  # fmt: skip
    written = None
    if update:
        new = outcome.new_lock()
        written = new is not None and write_lock(budgets.lock_path, new, lock)
    destination.write_outcome(outcome, locked=locked, written=written)
    tell_of_cache(graphs, count, destination.is_raw)
    _finish(outcome, locked, destination.says_why)


def _budgets(
    context: typer.Context, words: list[str] | None, config: str | None,
    input: list[str] | None, batch: int | None,
) -> Config:  # fmt: skip
    """The budgets of the words typed, else of a file.

    Raises:
        SpecError: words or options that do not go together.
        ConfigError: no file, or mistakes in it.
    """
    from archstat.budgets.reading import find_config, load
    from archstat.budgets.without_file import config_of
    from archstat.errors import SpecError

    if words:
        for option in _OF_FILES:
            if context.params[option]:
                raise SpecError(
                    f"--{option} takes no MODEL and no RULE: it is for budgets in a file."
                )
        return config_of(words, input, batch)
    if input or batch:
        raise SpecError("--input and --batch need a MODEL; in a file they are keys of the budget.")
    return load(config if config is not None else os.path.relpath(find_config(Path.cwd())))


def _write_first(
    models: list[str], config: str | None, force: bool,
    input: list[str] | None, batch: int | None, no_cache: bool,
) -> None:  # fmt: skip
    """Write a file of budgets where there is none.

    Raises:
        SpecError: no model.
        OutputError: the file is there, or cannot be written.
    """
    from archstat.budgets.reading import OWN_FILE
    from archstat.budgets.without_file import first_budgets
    from archstat.cli.output import Destination
    from archstat.cli.progress import tracked
    from archstat.errors import OutputError, SpecError

    path = Path(config or OWN_FILE)
    if not models:
        raise SpecError("--init needs a MODEL, such as mobilenet_v2 or net.py:Net.")
    graph_of = partial(graphs_for(no_cache), guesses=False)
    text = first_budgets(models, graph_of, input, batch, tracked)
    if path.exists() and not force:
        raise OutputError(
            f"{path} exists already. --force replaces it; or add this to it:\n\n{text}"
        )
    Destination("console", str(path)).write_text(text)
    print(f"Wrote {path}; `archstat check` holds the models to it.\n\n{text}", end="")


def _finish(outcome: Outcome, locked: bool, said_why: bool) -> None:
    """Turn the verdicts into the exit code; standard output may have said why.

    Raises:
        Exit: there is nothing left to say.
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
    text: list[str] = []
    if not said_why:
        text += [f"{place(outcome.config)}: {summary_line(outcome)}", *reasons(outcome)]
    stale = outcome.stale()
    if locked and stale:
        lock = outcome.config.lock_path.name
        text.append(f"{lock} is stale; run `archstat check --update` and commit it:")
        text += [f"    {sentence}" for sentence in stale]
    if not text:
        raise typer.Exit(code)
    message = "\n".join(text)
    if code == EXIT_FAILED:
        raise UnjudgedBudgetError(message)
    raise BrokenBudgetError(message) if code == EXIT_DISAGREES else IncompleteCountError(message)

"""The gate: every budget of a file held against its model, each model captured once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain

from archstat.budgets.figures import Bar, no_bar, of_modules, timed, trained
from archstat.budgets.lock import Entry, LockFile, entry_of
from archstat.budgets.rules import LATENCY, RULE_COLUMNS, Budget, Config, Rule
from archstat.budgets.verdicts import State, Verdict, exact, judge, judge_latency
from archstat.budgets.workers import Ended, each_alone, in_order
from archstat.errors import (
    EXIT_DISAGREES,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INCOMPLETE,
    ArchstatError,
    BuildError,
    UnjudgedBudgetError,
)
from archstat.frontends.registered import registering
from archstat.graph import Graph
from archstat.measure.latency.measurement import LatencyRun
from archstat.models.cache import Graphs
from archstat.models.pipeline import report
from archstat.models.specs import parse_spec
from archstat.models.users_code import load_attribute
from archstat.result import COLUMNS_OF_TOPIC, Cell, Note, Report
from archstat.units import format_axes


def staleness(lock: LockFile | None, entries: Mapping[str, Entry | None]) -> Iterator[str]:
    """A sentence for each budget that a lock file lacks, has no use for, or has other figures of.

    Versions alone make nothing stale. A budget whose model failed (None) is not asked.
    """
    locked = lock.entries if lock is not None else {}
    for name, entry in entries.items():
        if name not in locked:
            yield f"{name} is not in it"
        elif entry is not None and entry != locked[name]:
            yield f"{name}: {', '.join(_differences(locked[name], entry))}"
    for name in sorted(locked.keys() - entries.keys()):
        yield f"{name} is in it, and no budget has that name"


def _differences(old: Entry, new: Entry) -> Iterator[str]:
    if old.model != new.model:
        yield f"model {old.model} -> {new.model}"
    if old.input != new.input:
        yield f"input {old.input} -> {new.input}"
    figures = False
    for key in (*new.totals, *(key for key in old.totals if key not in new.totals)):
        if key not in new.totals or key not in old.totals:
            yield f"{key} is {'no longer' if key not in new.totals else 'now'} checked"
        elif old.totals[key] != new.totals[key]:
            figures = True
            yield f"{key} {shown(key, old.totals[key])} -> {shown(key, new.totals[key])}"
    if old.lower_bounds != new.lower_bounds:
        yield "other counts are incomplete"
    if old.layers != new.layers and not figures:
        yield "the same totals from other layers"


def shown(key: str, cell: Cell) -> str:
    """A total in full, with the unit of its column."""
    if isinstance(cell, tuple):
        return format_axes(cell)
    if cell is None or isinstance(cell, str):
        return cell or "nothing"
    column = next((column for column in RULE_COLUMNS if column.key == key), None)
    return exact(column, cell) if column else f"{cell:,}"


Timed = LatencyRun | ArchstatError | None
# Budgets of one model at one input and batch, each with what is locked of it and its latency.
_Task = Sequence[tuple[Budget, Entry | None, Timed]]
Watch = Callable[[Sequence[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A budget with its verdicts, what its model is (None: it failed) and what is locked of it.

    `notes` say which operations are not counted.
    """

    budget: Budget
    verdicts: tuple[Verdict, ...]
    entry: Entry | None = None
    locked: Entry | None = None
    torch_version: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: the judged budgets in their order, and the lock file that it read."""

    config: Config
    judged: tuple[Judged, ...]
    lock: LockFile | None = None

    def __post_init__(self) -> None:
        """Refuse to say anything where a rule has no verdict, or more than one.

        Raises:
            UnjudgedBudgetError: the verdicts are not those of the budgets' rules, one by one.
        """
        asked = [(budget.name, budget.rules) for budget in self.config.budgets]
        told = [(one.budget.name, tuple(v.rule for v in one.verdicts)) for one in self.judged]
        if asked != told or not all(rules for _, rules in asked):
            raise UnjudgedBudgetError("there is not one verdict for each rule; report this.")

    def counts(self) -> Mapping[State, int]:
        """How many rules have each verdict."""
        return Counter(verdict.state for judged in self.judged for verdict in judged.verdicts)

    def new_lock(self) -> LockFile | None:
        """The lock file as it should be now; None where a model failed."""
        entries = {judged.budget.name: judged.entry for judged in self.judged}
        known = {name: entry for name, entry in entries.items() if entry is not None}
        if len(known) < len(entries):
            return None
        return LockFile(known, torch_version=self.judged[0].torch_version)

    def stale(self) -> tuple[str, ...]:
        """What the lock file says and the models are not, a sentence a budget."""
        entries = {judged.budget.name: judged.entry for judged in self.judged}
        return tuple(staleness(self.lock, entries))

    def exit_code(self, *, locked: bool = False) -> int:
        """2 if anything failed, else 1 if broken (or stale, where `locked`), else 3 or 0."""
        counts = self.counts()
        if counts.get("failed"):
            return EXIT_FAILED
        if counts.get("broken") or (locked and self.stale()):
            return EXIT_DISAGREES
        return EXIT_INCOMPLETE if counts.get("incomplete") else EXIT_DONE


def check(
    config: Config,
    lock: LockFile | None,
    *,
    update: bool = False,
    watch: Watch | None = None,
    workers: int = 1,
    graphs: Graphs | None = None,
    bar: Bar = no_bar,
) -> Outcome:
    """Every rule of every budget, judged; models are looked up from the folder of the file.

    Args:
        lock: what relative rules refer to, unless `update` makes today's figures the record.
        watch: is given the models to come, and gives them back one by one.
        workers: processes that share the models to capture; with more than one, this is forked.
        graphs: where Graphs come from; by default all are captured.
        bar: shows how far the measurement of a latency is.
    """
    # A Graph that was kept may know nothing of these operators.
    groups, graphs = _groups(config), (None if config.ops else graphs) or Graphs(None)
    locked = lock.entries if lock is not None else {}
    found: dict[str, Judged] = {}
    folder = config.path.parent.resolve()
    # Moving costs nothing, but a folder that somebody deleted cannot be moved back to.
    with nullcontext() if os.path.samefile(folder, ".") else chdir(folder):
        # Before there are other processes of this check that would compete with it.
        times = {budget.name: timed(budget, bar) for budget in config.budgets}
        tasks = [[(b, locked.get(b.name), times[b.name]) for b in group] for group in groups]
        known, missing = _split(tasks, graphs)
        users = [task for task in missing if _runs_users_code(task)]
        others = [task for task in missing if not _runs_users_code(task)]
        work = partial(_judge_group, update=update, graphs=graphs, ops=config.ops)
        alone = each_alone(work, users, workers)
        silent = each_alone(_import_mistake, config.silent, workers)
        captured = in_order(work, others, min(workers, len(others)))
        answered = (_judge(task, report(g, g.name), update) for task, g in known)
        apart = map(_of_process, users, alone)
        names = [_asked(task)[0] for task in (*(task for task, _ in known), *others, *users)]
        results = chain(answered, captured, apart)
        for _, judged in zip(watch(names) if watch else names, results, strict=True):
            found.update((one.budget.name, one) for one in judged)
        _refuse_unread(config, silent)
    answers = tuple(found[budget.name] for budget in config.budgets if budget.name in found)
    return Outcome(config, answers, lock)


def _split(tasks: Sequence[_Task], graphs: Graphs) -> tuple[list[tuple[_Task, Graph]], list[_Task]]:
    """The tasks whose Graph an earlier run kept, and those whose model is yet to be captured."""
    known, missing = [], []
    for task in tasks:
        graph = graphs.find(*_asked(task))
        if graph is None:
            missing.append(task)
        else:
            known.append((task, graph))
    return known, missing


def _runs_users_code(task: _Task) -> bool:
    return parse_spec(_asked(task)[0]).scheme == "python"


def _import_mistake(module: str) -> str | None:
    try:
        load_attribute(module, "__name__")
    except ArchstatError as error:
        return str(error)
    return None


def _refuse_unread(config: Config, answers: Iterable[str | Ended | None]) -> None:
    """A module that a wildcard reaches may have names that only running it makes.

    Raises:
        UnjudgedBudgetError: one does not import, so that nobody can tell.
    """
    for module, answer in zip(config.silent, answers, strict=True):
        if answer is not None:
            said = f"{module} {answer.how}" if isinstance(answer, Ended) else answer
            raise UnjudgedBudgetError(f"{config.path}: a wildcard reaches {module}: {said}")


def _of_process(task: _Task, answer: list[Judged] | Ended) -> list[Judged]:
    if isinstance(answer, Ended):
        model = _asked(task)[0]
        return _judge(
            task, BuildError(f"{model} {answer.how}; none of its rules can be checked."), False
        )
    return answer


def models(config: Config) -> int:
    """How many captures the budgets take: one a model and input, however many rules."""
    return len(_groups(config))


def _groups(config: Config) -> list[list[Budget]]:
    groups: dict[object, list[Budget]] = {}
    for budget in config.budgets:
        groups.setdefault((budget.model, budget.input, budget.setup.batch), []).append(budget)
    return list(groups.values())


def _asked(task: _Task) -> tuple[str, list[str] | None, int | None]:
    """The model, the input and the batch of budgets that share them."""
    first = task[0][0]
    return first.model, list(first.input) or None, first.setup.batch


def _judge_group(
    task: _Task, update: bool, graphs: Graphs, ops: Sequence[Mapping[str, str]]
) -> list[Judged]:
    """The budgets of one task, on one capture."""
    asked = _asked(task)
    try:
        with registering(ops):
            found: Report | ArchstatError = report(graphs.capture(*asked, guesses=False), asked[0])
    except ArchstatError as error:
        found = error
    return _judge(task, found, update)


def _judge(task: _Task, found: Report | ArchstatError, update: bool) -> list[Judged]:
    return [judged(budget, found, locked, time, update) for budget, locked, time in task]


def judged(
    budget: Budget,
    found: Report | ArchstatError,
    locked: Entry | None = None,
    time: Timed = None,
    update: bool = False,
) -> Judged:
    """A budget held against the Report of its model, or against why there is none.

    Args:
        locked: what the lock file records of it.
        time: its measured latency, or why there is none; None where no rule asks.
        update: makes the Report's own figures the record.
    """
    try:
        if isinstance(found, ArchstatError):
            raise found
        module = budget.setup.module
        report, errors = trained(of_modules(found, module) if module else found, budget)
    except ArchstatError as error:
        failed = tuple(_failed(rule, error) for rule in budget.rules)
        return Judged(budget, failed, None, locked)
    entry = entry_of(report, (rule.key for rule in budget.rules if rule.key != LATENCY))
    base = entry if update else locked
    verdicts = tuple(
        _verdict(rule, report, base, budget, time if rule.key == LATENCY else errors.get(rule.key))
        for rule in budget.rules
    )
    notes = tuple(finding.text for finding in report.findings if _concerns(finding, budget))
    return Judged(budget, verdicts, entry, locked, report.graph.torch_version, notes)


def _concerns(finding: Note, budget: Budget) -> bool:
    """Whether a finding says why a figure that a rule asks for is not whole."""
    if finding.topic in ("unknown_ops", "failed"):
        return True
    return any(rule.key in COLUMNS_OF_TOPIC.get(finding.topic, ()) for rule in budget.rules)


def _verdict(
    rule: Rule, report: Report, locked: Entry | None, budget: Budget, found: Timed
) -> Verdict:
    """The verdict on one rule; `found` is its latency, or why it has no figure."""
    try:
        if isinstance(found, ArchstatError):
            raise found
        if found is not None:
            return judge_latency(rule, found, informational=budget.informational)
        return judge(rule, report, locked, informational=budget.informational)
    except ArchstatError as error:
        return _failed(rule, error)


def _failed(rule: Rule, error: ArchstatError) -> Verdict:
    return Verdict(rule, None, None, None, None, "failed", str(error))

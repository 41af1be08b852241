"""The commands as functions of Python: the same words, and the same tables.

Models are modules, specs or Graphs, one or several; several may be a dict that names them. What
measures a model, or trains it, builds it anew and so takes specs alone. Each function imports what
it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archstat.errors import SpecError
from archstat.models.pipeline import analyze, graph_of, graph_of_spec
from archstat.result import Table
from archstat.tables.compare import Model, Models, named
from archstat.tables.rf import FieldTable

if TYPE_CHECKING:
    from archstat.differences.snapshots import Snapshot
    from archstat.measure.latency.measurement import LatencyRun

_SUMMARY = ("tree", "output", "params", "params_share", "macs", "macs_share", "flops")
_DIFF = ("row", "status", "layer", "params_before", "params_after", "params_change", "macs_before",
         "macs_after", "macs_change", "macs_share")  # fmt: skip
_BENCH = ("model", "latency_ms", "latency_ms_low", "latency_ms_high", "latency_ms_ratio", "verdict",
          "throughput")  # fmt: skip
_CHECK = ("budget", "rule", "value", "limit", "margin", "verdict")
_EXPLAIN = ("op", "figure", "formula", "arithmetic", "value", "unit")
_ON_SCREEN = 3


def summary(
    model: Model,
    input: Any = None,
    batch: int | None = None,
    *,
    depth: int | None = None,
    top: int | None = None,
    by: str = "macs",
    fusion: str = "none",
) -> Table:
    """One model as a tree of modules: parameters, macs, flops and their shares.

    Args:
        model, input, batch, fusion: as `analyze` takes them.
        depth: levels below the root; deeper modules are included in their parents.
        top: instead of the tree, so many modules with the largest own figures.
        by: the column that `top` orders by.

    Raises:
        SpecError: `by` does not add up over modules; see also `analyze`.
    """
    from archstat.tables.summary import summary as tree

    table = tree(analyze(model, input, batch, fusion=fusion), depth, top, by)
    return replace(table, shown=_SUMMARY)


def explain(model: Model, module: str = "", input: Any = None, batch: int | None = None) -> Table:
    """Each figure of a module, by default of the whole model: formula, numbers filled in, value.

    Args:
        model, input, batch: as `analyze` takes them.
        module: a path, such as ``"features.2"``.

    Raises:
        LookupFailedError: the model has no such module; see also `analyze`.
    """
    from archstat.tables.explain import explain as explained

    return replace(explained(analyze(model, input, batch), module).table, shown=_EXPLAIN)


def receptive_field(model: Model, input: Any = None, batch: int | None = None) -> FieldTable:
    """What every layer sees of the input, in input pixels, an entry a layer.

    Args:
        model, input, batch: as `analyze` takes them; `archstat.layers` gives the Graph of a list.

    Returns:
        The fields: indexed by number or by the path of a module, shown as a table.

    Raises:
        SpatialAxesError: the model has no input with spatial axes; see also `analyze`.
    """
    from archstat.tables.rf import field_table

    return field_table(graph_of(model, input, batch))


def guidelines(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    g1: float = 0.05,
    g2: float = 1.1,
    g3: float = 3.5,
    g4: float = 0.4,
    top: int | None = None,
    fusion: str = "inference",
) -> Table:
    """The guidelines of ShuffleNet V2: a row each, kept or broken, and the worst modules below.

    Args:
        models, input, batch, fusion: as `compare` takes them.
        g1, g2, g3, g4: what the figures must not exceed; see the meaning of `figure`.
        top: modules below each guideline; 3 of one model and none of several, by default.
    """
    from archstat.analyses.guidelines import Limits
    from archstat.analyses.memory_access import checked_fusion
    from archstat.tables.guidelines import guideline_table, judged

    chosen, limits = checked_fusion(fusion), Limits(g1, g2, g3, g4)
    found = [judged(name, graph_of(model, input, batch), limits, chosen)
             for name, model in named(models)]  # fmt: skip
    usual = _ON_SCREEN if len(found) == 1 else 0
    return guideline_table(found, chosen, usual if top is None else top)


def memory(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    optimizer: str = "sgd",
    dtype: Any = None,
    amp: bool = False,
    kernels: str = "cpu",
    fits: str | int | None = None,
    measure: bool = False,
) -> Table:
    """Bytes of a training step and of inference, a row a model; nothing is run on data.

    Args:
        models, input, batch: specs, as `compare` takes them.
        optimizer: sgd, momentum, adam or adamw.
        dtype: fp32, fp16, bf16, fp64 or torch's own; the model's by default.
        amp: fp32 weights under autocast.
        kernels: ``"cpu"`` or ``"cuda"``: whose to assume.
        fits: look for the largest batch that trains in such a size, as ``"24GiB"`` or in bytes.
        measure: also run the step on cpu, and give the allocator's peaks.

    Raises:
        SpecError: a model that is no spec, or settings that do not go together.
        CaptureError: the step raised, or the model has no backward pass.
    """
    from archstat.measure.training.rows import Plan, memory_row
    from archstat.tables.memory import memory_table, timelines
    from archstat.units import parse_bytes, short_dtype

    typed = None if dtype is None else short_dtype(str(dtype))
    settings = Plan(optimizer, typed, amp, kernels).settings()
    budget = parse_bytes(fits) if isinstance(fits, str) else fits
    rows = [memory_row(spec, settings, _inputs(input), batch, budget, measure=measure)
            for spec in _specs(models)]  # fmt: skip
    return replace(memory_table(rows, settings), picture=timelines(rows))


def roofline(
    models: Models,
    device: str,
    input: Any = None,
    batch: int | None = None,
    *,
    dtype: str = "fp32",
    fusion: str = "none",
    every: bool = False,
    top: int | None = None,
) -> Table:
    """The least time on a device, in ms, and what bounds it: a row a layer, or of several a model.

    Args:
        models, input, batch, fusion: as `compare` takes them.
        device: one that ``archstat roofline --list-devices`` shows, a TOML file, or ``"local"``.
        dtype: fp64, fp32, tf32, fp16, bf16, fp8 or int8.
        every: a row an operation.
        top: so many rows, those that take longest.

    Raises:
        DeviceError: no such device, or none that has the dtype.
    """
    from archstat.analyses.device_files import find_device
    from archstat.analyses.memory_access import checked_fusion
    from archstat.analyses.roofline import roofline as held_against
    from archstat.measure.latency.local_device import local_device
    from archstat.tables.roofline import layer_table, model_table, picture

    if device in ("local", "local-cuda"):
        known = local_device("cuda" if device == "local-cuda" else "cpu", False)
    else:
        known = find_device(device, None)
    chosen = checked_fusion(fusion)
    found = [held_against(graph_of(model, input, batch), name, known, dtype, chosen)
             for name, model in named(models)]  # fmt: skip
    table = model_table(found) if len(found) > 1 else layer_table(found[0], every)
    if top is not None:
        whole = [] if len(found) > 1 else [len(table) - 1]
        longest = [row for row in table.order("time_floor_ms", True) if row not in whole]
        table = table.take([*longest[:top], *whole])
    return replace(table, picture=picture(found))


def bench(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    device: str = "cpu",
    dtype: str = "fp32",
    threads: int | None = None,
    channels_last: bool = False,
    compile: bool = False,
    backward: bool = False,
    budget: str | float = "30s",
    reference: int = 0,
) -> Table:
    """Latency in ms on this machine, with 95 % intervals over processes and a verdict.

    Nothing is added to this machine's store. A script that calls it needs the usual
    ``if __name__ == "__main__":``.

    Args:
        models, input, batch: specs, as `compare` takes them.
        device: cpu, cuda or cuda:NUMBER.
        dtype: fp32, fp16, bf16 or amp.
        threads: of torch on the cpu.
        backward: a training step, not inference.
        budget: time for all of it, such as ``"30s"``, or seconds.
        reference: the number of the model that ratios are to.

    Raises:
        SpecError: a model that is no spec, or no time.
        LatencyError, DeviceError: conditions that cannot be met here.
    """
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.runs import measure
    from archstat.tables.bench import latency_table
    from archstat.units import parse_seconds

    conditions = Conditions(device, dtype, batch, threads=threads, channels_last=channels_last,
                            compile=compile, backward=backward)  # fmt: skip
    seconds = parse_seconds(budget) if isinstance(budget, str) else budget
    run: LatencyRun = measure(
        _specs(models), conditions.checked(), budget_s=seconds,
        input=_inputs(input) or (), reference=reference,
    )  # fmt: skip
    table = latency_table([run], reference)
    return replace(table, shown=tuple(key for key in _BENCH if any(table.column(key))))


def diff(
    before: Model,
    after: Model | None = None,
    input: Any = None,
    batch: int | None = None,
    *,
    base: str | None = None,
    head: str | None = None,
    top: int | None = None,
) -> Table:
    """What differs between two models: a row of the totals, and one for each layer that differs.

    Args:
        before, after: models as `analyze` takes them, or files of models (.json, .lock).
        base, head: git revisions to compare one spec at; `head` is the working tree by default.
        top: so many layers, the largest changes first.

    Raises:
        SpecError: neither `after` nor `base`, or both.
        RevisionError: no such revision.
    """
    from archstat.differences.difference import differences
    from archstat.tables.diff import raw_table

    if (after is None) == (base is None) or (head is not None and base is None):
        raise SpecError("diff takes two models, or one and base=, a git revision.")
    if after is not None:
        sides = tuple(_snapshots(model, input, batch) for model in (before, after))
    else:
        from archstat.differences.revisions import snapshots_at

        (spec,), shapes = _specs(before), _inputs(input)
        old = snapshots_at(spec, str(base), shapes, batch)
        new = snapshots_at(spec, head, shapes, batch) if head else _snapshots(spec, input, batch)
        sides = (old, new)
    return replace(raw_table(differences(*sides), None, top), shown=_DIFF)


def check(config: str | Path | None = None, *, update: bool = False) -> Table:
    """Budgets held against their models: a row a rule, with its `verdict`.

    Args:
        config: a file of budgets; by default archstat.toml or pyproject.toml here or above.
        update: write the lock file with the models' present figures.

    Raises:
        ConfigError, LockFileError: no budgets, or mistakes in a file.
    """
    from archstat.budgets import gate
    from archstat.budgets.lock import read_lock, write_lock
    from archstat.budgets.reading import find_config, load
    from archstat.tables.check import raw_table

    budgets = load(config if config is not None else find_config(Path.cwd()))
    lock = read_lock(budgets.lock_path)
    outcome = gate.check(budgets, lock, update=update)
    new = outcome.new_lock() if update else None
    if new is not None:
        write_lock(budgets.lock_path, new, lock)
    table = raw_table(outcome)
    rows = tuple(tuple(None if cell == inf else cell for cell in row) for row in table.rows)
    return replace(table, rows=rows, shown=_CHECK)


def crosscheck(
    models: Models, input: Any = None, batch: int | None = None, *, deep: bool = False
) -> Table:
    """Multiply-accumulates beside fvcore's and FlopCounterMode's, by kind or, `deep`, by module.

    Args:
        models, input, batch: specs, as `compare` takes them; they run for real on cpu.

    Raises:
        CaptureError: a tool's process failed as a whole; see also `analyze`.
    """
    from archstat.tables.crosscheck import crosscheck as parts
    from archstat.tables.crosscheck import crosscheck_table

    return crosscheck_table(parts(_specs(models), input, batch, deep=deep))


def audit(table: str | Path | Sequence[str], map: Mapping[str, str] | None = None) -> Table:
    """Somebody's table of models: a row a figure, with its `verdict` and the convention it follows.

    Args:
        table: a file in csv or markdown, or the lines of one.
        map: what columns hold, where their heads do not say so: ``{"flops": "Cost (G)"}``.

    Raises:
        SpecError: a table that cannot be read, or without models or figures.
    """
    from archstat.tables.audit import audit as judged
    from archstat.tables.audit import audit_table
    from archstat.tables.printed_table import printed_table, text_of

    text = text_of(str(table)) if isinstance(table, (str, Path)) else "\n".join(table)
    return audit_table(judged(printed_table(text, map), graph_of_spec))


def _specs(models: Models) -> list[str]:
    """The models, all of them specs."""
    given = [model for _, model in named(models)]
    for model in given:
        if not isinstance(model, str):
            raise SpecError(
                f"a {type(model).__name__} was given where the model is built anew: give a spec, "
                "such as 'net.py:Net' or 'resnet50'."
            )
    return [str(model) for model in given]


def _inputs(input: Any) -> list[str] | None:
    """Shapes as they would be typed."""
    from archstat.frontends.inputs import input_specs

    return None if input is None else [str(spec) for spec in input_specs(input)]


def _snapshots(model: Model, input: Any, batch: int | None) -> tuple[Snapshot, ...]:
    from archstat.differences.saved import is_file_of_models, saved_snapshots
    from archstat.differences.snapshots import snapshot_of

    if isinstance(model, str) and is_file_of_models(model):
        return saved_snapshots(model)
    return (snapshot_of(analyze(model, input, batch)),)

"""The commands as functions of Python: the same words, and the same tables.

Models are modules, specs or Graphs, one or several; several may be a dict that names them. Each
function imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from archstat.errors import Option, SpecError
from archstat.models.asked import with_words
from archstat.models.pipeline import analyze, graph_of, graph_of_spec
from archstat.result import Table
from archstat.tables.compare import Model, Models, named
from archstat.tables.rf import FieldTable
from archstat.tables.rf_pictures import draw_on_input

if TYPE_CHECKING:
    from archstat.budgets.gate import Outcome

_SUMMARY = ("tree", "output", "params", "params_share", "macs", "macs_share", "flops")
_DIFF = ("row", "status", "layer", "params_before", "params_after", "params_change", "macs_before",
         "macs_after", "macs_change", "macs_share")  # fmt: skip
_CHECK = ("budget", "rule", "value", "limit", "margin", "verdict")
_EXPLAIN = ("op", "figure", "formula", "arithmetic", "value", "unit")


def summary(
    model: Model,
    input: Any = None,
    batch: int | None = None,
    *,
    depth: int | None = None,
    top: int | None = None,
    by: str | None = None,
    sort: str = "macs",
    fusion: str = "none",
) -> Table:
    """One model as a tree of modules: parameters, macs, flops and their shares.

    Args:
        model, input, batch, fusion: as `analyze` takes them.
        depth: levels below the root; deeper modules are included in their parents.
        by: instead of the tree, a row a ``"stage"`` (size of the map), ``"type"`` or ``"block"``.
        top: instead of the tree, so many modules with the largest own figures.
        sort: the column that `top` orders by.

    Raises:
        SpecError: no such group, or `sort` does not add up over modules; see also `analyze`.
    """
    from archstat.tables.summary import summary as tree
    from archstat.tables.summary_groups import checked_group, grouped

    report = analyze(model, input, batch, fusion=fusion)
    if by is not None:
        if depth is not None or top is not None:
            raise SpecError(f"{Option('by', by)} takes no depth= and no top=: groups have no tree.")
        table = grouped(report, checked_group(by))
        return replace(table, shown=(by, "modules", *_SUMMARY[1:]))
    return replace(tree(report, depth, top, sort), shown=_SUMMARY)


def predict(
    models: Models,
    device: str,
    input: Any = None,
    batch: int | None = None,
    *,
    engine: str | None = None,
    dtype: str | None = None,
    layout: str | None = None,
    calibrate: str | Path | None = None,
) -> Table:
    """Throughput on a device that is not at hand, with an interval that four of five keep.

    Args:
        models, input: as `compare` takes them.
        device: fitted or known by its data sheet, a TOML file, or ``"board"``.
        batch: samples a batch; by default what is usual in the table of measurements.
        engine, dtype, layout: eager, compile or ncnn; amp or fp32; nchw or nhwc. By default what
            was measured.
        calibrate: a csv of measurements on the device: model, latency_ms, batch.

    Raises:
        SpecError, DeviceError: no such device, or nothing measured that is like it.
        ColumnError: `calibrate` is no file of three measurements or more; see also `analyze`.
    """
    from archstat.tables import predict as table

    path = None if calibrate is None else str(calibrate)
    fit = table.fit_named(str(device), engine, dtype, layout, path)
    errors: list[float] = []
    if path is not None:
        fit, errors = table.adapted(path, fit, graph_of_spec)
    found = [table.predicted(name, graph_of(model, input, 1), fit, batch)
             for name, model in named(models)]  # fmt: skip
    return replace(table.predict_table(found, fit, errors), shown=table.ON_SCREEN)


def explain(model: Model, module: str = "", input: Any = None, batch: int | None = None) -> Table:
    """Each figure of a module, by default of the whole model: formula, numbers filled in, value.

    Args:
        model, input, batch: as `analyze` takes them.
        module: a path, such as ``"features.2"``.

    Raises:
        LookupFailedError: the model has no such module; see also `analyze`.
    """
    from archstat.tables.explain import explain as explained

    return replace(explained(analyze(model, input, batch), str(module)).table, shown=_EXPLAIN)


@overload
def receptive_field(
    model: Model, input: Any = None, batch: int | None = None, *, layout: str | None = None,
    example: Any = None,
) -> FieldTable: ...  # fmt: skip


@overload
def receptive_field(
    model: Model, input: Any = None, batch: int | None = None, *, at: str | None = None,
    position: Sequence[int] | None = None, check: bool = False, effective: bool = False,
    weights: str | Path | None = None, layout: str | None = None, example: Any = None,
) -> Table: ...  # fmt: skip


def receptive_field(
    model: Model,
    input: Any = None,
    batch: int | None = None,
    *,
    at: str | None = None,
    position: Sequence[int] | None = None,
    check: bool = False,
    effective: bool = False,
    weights: str | Path | None = None,
    layout: str | None = None,
    example: Any = None,
) -> FieldTable | Table:
    """What every layer sees of the input, in input pixels, an entry a layer.

    Args:
        model, input, batch, layout, example: as `analyze` takes them; `archstat.layers` gives the
            Graph of a list.
        at: only this layer, by default the last: what its centre sees, or its `position`.
        position: an index an axis of the output, such as ``(3, 4)``.
        check: run the module, a pixel at a time: a row an axis, with its `disagreements`.
        effective: run the module: one row, where the gradient's mass lies.
        weights: with `effective`, a file with a state_dict for the module of a spec.

    Returns:
        The fields: indexed by number or by the path of a module, shown as a table; with one of the
        arguments from `at` on, a Table.

    Raises:
        SpatialAxesError: the model has no input with spatial axes; see also `analyze`.
        SpecError: a Graph where a module is run, or arguments that do not go together.
        LookupFailedError, InputError: no such layer or position, or weights that do not fit.
    """
    from archstat.tables import rf as tables

    fields = tables.field_table(graph_of(model, with_words(input, layout, example), batch))
    if check or effective:
        from archstat.tables.rf_measured import measured_table

        if (check and effective) or position is not None:
            raise SpecError("check=, effective= and position= do not go together: give one.")
        return measured_table(model, fields, at, weights, effective)
    if weights is not None:
        raise SpecError(f"{Option('weights', str(weights))} needs {Option('effective', True)}.")
    if at is None and position is None:
        return fields
    row = fields.final if at is None else tables.row_of(fields, str(at))
    picture = partial(draw_on_input, fields.graph.name, fields, row, position)
    return replace(tables.position_table(fields, row, position), picture=picture)


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
    from archstat.tables.guidelines import MOST_SHOWN, guideline_table, judged

    chosen, limits = checked_fusion(fusion), Limits(g1, g2, g3, g4)
    found = [judged(name, graph_of(model, input, batch), limits, chosen)
             for name, model in named(models)]  # fmt: skip
    usual = MOST_SHOWN if len(found) == 1 else 0
    return guideline_table(found, chosen, usual if top is None else top)


def roofline(
    models: Models,
    device: Any = None,
    input: Any = None,
    batch: int | None = None,
    *,
    dtype: Any = "fp32",
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
        SpecError: no such dtype; see also `analyze`.
        DeviceError: no such device, or none that has the dtype.
    """
    from archstat.tables.roofline import roofline_table
    from archstat.tables.roofs import Roof

    roof, together = Roof(None if device is None else str(device), dtype, fusion), named(models)
    found = [roof.over(graph_of(model, input, batch), name) for name, model in together]
    several = len(found) > 1
    table = roofline_table(found, every, several)
    if top is not None:
        whole = [] if several else [len(table) - 1]
        longest = [row for row in table.order("time_floor_ms", True) if row not in whole]
        table = table.take([*longest[:top], *whole])
    return table


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
    from archstat.differences.sides import both
    from archstat.tables.diff import raw_table
    from archstat.tables.functions_of_specs import typed

    sides, shapes = [before, *([] if after is None else [after])], input
    if base is not None:
        shapes = typed(input)
    return replace(raw_table(differences(*both(sides, base, head, shapes, batch)), None, top),
                   shown=_DIFF)  # fmt: skip


def check(
    *given: Models | Path,
    config: str | Path | None = None,
    update: bool = False,
    input: Any = None,
    batch: int | None = None,
    **rules: Any,
) -> Table:
    """Budgets held against their models: a row a rule, with its `verdict`.

    ``check("vgg16", "macs<=16G")``, ``check(net, params="<= 5M", input=(3, 32, 32))``; ``check()``
    takes those of archstat.toml or pyproject.toml here or above.

    Args:
        given: models as `compare` takes them, and rules, each for every model; or one file.
        config: a file of budgets.
        update: write the file's lock file with the models' present figures.
        input, batch: of the models, as `analyze` takes them.
        rules: further rules, and settings of a budget such as ``fits="24GiB"``.

    Raises:
        SpecError: a rule that cannot be, none, or a rule for a file; see also `analyze`.
        ConfigError, LockFileError: no budgets, or mistakes in a file.
    """
    from archstat.tables.check import raw_table

    demands = {**rules, "input": input, "batch": batch}
    asked = any(value is not None for value in demands.values())
    file = given[0] if len(given) == 1 and _is_file(given[0]) else config
    if (given and file is config) or asked:
        if file is not None or update:
            raise SpecError("a file has its own rules: give models and rules, or a file alone.")
        outcome = _held(given, demands)
    else:
        outcome = _of_file(file, update)
    table = raw_table(outcome)
    rows = tuple(tuple(None if cell == inf else cell for cell in row) for row in table.rows)
    return replace(table, rows=rows, shown=_CHECK)


def _is_file(given: Any) -> bool:
    return isinstance(given, Path) or (isinstance(given, str) and given.endswith(".toml"))


def _of_file(file: Any, update: bool) -> Outcome:
    from archstat.budgets import gate
    from archstat.budgets.lock import read_lock, write_lock
    from archstat.budgets.reading import find_config, load

    budgets = load(file if file is not None else find_config(Path.cwd()))
    lock = read_lock(budgets.lock_path)
    outcome = gate.check(budgets, lock, update=update)
    new = outcome.new_lock() if update else None
    if new is not None:
        write_lock(budgets.lock_path, new, lock)
    return outcome


def _held(given: Sequence[Any], demands: Mapping[str, Any]) -> Outcome:
    from archstat.budgets.gate import Outcome
    from archstat.budgets.in_python import held, mistakes
    from archstat.budgets.rules import Config
    from archstat.budgets.without_file import sorted_words

    words, content = sorted_words(one for one in given if isinstance(one, str))
    twice = sorted(key for key in content if demands.get(key) is not None)
    if twice:
        raise SpecError(f"{twice[0]} is given twice: as a word and as {Option(twice[0])}.")
    content |= {key: value for key, value in demands.items() if value is not None}
    found = list(mistakes(content))
    models = [pair for one in (*words, *(g for g in given if not isinstance(g, str)))
              for pair in named(one)]  # fmt: skip
    if not models:
        found.insert(0, "there is no model; give one, such as 'mobilenet_v2'.")
    if found:
        raise SpecError("\n".join(found))
    judged = tuple(held(model, content, name)[1] for name, model in models)
    return Outcome(Config(tuple(one.budget for one in judged), Path("archstat.check")), judged)

"""The commands as functions of Python: the same words, and the same tables.

Models are modules, specs or Graphs, one or several; several may be a dict that names them. Each
function imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

from archstat.errors import Option, SpecError
from archstat.models.asked import typed, with_words
from archstat.models.pipeline import analyze, graph_of, graph_of_spec
from archstat.result import Table
from archstat.tables.compare import Model, Models, anew, at_its_side, named, tools_for
from archstat.tables.rf import FieldTable
from archstat.tables.rf_pictures import draw_on_input

_SUMMARY = ("tree", "output", "params", "params_share", "macs", "macs_share", "flops")
_DIFF = ("row", "status", "layer", "params_before", "params_after", "params_change", "macs_before",
         "macs_after", "macs_change", "macs_share")  # fmt: skip
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
    as_: str | None = None,
    bits: str | None = None,
    fusion: str = "none",
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """One model as a tree of modules: parameters, macs, flops and their shares.

    Args:
        model, input, batch, fusion, layout, example: as `analyze` takes them.
        depth: levels below the root; deeper modules are included in their parents.
        by: instead of the tree, a row a ``"stage"`` (size of the map), ``"type"`` or ``"block"``.
        top: instead of the tree, so many modules with the largest own figures.
        sort: the column that `top` orders by.
        as_: a tool, such as ``"fvcore"``: what it counts beside macs, and where it differs.
        bits: widths such as ``"w4a8,first=8"``: also the bit operations, BOPs.

    Raises:
        SpecError: no such group or tool, arguments that do not go together, or `sort` does not add
            up over modules; see also `analyze`.
    """
    from archstat.tables.summary import summary as tree
    from archstat.tables.summary import with_columns
    from archstat.tables.summary_groups import checked_group, grouped
    from archstat.tables.summary_tools import with_difference, with_tool

    if by is not None and (depth, top, as_, bits) != (None,) * 4:
        raise SpecError(f"{Option('by', by)} takes no depth=, top=, as_= or bits=: groups have no "
                        "tree.")  # fmt: skip
    if as_ is not None and (top, bits) != (None,) * 2:
        raise SpecError(f"{Option('as_', as_)} takes no top= and no bits=: one figure beside macs.")
    tools = tools_for(as_, bits)
    asked = with_words(input, layout, example)
    report = analyze(model, asked, batch, fusion=fusion)
    if by is not None:
        table = grouped(report, checked_group(by))
        return replace(table, shown=(by, "modules", *_SUMMARY[1:]))
    for tool in tools:
        report = with_tool(report, at_its_side(tool, report, lambda _, *at: anew(model, *at)))
    keys = [tool.column.key for tool in tools]
    table = tree(with_columns(report, (*keys, sort)), depth, top, sort)
    if as_ is None:
        return replace(table, shown=(*_SUMMARY, *keys))
    table = with_difference(table, report, tools[0])
    return replace(table, shown=("tree", "macs", *keys, "difference", "why"))


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
    example: Any = None,
) -> Table:
    """Throughput on a device that is not at hand, with an interval that four of five keep.

    Args:
        models, input, example: as `compare` takes them.
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
    asked = with_words(input, None, example)
    found = [table.predicted(name, graph_of(model, asked), fit, batch)
             for name, model in named(models)]  # fmt: skip
    return replace(table.predict_table(found, fit, errors), shown=table.ON_SCREEN)


def explain(
    model: Model, module: str = "", input: Any = None, batch: int | None = None, *,
    layout: str | None = None, example: Any = None,
) -> Table:  # fmt: skip
    """Each figure of a module, by default of the whole model: formula, numbers filled in, value.

    Args:
        model, input, batch, layout, example: as `analyze` takes them; `archstat.layers` gives the
            Graph of a list.
        module: a path, such as ``"features.2"``.

    Raises:
        LookupFailedError: the model has no such module; see also `analyze`.
    """
    from archstat.tables.explain import explain as explained

    report = analyze(model, input, batch, layout=layout, example=example)
    return replace(explained(report, str(module)).table, shown=_EXPLAIN)


@overload
def receptive_field(
    model: Model, input: Any = None, batch: int | None = None, *, layout: str | None = None,
    example: Any = None,
) -> FieldTable: ...  # fmt: skip


@overload
def receptive_field(
    model: Model, input: Any = None, batch: int | None = None, *, at: str | None = None,
    position: Sequence[int] | None = None, check: bool = False, effective: bool = False,
    weights: str | Path | None = None, advise: bool = False, layout: str | None = None,
    example: Any = None,
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
    advise: bool = False,
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
        advise: a row a rule of the textbooks, kept or broken.

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
    if sum([check, effective, advise, position is not None]) > 1:
        raise SpecError("check=, effective=, advise= and position= do not go together: give one.")
    if check or effective:
        from archstat.tables.rf_measured import measured_table

        return measured_table(model, fields, at, weights, effective)
    if weights is not None:
        raise SpecError(f"{Option('weights', str(weights))} needs {Option('effective', True)}.")
    if advise:
        return tables.advice_table(fields)
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
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """The guidelines of ShuffleNet V2: a row each, kept or broken, and the worst modules below.

    Args:
        models, input, batch, fusion, layout, example: as `compare` takes them.
        g1, g2, g3, g4: what the figures must not exceed; see the meaning of `figure`.
        top: modules below each guideline; 3 of one model and none of several, by default.
    """
    from archstat.analyses.guidelines import Limits
    from archstat.analyses.memory_access import checked_fusion
    from archstat.tables.guidelines import MOST_SHOWN, guideline_table, judged

    chosen, limits = checked_fusion(fusion), Limits(g1, g2, g3, g4)
    asked = with_words(input, layout, example)
    found = [judged(name, graph_of(model, asked, batch), limits, chosen)
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
    device_file: str | Path | None = None,
    measure: bool = False,
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """The least time on a device, in ms, and what bounds it: a row a layer, or of several a model.

    Args:
        models, input, batch, fusion, layout, example: as `compare` takes them.
        device: one that ``archstat roofline --list-devices`` shows, a TOML file, or ``"local"``.
        dtype: fp64, fp32, tf32, fp16, bf16, fp8 or int8.
        every: a row an operation.
        top: so many rows, those that take longest.
        device_file: a TOML file of further devices.
        measure: measure the local device again.

    Raises:
        SpecError: no such dtype; see also `analyze`.
        DeviceError: no such device, or none that has the dtype.
    """
    from archstat.tables.roofline import roofline_table
    from archstat.tables.roofs import Roof

    name, file = (None if one is None else str(one) for one in (device, device_file))
    roof, asked = Roof(name, dtype, fusion, file, measure), with_words(input, layout, example)
    found = [roof.over(graph_of(model, asked, batch), name) for name, model in named(models)]
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
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """What differs between two models: a row of the totals, and one for each layer that differs.

    Args:
        input, batch, layout, example: as `analyze` takes them.
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

    sides = [before, *([] if after is None else [after])]
    shapes = with_words(input, layout, example)
    if base is not None:
        shapes = typed(shapes)
    return replace(raw_table(differences(*both(sides, base, head, shapes, batch)), None, top),
                   shown=_DIFF)  # fmt: skip

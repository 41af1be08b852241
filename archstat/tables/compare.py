"""`compare`: several models in one table, with ratios to a reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.memory_access import checked_fusion
from archstat.errors import ArchstatError, Option, SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.models.asked import sized, typed, with_words
from archstat.models.pipeline import (
    GraphOf,
    analyze,
    analyze_variants,
    graph_of,
    graph_of_spec,
    report,
)
from archstat.models.specs import parse_resolution
from archstat.result import IDENTITY, Cell, Column, Report, Table, notes_of
from archstat.tables import of_graphs
from archstat.units import format_count, format_shape, parse_seconds

if TYPE_CHECKING:
    from torch import nn

    from archstat.analyses.conventions.tools import Tool
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.measurement import LatencyRun

Model: TypeAlias = "nn.Module | Graph | str"
Models: TypeAlias = "Model | Sequence[Model] | Iterator[Model] | Mapping[str, Model]"

# Every cheap column has its ratio, but for texts, for numbers an axis, and for what a count of
# unknown operations is to another.
_COMPARED = tuple(
    column
    for column in COLUMNS
    if column.key != "unknown_ops" and column.unit not in ("text", "pixels")
)
_RATIOS = tuple(column.ratio() for column in _COMPARED)
# What a reader gets who chose no columns.
ON_SCREEN = ("model", "input", "params", "macs", "flops", "activations", "depth")
_FURTHER = ("score_map", "sliding_ratio", "latency_ms", "latency_ms_low", "latency_ms_high",
            "verdict", "throughput", "top1")  # fmt: skip
COMPARISON_COLUMNS: tuple[Column, ...] = (*IDENTITY, *COLUMNS, *_RATIOS)


def compare(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    reference: int | str = 0,
    variants: bool = False,
    fully_convolutional: bool = False,
    resolution: str | int | Sequence[int] | None = None,
    fusion: str = "none",
    layout: str | None = None,
    example: Any = None,
    as_: str | None = None,
    bits: str | None = None,
    predict: str | None = None,
    latency: bool = False,
    device: Any = "cpu",
    budget: str | float = "30s",
    join: str | Path | None = None,
    join_on: str | None = None,
    accuracy: str | None = None,
) -> Table:
    """One row a model, in the order given, with every ratio to the reference row.

    Args:
        models: modules, specs or Graphs, as `analyze` takes them, or a dict of them by name.
        input: shapes without the batch, for the models that bring none of their own.
        batch: put before every shape.
        reference: the model that ratios refer to, by number or by name.
        variants: below each model a row for each of its variants: depthwise-separable, grouped
            and factorised convolutions, strided convolutions instead of pooling.
        fusion: how memory access is counted, ``"none"`` or ``"inference"``.
        fully_convolutional: below each spec a row of it with convolutions for its dense layers.
        resolution: spatial size of the inputs, or of that form: ``384``, ``(384, 256)``.
        layout, example: of the inputs, as `analyze` takes them.
        as_: tools, such as ``"fvcore,thop"``: also what they would print.
        bits: widths such as ``"w4a8,first=8"``: also the bit operations, BOPs.
        predict: devices, such as ``"rtx-4090,h100-sxm"``: also throughput as `predict` has it.
        latency, device, budget: also measure the models, all of them specs, as `bench` does.
        join, join_on: also the columns of a csv file, by its column `model`, else `name`.
        accuracy: ``"timm"``: also published top-1 of `timm:` models and of the zoo.

    Raises:
        SpecError: no models, a reference that is none of them, or arguments that do not go
            together; see also `analyze`.
        ColumnError: `join` cannot be read, or neither it nor `accuracy` has any of the models.
    """
    together, sizes = named(models), resolution
    if isinstance(resolution, Sequence) and not isinstance(resolution, str):
        sizes = format_shape(tuple(resolution))
    size = None if sizes is None else parse_resolution(str(sizes))
    position = reference_row([name for name, _ in together], reference)
    forms = variants or fully_convolutional
    if sum([variants, fully_convolutional, latency]) > 1 or (latency and size):
        raise SpecError("variants=, fully_convolutional= and latency= do not go together, and "
                        "latency= takes no resolution=.")  # fmt: skip
    if predict is not None and forms:
        raise SpecError(f"{Option('predict', predict)} takes no variants= and no "
                        "fully_convolutional=: it predicts models as given.")  # fmt: skip
    asked = with_words(input, layout, example)
    if fully_convolutional:
        from archstat.tables.sliding import fully_convolutional_reports, with_sliding

        if asked is not None:
            raise SpecError("fully_convolutional= takes no input: resolution= gives its size.")
        pairs = [fully_convolutional_reports(spec, size, batch, checked_fusion(fusion))
                  for spec in specs_of(models)]  # fmt: skip
        groups = [_renamed(name, own) for (name, _), own in zip(together, pairs, strict=True)]
        table = with_sliding(table_of_groups(groups, position), groups)
    else:
        asked = asked if size is None else sized(asked, size)
        groups = [_renamed(name, reports_of(model, asked, batch, variants, fusion))
                  for name, model in together]  # fmt: skip
        table = table_of_groups(groups, position)
    run = partial(measured, models, asked, batch, device, budget, reference) if latency else None
    return with_further(table, groups, together, as_, bits, predict, run, join, join_on, accuracy)


def with_further(
    table: Table, groups: Sequence[Sequence[Report]], together: Sequence[tuple[str, Model]],
    as_: str | None, bits: str | None, predict: str | None, run: Callable[[], LatencyRun] | None,
    join: str | Path | None, join_on: str | None, accuracy: str | None,
) -> Table:  # fmt: skip
    """The comparison with what other tools, predictions, a run and files say of its models."""
    from archstat.tables.accuracy import ACCURACY_COLUMNS, checked_accuracy, with_accuracy
    from archstat.tables.bench import COMPARED, with_latency
    from archstat.tables.join import joined, read_joined
    from archstat.tables.predict import forecasts, with_forecasts

    tools, fits, given = tools_for(as_, bits), forecasts(predict), dict(together)
    more = (*(COMPARED if run else ()), *(ACCURACY_COLUMNS if accuracy else ()))
    taken = [*table.keys(), *(column.key for column in more)]
    extra = read_joined(join, taken, join_on)
    said = [extra.missing(list(given)), checked_accuracy(accuracy, list(given))]
    table = with_tools(table, groups, tools, lambda name, *at: anew(given[name], *at))
    table = with_forecasts(table, [one for group in groups for one in group], fits)
    table = table if run is None else with_latency(table, run())
    table = joined(with_accuracy(table) if accuracy else table, extra)
    own = [key for key in table.keys() if key not in taken]  # noqa: SIM118
    shown = [
        *ON_SCREEN,
        *(key for key in _FURTHER if key in table.keys()),  # noqa: SIM118
        *(key for key in own if not key.endswith(("_throughput_low", "_throughput_high"))),
    ]
    notes = notes_of(text for text in said if text)
    return replace(table, shown=tuple(shown), notes=(*table.notes, *notes))


def measured(
    models: Models, input: Any, batch: int | None, device: Any, budget: str | float,
    reference: int | str,
) -> LatencyRun:  # fmt: skip
    """The latency of the models, as `bench` measures it; see there."""
    from archstat.measure.latency.conditions import Conditions

    conditions = Conditions(str(device), batch=batch).checked()
    return latency_run(specs_of(models), conditions, parse_seconds(budget), typed(input) or (),
                       reference)  # fmt: skip


def latency_run(
    specs: Sequence[str], conditions: Conditions, budget_s: float, input: Sequence[str],
    reference: int | str,
) -> LatencyRun:  # fmt: skip
    """The run of `measure` with the reference by number or by name."""
    from archstat.measure.latency.runs import measure

    return measure(specs, conditions, budget_s=budget_s, input=input,
                   reference=reference_row(specs, reference))  # fmt: skip


def named(models: Models) -> list[tuple[str, Model]]:
    """Each model with its name: that of a dict, the spec, or the class; no name comes twice.

    Raises:
        SpecError: there is none.
    """
    if isinstance(models, Mapping):
        return [(str(name), model) for name, model in models.items()] or _none()
    # A module may be iterated, too, and is one model.
    several = isinstance(models, (Sequence, Iterator, ValuesView)) and not isinstance(models, str)
    together: list[Model] = list(cast("Sequence[Model]", models)) if several else [
        cast("Model", models)]  # fmt: skip
    if not together:
        return _none()
    names = [_name(model) for model in together]
    return [
        (name if isinstance(model, str) or names.index(name) == number else
         f"{name} #{names[: number + 1].count(name)}", model)
        for number, (name, model) in enumerate(zip(names, together, strict=True))
    ]  # fmt: skip


def specs_of(models: Models) -> list[str]:
    """The models, all of them specs.

    Raises:
        SpecError: one is a module or a Graph.
    """
    given = [model for _, model in named(models)]
    for model in given:
        if not isinstance(model, str):
            raise SpecError(
                f"a {type(model).__name__} was given where the model is built anew: give a spec, "
                "such as 'net.py:Net' or 'resnet50'."
            )
    return [str(model) for model in given]


def _none() -> NoReturn:
    raise SpecError("There is nothing to look at; name at least one model.")


def _renamed(name: str, reports: Sequence[Report]) -> list[Report]:
    """The Reports of a model and its variants under the model's name."""
    own = reports[0].model
    return [replace(one, model=name + one.model.removeprefix(own)) for one in reports]


def reports_of(
    model: nn.Module | Graph | str,
    input: Any,
    batch: int | None,
    variants: bool = False,
    fusion: str = "none",
    graph_of: GraphOf = graph_of_spec,
) -> tuple[Report, ...]:
    """The Report of one model, with those of its variants behind it if they are wanted.

    `graph_of` gives the Graph of a spec without variants; by default it is captured.
    """
    if variants:
        return analyze_variants(model, input, batch, fusion=fusion)
    if isinstance(model, str):
        return (report(graph_of(model, input, batch), model, checked_fusion(fusion)),)
    return (analyze(model, input, batch, fusion=fusion),)


def table_of_groups(groups: Sequence[Sequence[Report]], position: int) -> Table:
    """The comparison of groups of reports with the first of the group at `position`."""
    row = sum(len(group) for group in groups[:position])
    return table_of([report for group in groups for report in group], row)


def table_of(reports: Sequence[Report], position: int) -> Table:
    """The comparison of finished reports with the one at `position`."""
    base = reports[position]
    bounds = {(row, key) for row, report in enumerate(reports) for key in report.lower_bounds}
    findings = [finding for report in reports for finding in report.findings]
    return of_graphs(
        [report.graph for report in reports],
        COMPARISON_COLUMNS,
        [tuple(_cells(report, base)) for report in reports],
        bounds=frozenset(bounds),
        reference=position,
        notes=tuple(dict.fromkeys(findings)),
        convention={**CONVENTION, **base.conventions},
    )


def _name(model: Model) -> str:
    if isinstance(model, str):
        return model
    return model.name if isinstance(model, Graph) else type(model).__name__


def reference_row(names: Sequence[str], reference: object) -> int:
    """The row that ratios refer to.

    Raises:
        SpecError: no rows, or a reference that is none of them.
    """
    if not names:
        raise SpecError("There is nothing to compare; name at least one model.")
    if isinstance(reference, int):
        if not -len(names) <= reference < len(names):
            raise SpecError(f"reference={reference}: there are only {len(names)} models.")
        return reference % len(names)
    if not isinstance(reference, str):
        kind = type(reference).__name__
        raise SpecError(f"{Option('reference')} takes a model's number or name, not a {kind}.")
    if reference not in names:
        raise SpecError(
            f"The reference {reference!r} is not one of the models: {', '.join(names)}."
            f"{did_you_mean(reference, names)}"
        )
    return names.index(reference)


def _cells(report: Report, base: Report) -> Iterator[Cell]:
    yield report.model
    yield report.input
    for column in COLUMNS:
        yield report.totals[column.key]
    for column in _COMPARED:
        mine, theirs = report.totals[column.key], base.totals[column.key]
        yield None if mine is None or not theirs else mine / theirs


def with_tools(
    table: Table,
    groups: Sequence[Sequence[Report]],
    tools: Sequence[Tool],
    graph_of: GraphOf = graph_of_spec,
) -> Table:
    """The comparison with a column for each tool: what it would print for each model."""
    if not tools:
        return table
    reports = [report for group in groups for report in group]
    cells = [
        tuple(at_its_side(tool, report, graph_of).total(report.graph) for tool in tools)
        for report in reports
    ]
    return replace(
        table,
        columns=(*table.columns, *(tool.column for tool in tools)),
        rows=tuple((*row, *more) for row, more in zip(table.rows, cells, strict=True)),
        notes=(*table.notes, *notes_of(_told(tool, reports) for tool in tools)),
    )


def at_its_side(tool: Tool, report: Report, graph_of: GraphOf) -> Tool:
    """The tool with its figures at a square of its side, scaled; as it is where none can run."""
    shapes = [report.graph.values[value].shape for value in report.graph.inputs]
    if not tool.side or len(shapes) != 1 or len(shapes[0]) != 4:
        return tool
    _, channels, *sides = shapes[0]
    shape = format_shape((channels, tool.side, tool.side))
    try:
        small = tool.count(graph_of(report.model, shape, shapes[0][0]))
    except ArchstatError:
        return tool
    area = tool.side**2
    scaled = {path: figure * prod(sides) // area for path, figure in small.items()}
    return replace(tool, count=lambda _: scaled, side=0)


def tools_for(names: str | None, bits: str | None) -> tuple[Tool, ...]:
    """The tools that names with commas between and widths of bits ask for; see `tools_named`."""
    if names is None and bits is None:
        return ()
    from archstat.analyses.conventions.bits import bit_operations
    from archstat.analyses.conventions.tools import tools_named

    tools = () if names is None else tools_named(names)
    return tools if bits is None else (*tools, bit_operations(bits))


def anew(model: Model, input: Any, batch: int | None) -> Graph:
    """The Graph of a model at another input; a SpecError where it is a Graph itself."""
    if isinstance(model, Graph):
        raise SpecError(f"{model.name} is a Graph and has no modules: give the model itself.")
    return graph_of(model, input, batch)


def _told(tool: Tool, reports: Sequence[Report]) -> str:
    """What a tool's figure holds, and what it misses of the macs of these models."""
    missed = {report.model: tool.missed(report) for report in reports if tool.counts_products}
    parts = [
        f"{format_count(layers.total())} macs of {name} ({', '.join(dict(layers.most_common(3)))})"
        for name, layers in missed.items() if layers
    ]  # fmt: skip
    misses = f" It misses {'; '.join(parts)}." if parts else ""
    return f"{tool.column.key}: {tool.column.meaning}.{misses}"

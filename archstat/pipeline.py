"""`analyze`: the one place where front ends meet analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archstat.analyses import ANALYSES, COLUMNS
from archstat.errors import CaptureError, InputError
from archstat.graph import Graph
from archstat.result import Analysis, Cell, Column, Finding, Number, Report, Table
from archstat.sources import Source, find
from archstat.specs import parse_batch, parse_spec
from archstat.units import InputSpec

if TYPE_CHECKING:
    from torch import nn

CONVENTION: Mapping[str, str] = {
    "macs": "multiply-accumulates of conv, linear, matmul and attention, without bias",
    "flops": "2 x macs, plus bias, norm, activation, pooling and element-wise operations",
    "mode": "inference, per batch as given",
}


def analyze(
    model: nn.Module | Graph | str,
    input: Any = None,
    batch: int | None = None,
) -> Report:
    """Everything archstat counts of one model at one input.

    Args:
        model: a module, a spec such as ``"vgg16"`` or ``"nets/mine.py:Net,depth=50"``, or a Graph.
        input: shapes without the batch: ``"3x224x224"``, ``(3, 224, 224)``, a dict of them by
            argument name, or a list for several. By default the spec's, then the network's own.
        batch: put before every shape; 1 by default.

    Returns:
        A Report; `Report.totals` maps column keys to plain numbers, in elements, operations and
        bytes as each key says.

    Raises:
        SpecError, LookupFailedError, BuildError: the spec, or what it names, is wrong.
        InputError: the model refuses the input, or none is known for it.
        CaptureError: forward raised for another reason.
    """
    if isinstance(model, Graph):
        return report(model, model.name)
    if batch is not None:
        parse_batch(str(batch))
    if isinstance(model, str):
        return report(graph_of_spec(model, input, batch), model)
    from archstat.inputs import input_specs

    if input is None:
        raise InputError(_no_input(model, type(model).__name__, batch or 1))
    graph = _captured(model, type(model).__name__, input_specs(input), batch or 1, None)
    return report(graph, graph.name)


def graph_of_spec(text: str, input: Any = None, batch: int | None = None) -> Graph:
    """The Graph of the model that a spec names; `input` and `batch` yield to the spec's own."""
    spec = parse_spec(text)
    source = find(spec)
    module = source.build()
    from archstat.inputs import input_specs

    specs = input_specs(input) if input is not None else ()
    if spec.input is not None:
        specs = (spec.input,)
    specs = specs or source.default_inputs(module)
    batch = spec.batch or batch or 1
    if spec.resolution:
        specs = _at_resolution(text, specs, spec.resolution)
    if not specs:
        raise InputError(_no_input(module, text, batch))
    return _captured(module, text, specs, batch, source)


def _captured(
    module: nn.Module, title: str, specs: tuple[InputSpec, ...], batch: int, source: Source | None
) -> Graph:
    from archstat.frontends.module import capture_call, unwrapped
    from archstat.inputs import tensors_for

    root = unwrapped(module)
    args, kwargs = tensors_for(specs, batch, root)
    try:
        return capture_call(root, args, kwargs, title)
    except CaptureError as error:
        cause = error.__cause__ or error
        if source is not None and _wants_data(cause):
            return _captured(source.build_for_real(), title, specs, batch, None)
        hint = _working_input(root, batch, specs)
        if hint is None:
            raise
        raise InputError(f"{error}. This model runs with: {hint}") from cause


def _wants_data(error: BaseException) -> bool:
    """Whether forward failed for want of real numbers, not of another input."""
    return "meta" in str(error).lower() or "data-dependent" in str(error).lower()


def _no_input(module: nn.Module, title: str, batch: int) -> str:
    hint = _working_input(module, batch, ())
    remedy = (
        f"this model runs with: {hint}" if hint else "give its shape, such as --input 3x224x224"
    )
    return f"{title} has no default input; {remedy}"


def _working_input(module: nn.Module, batch: int, tried: tuple[InputSpec, ...]) -> str | None:
    from archstat.inputs import working_inputs

    specs = working_inputs(module, batch)
    if specs is None or specs == tried:
        return None
    return " ".join(f"--input {spec}" for spec in specs)


def _at_resolution(
    text: str, specs: tuple[InputSpec, ...], resolution: tuple[int, ...]
) -> tuple[InputSpec, ...]:
    axes = len(specs[0].shape) - 1 if specs else 0
    if len(resolution) not in (1, axes) or axes < 1:
        raise InputError(f"{text}: resolution= needs one size or one for each of {axes} axes.")
    sizes = resolution * axes if len(resolution) == 1 else resolution
    first = InputSpec((specs[0].shape[0], *sizes), specs[0].dtype, specs[0].name)
    return (first, *specs[1:])


def report(graph: Graph, model: str) -> Report:
    """The Report of a Graph: every analysis in order, totals, layers and kinds."""
    found = [analyzer.run(graph) for analyzer in ANALYSES]
    notes = [Finding("note", "", f"{model}: {note}") for note in graph.notes]
    bounds = frozenset[str]().union(*(analysis.lower_bounds for analysis in found))
    return Report(
        model=model,
        input=graph.input_text,
        totals={key: total for analysis in found for key, total in analysis.totals.items()},
        columns=COLUMNS,
        layers=_layers(graph, found),
        by_kind=_by_kind(graph, found),
        lower_bounds=bounds,
        findings=(*(f for analysis in found for f in analysis.findings), *notes),
        graph=graph,
    )


def _layers(graph: Graph, found: Sequence[Analysis]) -> Table:
    """A row for each module with its own figures: what stands directly under its path."""
    own: dict[str, dict[str, Number]] = {module.path: {} for module in graph.modules}
    types = {module.path: module.type for module in graph.modules}
    columns = _additive(found)
    for analysis in found:
        for path, figures in analysis.per_module.items():
            own.setdefault(path, {}).update(figures)
        for key, numbers in analysis.per_op.items():
            for op, number in zip(graph.ops, numbers, strict=True):
                row = own.setdefault(op.module, {})
                row[key] = row.get(key, 0) + number
                types.setdefault(op.module, op.module_type)
    rows: list[tuple[Cell, ...]] = [
        (path, types.get(path, ""), *(row.get(column.key, 0) for column in columns))
        for path, row in own.items()
    ]
    return Table((*_LAYER, *columns), tuple(rows))


def _additive(found: Sequence[Analysis]) -> tuple[Column, ...]:
    keys = {key for analysis in found for key in analysis.per_op}
    keys |= {key for a in found for figures in a.per_module.values() for key in figures}
    return tuple(column for column in COLUMNS if column.key in keys)


def _by_kind(graph: Graph, found: Sequence[Analysis]) -> dict[str, dict[str, Number]]:
    split: dict[str, dict[str, Number]] = {}
    for analysis in found:
        for key, numbers in analysis.per_op.items():
            for op, number in zip(graph.ops, numbers, strict=True):
                if number:
                    kind = split.setdefault(op.kind, {})
                    kind[key] = kind.get(key, 0) + number
    return split


_LAYER = (
    Column("module", "text", "path of the module, empty for the root"),
    Column("type", "text", "class of the module"),
)

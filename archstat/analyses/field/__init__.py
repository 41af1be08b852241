"""Receptive fields: which input pixels every value of a Graph sees, per spatial axis.

The axes are the dimensions after batch and channel of the first floating-point input. Every op
says how an index of its output comes from indices of its inputs; `receptive_field` composes these
into a size, a stride and a padding a value, and `FieldRow.interval` walks them back, clipped at
every layer, from one output position to the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from archstat.analyses.field.axes import GEOMETRIC, RECURRENT, axes_of
from archstat.analyses.field.rows import FieldRow as FieldRow
from archstat.analyses.field.states import Link, State
from archstat.analyses.field.sums import RULES, unknown
from archstat.analyses.field.trace import Trace, place_of
from archstat.errors import SpatialAxesError
from archstat.graph import Graph
from archstat.result import Analysis, Analyzer, Cell, Column, Note
from archstat.units import format_axes


def feeding_value(trace: Trace, output: int) -> int:
    """The value that feeds the first global pooling or flatten on the way to an output.

    It is the output itself where a path goes by all of these, as in a segmentation network, gates
    left out of account. Of several (a network that pools after each stage) it is the last.
    """
    poolings = _poolings(trace.state(output), trace.maker.all)
    if not poolings:
        return output
    made = max((state for state, _ in poolings), key=lambda state: state.made or 0)
    link = max((link for state, link in poolings if state is made), key=lambda k: k.state.order)
    op = trace.graph.ops[made.made or 0]
    value = next(v for v in op.inputs if (s := trace.states[v]) is not None and
                 (s is link.state or s.maps == link.state.maps))  # fmt: skip
    return _before_flatten(trace, value)


def _poolings(output: State, states: list[State]) -> list[tuple[State, Link]]:
    """The links that pool on the paths to an output; none where a path leads around them."""
    waiting, found = {output.order}, []
    for order in range(output.order, -1, -1):
        if order not in waiting:
            continue
        if order == 0:
            return []
        state = states[order]
        for link in state.links:
            if link.gates and any(link.gates):
                continue
            if link.pools:
                found.append((state, link))
            else:
                waiting.add(link.state.order)
    return found


def _before_flatten(trace: Trace, value: int) -> int:
    """The value whose axes stand in dimensions of their own, before views merged them."""
    producers, ops = trace.graph.producers, trace.graph.ops
    while not trace.state(value).parts and trace.settled(value) is None:
        index = producers[value]
        if index is None or ops[index].kind not in ("reshape", "other", "activation"):
            return value
        before = next((v for v in ops[index].inputs if trace.states[v] is not None), None)
        if before is None:
            return value
        value = before
    return value


COLUMNS = (
    Column("receptive_field", "pixels", "input pixels that the last features see, per axis"),
    Column("effective_stride", "pixels", "input pixels between two of these features, per axis"),
    Column("effective_padding", "pixels", "input pixels that the first lies outside, per axis"),
    Column("global_from", "text", "the first layer or gate that sees the whole input"),
)


@dataclass(frozen=True)
class Fields:
    """The receptive fields of a whole Graph, over `axes` spatial axes of `input_sizes`.

    `final` is the value that feeds the first global pooling or flatten, or else the output;
    `global_from` names the first layer or gate before the output that sees everything. `outputs`
    has a final value for each output that comes from the input; `final` is the first.
    """

    graph: Graph
    axes: int
    input_sizes: tuple[int, ...]
    final: FieldRow
    global_from: str | None
    findings: tuple[Note, ...]
    outputs: tuple[FieldRow, ...]
    _trace: Trace = field(repr=False, compare=False)

    @property
    def root(self) -> int:
        """The input whose axes are counted, a value of the graph."""
        return self._trace.root

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions of that input that are the axes."""
        return self._trace.dims

    @cached_property
    def rows(self) -> tuple[FieldRow, ...]:
        """A row for each op that reads the input, in execution order."""
        return tuple(rows_of(self._trace))

    @cached_property
    def layers(self) -> tuple[FieldRow, ...]:
        """The rows that have a geometry of their own: windows, pads, resizes, crops, joins.

        A recurrent layer has one, however many ops it is unrolled into.
        """
        made = {state.made for state in self._trace.maker.all} - self._unrolled()
        return tuple(row for row in self.rows if row.op in made or row.kind in GEOMETRIC)

    def _unrolled(self) -> set[int]:
        """The ops of recurrent layers but those that give their outputs a geometry."""
        states, found = self._trace.states, set[int]()
        for call in self.graph.calls:
            left = [state for value in call.outputs if (state := states[value]) is not None]
            if call.module_type in RECURRENT and left:
                # Of the outputs of all steps and the last states, the first are the layer's.
                whole = max(left, key=lambda state: prod(state.sizes))
                found |= {*range(call.first, call.last)} - {whole.made}
        return found

    def of_value(self, value: int) -> FieldRow | None:
        """The row of any value; None where it does not come from the input."""
        if self._trace.states[value] is None:
            return None
        return row_of(self._trace, value, latest=value in self.graph.outputs)


def receptive_field(graph: Graph) -> Fields:
    """The receptive field of every value of a Graph.

    Raises:
        SpatialAxesError: no floating-point input has a dimension after batch and channels, or it
            has one alone, and no window reads it: the features of tokens.
    """
    axes = axes_of(graph, RULES, unknown)
    trace = Trace(graph, axes.root, axes.dims)
    trace.run(RULES, unknown)
    tracked = [value for value in graph.outputs if trace.states[value] is not None]
    if not tracked:
        raise SpatialAxesError(f"{graph.name} has no output that comes from its spatial input.")
    outputs = tuple(row_of(trace, feeding_value(trace, value), True) for value in tracked)
    doubts = [_note("", f"{axes.remark}.")] if axes.remark else []
    findings = [*trace.findings, *unaligned(trace), *doubts, *_told_apart(outputs)]
    last = trace.state(tracked[0]).first_global
    return Fields(
        graph, trace.maker.axes, trace.maker.sizes, outputs[0], last[1] if last else None,
        tuple(dict.fromkeys(findings)), outputs, trace,
    )  # fmt: skip


def _note(module: str, text: str) -> Note:
    return Note("receptive_field", module, f"receptive field: {text}")


def _told_apart(outputs: Sequence[FieldRow]) -> list[Note]:
    """A finding where outputs have different fields."""
    told = list(dict.fromkeys(_in_words(row) for row in outputs))
    if len(told) < 2:
        return []
    others = f"{', '.join(told[1:4])}{' and more' if len(told) > 4 else ''}"
    return [_note("", f"of the {len(outputs)} outputs the figures are those of the first "
                  f"({told[0]}); others have {others}.")]  # fmt: skip


def _in_words(row: FieldRow) -> str:
    if not row.known:
        return "an unknown field"
    side, step = (format_axes(sizes) for sizes in (row.receptive_field, row.effective_stride))
    if set(row.receptive_field) == {None}:
        return "all of the input"
    return f"{side} at stride {step}" if set(row.effective_stride) != {None} else f"{side}"


def rows_of(trace: Trace) -> Iterator[FieldRow]:
    """A row for each op whose output comes from the input."""
    states = trace.states
    for op in trace.graph.ops:
        value = next((value for value in op.outputs if states[value] is not None), None)
        if value is not None:
            yield row_of(trace, value)


def row_of(trace: Trace, value: int, latest: bool = False) -> FieldRow:
    """The row of a value that comes from the input, as it was made or, `latest`, is in the end."""
    state, index = trace.state(value), trace.graph.producers[value]
    if not latest:
        state = trace.writes.first.get(value) or state
    elif not state.parts:
        state = trace.settled(value) or state
    op = None if index is None else trace.graph.ops[index]
    name = ("", "", "input", "input") if op is None else (
        op.module, op.module_type, op.name, op.kind)  # fmt: skip
    written = trace.writes.last_on(value) if latest else None
    return FieldRow(index, value, *name, op, state, trace.maker, written)


def unaligned(trace: Trace) -> list[Note]:
    """A finding for each join of values whose strides differ."""
    found = []
    for index, state in trace.maker.unaligned:
        op = trace.graph.ops[index]
        place = place_of(op)
        strides = sorted({_strides(link.state) for link in state.links})
        what = f"effective stride {' and '.join(strides)}" if len(strides) > 1 else "other places"
        found.append(
            _note(
                op.module,
                f"{op.name} in {place} joins values of {what}; their field differs "
                "from position to position.",
            )
        )
    return found


def _strides(state: State) -> str:
    steps = (None if m is None or m.table else m.a / m.b for m in state.maps)
    return "x".join("-" if step is None else f"{step:g}" for step in steps)


def analysis(graph: Graph) -> Analysis:
    """The columns of the model, and of each module at its last output.

    A network without spatial axes has none, and no finding.
    """
    keys = [column.key for column in COLUMNS]
    try:
        fields = receptive_field(graph)
    except SpatialAxesError:
        return Analysis(totals=dict.fromkeys(keys))
    totals = dict(zip(keys, _cells(fields.final), strict=True))
    totals["global_from"] = fields.global_from
    modules: dict[str, dict[str, Cell]] = {}
    # Values that one state stands for have the same figures.
    known: dict[State, dict[str, Cell]] = {}
    states = fields._trace.states
    for call in graph.calls:
        state = states[call.outputs[0]] if call.outputs else None
        if state is None:
            continue
        cells = known.get(state)
        if cells is None:
            row = row_of(fields._trace, call.outputs[0])
            cells = known[state] = dict(zip(keys, _cells(row), strict=True))
        modules[call.module] = cells
    unknown = frozenset() if fields.final.known else frozenset(keys[:3])
    return Analysis(totals, at_module=modules, findings=fields.findings, unknown=unknown)


def _cells(row: FieldRow) -> tuple[Cell, ...]:
    if not row.known:
        return None, None, None, row.global_from
    return row.receptive_field, row.effective_stride, row.effective_padding, row.global_from


ANALYZER = Analyzer("receptive_field", COLUMNS, analysis)

"""Rules of ops that read or write by index: index_select, gather, scatter, and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from archstat.analyses.field.layouts import LOST, Layout
from archstat.analyses.field.relations import IDENTITY, Relation, listed, one_by_one
from archstat.analyses.field.states import State
from archstat.analyses.field.trace import Rule, Trace
from archstat.analyses.field.writes import Region, overlaid
from archstat.graph import Op

Taps = tuple[tuple[int, ...], ...]


def _nested(content: Any, depth: int) -> list[Any]:
    """The numbers of nested tuples, in order."""
    flat = [content]
    for _ in range(depth):
        flat = [item for part in flat for item in part]
    return flat


def along_dim(trace: Trace, op: Op, value: int, dim: int) -> Taps | None:
    """For each place on a dimension of an index tensor the indices there; None if not known."""
    shape = trace.shape(value)
    size = shape[dim] if shape else 1
    given = op.attributes.get("index")
    if isinstance(given, tuple) or (type(given) is int and not shape):
        numbers = _nested(given, len(shape))
        inner = prod(shape[dim + 1 :])
        places: list[set[int]] = [set() for _ in one_by_one(size)]
        for at, number in enumerate(numbers):
            places[at // inner % size].add(number)
        return tuple(tuple(sorted(place)) for place in places)
    return None


def picked(trace: Trace, op: Op, value: int) -> State:
    """index_select and gather: places of one dimension, in the order of an index."""
    shape = trace.shape(value)
    if value != op.inputs[0]:
        return trace.elementwise(op, value)
    rank = len(shape)
    dim, index = op.attributes["dim"] % max(rank, 1), op.inputs[1]
    state = trace.state(value)
    index_dim = 0 if op.name.startswith("index_select") else dim
    if not rank or state.layout[dim] is None:
        return _cropped(trace, op, value, dim, index)
    taps = along_dim(trace, op, index, index_dim)
    if taps is None:
        return _chosen_by_input(trace, op, value, dim, index)
    taps = tuple(tuple(n % shape[dim] for n in place) for place in taps)
    loose = any(len(place) > 1 for place in taps)
    return _along(trace, op, value, {dim: listed(taps, loose)})


def _along(trace: Trace, op: Op, value: int, steps: dict[int, Relation]) -> State:
    """Relations to the sizes of the output; those of gather may be smaller on every dimension."""
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    sized = {dim: (step, after[dim]) for dim, step in steps.items()}
    for dim, (size, new) in enumerate(zip(before, after, strict=True)):
        if dim not in sized and new < size:
            sized[dim] = (IDENTITY, new)
    made = trace.maker.along(trace.state(value), before, sized)
    return made or trace.give_up(op, "picks among positions that are out of order")


def _cropped(trace: Trace, op: Op, value: int, dim: int, index: int) -> State:
    """A choice among channels: positions stay, and an index from the input is seen as well."""
    state = _along(trace, op, value, {}) if trace.shape(value) else trace.state(value)
    chooser = trace.states[index]
    if chooser is None:
        return state
    if len(chooser.layout) != len(state.layout):
        return trace.give_up(op, "picks by an index over other dimensions")
    return trace.union(op, [state, chooser], [state.layout, chooser.layout])


def _chosen_by_input(trace: Trace, op: Op, value: int, dim: int, index: int) -> State:
    """A choice among positions by what the input says may be any of them."""
    if trace.states[index] is None:
        return _scattered(trace, op, value, trace.state(value).layout)
    state = trace.maker.summed(trace.state(value), (dim,))
    chooser = trace.state(index)
    layout = state.layout
    if len(chooser.layout) != len(layout):
        chooser = trace.maker.summed(chooser, range(len(chooser.layout)))
        return trace.union(op, [state, chooser], [layout, (None,) * len(layout)])
    return trace.union(op, [state, chooser], [layout, chooser.layout])


class Choice(NamedTuple):
    """What one index picks on a dimension: its shape and its numbers, None if not known."""

    dim: int
    value: int
    shape: tuple[int, ...]
    numbers: tuple[int, ...] | None


def choices(trace: Trace, op: Op) -> list[Choice]:
    """What the indices of an op pick, a mask on each of the dimensions that it covers."""
    found, dim = [], 0
    whole, indices = trace.shape(op.inputs[0]), iter(op.inputs[1:])
    for entry in op.attributes["indices"]:
        if entry is None:
            dim += 1
            continue
        index = next(indices)
        shape = trace.shape(index)
        numbers = _nested(entry, len(shape)) if isinstance(entry, tuple) else (
            [entry] if type(entry) is int else None)  # fmt: skip
        if trace.values[index].dtype != "bool":
            known = None if numbers is None else tuple(n % whole[dim] for n in numbers)
            found.append(Choice(dim, index, shape, known))
            dim += 1
            continue
        flat = None if numbers is None else [at for at, chosen in enumerate(numbers) if chosen]
        for place, size in enumerate(shape):
            inner = prod(shape[place + 1 :])
            known = None if flat is None else tuple(at // inner % size for at in flat)
            found.append(Choice(dim + place, index, (len(flat or (0, 0)),), known))
        dim += len(shape)
    return found


def indexed(trace: Trace, op: Op, value: int) -> State:
    """Tensor indexing: the dimensions of the indices, broadcast, in place of those they pick on."""
    if value != op.inputs[0] or not isinstance(op.attributes.get("indices"), tuple):
        return trace.give_up(op, "picks by an index that depends on the input")
    state, after, found = trace.state(value), trace.shape(op.outputs[0]), choices(trace, op)
    chosen = [choice.dim for choice in found]
    held = [choice for choice in found if state.layout[choice.dim] is not None]
    if any(trace.states[choice.value] is not None for choice in held):
        return trace.give_up(op, "picks by an index that depends on the input")
    together = list(range(chosen[0], chosen[-1] + 1)) == chosen
    first, rank = chosen[0] if together else 0, max(len(choice.shape) for choice in found)

    def under(layout: Layout, grid: Sequence[Any]) -> Layout:
        rest = [digits for dim, digits in enumerate(layout) if dim not in chosen]
        return (*rest[:first], *grid, *rest[first:])

    varying = [
        [d + rank - len(choice.shape) for d, n in enumerate(choice.shape) if n > 1]
        for choice in held
    ]
    made = None
    if len(set(chain(*varying))) == len(list(chain(*varying))):  # none along another
        steps = {c.dim: (listed(tuple((n,) for n in c.numbers)), len(c.numbers))
                 for c in held if c.numbers is not None}  # fmt: skip
        whole = len(steps) == len(held)
        made = trace.maker.along(state, trace.shape(value), steps) if whole else None
    if made is None:
        grid = [state.layout[held[0].dim]] * rank
        return _scattered(trace, op, value, under(state.layout, grid))
    grid = [None] * rank
    for choice, dims in zip(held, varying, strict=True):
        ((axis, _, inner),) = made.layout[choice.dim] or ()
        for dim in dims:
            size = after[first + dim]
            inner //= size
            grid[dim] = ((axis, inner, size),)
    return trace.maker.moved(made, under(made.layout, grid))


def _scattered(trace: Trace, op: Op, value: int, layout: Layout) -> State:
    """Single positions in an order that is not followed, wherever the layout holds positions."""
    maker, after = trace.maker, trace.shape(op.outputs[0])
    state = maker.scattered([trace.state(value)], 0, len(after), 1, steady=False)
    every = (1 << maker.axes) - 1
    lost = tuple(digits and ((LOST, every, n),) for digits, n in zip(layout, after, strict=True))
    return maker.moved(state, lost)


def taken(trace: Trace, op: Op, value: int) -> State:
    """take and masked_select: single elements in one dimension, or in those of an index."""
    if trace.states[op.inputs[1]] is not None:
        return trace.give_up(op, "picks by an index that depends on the input")
    held = next((digits for digits in trace.state(value).layout if digits), None)
    return _scattered(trace, op, value, (held,) * len(trace.shape(op.outputs[0])))


def diagonal(trace: Trace, op: Op, value: int) -> State:
    """A diagonal of two dimensions, which stands in a last one."""
    layout, given = trace.state(value).layout, op.attributes
    dims = [given.get(key, place) % len(layout) for place, key in enumerate(("dim1", "dim2"))]
    rest = tuple(digits for dim, digits in enumerate(layout) if dim not in dims)
    held = layout[dims[0]] or layout[dims[1]]
    if held is None:
        return trace.maker.moved(trace.state(value), (*rest, None))
    return _scattered(trace, op, value, (*rest, held))


def index_written(trace: Trace, op: Op, value: int) -> State:
    """index_put, index_copy, index_add, scatter: a source written at known places."""
    dims = _written_dims(trace, op)
    if dims is None:
        return _written_anywhere(trace, op)
    whole, source = op.inputs[0], op.inputs[-1]
    shape, base = trace.shape(whole), trace.states[whole]
    region = Region(whole, tuple(range(len(shape))), tuple(
        dims.get(dim, range(size)) for dim, size in enumerate(shape)
    ))  # fmt: skip
    laid = trace.states[source] if len(op.inputs) > 2 else None
    if laid is not None and len(laid.layout) < len(shape):
        missing = (None,) * (len(shape) - len(laid.layout))
        laid = trace.maker.moved(laid, (*missing, *laid.layout))
    adds = op.attributes.get("accumulate") or "add" in op.name or "reduce" in op.name
    try:
        made = overlaid(trace.maker, None if adds else base, laid, region, shape)
    except ValueError:
        return trace.give_up(op, "writes positions that are out of order")
    if made is None or (adds and base is None):
        return made  # type: ignore[return-value]
    return trace.union(op, [base, made], [base.layout, made.layout]) if adds and base else made


def _written_dims(trace: Trace, op: Op) -> dict[int, tuple[int, ...]] | None:
    """The known places of each dimension that is written; None where they are not known."""
    rank = len(trace.shape(op.inputs[0]))
    if "index_put" in op.name:
        found = choices(trace, op)
        if len(found) != 1 or len(found[0].shape) != 1 or found[0].numbers is None:
            return None
        return {found[0].dim: found[0].numbers}
    dim = op.attributes["dim"] % rank
    source = trace.shape(op.inputs[1])
    index_dim = 0 if op.name.startswith("index") else dim
    taps = along_dim(trace, op, op.inputs[1], index_dim)
    whole = trace.shape(op.inputs[0])
    if not op.name.startswith("index") and any(
        a != b for d, (a, b) in enumerate(zip(source, whole, strict=True)) if d != dim
    ):
        return None
    if taps is None or any(len(place) != 1 for place in taps):
        return None
    size = trace.shape(op.inputs[0])[dim]
    return {dim: tuple(place[0] % size for place in taps)}


def _written_anywhere(trace: Trace, op: Op) -> State:
    """A write of constants or among channels moves nothing; one among positions is not followed."""
    found = trace.tracked(op)
    if found == [op.inputs[0]]:
        return trace.state(found[0])
    rank = len(trace.shape(op.outputs[0]))
    if "dim" in op.attributes:
        dim = op.attributes["dim"] % max(rank, 1)
        states = [trace.state(value) for value in found]
        if all(len(s.layout) == rank and s.layout[dim] is None for s in states):
            return trace.union(op, states, [state.layout for state in states])
    return trace.give_up(op, "writes positions by an unknown index")


def sliced_over(trace: Trace, op: Op, value: int) -> State | None:
    """slice_scatter and select_scatter: a source in place of a slice."""
    whole, source = op.inputs[:2]
    shape, attributes = trace.shape(whole), op.attributes
    dim = (attributes.get("dim") or 0) % len(shape)
    dims: list[int | None] = list(range(len(shape)))
    if op.name == "select_scatter":
        chosen: range | tuple[int, ...] = (range(shape[dim])[attributes["index"]],)
        dims.remove(dim)
    else:
        cut = slice(attributes.get("start"), attributes.get("end"), attributes.get("step") or 1)
        chosen = range(shape[dim])[cut]
    indices = tuple(chosen if d == dim else range(n) for d, n in enumerate(shape))
    region = Region(whole, tuple(dims), indices)
    try:
        return overlaid(trace.maker, trace.states[whole], trace.states[source], region, shape)
    except ValueError:
        return trace.give_up(op, "writes positions that are out of order")


def copied(trace: Trace, op: Op, value: int) -> State | None:
    """copy_: the source alone, broadcast."""
    source = op.inputs[1]
    if trace.states[source] is None:
        return None
    return trace.joined(op, [source], trace.shape(op.outputs[0]))


_WRITES = (
    "index_put _unsafe_index_put _index_put_impl index_copy index_add index_fill scatter "
    "scatter_add scatter_reduce"
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(("index_select", "gather"), picked),
    **dict.fromkeys(("index", "_unsafe_index"), indexed),
    **dict.fromkeys(_WRITES.split(), index_written),
    **dict.fromkeys(("slice_scatter", "select_scatter"), sliced_over),
    **dict.fromkeys(("take", "masked_select"), taken),
    **dict.fromkeys(("diagonal", "diagonal_copy"), diagonal),
    "copy": copied,
}

"""Rules of ops that read or write by index: index_select, gather, scatter, and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from archstat.analyses.field.relations import IDENTITY, Relation, listed
from archstat.analyses.field.states import State
from archstat.analyses.field.trace import Rule, Trace
from archstat.analyses.field.writes import Region, overlaid
from archstat.graph import Op

Taps = tuple[tuple[int, ...], ...]


def known_line(trace: Trace, value: int) -> tuple[int | None, tuple[int, ...]] | None:
    """A range that forward made, as (the dimension in which it stands, its numbers).

    None where the value is no such range. A dimension of None: a single number.
    """
    made = trace.graph.producers[value]
    if made is None:
        return None
    op, shape = trace.graph.ops[made], trace.shape(value)
    if op.name == "arange":
        bounds = op.attributes.get("start") or 0, op.attributes.get("end")
        step = op.attributes.get("step") or 1
        if not all(type(number) is int for number in (*bounds, step)):
            return None
        return 0, tuple(range(*bounds, step))  # type: ignore[arg-type]
    if not op.inputs or (before := known_line(trace, op.inputs[0])) is None:
        return None
    dim, numbers = before
    return _derived(op, dim, numbers, shape, trace.shape(op.inputs[0]))


def _derived(
    op: Op, dim: int | None, numbers: tuple[int, ...], shape: tuple[int, ...],
    before: tuple[int, ...],
) -> tuple[int | None, tuple[int, ...]] | None:  # fmt: skip
    """What one op makes of a range that stands in a dimension."""
    other = op.attributes.get("other")
    if op.name in ("add", "sub", "mul") and type(other) is int and len(op.inputs) == 1:
        scaled = other * (op.attributes.get("alpha") or 1)
        change = {"add": lambda n: n + scaled, "sub": lambda n: n - scaled,
                  "mul": lambda n: n * other}[op.name]  # fmt: skip
        return dim, tuple(map(change, numbers))
    turned = op.attributes.get("dims")
    if op.name == "flip" and dim is not None and turned in ((dim,), (dim - len(shape),)):
        return dim, numbers[::-1]
    if op.name in ("view", "_unsafe_view", "unsqueeze", "squeeze") and prod(shape) == len(numbers):
        return next((d for d, n in enumerate(shape) if n > 1), None), numbers
    if op.name == "expand" and dim is not None and before[dim] > 1:
        return dim + len(shape) - len(before), numbers
    same = ("clone", "_to_copy", "lift_fresh", "detach", "contiguous")
    return (dim, numbers) if op.name in same else None


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
        places: list[set[int]] = [set() for _ in range(size)]
        for at, number in enumerate(numbers):
            places[at // inner % size].add(number)
        return tuple(tuple(sorted(place)) for place in places)
    line = known_line(trace, value)
    if line is None or trace.states[value] is not None:
        return None
    stands, found = line
    if stands == dim or len(shape) == 1:
        return tuple((number,) for number in found)
    return tuple(tuple(sorted(set(found))) for _ in range(size))


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
        return trace.give_up(op, "picks positions by an unknown index")
    state = trace.maker.summed(trace.state(value), (dim,))
    chooser = trace.state(index)
    layout = state.layout
    if len(chooser.layout) != len(layout):
        chooser = trace.maker.summed(chooser, range(len(chooser.layout)))
        return trace.union(op, [state, chooser], [layout, (None,) * len(layout)])
    return trace.union(op, [state, chooser], [layout, chooser.layout])


def indexed(trace: Trace, op: Op, value: int) -> State:
    """Tensor indexing by one list of known places, or by several whose product it is."""
    given = op.attributes.get("indices")
    if value != op.inputs[0] or not isinstance(given, tuple):
        return trace.give_up(op, "picks by an index that depends on the input")
    state, shape = trace.state(value), trace.shape(value)
    tensors = iter(op.inputs[1:])
    held: dict[int, tuple[Taps, int]] = {}
    for dim, entry in enumerate(given):
        if entry is None:
            continue
        index = next(tensors)
        if state.layout[dim] is not None:
            taps = _listed_places(trace, index, entry)
            if taps is None:
                return trace.give_up(op, "picks positions by an unknown index")
            held[dim] = (tuple(tuple(n % shape[dim] for n in place) for place in taps), index)
    chosen = [dim for dim, entry in enumerate(given) if entry is not None]
    if len(chosen) == 1:
        return _one_index(trace, op, value, chosen[0], held)
    return _grid_index(trace, op, value, chosen, held)


def _listed_places(trace: Trace, index: int, entry: Any) -> Taps | None:
    shape = trace.shape(index)
    if isinstance(entry, tuple):
        numbers = _nested(entry, len(shape)) if entry and shape else list(entry)
        return tuple((int(number),) for number in numbers)
    line = known_line(trace, index)
    return None if line is None else tuple((number,) for number in line[1])


def _one_index(
    trace: Trace, op: Op, value: int, dim: int, held: dict[int, tuple[Taps, int]]
) -> State:
    """One dimension indexed by a tensor of any rank, whose dimensions take its place."""
    state = trace.state(value)
    after = trace.shape(op.outputs[0])
    rank = len(after) - len(state.layout) + 1
    if dim in held:
        taps = held[dim][0]
        if rank != 1:
            return trace.give_up(op, "picks positions by an index of several dimensions")
        made = trace.maker.along(state, trace.shape(value), {dim: (listed(taps), len(taps))})
        return made or trace.give_up(op, "picks among positions that are out of order")
    layout = (*state.layout[:dim], *(None,) * rank, *state.layout[dim + 1 :])
    return trace.maker.moved(state, layout)


def _grid_index(
    trace: Trace, op: Op, value: int, chosen: Sequence[int], held: dict[int, tuple[Taps, int]]
) -> State:
    """Several dimensions indexed at once by tensors that vary along one dimension each."""
    state, after = trace.state(value), trace.shape(op.outputs[0])
    together = list(range(chosen[0], chosen[-1] + 1)) == list(chosen)
    indices = [trace.shape(index) for index in op.inputs[1 : len(chosen) + 1]]
    rank = max(map(len, indices))
    first = chosen[0] if together else 0
    steps: dict[int, tuple[Relation, int]] = {}
    places: dict[int, int | None] = {}
    for dim, (taps, index) in held.items():
        own = trace.shape(index)
        varies = [d + rank - len(own) for d, n in enumerate(own) if n > 1]
        if len(varies) > 1 or (varies and varies[0] in places.values()):
            return trace.give_up(op, "picks single positions of several dimensions")
        steps[dim] = (listed(taps), len(taps))
        places[dim] = varies[0] if varies else None
    made = trace.maker.along(state, trace.shape(value), steps)
    if made is None:
        return trace.give_up(op, "picks among positions that are out of order")
    grid: list[Any] = [None] * rank
    for dim, place in places.items():
        if place is not None:
            grid[place] = made.layout[dim]
    rest = [made.layout[dim] for dim in range(len(made.layout)) if dim not in chosen]
    layout = (*rest[:first], *grid, *rest[first:])
    return trace.maker.moved(made, layout) if len(layout) == len(after) else trace.give_up(op)


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
    if op.name == "index_put":
        given = op.attributes.get("indices")
        chosen = [dim for dim, entry in enumerate(given or ()) if entry is not None]
        if len(chosen) != 1 or len(trace.shape(op.inputs[1])) != 1:
            return None
        taps = _listed_places(trace, op.inputs[1], given[chosen[0]])  # type: ignore[index]
        dim = chosen[0]
    else:
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
    """A write by an index among channels moves nothing; one among positions is not followed."""
    found = trace.tracked(op)
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
    "copy": copied,
}

"""What every op reads and writes by itself: the distinct elements of the tensors it names.

A tensor counts once however often an op names it, and no more than its storage holds (an expanded
one holds few). Views move nothing, and memory that is merely reserved is not touched.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from archstat.analyses import costs
from archstat.graph import Graph

RESERVED = "memory is reserved, not touched"
VIEW = "a view"
# In place, too, they move nothing.
_VIEWS = frozenset({
    "as_strided", "transpose", "t", "squeeze", "unsqueeze", "swapaxes", "swapdims", "detach",
})  # fmt: skip
State = Literal["counted", "free", "unknown"]

_RESERVES = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
# They read as many elements of their first tensor as they make, whatever else it holds.
_LOOK_UPS = frozenset({
    "embedding", "index_select", "gather", "index", "take", "take_along_dim", "slice_copy",
    "select_copy", "masked_select", "split_copy", "split_with_sizes_copy", "unbind_copy",
    "diagonal_copy",
})  # fmt: skip
# In place they overwrite their first tensor without a look at it.
_OVERWRITES = frozenset({
    "copy", "fill", "zero", "normal", "uniform", "bernoulli", "exponential", "cauchy",
    "geometric", "log_normal", "random",
})  # fmt: skip
# In place they touch as much of their first tensor as the last one brings.
_SCATTERS = frozenset({
    "index_put", "scatter", "index_copy", "masked_scatter", "scatter_add", "scatter_reduce",
    "index_add", "index_reduce",
})  # fmt: skip
_ADDING = frozenset({"scatter_add", "scatter_reduce", "index_add", "index_reduce"})
_BAGS = frozenset({"_embedding_bag", "_embedding_bag_forward_only"})


class Access(NamedTuple):
    """What one op moves: elements and bytes, or why it moves none.

    An unknown op counts with the tensors it names; what it moves inside is not seen.
    """

    state: State
    elements: int = 0
    nbytes: int = 0
    reason: str = ""


def alone(graph: Graph) -> list[Access]:
    """What each op of a Graph moves when nothing is fused."""
    return graph.once("accesses", lambda: _separate(graph))


def _separate(graph: Graph) -> list[Access]:
    held, sizes = graph.held
    storage = [value[3] for value in graph.values]
    found = []
    for _, target, _, _, inputs, outputs, attributes in graph.ops:
        rule = _rule(target)
        if rule == "plain":
            if inputs and outputs and storage[inputs[0]] == storage[outputs[0]]:
                found.append(_VIEW)
                continue
        elif rule == "reserve":
            found.append(_RESERVED)
            continue
        elif rule not in ("in place", "packed", "unknown"):
            found.append(_unusual(graph, rule, inputs, outputs))
            continue
        elements = nbytes = 0
        if len(inputs) < 2 or len(set(map(storage.__getitem__, inputs))) == len(inputs):
            for value in inputs:
                elements += held[value]
                nbytes += sizes[value]
        elif inputs:
            elements, nbytes = _overlapping(graph, inputs)
        for value in outputs:
            elements += held[value]
            nbytes += sizes[value]
        unseen = rule == "unknown" or (rule == "packed" and "sealed" in attributes)
        found.append(Access("unknown" if unseen else "counted", elements, nbytes))
    return found


@cache
def _rule(target: str) -> str:
    """How an op treats the tensors that it names."""
    parts = target.split(".")
    if len(parts) == 3 and parts[0] != "aten" and costs.key(target) not in costs.FREE:
        return "packed" if parts[0] == "quantized" else "unknown"
    base = parts[1] if len(parts) > 1 else parts[0]
    name = base.rstrip("_")
    if name in _RESERVES:
        return "reserve"
    if len(parts) == 3 and parts[2].endswith("out"):
        return "out"
    if name in _BAGS:
        return "bag"
    if base.endswith("_") and not base.startswith("__") and name not in _VIEWS:
        if name in _OVERWRITES:
            return "overwrite"
        if name in _SCATTERS:
            return "add" if name in _ADDING else "scatter"
        return "in place"
    return "look up" if name in _LOOK_UPS else "plain"


def _unusual(graph: Graph, rule: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Access:
    """An op that reads only part of its first tensor, or writes only part of it."""
    held, sizes = graph.held
    first, rest = inputs[:1], inputs[1:]
    parts = [(value, held[value]) for value in dict.fromkeys(rest)]
    if rule == "out":  # where the result goes is named last among the inputs
        parts = [(value, held[value]) for value in dict.fromkeys(inputs[:-1])]
    elif rule == "look up":
        parts += [(value, min(held[value], held[outputs[0]])) for value in first]
    elif rule == "bag":
        rows = held[rest[0]] * graph.values[first[0]].shape[-1]
        parts += [(value, min(held[value], rows)) for value in first]
    if rule in ("scatter", "add"):
        parts += [(first[0], held[inputs[-1]])] * (2 if rule == "add" else 1)
    else:
        parts += [(value, held[value]) for value in outputs]
    elements = sum(number for _, number in parts)
    nbytes = sum(number * sizes[value] // held[value] for value, number in parts if held[value])
    return Access("counted", elements, nbytes)


def _overlapping(graph: Graph, inputs: tuple[int, ...]) -> tuple[int, int]:
    """Elements and bytes of inputs on common storages, which hold no more than they hold."""
    held, sizes = graph.held
    sums: dict[int, tuple[int, int]] = {}
    for value in dict.fromkeys(inputs):
        place = graph.values[value].storage
        elements, nbytes = sums.get(place, (0, 0))
        sums[place] = (elements + held[value], nbytes + sizes[value])
    elements = nbytes = 0
    for place, (more, more_bytes) in sums.items():
        most = graph.storages[place].nbytes
        elements += more if more_bytes <= most else more * most // more_bytes
        nbytes += min(more_bytes, most)
    return elements, nbytes


_VIEW = Access("free", reason=VIEW)
_RESERVED = Access("free", reason=RESERVED)

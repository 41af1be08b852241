"""Which value a network's receptive field is told of: what feeds its pooling or flatten."""

from __future__ import annotations

from archstat.analyses.field_layouts import is_plain
from archstat.analyses.field_states import Link, State
from archstat.analyses.field_trace import Trace


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
    while not _spatial(trace.state(value)):
        index = producers[value]
        if index is None or ops[index].kind not in ("reshape", "other", "activation"):
            return value
        before = next((v for v in ops[index].inputs if trace.states[v] is not None), None)
        if before is None:
            return value
        value = before
    return value


def _spatial(state: State) -> bool:
    held = [digits for digits in state.layout if digits is not None]
    sizes = {digits[0][0]: state.sizes[digits[0][0]] for digits in held if digits[0][0] >= 0}
    return all(is_plain(digits, sizes.get(digits[0][0], -1)) for digits in held)

"""One pass over the ops of a Graph: the state of every value, by the rule of every op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from archstat.analyses.field.layouts import (
    FREE,
    LOST,
    Digit,
    Layout,
    common_layout,
    digits_of,
    fitted,
    is_plain,
    lifted,
)
from archstat.analyses.field.relations import Relation, TooLongError
from archstat.analyses.field.states import Link, State, States
from archstat.analyses.field.writes import Writes
from archstat.graph import Graph, Op
from archstat.result import Note


def gated(links: Sequence[Link], axes: int) -> list[Link]:
    """The links of a product, those that see everything marked as gates of those that do not."""
    seen = [tuple(link.state.maps[axis] is None for axis in range(axes)) for link in links]
    local = [any(not row[axis] for row in seen) for axis in range(axes)]
    return [
        link._replace(gates=tuple(row[k] and local[k] for k in range(axes)))
        if link.state.known and any(row[k] and local[k] for k in range(axes))
        else link
        for link, row in zip(links, seen, strict=True)
    ]


Made = State | Sequence[State | None] | None
# A rule gets the first input that comes from the input of the network; only then is it asked.
Rule = Callable[["Trace", Op, int], Made]

# Products: where one factor sees everything and the other does not, the first only scales.
_PRODUCTS = frozenset({"mul", "div", "addcmul"})


class Trace:
    """The states of a Graph's values so far; None for what does not come from the input."""

    def __init__(self, graph: Graph, root: int, dims: tuple[int, ...]) -> None:
        self.graph = graph
        self.values = graph.values
        self.root, self.dims = root, dims
        self.states: list[State | None] = [None] * len(graph.values)
        self.maker = States(graph.values[root].shape, dims)
        self.states[root] = self.maker.all[0]
        self.findings: list[Note] = []
        # The recurrent module that walks along an axis now, the axis, and how many steps.
        self.walked: tuple[str, int, int] | None = None
        self.writes = Writes(graph, self.states, self.maker, self.give_up)

    def run(
        self, rules: dict[str, Rule], other: Rule, until: Callable[[Op], bool] | None = None
    ) -> Op | None:
        """Give every output of every op its state; `until` may end it before an op.

        Returns the op that ended it.
        """
        states, maker, writes = self.states, self.maker, self.writes
        rule_of: dict[str, Rule] = {}
        for index, op in enumerate(self.graph.ops):
            maker.op, maker.name = index, op.module or op.name
            if writes.logs:
                writes.refresh(op.inputs)
            first = op.inputs[0] if op.inputs else None
            if first is None or states[first] is None:  # mostly it is the first of all
                first = next((value for value in op.inputs if states[value] is not None), None)
            if first is None or not op.outputs:
                continue
            if until is not None and until(op):
                return op
            rule = rule_of.get(op.target)
            if rule is None:
                rule = rule_of[op.target] = rules.get(op.name, other)
            try:
                made = rule(self, op, first)
            except TooLongError:
                made = self.give_up(op, "reads too many positions to look at each")
            if made is None or isinstance(made, State):
                for output in op.outputs:
                    states[output] = made
            else:
                for output, state in zip(op.outputs, made, strict=False):
                    states[output] = state
            if "_." in op.target:
                writes.note(op, index)
        if writes.logs:
            writes.refresh(self.graph.outputs)
        return None

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value."""
        return self.values[value].shape

    def tracked(self, op: Op) -> list[int]:
        """The inputs of an op that come from the input of the network."""
        states = self.states
        return [value for value in op.inputs if states[value] is not None]

    def state(self, value: int) -> State:
        """The state of a value that is tracked."""
        state = self.states[value]
        assert state is not None
        return state

    def give_up(self, op: Op, why: str = "") -> State:
        """The state of what cannot be followed: what it sees is unknown, and a finding says so."""
        found = list(dict.fromkeys(self.state(value) for value in self.tracked(op)))
        shape = self.shape(op.outputs[0])
        if not any(digits for state in found for digits in state.layout):
            # Without positions there is nothing to lose: squeezed, pooled and flattened values.
            return self.union(op, found, [(None,) * len(shape)] * len(found))
        if prod(shape) == 1 or all(m is None for state in found for m in state.maps):
            # A single number has no position, and what saw everything before cannot see more.
            return self.maker.lost(found, shape)
        reason = why or "has no rule that tells what its positions see"
        text = f"{called(op)} in {place_of(op)} {reason}; from there on the field is unknown."
        self.findings.append(Note("receptive_field", op.module, f"receptive field: {text}"))
        return self.maker.lost(found, shape, known=False)

    def elementwise(self, op: Op, value: int) -> State:
        """The union of what the inputs see at the same position, broadcast to the output."""
        found, state = self.tracked(op), self.state(value)
        out = self.values[op.outputs[0]].shape
        alike = all(self.states[other] is state for other in found)
        return state if alike and self.values[value].shape == out else self.joined(op, found, out)

    def joined(self, op: Op, found: Sequence[int], out: tuple[int, ...]) -> State:
        """What several values see together, each broadcast to `out`."""
        states = [self.state(value) for value in found]
        layouts = [fitted(self.state(v).layout, self.values[v].shape, out) for v in found]
        return self.union(op, states, layouts, op.name in _PRODUCTS)

    def union(
        self, op: Op, states: Sequence[State], layouts: Sequence[Layout], product: bool = False
    ) -> State:
        """The union of states whose layouts fit one shape; a `product` lets global factors gate."""
        maker = self.maker
        layout = common_layout(layouts)
        if layout is None:
            # Channels may stand among the positions of some, as depth-to-space leaves them.
            pairs = zip(states, layouts, strict=True)
            states = [maker.whole(maker.moved(state, own)) for state, own in pairs]
            layouts = [state.layout for state in states]
            layout = common_layout(layouts)
        if layout is None and _has_one_position(layouts):
            # It stands in whichever dimension of size 1 a permutation has left it.
            layout = layouts[0]
            layouts = [layout] * len(states)
            states = [maker.moved(state, layout) for state in states]
        if layout is None:
            return self.give_up(op, "joins values whose positions lie in different dimensions")
        if any(digits and digits[0][0] == LOST for digits in layout):
            dim = next(i for i, digits in enumerate(layout) if digits and digits[0][0] == LOST)
            parts = states[0].parts if len({state.parts for state in states}) == 1 else ()
            count = layout[dim][0][2]  # type: ignore[index]
            return maker.scattered(states, dim, len(layout), count, parts)
        sizes = [1] * maker.axes
        for axis in range(maker.axes):
            for _, _, (_, _, count) in digits_of(layout, axis):
                sizes[axis] *= count
        links: dict[tuple[int, tuple[Relation, ...]], Link] = {}
        for state, own in zip(states, layouts, strict=True):
            if own is layout and state.sizes == tuple(sizes):
                relations = maker.identity
            else:
                relations = tuple(
                    lifted(layout, own, axis, sizes[axis]) for axis in range(maker.axes)
                )
            links.setdefault((state.order, relations), Link(state, relations))
        found = list(links.values())
        if len(found) == 1 and found[0].relations == maker.identity:
            return maker.moved(found[0].state, layout)
        if product:
            found = gated(found, maker.axes)
        return maker.merged(found, layout, tuple(sizes))

    def settled(self, value: int) -> State | None:
        """The state with each axis in a dimension of its own, as an image has them.

        Positions that views put among the channels (space-to-depth by hand) are summed over, and
        channels that they put among the positions (depth-to-space) are positions. None where axes
        are flattened, or cut into windows.
        """
        state, maker = self.state(value), self.maker
        rank = len(state.layout)
        held = {dim: digits for dim, digits in enumerate(state.layout) if digits is not None}
        if all(is_plain(digits, state.sizes[digits[0][0]]) and digits[0][0] >= 0
               for digits in held.values()):  # fmt: skip
            return state
        found = [digits_of(state.layout, axis) for axis in range(maker.axes)]
        stands = [max(digits, key=_significance)[0] for digits in found if digits]
        whole = len(set(stands)) == maker.axes and rank > maker.axes + 1 and 0 not in held
        for place, dim in enumerate(stands):
            axes = {axis for axis, _, _ in held[dim] if axis != FREE}
            whole = whole and held[dim][0][0] == place and axes == {place}
        rest = [dim for dim in held if dim not in stands]
        if not whole or any(dim > min(stands) for dim in rest):
            return None
        state = maker.summed(state, rest)
        return maker.spread(state, stands)


def _significance(held: tuple[int, int, Digit]) -> int:
    _, _, (_, multiplier, size) = held
    return multiplier * (size > 1)


def place_of(op: Op) -> str:
    """The module of an op, with its type."""
    return f"{op.module} ({op.module_type})" if op.module else op.module_type


def called(op: Op) -> str:
    """What a reader calls an op: torch's own by its name, another by its whole target."""
    return op.name if op.target.startswith("aten.") else op.target


def _has_one_position(layouts: Sequence[Layout]) -> bool:
    """Whether none of the axes has more than one position, as in a map of 1x1."""
    return all(size == 1 for layout in layouts for dim in layout for _, _, size in dim or ())

"""One pass over the ops of a Graph: the state of every value, by the rule of every op."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archstat.analyses.field.layouts import LOST, Digit, Layout, digits_of, relation_of
from archstat.analyses.field.relations import BROADCAST, IDENTITY, Relation
from archstat.analyses.field.states import Link, State, States
from archstat.errors import SpatialAxesError
from archstat.graph import Graph, Op
from archstat.result import Note


def fitted(layout: Layout, shape: tuple[int, ...], out: tuple[int, ...]) -> Layout:
    """The layout under the dimensions of a larger shape; what is broadcast holds no digit."""
    if shape == out:
        return layout
    padded = (None,) * (len(out) - len(shape)) + layout
    sizes = (1,) * (len(out) - len(shape)) + shape
    return tuple(
        None if size != full else digits
        for digits, size, full in zip(padded, sizes, out, strict=True)
    )


def common_layout(layouts: Sequence[Layout]) -> Layout | None:
    """The dimensions of all layouts together; None where they contradict each other."""
    first = layouts[0]
    if all(other == first for other in layouts):
        return first
    common: list[tuple[Digit, ...] | None] = list(sorted(layouts, key=_held)[-1])
    for layout in layouts:
        for dim, digits in enumerate(layout):
            mine = common[dim]
            if digits is None:
                continue
            if mine is None:
                # An axis may come from another value as a whole, but not in parts.
                held = {axis for entry in common for axis, _, _ in entry or ()}
                if any(axis in held for axis, _, _ in digits if axis >= 0):
                    return None
                common[dim] = digits
            elif LOST in (mine[0][0], digits[0][0]):
                common[dim] = mine if mine[0][0] == LOST else digits
            elif [(axis, size) for axis, _, size in mine] != [(k, size) for k, _, size in digits]:
                return None
    return tuple(common)


def _held(layout: Layout) -> int:
    return sum(len(digits) for digits in layout if digits is not None)


def lifted(layout: Layout, own: Layout, axis: int, size: int) -> Relation:
    """How indices of an axis under `layout` read those under a value's own layout."""
    matched = []
    for dim, digits in enumerate(own):
        for place, (k, multiplier, count) in enumerate(digits or ()):
            if k == axis:
                held = layout[dim]
                assert held is not None
                matched.append((held[place][1], count, multiplier))
    if not matched:
        return IDENTITY if size == 1 else BROADCAST
    return relation_of(size, tuple(matched))


def gated(links: Sequence[Link], axes: int) -> list[Link]:
    """The links of a product, those that see everything marked as gates of those that do not."""
    seen = [tuple(link.state.maps[axis] is None for axis in range(axes)) for link in links]
    local = [any(not row[axis] for row in seen) for axis in range(axes)]
    return [
        link._replace(gates=tuple(row[k] and local[k] for k in range(axes)))
        if any(row[k] and local[k] for k in range(axes))
        else link
        for link, row in zip(links, seen, strict=True)
    ]


Made = State | Sequence[State] | None
# A rule gets the first input that comes from the input of the network; only then is it asked.
Rule = Callable[["Trace", Op, int], Made]

# Products: where one factor sees everything and the other does not, the first only scales.
_PRODUCTS = frozenset({"mul", "div", "addcmul"})


class Trace:
    """The states of a Graph's values so far; None for what does not come from the input."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values = graph.values
        self.root = root_of(graph)
        self.states: list[State | None] = [None] * len(graph.values)
        self.maker = States(graph.values[self.root].shape)
        self.states[self.root] = self.maker.all[0]
        self.findings: list[Note] = []
        self.op = -1
        # Storages that were written through a view, and by which op.
        self.patched: dict[int, int] = {}

    def run(self, rules: dict[str, Rule], other: Rule) -> None:
        """Give every output of every op its state."""
        states, maker = self.states, self.maker
        rule_of: dict[str, Rule] = {}
        for index, op in enumerate(self.graph.ops):
            maker.op = self.op = index
            maker.name = op.module or op.name
            if self.patched:
                self._read_patched(op.inputs)
            first = next((value for value in op.inputs if states[value] is not None), None)
            if first is None or not op.outputs:
                continue
            rule = rule_of.get(op.target)
            if rule is None:
                rule = rule_of[op.target] = rules.get(op.name, other)
            made = rule(self, op, first)
            if made is None:
                continue
            if isinstance(made, State):
                for output in op.outputs:
                    states[output] = made
            else:
                for output, state in zip(op.outputs, made, strict=False):
                    states[output] = state
            if "_." in op.target and op.inputs:
                self._note_write(op, index)
        if self.patched:
            self._read_patched(self.graph.outputs)

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
        """The state of what cannot be followed: it sees everything, and a finding says so."""
        found = list(dict.fromkeys(self.state(value) for value in self.tracked(op)))
        shape = self.shape(op.outputs[0])
        if not any(digits for state in found for digits in state.layout):
            # Without positions there is nothing to lose: squeezed, pooled and flattened values.
            return self.union(op, found, [(None,) * len(shape)] * len(found))
        reason = why or "is not known to keep positions apart"
        place = f"{op.module} ({op.module_type})" if op.module else op.module_type
        if all(m is None for state in found for m in state.maps):
            # It saw everything before.
            return self.maker.lost(found, shape)
        self.findings.append(
            Note(
                "receptive_field",
                op.module,
                f"receptive field: {called(op)} in {place} {reason}; "
                "what comes after counts as seeing everything.",
            )
        )
        return self.maker.lost(found, shape)

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
            return self.give_up(op, "joins values whose positions stand in different dimensions")
        if any(digits and digits[0][0] == LOST for digits in layout):
            dim = next(i for i, digits in enumerate(layout) if digits and digits[0][0] == LOST)
            return maker.scattered(states, dim, len(layout), layout[dim][0][2])  # type: ignore[index]
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

    def _note_write(self, op: Op, index: int) -> None:
        """Remember an op that writes into a part of a storage: other values on it change too."""
        written = self.values[op.inputs[0]]
        if self.states[op.outputs[0]] is self.states[op.inputs[0]]:
            return
        whole = self.graph.storages[written.storage].nbytes
        if written.nbytes != whole and written.role not in ("parameter", "buffer"):
            self.patched[written.storage] = index

    def _read_patched(self, read: Sequence[int]) -> None:
        """Widen values that were changed through a view of them, before they are read."""
        for value in read:
            writer = self.patched.get(self.values[value].storage)
            made = self.graph.producers[value]
            if writer is None or (made is not None and made >= writer):
                continue
            source = self.graph.ops[writer]
            seen = [s for v in (value, *source.inputs) if (s := self.states[v]) is not None]
            if not seen:
                continue
            self.findings.append(
                Note("receptive_field", source.module, f"receptive field: {source.name} in "
                        f"{source.module or source.module_type} writes into a part of a tensor "
                        "that is read later; it counts as seeing everything.")
            )  # fmt: skip
            self.states[value] = self.maker.lost(seen, self.shape(value))


def called(op: Op) -> str:
    """What a reader calls an op: torch's own by its name, another by its whole target."""
    return op.name if op.target.startswith("aten.") else op.target


def root_of(graph: Graph) -> int:
    """The input whose axes are tracked: the first of floating point with spatial dimensions.

    Raises:
        SpatialAxesError: there is none.
    """
    for value in graph.inputs:
        entry = graph.values[value]
        if len(entry.shape) >= 3 and entry.dtype.startswith(("float", "bfloat")):
            return value
    raise SpatialAxesError(
        f"{graph.name} has no spatial axes: its input is {graph.input_text or 'none'}, and a "
        "receptive field needs a floating-point input with dimensions after batch and channels."
    )

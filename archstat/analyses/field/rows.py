"""`FieldRow`: what one value sees of the input, as figures and as exact intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from archstat.analyses.field.layouts import Layout
from archstat.analyses.field.maps import Map
from archstat.analyses.field.relations import EVERYTHING, IDENTITY, Relation
from archstat.analyses.field.states import Link, State, States, Support
from archstat.errors import InputError
from archstat.graph import Op

Sets = tuple[int, ...]


def supports(maker: States, start: State, position: Sequence[int], gates: bool) -> list[Support]:
    """What one position of `start` sees of the input, an entry an axis."""
    if maker.mixes_axes:
        return _walk(maker, start, tuple(enumerate(position)), gates)
    found = []
    for axis, index in enumerate(position):
        key = (start.order, axis, index, gates)
        if key not in maker.supports:
            maker.supports[key] = _walk(maker, start, ((axis, index),), gates)[0]
        found.append(maker.supports[key])
    return found


def _walk(
    maker: States, start: State, indices: Sequence[tuple[int, int]], gates: bool
) -> list[Support]:
    """What one index on each of some axes sees of the input, the first of the states."""
    axes = [axis for axis, _ in indices]
    wanted: dict[int, list[int]] = {start.order: [1 << index for _, index in indices]}
    padded = [False] * len(axes)
    for order in range(start.order, 0, -1):
        sets = wanted.pop(order, None)
        if sets is None:
            continue
        for link in maker.all[order].links:
            read = _read(link, axes, sets, gates, padded)
            before = wanted.setdefault(link.state.order, [0] * len(axes))
            for place, found in enumerate(read):
                before[place] |= found
    seen = wanted.get(0, [0] * len(axes))
    return [Support(found, outside) for found, outside in zip(seen, padded, strict=True)]


def _read(
    link: Link, axes: Sequence[int], sets: Sequence[int], gates: bool, padded: list[bool]
) -> list[int]:
    """What a link reads on each axis; nothing at all where it reads nothing on one of them."""
    read, empty = [0] * len(axes), False
    for place, axis in enumerate(axes):
        if link.gates and link.gates[axis] and not gates:
            continue
        found, outside = read_by(link.relations[axis], sets[place], link.state.sizes[axis])
        padded[place] = padded[place] or outside
        read[place] = found
        empty = empty or (not found and sets[place] != 0)
    return [0] * len(axes) if empty else read


def read_by(relation: Relation, indices: int, size: int) -> tuple[int, bool]:
    """The input indices that some output indices read, and whether they read padding."""
    if relation is IDENTITY or not indices:
        return indices, False
    if relation is EVERYTHING:
        return (1 << size) - 1, False
    if relation.scans:
        if relation.scans > 0:
            return (1 << indices.bit_length()) - 1, False
        return (1 << size) - (indices & -indices), False
    read = 0
    margin = max(0, -relation.first)
    if relation.b == 1 and relation.a == 1:
        for tap in relation.taps[0]:
            read |= indices << (tap + margin)
    else:
        # A negative stride reaches down from the last index.
        margin += max(0, -relation.a) * indices.bit_length()
        patterns = [sum(1 << (tap + margin) for tap in taps) for taps in relation.taps]
        for index in bits(indices):
            turn, phase = divmod(index, relation.b)
            start = relation.a * turn
            pattern = patterns[phase]
            read |= pattern << start if start >= 0 else pattern >> -start
    inside = (read >> margin) & ((1 << size) - 1)
    return inside, relation.loose or (relation.pads and inside << margin != read)


def bits(indices: int) -> Iterator[int]:
    """The indices of a set, in order."""
    while indices:
        lowest = indices & -indices
        yield lowest.bit_length() - 1
        indices ^= lowest


Step = int | float | None
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """What one value sees of the input; `op` is the index of the op that made it.

    A row for the input itself has no op. Tuples hold one entry an axis. `written` is the last op
    that wrote into the value after it was made.
    """

    op: int | None
    value: int
    module: str
    module_type: str
    name: str
    kind: str
    _op: Op | None = field(repr=False)
    _state: State = field(repr=False)
    _maker: States = field(repr=False, compare=False)
    written: int | None = None

    @property
    def kernel(self) -> tuple[int, ...] | None:
        """The window of the op itself; None where it has none."""
        return self._geometry(("kernel", "kernel_size"), 1)

    @property
    def stride(self) -> tuple[int, ...] | None:
        """The stride of the op itself; None where it has no window."""
        steps = self._geometry(("stride",), 0)
        kernel = self.kernel
        if steps is None or kernel is None:
            return None
        return tuple(step or size for step, size in zip(steps, kernel, strict=True))

    @property
    def dilation(self) -> tuple[int, ...] | None:
        """The dilation of the op itself; None where it has no window."""
        return self._geometry(("dilation",), 1)

    @property
    def padding(self) -> tuple[int, ...] | None:
        """What the op itself adds before the first index; None where it has no window or pad."""
        if self.kind == "pad" and self._op is not None:
            pads = tuple(self._op.attributes.get("pad") or self._op.attributes.get("padding") or ())
            before = pads[::2][::-1]
            axes = len(self._state.sizes)
            return (0,) * (axes - len(before)) + before[-axes:]
        return self._geometry(("padding",), 0)

    def _geometry(self, keys: tuple[str, ...], default: int) -> tuple[int, ...] | None:
        attributes = self._op.attributes if self._op else {}
        kernel = attributes.get("kernel") or attributes.get("kernel_size")
        if not kernel:
            return None
        given: Any = next((attributes[key] for key in keys if attributes.get(key)), default)
        axes = len(self._state.sizes)
        numbers = (given,) if isinstance(given, int) else tuple(given)
        # A 1-D pooling arrives as a 2-D one with a window of one row.
        return numbers * axes if len(numbers) == 1 else numbers[-axes:]

    @property
    def receptive_field(self) -> tuple[int | None, ...]:
        """The largest field over positions, pixels; None on an axis that sees everything."""
        return tuple(
            None if m is None else max(m.spans(n))
            for m, n in zip(self._state.maps, self._state.sizes, strict=True)
        )

    @property
    def smallest(self) -> tuple[int | None, ...]:
        """The smallest field over positions, pixels; None on an axis that sees everything."""
        return tuple(
            None if m is None else min(m.spans(n))
            for m, n in zip(self._state.maps, self._state.sizes, strict=True)
        )

    @property
    def effective_stride(self) -> tuple[Step, ...]:
        """Input pixels from one position to the next; None where it is global or uneven."""
        return tuple(_stride(m) for m in self._state.maps)

    @property
    def effective_padding(self) -> tuple[Step, ...]:
        """Pixels by which position 0 reaches before the input; None where global or uneven."""
        return tuple(
            None if m is None or m.table or m.lo[0] is None else -m.lo[0] for m in self._state.maps
        )

    @property
    def size(self) -> tuple[int, ...]:
        """The number of positions per axis; of joined values, those along their dimension."""
        parts = self._state.parts
        return (parts[-1].start + parts[-1].size,) if parts else self._state.sizes

    @property
    def layout(self) -> Layout:
        """Which digits of which axis stand in each dimension of the value (see `field_layouts`)."""
        return self._state.layout

    @property
    def known(self) -> bool:
        """Whether every op on the way here has a rule; if not, figures say nothing."""
        return self._state.known

    @property
    def joined(self) -> bool:
        """Whether values of several scales stand in one dimension, which positions count along."""
        return bool(self._state.parts)

    @property
    def aligned(self) -> bool:
        """Whether every position has the same field, phases of an upsampling aside."""
        return self._state.aligned

    @property
    def global_from(self) -> str | None:
        """The first layer or gate on the way here that sees everything: module path or op name."""
        first = self._state.first_global
        return first[1] if first else None

    def interval(
        self, position: tuple[int, ...], gates: bool = False
    ) -> tuple[Interval | None, ...]:
        """The first and last input index that one output position sees, clipped at every layer.

        Multiplicative gates that see everything are left out unless `gates`. All are None where
        the position sees nothing of the input.

        Raises:
            InputError: no such position.
        """
        seen = [support.indices for support in self._walked(position, gates)]
        if not all(seen):
            return (None,) * len(seen)
        return tuple(((m & -m).bit_length() - 1, m.bit_length() - 1) for m in seen)

    def support(
        self, position: tuple[int, ...], gates: bool = False
    ) -> tuple[tuple[int, ...], ...]:
        """Every input index that one output position sees, holes left out.

        Raises:
            InputError: no such position.
        """
        seen = [support.indices for support in self._walked(position, gates)]
        return tuple(tuple(bits(m)) if all(seen) else () for m in seen)

    def reads_padding(self, position: tuple[int, ...], gates: bool = False) -> bool:
        """Whether anything between the input and this position reads padding, on any path.

        Raises:
            InputError: no such position.
        """
        return any(support.reads_padding for support in self._walked(position, gates))

    def _walked(self, position: tuple[int, ...], gates: bool) -> list[Support]:
        sizes = self.size
        inside = len(position) == len(sizes) and all(
            0 <= index < size for index, size in zip(position, sizes, strict=True)
        )
        if not inside:
            raise InputError(
                f"There is no position {','.join(map(str, position))} in "
                f"{self.module or self.name}; it has {'x'.join(map(str, sizes))}, counted from 0."
            )
        if not self.joined:
            return supports(self._maker, self._state, position, gates)
        part = next(p for p in self._state.parts if p.start <= position[0] < p.start + p.size)
        if part.state is None:
            return [Support(0, False)] * self._maker.axes
        place = part.position(position[0], self._maker.axes)
        return supports(self._maker, part.state, place, gates)


def _stride(m: Map | None) -> Step:
    if m is None or m.table:
        return None
    return m.a // m.b if m.a % m.b == 0 else m.a / m.b

"""How one op's output indices come from its input indices, along one axis.

A `Relation` is periodic: output index o = b q + phase reads the input indices a q + tap for every
tap of its phase. A convolution has b = 1, a = stride; a transposed one has b = stride, a = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd
from struct import pack, unpack

Taps = tuple[tuple[int, ...], ...]

# Where no rule holds for all indices alike, each has an entry of its own.
_MOST_ENTRIES = 1 << 18


class TooLongError(Exception):
    """An axis has too many positions to look at each."""


def one_by_one(size: int) -> range:
    """The indices of an axis, each to be looked at.

    Raises:
        TooLongError: they are too many.
    """
    if size > _MOST_ENTRIES:
        raise TooLongError
    return range(size)


class Relation:
    """Output index b q + phase reads a q + tap for each tap of ``taps[phase]``.

    What lies outside the input is padding if `pads`, and else nothing. A `loose` one may read
    fewer indices than it says, as the values decide. One with `scans` reads all the indices up to
    (1) or from (-1) the one that it names. `regular` is the same relation as if there were no
    border, for sizes.
    """

    __slots__ = ("a", "b", "first", "last", "loose", "pads", "regular", "scans", "taps")

    def __init__(
        self,
        a: int,
        b: int,
        taps: Taps,
        *,
        pads: bool = False,
        loose: bool = False,
        scans: int = 0,
        regular: Relation | None = None,
    ) -> None:
        self.a, self.b, self.taps = a, b, taps
        self.pads, self.loose, self.scans = pads, loose, scans
        self.regular = regular or self
        filled = [offsets for offsets in taps if offsets]
        self.first = min((min(offsets) for offsets in filled), default=0)
        self.last = max((max(offsets) for offsets in filled), default=0)

    def __repr__(self) -> str:
        return f"Relation({self.a}, {self.b}, {self.taps})"


EVERYTHING = Relation(0, 1, ((),))
IDENTITY = Relation(1, 1, ((0,),))
# Every output index reads the one index there is.
BROADCAST = Relation(0, 1, ((0,),))
# Running sums and recurrences, forwards and backwards.
UP_TO = Relation(1, 1, ((0,),), scans=1)
ONWARDS = Relation(1, 1, ((0,),), scans=-1)


@lru_cache(4096)
def window(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Relation:
    """A convolution or pooling window; a negative padding crops."""
    if (kernel, stride, padding) == (1, 1, 0):
        return IDENTITY
    taps = tuple(range(-padding, -padding + (kernel - 1) * dilation + 1, dilation))
    return Relation(stride, 1, (taps,), pads=True)


@lru_cache(4096)
def transposed(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Relation:
    """A transposed convolution: input i reaches the outputs i stride - padding + t dilation."""
    taps: list[list[int]] = [[] for _ in range(stride)]
    for tap in reversed(range(kernel)):
        # o + padding - tap dilation is a multiple of the stride for one phase of o.
        phase = (tap * dilation - padding) % stride
        taps[phase].append((phase + padding - tap * dilation) // stride)
    return Relation(1, stride, tuple(map(tuple, taps)), pads=True)


@lru_cache(1024)
def padded(before: int) -> Relation:
    """Zeros around: output o reads input o - before."""
    return Relation(1, 1, ((-before,),), pads=True)


@lru_cache(1024)
def shifted(offset: int) -> Relation:
    """Output o reads input o - offset, and nothing where that is outside: a part of a concat."""
    return Relation(1, 1, ((-offset,),))


@lru_cache(1024)
def sliced(start: int, step: int) -> Relation:
    """Output o reads input start + o step."""
    return IDENTITY if (start, step) == (0, 1) else Relation(step, 1, ((start,),))


@lru_cache(1024)
def flipped(size: int) -> Relation:
    """Output o reads input size - 1 - o."""
    return Relation(-1, 1, ((size - 1,),))


@lru_cache(1024)
def rolled(size: int, shift: int) -> Relation:
    """Output o reads input o - shift, around the end."""
    if shift % size == 0:
        return IDENTITY
    return Relation(0, size, tuple(((o - shift) % size,) for o in one_by_one(size)))


@lru_cache(1024)
def tiled(size: int, times: int) -> Relation:
    """Output o reads input o mod size."""
    return Relation(0, size * times, tuple((o % size,) for o in one_by_one(size * times)))


@lru_cache(1024)
def repeated(times: int) -> Relation:
    """Output o reads input o // times: also nearest upsampling by a whole factor."""
    return IDENTITY if times == 1 else Relation(1, times, ((0,),) * times)


@lru_cache(1024)
def blocks(length: int) -> Relation:
    """Output o reads all the indices of its block of `length`: attention inside windows."""
    return Relation(length, length, (tuple(one_by_one(length)),) * length)


@lru_cache(1024)
def bordered(size: int, before: int, after: int, mode: str) -> Relation:
    """Reflection, replication or circular padding: positions outside repeat inner ones."""
    span = 2 * (size - 1) or 1

    def inner(index: int) -> int:
        if mode == "reflection":
            index %= span
            return min(index, span - index)
        return min(max(index, 0), size - 1)

    table = tuple((inner(o - before),) for o in one_by_one(size + before + after))
    return Relation(0, len(table), table, regular=padded(before))


@lru_cache(1024)
def listed(indices: tuple[tuple[int, ...], ...], loose: bool = False) -> Relation:
    """Output o reads the input indices of entry o."""
    return Relation(0, len(indices), indices, loose=loose)


@lru_cache(1024)
def placed(indices: Sequence[int], size: int) -> Relation:
    """Output indices[i] reads input i, the last of several; the others of `size` read nothing."""
    sources: list[tuple[int, ...]] = [() for _ in one_by_one(size)]
    for source, place in enumerate(indices):
        sources[place] = (source,)
    return listed(tuple(sources))


@lru_cache(1024)
def kept(indices: Sequence[int], size: int, inside: bool) -> Relation:
    """Output o reads input o where it is among the indices, or where it is not, else nothing."""
    chosen = frozenset(indices)
    return listed(tuple((o,) if (o in chosen) == inside else () for o in one_by_one(size)))


@lru_cache(1024)
def unpooled(kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> Relation:
    """Max-unpooling: output o may come from every window that holds it."""
    spread = transposed(kernel, stride, padding, dilation)
    return Relation(1, spread.b, spread.taps, loose=True)


@lru_cache(1024)
def fractional(size: int, out: int, kernel: int) -> Relation:
    """Fractional pooling: windows start at random multiples of a fraction, up to one index on."""
    step = Fraction(size - kernel, max(out - 1, 1))

    def window_at(o: int) -> tuple[int, ...]:
        return tuple(range(floor(o * step), ceil(o * step) + kernel))

    regular = Relation(
        step.numerator, step.denominator, tuple(map(window_at, range(step.denominator)))
    )
    last = tuple(range(size - kernel, size))
    table = (*map(window_at, one_by_one(out - 1)), last)
    return Relation(0, out, table, loose=step.denominator > 1, regular=regular)


@lru_cache(1024)
def adaptive(size: int, out: int) -> Relation:
    """Adaptive pooling: output i reads floor(i n / m) to ceil((i + 1) n / m), exclusive."""
    shared = gcd(size, out)
    a, b = size // shared, out // shared
    taps = tuple(tuple(range(i * a // b, -(-(i + 1) * a // b))) for i in range(b))
    return IDENTITY if size == out else Relation(a, b, taps)


@lru_cache(1024)
def nearest(size: int, out: int, scale: float | None, centred: bool = False) -> Relation:
    """Nearest resizing: floor(o / scale), or of the middle of o where `centred`."""
    if size == out and scale in (None, 1):
        return IDENTITY
    step = _float32(1 / scale if scale else size / out)
    shift = 0.5 if centred else 0.0
    table = tuple((min(floor(_float32((o + shift) * step)), size - 1),) for o in one_by_one(out))
    ratio = _ratio(size, out, scale)
    middle = Fraction(1, 2) if centred else Fraction(0)
    taps = tuple((floor((o + middle) * ratio),) for o in range(ratio.denominator))
    return _with_borders(table, Relation(ratio.numerator, ratio.denominator, taps))


@lru_cache(1024)
def interpolated(
    size: int, out: int, scale: float | None, corners: bool, reach: int = 1
) -> Relation:
    """Linear (reach 1) or cubic (reach 2) resizing: the 2 reach taps around each source point."""
    if size == out and (corners or scale in (None, 1)):
        return IDENTITY
    if corners:
        ratio = Fraction(size - 1, out - 1) if out > 1 else Fraction(0)
        shift = Fraction(0)
    else:
        ratio = _ratio(size, out, scale)
        shift = (ratio - 1) / 2
    offsets = range(1 - reach, 1 + reach)

    def around(o: int) -> tuple[int, ...]:
        source = floor(o * ratio + shift)
        return tuple(source + offset for offset in offsets)

    def inside(o: int) -> tuple[int, ...]:
        # Linear kernels take max(0, source) before the floor, cubic ones clamp each tap.
        source = floor(o * ratio + shift)
        if reach == 1:
            source = max(0, source)
        return tuple(sorted({min(max(source + offset, 0), size - 1) for offset in offsets}))

    taps = tuple(around(o) for o in range(ratio.denominator))
    regular = Relation(ratio.numerator, ratio.denominator, taps)
    return _with_borders(tuple(inside(o) for o in one_by_one(out)), regular)


@lru_cache(1024)
def antialiased(size: int, out: int, scale: float | None, corners: bool, reach: int) -> Relation:
    """Resizing with antialias: a kernel of `reach` widened by the scale when it shrinks."""
    ratio = Fraction(size - 1, out - 1) if corners and out > 1 else _ratio(size, out, scale)
    support = reach * max(ratio, Fraction(1))

    def span(o: int) -> tuple[int, int]:
        centre = ratio * (o + Fraction(1, 2))
        return floor(centre - support + Fraction(1, 2)), floor(centre + support + Fraction(1, 2))

    table = tuple(
        tuple(range(max(first, 0), min(last, size))) for first, last in map(span, one_by_one(out))
    )
    taps = tuple(tuple(range(*span(o))) for o in range(ratio.denominator))
    return _with_borders(table, Relation(ratio.numerator, ratio.denominator, taps))


def _with_borders(table: Taps, regular: Relation) -> Relation:
    return Relation(0, len(table), table, regular=regular)


def _ratio(size: int, out: int, scale: float | None) -> Fraction:
    """Input pixels an output pixel, as a fraction of small numbers."""
    return 1 / Fraction(scale).limit_denominator(4096) if scale else Fraction(size, out)


def _float32(number: float) -> float:
    """The nearest number that torch's own arithmetic can hold."""
    single: float = unpack("f", pack("f", number))[0]
    return single

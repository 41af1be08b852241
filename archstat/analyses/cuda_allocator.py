"""What torch's caching allocator takes from a GPU for a sequence of allocations and frees.

The rules are those that torch documents for its native allocator. A request is rounded up to whole
blocks of 512 bytes. Up to 1 MiB it is served from segments of 2 MiB, below 10 MiB from segments of
20 MiB, beyond by a segment of its own of whole 2 MiB. The smallest free block that holds it is
taken; what remains of it is split off, of a large block only where it is more than 1 MiB. Freed
neighbours merge. Before the device is full, segments without a tensor are given back.

With `expandable` segments each pool is one segment that grows at its end, by whole pages of 2 and
20 MiB, and every remainder is split off; given back are whole free pages at its end.

Unknown are the addresses that the driver hands out, which decide between equal blocks: they are
taken as rising.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

from archstat.graph import Graph

MIB = 2**20
BLOCK = 512
_SMALL, _SMALL_SEGMENT = MIB, 2 * MIB
_LARGE, _LARGE_SEGMENT = 10 * MIB, 20 * MIB

# An owner and the bytes it takes; negative where it gives them back.
Event = tuple[int, int]


class OutOfMemoryError(Exception):
    """No segment fits the device, not even after every free one was given back."""


class _Block:
    __slots__ = ("address", "free", "next", "previous", "size", "small")

    def __init__(self, address: int, size: int, small: bool) -> None:
        self.address, self.size, self.small = address, size, small
        self.free = False
        self.previous: _Block | None = None
        self.next: _Block | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """The most bytes of blocks with a tensor, and of segments, during a sequence.

    The two maxima need not be at the same time.
    """

    allocated_bytes: int
    reserved_bytes: int

    @property
    def fragmentation(self) -> float:
        """The share of the reserved bytes that no tensor ever used at once with the others."""
        if not self.reserved_bytes:
            return 0.0
        return 1 - self.allocated_bytes / self.reserved_bytes


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


class CudaAllocator:
    """The allocator of one device and stream; `capacity` bytes may be reserved, by default any.

    `allocated` and `reserved` are the bytes now, `peak` their maxima; `segments` are the addresses
    and bytes of those that came and, with negative bytes, went, unless they are expandable.
    """

    def __init__(self, capacity: int | None = None, *, expandable: bool = False) -> None:
        self.allocated = self.reserved = 0
        self._capacity, self._expandable = capacity, expandable
        self._most = (0, 0)
        self._end = 0
        self._blocks: dict[int, _Block] = {}
        # The free blocks of the large and of the small pool, by size and address.
        self._free: tuple[list[tuple[int, int]], ...] = ([], [])
        self._by_address: dict[int, _Block] = {}
        # Address and bytes of each segment in the order in which they came and, negative, went.
        self.segments: list[tuple[int, int]] = []
        self._tails: list[_Block | None] = [None, None]
        self._ends = [0, 2**60]

    @property
    def peak(self) -> Reserved:
        """The most allocated and reserved so far."""
        return Reserved(*self._most)

    def allocate(self, owner: int, size: int) -> int:
        """The address of a new block of at least `size` bytes, more than 0.

        Raises:
            OutOfMemoryError: the capacity does not allow another segment.
        """
        size = _rounded(size, BLOCK)
        small = size <= _SMALL
        block = self._best_fit(size, small) or self._new_segment(size, small)
        self._split(block, size)
        self._blocks[owner] = block
        self.allocated += block.size
        self._most = max(self._most[0], self.allocated), max(self._most[1], self.reserved)
        return block.address

    def free(self, owner: int) -> None:
        """Give an owner's block back to its pool, merged with its free neighbours."""
        block = self._blocks.pop(owner)
        self.allocated -= block.size
        before, after = block.previous, block.next
        if after is not None and after.free:
            self._take(after)
            self._merge(block, after)
        if before is not None and before.free:
            self._take(before)
            self._merge(before, block)
            block = before
        self._put(block)

    def address(self, owner: int) -> int:
        """Where an owner's block begins."""
        return self._blocks[owner].address

    def layout(self) -> list[tuple[int, int, int | None]]:
        """Address, size and owner of every block in order of address; a free one has none."""
        held = ((block.address, block.size, owner) for owner, block in self._blocks.items())
        free = ((block.address, block.size, None) for block in self._by_address.values())
        return sorted((*held, *free), key=lambda block: block[0])

    def held(self) -> list[tuple[int, int]]:
        """Address and size of every block that has an owner."""
        return sorted((block.address, block.size) for block in self._blocks.values())

    def release_free_segments(self) -> None:
        """Give back to the device what holds no tensor, as ``torch.cuda.empty_cache()`` does."""
        if self._expandable:
            for small in (False, True):
                self._shrink(small)
            return
        for pool in self._free:
            for _, address in tuple(pool):
                block = self._by_address[address]
                if block.previous is None and block.next is None:
                    self._take(block)
                    self.reserved -= block.size
                    self.segments.append((block.address, -block.size))

    def _best_fit(self, size: int, small: bool) -> _Block | None:
        pool = self._free[small]
        place = bisect_left(pool, (size, -1))
        if place == len(pool):
            return None
        block = self._by_address[pool[place][1]]
        self._take(block)
        return block

    def _new_segment(self, size: int, small: bool) -> _Block:
        if self._expandable:
            return self._grown(size, small)
        if small:
            taken = _SMALL_SEGMENT
        else:
            taken = _LARGE_SEGMENT if size < _LARGE else _rounded(size, _SMALL_SEGMENT)
        self._reserve(taken)
        block = _Block(self._end, taken, small)
        self.segments.append((self._end, taken))
        self._end += taken
        return block

    def _grown(self, size: int, small: bool) -> _Block:
        """The last block of a pool's only segment, after the segment has grown."""
        page = _SMALL_SEGMENT if small else _LARGE_SEGMENT
        tail = self._tails[small]
        there = tail.size if tail is not None and tail.free else 0
        if not self._has_room(_rounded(size - there, page)):
            self.release_free_segments()
            tail = self._tails[small]
            there = tail.size if tail is not None and tail.free else 0
        more = _rounded(size - there, page)
        self._reserve(more)
        block = _Block(self._ends[small], more, small)
        self._ends[small] += more
        block.previous, self._tails[small] = tail, block
        if tail is not None:
            tail.next = block
            if tail.free:
                self._take(tail)
                self._merge(tail, block)
                return tail
        return block

    def _shrink(self, small: bool) -> None:
        page = _SMALL_SEGMENT if small else _LARGE_SEGMENT
        tail = self._tails[small]
        if tail is None or not tail.free or (whole := tail.size // page * page) == 0:
            return
        self._take(tail)
        self.reserved -= whole
        self._ends[small] -= whole
        tail.size -= whole
        if tail.size:
            self._put(tail)
            return
        self._tails[small] = tail.previous
        if tail.previous is not None:
            tail.previous.next = None

    def _has_room(self, size: int) -> bool:
        return self._capacity is None or self.reserved + size <= self._capacity

    def _reserve(self, size: int) -> None:
        if not self._has_room(size) and not self._expandable:
            self.release_free_segments()
        if not self._has_room(size):
            raise OutOfMemoryError(size)
        self.reserved += size

    def _split(self, block: _Block, size: int) -> None:
        rest = block.size - size
        if rest < BLOCK or (rest <= _SMALL and not block.small and not self._expandable):
            return
        remainder = _Block(block.address + size, rest, block.small)
        remainder.previous, remainder.next = block, block.next
        if block.next is not None:
            block.next.previous = remainder
        elif self._tails[block.small] is block:
            self._tails[block.small] = remainder
        block.next, block.size = remainder, size
        self._put(remainder)

    def _merge(self, first: _Block, second: _Block) -> None:
        first.size += second.size
        first.next = second.next
        if second.next is not None:
            second.next.previous = first
        if self._tails[first.small] is second:
            self._tails[first.small] = first

    def _put(self, block: _Block) -> None:
        block.free = True
        insort(self._free[block.small], (block.size, block.address))
        self._by_address[block.address] = block

    def _take(self, block: _Block) -> None:
        block.free = False
        pool = self._free[block.small]
        del pool[bisect_left(pool, (block.size, block.address))]
        del self._by_address[block.address]


def reserved_for(
    events: Iterable[Event], capacity: int | None = None, *, expandable: bool = False
) -> Reserved:
    """The most that is allocated and reserved for a sequence; owners of no bytes take nothing.

    Raises:
        OutOfMemoryError: it does not fit the `capacity`.
    """
    allocator = CudaAllocator(capacity, expandable=expandable)
    for owner, size in events:
        if size > 0:
            allocator.allocate(owner, size)
        elif size < 0:
            allocator.free(owner)
    return allocator.peak


def events_of(graph: Graph) -> list[Event]:
    """What an eager forward allocates and frees: first what is there, then what each op makes."""
    there: list[Event] = []
    during: list[list[Event]] = [[] for _ in graph.ops]
    for owner, (size, born, released) in enumerate(graph.storages):
        (there if born is None else during[born]).append((owner, size))
        if released is not None and released >= 0 and during:
            during[max(released, born or 0)].append((owner, -size))
    # An op allocates its outputs before anything that it was the last to read goes.
    return [*there, *[e for op in during for e in sorted(op, key=lambda event: event[1] < 0)]]

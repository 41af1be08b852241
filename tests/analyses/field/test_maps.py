"""Maps of random chains and joins beside sets of indices walked one by one, without borders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.field.maps import START, Map, joined, pieced, through
from archstat.analyses.field.relations import Relation, repeated, transposed, window

WINDOWS = st.builds(
    window, st.integers(1, 5), st.integers(1, 3), st.integers(-2, 3), st.integers(1, 3)
)
TRANSPOSED = st.builds(transposed, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2))
CHAINS = st.lists(st.one_of(WINDOWS, TRANSPOSED, st.builds(repeated, st.integers(1, 3))),
                  min_size=1, max_size=5)  # fmt: skip
SIZE = 24


def walked(chain: list[Relation], index: int) -> set[int]:
    """Every input index that an output index of a chain reads, in range or out of it."""
    indices = {index}
    for relation in reversed(chain):
        indices = {
            relation.a * (i // relation.b) + tap
            for i in indices
            for tap in relation.taps[i % relation.b]
        }
    return indices


def composed(chain: list[Relation]) -> Map:
    found = START
    for relation in chain:
        found = through(found, relation, SIZE)
    return found


def ends(indices: set[int]) -> tuple[int | None, int | None]:
    return (min(indices), max(indices)) if indices else (None, None)


@given(CHAINS)
def test_map_of_a_chain_is_the_hull_of_what_is_read(chain):
    found = composed(chain)
    assert [found.at(o) for o in range(SIZE)] == [ends(walked(chain, o)) for o in range(SIZE)]


@given(st.lists(WINDOWS, min_size=1, max_size=6))
def test_ordinary_chain_has_the_closed_form(chain):
    field, stride, start = 1, 1, 0
    for relation in chain:
        field += (relation.last - relation.first) * stride
        start += relation.first * stride
        stride *= relation.a
    found = composed(chain)
    assert (found.a, found.b, found.lo) == (stride, 1, (start,))
    assert found.spans(SIZE) == [field]


@given(CHAINS, CHAINS)
def test_join_is_the_union_at_every_position(one, other):
    union, _ = joined([composed(one), composed(other)], SIZE)
    for o in range(SIZE):
        assert union.at(o) == ends(walked(one, o) | walked(other, o))


@given(CHAINS, CHAINS, WINDOWS)
def test_window_after_a_join_unites_its_taps(one, other, last):
    maps = [composed(one), composed(other)]
    union, even = joined(maps, SIZE)
    alike = maps[0].a * maps[1].b == maps[1].a * maps[0].b
    found = through(union, last, SIZE)
    for o in range(SIZE):
        taps = [o * last.a + tap for tap in last.taps[0]]
        if not even:  # a table ends with its positions
            taps = [tap for tap in taps if 0 <= tap < SIZE]
        elif not alike and not all(0 <= tap < SIZE for tap in taps):
            continue  # strides that differ may look alike where there are positions, not beyond
        read = set().union(*(walked(one, t) | walked(other, t) for t in taps))
        assert found.at(o) == ends(read)


def test_strides_that_differ_make_a_table():
    union, even = joined([composed([window(3, 2)]), composed([window(3)])], 3)
    assert not even
    assert [union.at(o) for o in range(3)] == [(0, 2), (1, 4), (2, 6)]


def test_halves_put_together_again_are_no_table():
    left, right = Map(1, 1, (0,), (0,)), Map(1, 1, (4,), (4,))
    assert pieced([(left, 4), (right, 4)]) == START


def test_part_that_sees_nothing_is_empty():
    found = pieced([(START, 2), (None, 1)])
    assert [found.at(o) for o in range(3)] == [(0, 0), (1, 1), (None, None)]
    assert found.spans(3) == [1, 1, 0]

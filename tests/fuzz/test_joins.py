"""Branches that are added up, nested at will: every position against sets made by the definition.

`ARCHSTAT_FUZZ` gives another number of inputs for each test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archstat.analyses.field import receptive_field
from archstat.errors import LayerListError
from archstat.frontends.layers import layers

EXAMPLES = int(os.environ.get("ARCHSTAT_FUZZ", "40"))
SIZE = 13
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@dataclass(frozen=True)
class Window:
    """A layer over the first axis alone."""

    kind: str
    kernel: int
    stride: int
    padding: int

    @property
    def text(self):
        if self.kind == "up":
            return f"up{self.stride}x1"
        if self.kind == "id":
            return "id"
        head = {"conv": "", "transposed": "t"}[self.kind]
        return f"{head}{self.kernel}x1/{self.stride}x1p{self.padding}x0"

    def seen(self, below):
        """For each output index what it sees, from what each input index sees."""
        size = len(below)
        if self.kind == "id":
            return below
        if self.kind == "up":
            return [below[o // self.stride] for o in range(size * self.stride)]
        if self.kind == "transposed":
            out = (size - 1) * self.stride - 2 * self.padding + self.kernel
            made = [frozenset()] * max(out, 0)
            for index, found in enumerate(below):
                for tap in range(self.kernel):
                    at = index * self.stride - self.padding + tap
                    if 0 <= at < out:
                        made[at] |= found
            return made
        out = (size + 2 * self.padding - self.kernel) // self.stride + 1
        made = []
        for o in range(max(out, 0)):
            taps = range(
                o * self.stride - self.padding, o * self.stride - self.padding + self.kernel
            )
            made.append(frozenset().union(*(below[i] for i in taps if 0 <= i < size)))
        return made


@dataclass(frozen=True)
class Join:
    """Branches, each a sequence, added up."""

    branches: tuple

    @property
    def text(self):
        return f"({'|'.join(','.join(n.text for n in branch) for branch in self.branches)})"

    def seen(self, below):
        made = [through(branch, below) for branch in self.branches]
        assume(len({len(found) for found in made}) == 1)
        return [frozenset().union(*row) for row in zip(*made, strict=True)]


def through(nodes, below):
    for node in nodes:
        below = node.seen(below)
        assume(0 < len(below) < 80)
    return below


WINDOWS = (
    st.builds(Window, st.just("conv"), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
    | st.sampled_from([Window("conv", 3, 1, 1), Window("conv", 5, 1, 2), Window("conv", 1, 1, 0),
                       Window("id", 1, 1, 0), Window("conv", 3, 2, 1), Window("conv", 1, 2, 0)])
    | st.builds(Window, st.just("up"), st.just(1), st.integers(2, 3), st.just(0))
    | st.builds(Window, st.just("transposed"), st.integers(1, 4), st.integers(1, 3), st.just(0))
)  # fmt: skip
SAME = st.sampled_from([Window("conv", 3, 1, 1), Window("conv", 5, 1, 2), Window("id", 1, 1, 0),
                        Window("conv", 1, 1, 0)])  # fmt: skip


def joins(nodes):
    branch = st.lists(nodes, min_size=1, max_size=3).map(tuple)
    return st.lists(branch, min_size=2, max_size=3).map(lambda branches: Join(tuple(branches)))


TREES = st.recursive(WINDOWS, joins, max_leaves=8)
EVEN_TREES = st.recursive(SAME, joins, max_leaves=10)
STRIDED = st.tuples(st.sampled_from([Window("conv", 3, 2, 1), Window("conv", 1, 2, 0)]), EVEN_TREES)


def agree(nodes):
    expected = through(nodes, [frozenset([index]) for index in range(SIZE)])
    text = ",".join(node.text for node in nodes)
    try:
        fields = receptive_field(layers(text, input=(SIZE, 2)))
    except LayerListError:
        assume(False)
    row = fields.of_value(fields.graph.outputs[0])
    assert row.size[0] == len(expected)
    for index, seen in enumerate(expected):
        assert set(row.support((index, 0))[0]) == seen, (text, index)
        ends = row.interval((index, 0))[0]
        assert ends == ((min(seen), max(seen)) if seen else None), (text, index)


@fuzzed
@given(st.lists(EVEN_TREES, min_size=1, max_size=3))
def test_branches_of_one_stride_see_the_union(nodes):
    agree(nodes)


@fuzzed
@given(st.lists(TREES, min_size=1, max_size=2))
def test_branches_of_any_stride_see_the_union(nodes):
    agree(nodes)


@fuzzed
@given(st.lists(STRIDED, min_size=2, max_size=2), st.lists(EVEN_TREES, max_size=2))
def test_branches_that_both_stride_see_the_union(branches, rest):
    agree([Join(tuple(branches)), *rest])

"""What is known of a value: where its axes stand, what its indices see, and what it came from.

States of one Graph form a graph of their own, smaller than that of the ops: what an element-wise
op makes shares the state of what it reads. `Link`s lead back to the input.
"""

from __future__ import annotations

from typing import NamedTuple

from archstat.analyses.field_layouts import Layout
from archstat.analyses.field_maps import Map
from archstat.analyses.field_relations import Relation

Origin = tuple[int, str]  # the first op that sees everything, and what it is called


class Support(NamedTuple):
    """The input indices seen on one axis, as bits, and whether anything on the way is padding."""

    indices: int
    reads_padding: bool


class Link(NamedTuple):
    """What a state reads of another, an entry an axis; `gates` says where it only scales.

    `pools` marks a global pooling or a linear layer over all positions: the end of the spatial
    part of a network.
    """

    state: State
    relations: tuple[Relation, ...]
    gates: tuple[bool, ...] = ()
    pools: bool = False


class State:
    """Layout, number of indices and map of each axis; a map of None sees everything.

    `made` is the op that made it, `first_global` the first op before it that sees everything, and
    `aligned` is False once strides differed at a join.
    """

    __slots__ = ("aligned", "first_global", "layout", "links", "made", "maps", "order", "sizes")

    def __init__(
        self,
        order: int,
        made: int | None,
        layout: Layout,
        sizes: tuple[int, ...],
        maps: tuple[Map | None, ...],
        links: tuple[Link, ...] = (),
        first_global: Origin | None = None,
        aligned: bool = True,
    ) -> None:
        self.order, self.made = order, made
        self.layout, self.sizes, self.maps, self.links = layout, sizes, maps, links
        self.first_global, self.aligned = first_global, aligned

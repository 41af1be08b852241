"""BOPs: each multiply-accumulate times the bits of the weight and of the activation it meets."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import NamedTuple

from archstat.analyses.conventions.tools import Tool
from archstat.analyses.operations import cost
from archstat.errors import SpecError
from archstat.graph import Graph

_WIDTHS = re.compile(r"(?:w(\d{1,2})a(\d{1,2})|(\d{1,2}))")
_WEIGHTED = ("conv", "linear", "recurrent")


class Widths(NamedTuple):
    """Bits of a weight and of an activation."""

    weight: int
    activation: int


class Bits(NamedTuple):
    """The widths of the layers with weights, the first and the last of them apart."""

    inner: Widths
    first: Widths
    last: Widths


def parse_bits(text: str) -> Bits:
    """The widths that ``"w4a8,first=8,last=8"`` or ``"8"`` names; 8 is w8a8.

    Raises:
        SpecError: no such widths, or none between 1 and 64.
    """
    inner, *rest = text.strip().lower().split(",")
    named = {"inner": inner, **dict(part.split("=", 1) for part in rest if "=" in part)}
    found = {name: _widths(one) for name, one in named.items()}
    if {*found} - {*Bits._fields} or len(found) <= len(rest) or None in found.values():
        raise SpecError(
            f"{text!r} gives no bit widths; write weights and activations, 1 to 64 bits each, as "
            "w4a8 or 8, then first= or last=: w4a8,first=8,last=8."
        )
    widths = {name: one for name, one in found.items() if one}
    return Bits(*(widths.get(name, widths["inner"]) for name in Bits._fields))


def _widths(text: str) -> Widths | None:
    match = _WIDTHS.fullmatch(text.strip())
    if match is None:
        return None
    weight, activation = (int(match[group] or match[3]) for group in (1, 2))
    return Widths(weight, activation) if 1 <= weight <= 64 and 1 <= activation <= 64 else None


def bops(graph: Graph, bits: Bits) -> Counter[str]:
    """By module; a product of two activations has the activations' bits twice."""
    weighted = [index for index, op in enumerate(graph.ops) if op.kind in _WEIGHTED]
    special = {weighted[-1]: bits.last, weighted[0]: bits.first} if weighted else {}
    found = Counter[str]()
    for index, op in enumerate(graph.ops):
        macs = cost(op, graph.values).macs
        weight, activation = special.get(index, bits.inner)
        found[op.module] += macs * activation * (weight if op.kind in _WEIGHTED else activation)
    return found


def bit_operations(text: str) -> Tool:
    """The column of BOPs at the widths that a text names; see `parse_bits`."""
    bits = parse_bits(text)
    meaning = f"macs x bits of weight x bits of activation, {text.strip()}"
    return Tool("bops", "BOPs", meaning, partial(bops, bits=bits), key="bops")

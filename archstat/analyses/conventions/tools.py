"""What other tools print, computed from a Graph: as they count, with their omissions and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from archstat.analyses.conventions import by_module
from archstat.analyses.conventions.by_op import (
    FLOP_COUNTER_META,
    FVCORE,
    PTFLOPS_ATEN,
    TORCHPROFILE,
    by_op,
)
from archstat.errors import SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.result import Column


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what it calls its figure, what that holds, and its figures by module."""

    name: str
    figure: str
    meaning: str
    count: Callable[[Graph], Mapping[str, int]]

    @property
    def column(self) -> Column:
        """The column of what it prints."""
        return Column(f"as_{self.name}", "count", f"{self.figure} of {self.name}: {self.meaning}")

    def total(self, graph: Graph) -> int:
        """What it prints for the whole model, before any rounding."""
        return sum(self.count(graph).values())


TOOLS: tuple[Tool, ...] = (
    Tool("fvcore", "FLOPs", "macs, batch and layer norm, adaptive pooling; no fused attention",
         partial(by_op, formulas=FVCORE, prunes=True)),
    Tool("flop_counter", "FLOPs", "2 x macs; no fused attention on cpu",
         by_module.flop_counter),
    Tool("flop_counter_meta", "FLOPs", "2 x macs", partial(by_op, formulas=FLOP_COUNTER_META)),
    Tool("ptflops_aten", "MACs", "macs and bias; no fused attention",
         partial(by_op, formulas=PTFLOPS_ATEN)),
    Tool("ptflops", "MACs", "layers with bias, norms; activations and pooling twice; no functions "
         "of products", by_module.ptflops),
    Tool("calflops", "MACs", "macs of convolutions and linear layers; no fused attention",
         by_module.calflops),
    Tool("torchprofile", "MACs", "macs, 1 an element of norms, products and averages",
         partial(by_op, formulas=TORCHPROFILE, prunes=True)),
    Tool("thop", "MACs", "macs of layers, 4 an element of norms, averages; no functions",
         by_module.thop),
    Tool("mmcv", "FLOPs", "macs of layers with bias, norms, activations, pooling; no functions",
         by_module.mmcv),
    Tool("torchinfo", "mult-adds", "each parameter of a layer once a position; no functions",
         by_module.torchinfo),
)  # fmt: skip


def tools_named(text: str) -> tuple[Tool, ...]:
    """The tools of ``"fvcore,thop"``, in this order.

    Raises:
        SpecError: a name that no tool has.
    """
    known = {tool.name: tool for tool in TOOLS}
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in known:
            nearest = did_you_mean(name, known)
            raise SpecError(f"no tool {name!r} is known here.{nearest} Known: {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names))

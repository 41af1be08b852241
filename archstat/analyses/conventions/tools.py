"""What other tools print, computed from a Graph: as they count, with their omissions and errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from archstat.analyses.conventions import by_module
from archstat.analyses.conventions.by_module import (
    PTFLOPS,
    Layer,
    above,
    by_type,
    for_each_parent,
    layers,
    of_one,
    query_and_key,
)
from archstat.analyses.conventions.by_op import (
    CALFLOPS,
    DEEPSPEED,
    FLOP_COUNTER,
    FLOP_COUNTER_META,
    FVCORE,
    OPENVINO,
    OPENVINO_IR10,
    PTFLOPS_ATEN,
    PTFLOPS_FUNCTIONS,
    TIMM,
    TORCHPROFILE,
    Formula,
    by_op,
)
from archstat.errors import SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.result import Column, Report


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what it calls its figure, what that holds, and its figures by module.

    With a `side` it counts a square of that size, and scales the figure to the input's area.
    """

    name: str
    figure: str
    meaning: str
    count: Callable[[Graph], Mapping[str, int]]
    key: str = ""
    side: int = 0

    @property
    def counts_products(self) -> bool:
        """Whether its figure holds multiply-accumulates, once or twice."""
        return not self.key and "params" not in self.figure

    @property
    def column(self) -> Column:
        """The column of what it prints."""
        said = self.meaning if self.key else f"{self.figure} of {self.name}: {self.meaning}"
        return Column(self.key or f"as_{self.name}", "count", said, "lower")

    def missed(self, report: Report) -> Counter[str]:
        """By type of layer, the macs of the report that it does not count."""
        counts, found = self.count(report.graph), Counter[str]()
        for row in report.layers.records():
            off = int(str(row.get("macs") or 0)) - counts.get(str(row["module"]), 0)
            if off > 0:
                found[str(row["type"])] += off
        return found

    def total(self, graph: Graph) -> int:
        """What it prints for the whole model, before any rounding."""
        return sum(self.count(graph).values())


def _twice_thop(graph: Graph) -> Counter[str]:
    return Counter({path: 2 * macs for path, macs in by_module.thop(graph).items()})


def _ptflops(graph: Graph) -> Counter[str]:
    """By module, what ptflops calls MACs: of layers for one of the batch, of functions for all."""
    return of_one(graph, by_type(graph, PTFLOPS)) + by_op(graph, PTFLOPS_FUNCTIONS)


def _calflops(graph: Graph) -> Counter[str]:
    """By module, what calflops calls MACs."""
    return for_each_parent(graph, by_op(graph, CALFLOPS))


def _deepspeed(graph: Graph) -> Counter[str]:
    """By module, what DeepSpeed's profiler calls MACs."""
    return for_each_parent(graph, by_op(graph, DEEPSPEED))


def _openvino(graph: Graph, formulas: Mapping[str, Formula]) -> Counter[str]:
    """By module, OpenVINO's Model Analyzer: at the root the scale and shift of each image, too."""
    found = by_op(graph, formulas, prunes=True)
    given = (graph.values[value] for value in graph.inputs)
    found[""] += sum(2 * image.numel for image in given if len(image.shape) == 4)
    return found


def _parameters_and_statistics(graph: Graph) -> Counter[str]:
    """By module, its parameters and the running means and variances of norms."""
    found = Counter[str]()
    for value in (*graph.parameters(), *graph.buffers()):
        module, _, name = (value.name or "").rpartition(".")
        if value.role == "parameter" or name in ("running_mean", "running_var"):
            found[module] += value.numel
    return found


def _flop_counter(graph: Graph) -> Counter[str]:
    """By module, FlopCounterMode on cpu: torch's attention layer is one kernel without formula."""
    fast = {path for path, layer in layers(graph) if _is_fast(layer)}
    layered = {m.path for m in graph.modules if m.type == "TransformerEncoderLayer"}
    fast |= layered & {path.rpartition(".")[0] for path in fast}
    found = by_op(graph, FLOP_COUNTER)
    hidden = [path for path in found if path in fast or fast.intersection(above(path))]
    return Counter({path: figure for path, figure in found.items() if path not in hidden})


def _is_fast(layer: Layer) -> bool:
    """Whether torch takes its own kernel for an attention layer: self-attention, batch first."""
    if layer.type != "MultiheadAttention" or {"bias_k", "q_proj_weight"} & {*layer.parameters}:
        return False
    heads = layer.x[-1] // query_and_key(layer)[0][-1]
    is_self_attention = len({value.storage for value in layer.inputs[:3]}) == 1
    return is_self_attention and heads % 2 == 0 and layer.ops[0].name == "transpose"


TOOLS: tuple[Tool, ...] = (
    Tool("fvcore", "FLOPs", "macs, batch and layer norm, adaptive pooling; no fused attention",
         partial(by_op, formulas=FVCORE, prunes=True)),
    Tool("flop_counter", "FLOPs", "2 x macs; no fused attention on cpu",
         _flop_counter),
    Tool("flop_counter_meta", "FLOPs", "2 x macs", partial(by_op, formulas=FLOP_COUNTER_META)),
    Tool("ptflops_aten", "MACs", "macs and bias; no fused attention",
         partial(by_op, formulas=PTFLOPS_ATEN)),
    Tool("ptflops", "MACs", "layers with bias, norms; activations and pooling twice; no functions "
         "of products", _ptflops),
    Tool("calflops", "MACs", "macs of convolutions and linear layers; no fused attention",
         _calflops),
    Tool("torchprofile", "MACs", "macs, 1 an element of norms, products and averages",
         partial(by_op, formulas=TORCHPROFILE, prunes=True)),
    Tool("thop", "MACs", "macs of layers, 4 an element of norms, averages; no functions",
         by_module.thop),
    Tool("deepspeed", "MACs", "macs; no recurrent layers", _deepspeed),
    Tool("timm", "GMACs", "as fvcore, but no averages", partial(by_op, formulas=TIMM, prunes=True)),
    Tool("openvino", "GFLOPs", "2 x macs, 2 an element of ReLU, 3 of a sum, windows of pooling; "
         "norms folded", partial(_openvino, formulas=OPENVINO)),
    Tool("openvino_ir10", "GFLOPs", "2 x macs and bias, 2 an element of ReLU, 1 of a sum or "
         "product, windows of pooling; norms folded", partial(_openvino, formulas=OPENVINO_IR10)),
    Tool("mmpretrain", "FLOPs", "as mmcv", by_module.mmcv),
    Tool("paddle", "FLOPs", "macs, bias of convolutions, 2 an element of norms, averages; no "
         "functions", by_module.paddle),
    Tool("keras", "Total params", "parameters and the running statistics of norms",
         _parameters_and_statistics),
    Tool("mxnet", "Total params", "parameters and the running statistics of norms",
         _parameters_and_statistics),
    Tool("ultralytics", "FLOPs", "2 x MACs of thop at 32x32, scaled to the input's area",
         _twice_thop, side=32),
    Tool("mmcv", "FLOPs", "macs of layers with bias, norms, activations, pooling; no functions",
         by_module.mmcv),
    Tool("torchinfo", "mult-adds", "each parameter of a layer once a position; no functions",
         by_module.torchinfo),
)  # fmt: skip


def tools_named(text: str) -> tuple[Tool, ...]:
    """The tools of ``"fvcore,thop"``, in this order; see `tool_named`."""
    names = (name.strip().lower() for name in text.split(","))
    return tuple(map(tool_named, dict.fromkeys(names)))


def tool_named(name: str) -> Tool:
    """The tool of that name.

    Raises:
        SpecError: a name that no tool has.
    """
    known = {tool.name: tool for tool in TOOLS}
    if name not in known:
        nearest = did_you_mean(name, known)
        raise SpecError(f"There is no tool {name!r}.{nearest} Known: {', '.join(known)}.")
    return known[name]

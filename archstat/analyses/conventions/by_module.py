"""What tools count that hang a formula on each type of module: they see no functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from types import MappingProxyType

from archstat.graph import Graph, ModuleCall, Op, Value


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a module as a formula sees it: the parameters it holds, what it got and gave."""

    type: str
    parameters: Mapping[str, Value]
    inputs: Sequence[Value]
    outputs: Sequence[Value]
    ops: Sequence[Op]
    values: Sequence[Value]

    @property
    def x(self) -> tuple[int, ...]:
        """The shape of the first input."""
        return self.inputs[0].shape

    @property
    def y(self) -> tuple[int, ...]:
        """The shape of the first output."""
        return self.outputs[0].shape

    def attribute(self, key: str, name: str = "") -> object:
        """An argument of its first op that has it, of a name if one is given."""
        found = (op.attributes[key] for op in self.ops if key in op.attributes and name in op.name)
        return next(found, None)


Formula = Callable[[Layer], int]


def layers(graph: Graph) -> list[tuple[str, Layer]]:
    """Every call of a module with its path, in the order in which the calls begin."""
    return graph.once("layers", lambda: _layers(graph))


def _layers(graph: Graph) -> list[tuple[str, Layer]]:
    held: dict[str, dict[str, Value]] = defaultdict(dict)
    for value in graph.parameters():
        for path in (value.name or "", *value.aliases):
            module, _, name = path.rpartition(".")
            held[module][name] = value
    return [(call.module, _layer(graph, call, held.get(call.module, {}))) for call in graph.calls]


def _layer(graph: Graph, call: ModuleCall, parameters: Mapping[str, Value]) -> Layer:
    given = [graph.values[value] for value in call.inputs]
    made = [graph.values[value] for value in call.outputs]
    return Layer(call.module_type, parameters, given, made, graph.ops[call.first : call.last],
                 graph.values)  # fmt: skip


def for_each_parent(graph: Graph, figures: Mapping[str, int]) -> Counter[str]:
    """The figures of modules as often as they are found by going from parents to children."""
    parents = {
        module.path: {path.rpartition(".")[0] for path in (module.path, *module.aliases)}
        for module in graph.modules if module.path
    }  # fmt: skip

    @cache
    def times(path: str) -> int:
        return sum(times(parent) for parent in parents[path]) if path in parents else 1

    return Counter({path: figure * times(path) for path, figure in figures.items()})


# -- thop ------------------------------------------------------------------------------------------


def _convolution(layer: Layer) -> int:
    weight, channels = layer.parameters["weight"].shape, layer.x[1]
    groups = layer.y[1] // weight[1] if "Transpose" in layer.type else channels // weight[1]
    return prod(layer.y) * (channels // groups) * prod(weight[2:])


def _norm(layer: Layer) -> int:
    return prod(layer.x) * (4 if layer.parameters else 2)


def _softmax(layer: Layer) -> int:
    dim = layer.attribute("dim")
    features = layer.x[dim] if isinstance(dim, int) else 1
    return prod(layer.x) // features * (3 * features - 1)


def _adaptive_average(layer: Layer) -> int:
    window = prod(before / after for before, after in zip(layer.x[2:], layer.y[2:], strict=True))
    return int((window + 1) * prod(layer.y))


def _upsample(layer: Layer) -> int:
    names = {op.name for op in layer.ops}
    per_output = next((n for mode, n in _MODES.items() if any(mode in name for name in names)), 0)
    return per_output * prod(layer.y)


_MODES = {"nearest": 1, "upsample_linear": 5, "bilinear": 11, "bicubic": 224 + 35}


def _linear(layer: Layer) -> int:
    return prod(layer.y) * layer.parameters["weight"].shape[1]


# For an element of the hidden state: what a gate adds beside its two products, and the rest.
_GATES = {"RNN": (1, 1, 0), "GRU": (3, 1, 4), "LSTM": (4, 1, 4)}


def _cell(parts: tuple[int, int, int], weight: Value, biased: bool) -> int:
    gates, sums, rest = parts
    hidden = weight.shape[0] // gates
    return gates * hidden * (weight.shape[1] + hidden + sums + 2 * biased) + rest * hidden


def _recurrent(layer: Layer, gates: Mapping[str, tuple[int, int, int]] = _GATES) -> int:
    kind = layer.type.removesuffix("Cell")
    matrices = {name: v for name, v in layer.parameters.items() if name.startswith("weight_ih")}
    biased = any(name.startswith("bias_ih") for name in layer.parameters)
    steps = prod(layer.x[:-1])
    return steps * sum(_cell(gates[kind], weight, biased) for weight in matrices.values())


_RECURRENT = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
_AXES = ("1d", "2d", "3d")
THOP: Mapping[str, Formula] = MappingProxyType({
    **{f"{name}{axes}": _convolution for name in ("Conv", "ConvTranspose") for axes in _AXES},
    **{f"{name}{axes}": _norm for name in ("BatchNorm", "InstanceNorm") for axes in _AXES},
    "LayerNorm": _norm,
    "SyncBatchNorm": _norm,
    "PReLU": lambda layer: prod(layer.x),
    "Softmax": _softmax,
    **{f"AvgPool{axes}": lambda layer: prod(layer.y) for axes in _AXES},
    **{f"AdaptiveAvgPool{axes}": _adaptive_average for axes in _AXES},
    "Linear": _linear,
    **dict.fromkeys(("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"), _upsample),
    **dict.fromkeys(_RECURRENT, _recurrent),
})  # fmt: skip


def thop(graph: Graph) -> Counter[str]:
    """By module, thop's macs: a module of two parents is counted twice, and added up twice."""
    return for_each_parent(graph, by_type(graph, THOP))


def by_type(graph: Graph, formulas: Mapping[str, Formula]) -> Counter[str]:
    """The figures of layers with a formula; what stands within such a layer counts for nothing.

    A subclass of a layer of torch's, even of the same name, has no formula.
    """
    found = Counter[str]()
    known = {path: formulas[name] for path, name in _classes(graph) if name in formulas}
    for path, layer in layers(graph):
        if path in known and layer.inputs and not any(parent in known for parent in above(path)):
            found[path] += known[path](layer)
    return for_each_parent(graph, found)


def _classes(graph: Graph) -> Iterator[tuple[str, str]]:
    """Each module with its class: torch's, or the attention of timm's vision transformer."""
    paths = {module.path for module in graph.modules}
    for module in graph.modules:
        if module.library in ("", "torch"):
            yield module.path, module.type
        elif {f"{module.path}.q_norm", f"{module.path}.norm"} <= paths:
            yield module.path, f"{module.library}.{module.type}"


def above(path: str) -> Iterator[str]:
    """The paths of all modules that hold one, the nearest first."""
    while path:
        path = path.rpartition(".")[0]
        yield path


# -- mmcv, a copy of an early ptflops --------------------------------------------------------------


def _biased(layer: Layer) -> int:
    weight = layer.parameters["weight"]
    side = layer.x if "Transpose" in layer.type else layer.y
    positions = side[0] * prod(side[2:]) if "Conv" in layer.type else prod(layer.y[:-1])
    return positions * weight.numel + ("bias" in layer.parameters) * prod(layer.y)


def _scaled(layer: Layer) -> int:
    return prod(layer.x) * (2 if layer.parameters else 1)


MMCV: Mapping[str, Formula] = MappingProxyType({
    **{f"{name}{axes}": _biased for name in ("Conv", "ConvTranspose") for axes in _AXES},
    "Linear": _linear,
    **dict.fromkeys(("ReLU", "PReLU", "ELU", "LeakyReLU", "ReLU6"), lambda layer: prod(layer.y)),
    **{
        f"{adaptive}{kind}Pool{axes}": lambda layer: prod(layer.x)
        for adaptive in ("", "Adaptive") for kind in ("Max", "Avg") for axes in _AXES
    },
    **{f"{name}{axes}": _scaled for name in ("BatchNorm", "InstanceNorm") for axes in _AXES},
    **dict.fromkeys(("GroupNorm", "LayerNorm"), _scaled),
    "Upsample": lambda layer: prod(layer.y[1:]),
})  # fmt: skip


def mmcv(graph: Graph) -> Counter[str]:
    """By module, what mmcv calls FLOPs: of one of the batch."""
    return of_one(graph, by_type(graph, MMCV))


def mmcv_without_layer_norm(graph: Graph) -> Counter[str]:
    """The same of MMPretrain's ConvNeXt: its layer norms are of a subclass, its pooling a mean."""
    unseen = ("LayerNorm", "AdaptiveAvgPool2d")
    formulas = {name: formula for name, formula in MMCV.items() if name not in unseen}
    return of_one(graph, by_type(graph, formulas))


def of_one(graph: Graph, figures: Mapping[str, int]) -> Counter[str]:
    """The figures over the first size of the model's first input."""
    shapes = (graph.values[value].shape for value in graph.inputs)
    batch = next(shapes, ())[:1]
    return Counter({path: figure // prod(batch) for path, figure in figures.items()})


# -- ptflops ---------------------------------------------------------------------------------------


def _attention(layer: Layer) -> int:
    """Scale, scores, softmax and sum of values; of torch's own layer with its projections."""
    query, key = query_and_key(layer)
    width, length, source = query[-1], query[-2], key[-2]
    heads = layer.x[-1] // width
    batch, whole = prod(query[:-2]) // heads, heads * width
    macs = length * whole + heads * length * source * (2 * width + 1)
    if layer.type == "MultiheadAttention":
        macs += length * whole * (2 * whole + 1)
        macs += sum(source * given.shape[-1] ** 2 for given in (*layer.inputs[1:3],))
        macs += (length + 2 * source) * whole * ("in_proj_bias" in layer.parameters)
    return batch * macs


def query_and_key(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of both in heads, of a fused attention or, turned back, of its first product."""
    op = next(op for op in layer.ops if op.kind in ("attention", "matmul"))
    given = [layer.values[value].shape for value in op.inputs]
    if op.kind == "attention":
        return given[0], given[1]
    first, second = given[-2:]
    return first, (*second[:-2], second[-1], second[-2])


PTFLOPS: Mapping[str, Formula] = MappingProxyType({
    **MMCV,
    "Linear": _biased,
    "LayerNorm": lambda layer: prod(layer.x),
    "GELU": lambda layer: prod(layer.y),
    **dict.fromkeys(_RECURRENT, partial(_recurrent, gates={**_GATES, "LSTM": (4, 1, 6)})),
    "MultiheadAttention": _attention,
    "timm.Attention": _attention,
})  # fmt: skip


# -- paddle.flops ----------------------------------------------------------------------------------


def _whole_windows(layer: Layer) -> int:
    """A window of whole pixels and a division for each output."""
    sides = zip(layer.x[2:], layer.y[2:], strict=True)
    return (prod(before // after for before, after in sides) + 1) * prod(layer.y)


PADDLE: Mapping[str, Formula] = MappingProxyType({
    **{
        f"{name}{axes}": lambda layer: _convolution(layer)
        + ("bias" in layer.parameters) * prod(layer.y)
        for name in ("Conv", "ConvTranspose") for axes in _AXES
    },
    "BatchNorm2d": lambda layer: 2 * prod(layer.x),
    "LeakyReLU": lambda layer: prod(layer.x),
    "Linear": _linear,
    **{f"AvgPool{axes}": lambda layer: prod(layer.y) for axes in _AXES},
    **{f"AdaptiveAvgPool{axes}": _whole_windows for axes in _AXES},
})  # fmt: skip


def paddle(graph: Graph) -> Counter[str]:
    """By module, what paddle.flops calls FLOPs."""
    return by_type(graph, PADDLE)


# -- torchinfo -------------------------------------------------------------------------------------


def torchinfo(graph: Graph) -> Counter[str]:
    """By module, what torchinfo calls mult-adds: each parameter of a layer once for each position.

    A position is one of the batch, of a convolution also one of the map, of a recurrence a step.
    """
    parents = {module.path.rpartition(".")[0] for module in graph.modules if module.path}
    found = Counter[str]()
    for path, layer in layers(graph):
        if path not in parents and layer.outputs:
            for name, value in layer.parameters.items():
                found[path] += value.numel * _positions(layer, name)
    return found


def _positions(layer: Layer, name: str) -> int:
    if name in ("weight", "bias"):
        return layer.y[0] * (prod(layer.y[2:]) if "Conv" in layer.type else 1)
    return prod(layer.y[:2]) if "weight" in name or "bias" in name else 0

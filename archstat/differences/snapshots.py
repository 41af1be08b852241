"""What is known of a model at one moment: totals and layers, from a Report or from a file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from archstat.analyses.alignment import Layer
from archstat.graph import Graph, Op
from archstat.result import Cell, Note, Report
from archstat.units import format_shape

# A convolution's or a pool's arguments, and the value that need not be said.
_WINDOW = {"kernel": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}


@dataclass(frozen=True)
class Snapshot:
    """A model's raw totals and layers; `layers` is None where the origin holds none.

    `name` is what it is found by among others, `model` the spec as typed. Keys in `bounds` may be
    too small. Layers of different origins know different things of themselves.
    """

    name: str
    model: str
    input: str
    totals: Mapping[str, Cell]
    layers: tuple[Layer, ...] | None
    bounds: frozenset[str] = frozenset()
    notes: tuple[Note, ...] = ()
    torch_version: str = ""
    origin: Literal["graph", "report", "lock"] = "graph"

    def comparable_with(self, other: Snapshot) -> Snapshot:
        """This snapshot with just those parts and figures of its layers that `other` has, too."""
        if self.layers is None or other.layers is None or self.origin == other.origin != "lock":
            return self
        shared = self.totals.keys() & other.totals.keys()
        parts = self.origin == other.origin
        layers = (
            replace(
                layer,
                parts=layer.parts if parts else (),
                figures={k: n for k, n in layer.figures.items() if k in shared and n},
            )
            for layer in self.layers
        )
        # a lock file leaves out what it has no figure of
        return replace(self, layers=tuple(layer for layer in layers if layer.figures))


def snapshot_of(report: Report, name: str | None = None) -> Snapshot:
    """The snapshot of a Report; layers are the modules with their own figures."""
    parts = parts_of(report.graph)
    layers = []
    for record in report.layers.records():
        path, kind = str(record.pop("module")), str(record.pop("type"))
        figures = {key: n for key, n in record.items() if isinstance(n, (int, float))}
        layers.append(Layer(path, kind, tuple(parts.get(path, {}).items()), figures))
    return Snapshot(
        name=name or report.model,
        model=name or report.model,
        input=report.input,
        totals=report.totals,
        layers=tuple(layers),
        bounds=report.lower_bounds,
        notes=report.findings,
        torch_version=report.graph.torch_version,
    )


def parts_of(graph: Graph) -> dict[str, dict[str, str]]:
    """What each module is made of, by path: parameter shapes, window, functional ops, output."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for value in graph.parameters():
        owner, _, name = str(value.name).rpartition(".")
        parts[owner][name] = format_shape(value.shape)
    parents = {module.path.rpartition(".")[0] for module in graph.modules if module.path}
    for path, ops in _ops_by_module(graph).items():
        parts[path].update(_window(ops, "weight" in parts[path]))
        if path in parents:
            parts[path]["runs"] = _runs(ops)
    calls = Counter(call.module for call in graph.calls)
    for call in graph.calls:
        parts[call.module]["output"] = " ".join(
            format_shape(graph.values[value].shape) for value in call.outputs
        )
    for path, count in calls.items():
        if count > 1:
            parts[path]["calls"] = str(count)
    return parts


def _ops_by_module(graph: Graph) -> dict[str, list[Op]]:
    ops: dict[str, list[Op]] = defaultdict(list)
    for op in graph.ops:
        ops[op.module].append(op)
    return ops


def _window(ops: list[Op], has_weight: bool) -> Iterator[tuple[str, str]]:
    """The arguments of a convolution or pool; a weight's shape holds the kernel already."""
    windowed = next((op for op in ops if "kernel" in op.attributes), None)
    for name, usual in _WINDOW.items():
        setting: Any = None if windowed is None else windowed.attributes.get(name)
        axes = setting if isinstance(setting, tuple) else (setting,)
        said = name == "kernel" and has_weight
        if setting is not None and not said and any(size != usual for size in axes):
            yield name, format_shape(axes)


def _runs(ops: list[Op]) -> str:
    counts = Counter(op.name for op in ops if op.kind not in ("reshape", "split"))
    return ", ".join(f"{name} x{n}" if n > 1 else name for name, n in counts.items())

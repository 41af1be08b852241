"""From an ONNX file to a Graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from archstat.errors import ArchstatError, InputError, LookupFailedError
from archstat.frontends.garbage import collection_paused
from archstat.frontends.onnx_file.inference import LISTS, as_tensors, constant
from archstat.frontends.onnx_file.ops import OF_SHAPES
from archstat.frontends.onnx_file.reading import given_of, model_of, own_inputs, sized
from archstat.frontends.onnx_file.recording import NamedNode, Names
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.units import InputSpec

_CONTROL = frozenset({"If", "Loop", "Scan"})


def onnx_file(path: Path, specs: Sequence[InputSpec] = (), batch: int = 1) -> Graph:
    """The Graph of an ONNX model at the inputs given, by default those that the file tells.

    Raises:
        LookupFailedError: no whole ONNX model.
        MissingExtraError: onnx is not installed.
        InputError: an input does not fit, or has sizes that nobody said.
    """
    model = model_of(path)
    given = given_of(model)
    specs = tuple(specs) or own_inputs(path, given)
    if len(specs) != len(given):
        names = ", ".join(one.name for one in given) or "none"
        raise InputError(f"{path} takes {len(given)} inputs ({names}); {len(specs)} were given.")
    taken = [one.name for one in given]
    unknown = [spec.name for spec in specs if spec.name is not None and spec.name not in taken]
    if unknown:
        raise InputError(f"{path} has no input {unknown[0]!r}; it takes {', '.join(taken)}.")
    shapes = {spec.name or one.name: spec.with_batch(batch)
              for spec, one in zip(specs, given, strict=True)}  # fmt: skip
    sized(path, model, shapes)
    try:
        with collection_paused():
            return _Reader(path.name, model).graph()
    except ArchstatError:
        raise
    except Exception as error:  # what a damaged file raises has no bounds
        raise LookupFailedError(
            f"{path} is not a complete ONNX model: {shortened(error)}."
        ) from error


class _Reader:
    """Walks the nodes of a model whose inputs have shapes."""

    def __init__(self, title: str, model: Any) -> None:
        self.model, self.names = model, Names(title, model)
        self.made, self.shapes, self.types = self.names.made, self.names.shapes, self.names.types
        self.lists: dict[str, Sequence[str]] = {}
        # Tensors that the model keeps under a further name: torch's older exporter writes what is
        # equal once, and each use of it as an Identity.
        self.alike: dict[str, str] = {}

    def graph(self) -> Graph:
        """The whole model.

        Raises:
            LookupFailedError: a node reads what none before it made, or shapes do not fit.
        """
        graph = self.model.graph
        held = {tensor.name for tensor in graph.initializer}
        inputs = []
        for entry in graph.input:
            if entry.name not in held:
                self.shapes.types[entry.name] = self.shapes.shared(entry.type)
                self.names.take_note(entry.name)
                dtype, shape = self.types[entry.name]
                inputs.append(self.made.add_value(shape or (), dtype, "input", entry.name))
                self.made.known[entry.name] = inputs[-1]
        self.names.hold(graph)
        self.walk(graph.node)
        for name in self.names.held:
            if self.names.role_of(name) == "parameter":
                self.names.value(name)
        return self.made.graph(inputs, [self.names.value(name) for name in self.ends(graph)])

    def ends(self, graph: Any) -> list[str]:
        """The names of what a graph or body leaves."""
        return [self.alike.get(entry.name, entry.name) for entry in graph.output]

    def walk(self, nodes: Iterable[Any]) -> None:
        """Record what nodes do, one after the other."""
        for index, node in enumerate(nodes):
            self.check_order(node)
            for place, name in enumerate(node.input if self.alike else ()):
                node.input[place] = self.alike.get(name, name)
            if node.op_type == "Identity" and node.input[0] in self.names.held:
                self.alike[node.output[0]] = node.input[0]
            elif node.op_type in _CONTROL:
                self.step_into(node)
            elif node.op_type in LISTS:
                self.take_apart(node, index)
            elif node.op_type == "Constant":
                tensor = constant(node)
                if tensor is not None:
                    self.names.keep(tensor)
                    self.names.written.add(tensor.name)
            else:
                self.read(node, index)

    def check_order(self, node: Any) -> None:
        """Refuse a node that reads what none before it made.

        Raises:
            LookupFailedError: it does.
        """
        for name in node.input:
            if name and not any(name in some for some in
                                (self.types, self.made.known, self.lists, self.alike)):  # fmt: skip
                raise LookupFailedError(
                    f"{self.made.title}: {node.op_type} {node.name} reads {name}, which no node "
                    "before it makes: its graph is damaged or runs in a circle."
                )

    def take_apart(self, node: Any, index: int) -> None:
        """Record what a node does to a list as what it does to the tensors of the list."""
        shape = self.types.get(node.input[0], ("", None))[1] if node.input else None
        nodes = as_tensors(node, self.lists, shape, self.names.constant)
        if nodes is None:
            self.read(node, index)
        else:
            self.walk(nodes)

    def read(self, node: Any, index: int) -> None:
        """Record one node; what computes with shapes and constants alone is no op."""
        key = self.shapes.infer(node)
        for name in node.output:
            self.names.take_note(name)
        shapely = self.names.is_known(node)
        if shapely or node.op_type in OF_SHAPES:
            self.shapes.compute(node, [name for name in node.input if name], key)
            self.names.known.update(node.output)
        else:
            NamedNode(self.names, node, index).record()

    def step_into(self, node: Any) -> None:
        """The body of a branch or a loop, once."""
        body = next(a.g for a in node.attribute if a.HasField("g"))
        times = {"If": "one branch counts", "Loop": "its body counts once",
                 "Scan": "its body counts once"}[node.op_type]  # fmt: skip
        self.made.notes[f"{node.op_type} ({node.name or 'without a name'}): {times}"] = None
        kept, scanned = _carried(node)
        outer = node.input[-len(body.input) :] if body.input else ()
        for place, (entry, name) in enumerate(zip(body.input, outer, strict=False)):
            self.pass_in(entry, name, scanned=place >= len(outer) - scanned)
        self.names.hold(body)
        self.walk(body.node)
        inside = [(self.names.value(name), name) for name in self.ends(body)][-len(node.output) :]
        self.forget(body)
        for place, (name, (value, inner)) in enumerate(zip(node.output, inside, strict=False)):
            self.pass_out(name, value, inner, collected=place >= kept)

    def forget(self, body: Any) -> None:
        """Let go of the names of a body: another one may use them."""
        made = (name for node in body.node for name in node.output)
        for name in (*(one.name for one in (*body.input, *body.initializer)), *made):
            self.made.known.pop(name, None)
            self.alike.pop(name, None)

    def pass_in(self, entry: Any, outer: str, scanned: bool) -> None:
        """Give the input of a body the type of what comes in: a slice of it where it is scanned."""
        kind = self.shapes.types.get(outer, entry.type)
        if scanned and kind.tensor_type.shape.dim:
            kind = type(kind).FromString(kind.SerializeToString())
            del kind.tensor_type.shape.dim[0]
        self.shapes.types[entry.name] = self.shapes.shared(kind)
        self.names.take_note(entry.name)
        if outer in self.made.known and not scanned:
            self.made.known[entry.name] = self.made.known[outer]
        else:
            dtype, shape = self.types[entry.name]
            self.made.known[entry.name] = self.made.add_value(shape or (), dtype, "activation")

    def pass_out(self, name: str, value: int, inner: str, collected: bool) -> None:
        """Give what a body leaves the name outside; how long a list of all turns is, none knows."""
        self.made.known[name] = value
        self.types[name] = ("unknown", None)
        self.shapes.types.pop(name, None)
        if not collected and inner in self.shapes.types:
            self.shapes.types[name] = self.shapes.types[inner]
            self.names.take_note(name)


def _carried(node: Any) -> tuple[int, int]:
    """How many outputs of a control node are the last turn's, and how many inputs are scanned."""
    scanned = next((a.i for a in node.attribute if a.name == "num_scan_inputs"), 0)
    if node.op_type == "If":
        return len(node.output), 0
    return len(node.input) - (2 if node.op_type == "Loop" else scanned), scanned

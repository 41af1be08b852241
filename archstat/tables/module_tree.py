"""A Report's modules as a tree of figures that add up, with equal neighbours folded on request.

A module's total is its own figures and those of everything below its path, so that children and
own add up to the parent. Ops that a module with children runs itself (a residual add, a flatten)
stand in a node of their own under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from archstat.graph import Graph, Op
from archstat.result import FUNCTIONAL, Number, Report
from archstat.units import format_shape


@dataclass
class Node:
    """A module, or the functional ops of one; `count` equal neighbours that end at `last`.

    `kernel` is the window of the module's own op, with its stride above 1, such as ``3x3/2``, and
    `value` its last output.
    """

    path: str
    type: str
    level: int
    is_functional: bool = False
    aliases: tuple[str, ...] = ()
    calls: int = 0
    input: str = ""
    output: str = ""
    kernel: str = ""
    value: int | None = None
    own: dict[str, Number] = field(default_factory=dict)
    total: dict[str, Number] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    count: int = 1
    last: str = ""

    @property
    def name(self) -> str:
        """The last part of its path; of several, the first and the last, as ``layer_0..11``."""
        first, last = (path.rpartition(".")[2] for path in (self.path, self.last))
        stem = first.rstrip("0123456789")
        last = last.removeprefix(stem) if last[len(stem) :].isdigit() else last
        return f"{first}..{last}" if self.count > 1 else first

    @property
    def label(self) -> str:
        """Its name and type, or the functional ops; and how many of its kind it stands for."""
        text = self.type if self.is_functional else f"{self.name} {self.type}"
        return f"{text} x{self.count}" if self.count > 1 else text

    @property
    def height(self) -> int:
        """Levels below it."""
        return max((1 + child.height for child in self.children), default=0)

    @cached_property
    def signature(self) -> tuple[Any, ...]:
        """What equal modules have in common: types, shapes and figures of everything below."""
        below = tuple(child.signature for child in self.children)
        figures = tuple(sorted(self.total.items()))
        return (self.type, self.calls, self.input, self.output, self.kernel, figures, below)


def module_tree(report: Report, keys: Sequence[str]) -> Node:
    """The root of a Report's tree, with these of its figures that add up."""
    graph = report.graph
    nodes: dict[str, Node] = {}
    for module in graph.modules:
        level = module.path.count(".") + 1 if module.path else 0
        nodes[module.path] = Node(module.path, module.type, level, aliases=module.aliases)
    for record in report.layers.records():
        node = nodes.setdefault(str(record["module"]), Node(str(record["module"]), "", 0))
        node.own = {k: n for k in keys if isinstance(n := record.get(k), (int, float)) and n}
    for call in graph.calls:
        node = nodes[call.module]
        node.calls += 1
        node.input = node.input or _shapes(graph, call.inputs)
        node.output = _shapes(graph, call.outputs)
        node.value = call.outputs[0] if call.outputs else None
    root = nodes[""]
    for path, node in nodes.items():
        if path:
            _parent(nodes, path).children.append(node)
    for op in graph.ops:
        if op.module in nodes and not nodes[op.module].children:
            nodes[op.module].kernel = nodes[op.module].kernel or _kernel(op)
    _split_functional(nodes, report)
    _add_up(root, keys)
    return root


def _shapes(graph: Graph, values: Sequence[int]) -> str:
    shapes = [format_shape(graph.values[value].shape) for value in values]
    return ", ".join(shapes[:1]) + (", ..." if len(shapes) > 1 else "")


def _kernel(op: Op) -> str:
    kernel = op.attributes.get("kernel") or op.attributes.get("kernel_size")
    if not kernel or isinstance(kernel, int):
        return ""
    stride = op.attributes.get("stride") or (kernel if op.kind == "pool" else ())
    steps = {stride} if isinstance(stride, int) else set(stride)
    longer = format_shape(sorted(steps)) if len(steps) == 1 else format_shape(stride or (1,))
    return format_shape(kernel) + (f"/{longer}" if longer != "1" else "")


def _parent(nodes: Mapping[str, Node], path: str) -> Node:
    above = path.rpartition(".")[0]
    while above not in nodes:
        above = above.rpartition(".")[0]
    return nodes[above]


def _split_functional(nodes: Mapping[str, Node], report: Report) -> None:
    """Give what a module with children computes itself a node below it."""
    graph = report.graph
    ops: dict[str, list[Op]] = {}
    for op in graph.ops:
        if op.module in nodes and nodes[op.module].children:
            ops.setdefault(op.module, []).append(op)
    for path, found in ops.items():
        parent = nodes[path]
        held = {
            key: number
            for analysis in report.analyses
            for key, number in analysis.per_module.get(path, {}).items()
        }
        computed = {k: n - held.get(k, 0) for k, n in parent.own.items() if n != held.get(k, 0)}
        if not computed:
            continue
        working = [op for op in found if op.kind not in ("reshape", "split")]
        counts = Counter(op.name for op in working or found)
        names = ", ".join(f"{n} x{c}" if c > 1 else n for n, c in counts.items())
        parent.own = {key: held[key] for key in parent.own if held.get(key)}
        path = f"{path}.{FUNCTIONAL}".lstrip(".")
        child = Node(path, names, parent.level + 1, is_functional=True, own=computed)
        child.value = found[-1].outputs[0] if found[-1].outputs else None
        shape = () if child.value is None else graph.values[child.value].shape
        child.output = format_shape(shape) if shape else ""
        parent.children.append(child)


def _add_up(node: Node, keys: Sequence[str]) -> None:
    for child in node.children:
        _add_up(child, keys)
    node.total = {
        key: node.own.get(key, 0) + sum(child.total[key] for child in node.children) for key in keys
    }


def folded(node: Node) -> Node:
    """The tree with each run of equal neighbours as one node, whose figures are their sums."""
    children: list[Node] = []
    for child in node.children:
        before = children[-1] if children else None
        if before is not None and before.signature == child.signature:
            children[-1] = _merged(before, child)
        else:
            children.append(child)
    return replace(node, children=[folded(child) for child in children])


def _merged(first: Node, other: Node) -> Node:
    both = replace(
        first,
        count=first.count + 1,
        last=other.path,
        own={key: first.own[key] + other.own[key] for key in first.own},
        total={key: first.total[key] + other.total[key] for key in first.total},
        children=[_beside(*pair) for pair in zip(first.children, other.children, strict=True)],
    )
    both.signature = other.signature
    return both


def _beside(first: Node, other: Node) -> Node:
    """What stands at the same place of two equal modules: still one of its parent."""
    both = _merged(first, other)
    both.count, both.signature = 1, first.signature
    return both


def walk(node: Node, depth: int | None, prefix: str = "", branch: str = "") -> (
    Iterator[tuple[Node, str]]
):  # fmt: skip
    """Each node to a depth, top down, its label behind the lines of the tree ("": the root)."""
    yield node, f"{branch}{node.label}" if node.path else ""
    if depth is not None and node.level >= depth:
        return
    for number, child in enumerate(node.children):
        is_last = number == len(node.children) - 1
        stem, turn = ("   ", "└─ ") if is_last else ("│  ", "├─ ")
        yield from walk(child, depth, prefix + stem, prefix + turn)


def fitting_depth(root: Node, rows: int) -> int:
    """The most levels below the root that take no more than `rows` rows, at least one."""
    levels = Counter(node.level for node, _ in walk(root, None))
    depth, taken = 1, levels[0] + levels[1]
    while depth < max(levels) and taken + levels[depth + 1] <= rows:
        depth += 1
        taken += levels[depth]
    return depth

"""Programs of `torch.export` in memory: an ExportedProgram, or the module that it makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn

from archstat.frontends.exported.functions import (
    clean_path,
    is_check,
    needs_functions,
    region_named,
    seen_as,
)
from archstat.frontends.exported.program import ProgramModule, program_module
from archstat.frontends.exported.steps import Given, Held, Place, Program, Ref, Step, SubProgram
from archstat.frontends.torch_private import HIGHER_ORDER

_META = torch.device("meta")


def exported_in_memory(model: Any) -> ProgramModule:
    """The program as a module; its tensors are twins on meta.

    Raises:
        ValueError: it calls a higher-order operator that the capture has no rule for.
    """
    if isinstance(model, fx.GraphModule):
        owned = {**dict(model.named_parameters(remove_duplicate=False)),
                 **dict(model.named_buffers(remove_duplicate=False))}  # fmt: skip
        reader = _Reader(owned)
        return program_module(reader.program("program", model, {}))
    constants = model.graph_signature.lifted_tensor_constants
    reader = _Reader({**model.state_dict, **model.constants}, frozenset(constants))
    kept = {spec.arg.name: spec.target for spec in model.graph_signature.input_specs
            if spec.target is not None}  # fmt: skip
    fixed = {spec.arg.name: spec.arg.value for spec in model.graph_signature.input_specs
             if hasattr(spec.arg, "value")}  # fmt: skip
    return program_module(reader.program("program", model.graph_module, kept, fixed))


class _Reader:
    """Reads the nodes of a program; `owned` are the tensors of its modules by path."""

    def __init__(self, owned: Mapping[str, Any], constants: Collection[str] = ()) -> None:
        self.owned, self.constants = owned, constants
        self.twins: dict[int, torch.Tensor] = {}
        self.needs_functions = False

    def program(
        self, title: str, root: fx.GraphModule, kept: Mapping[str, str],
        fixed: Mapping[str, Any] = {},
    ) -> Program:  # fmt: skip
        """The whole program; `kept` are paths of the placeholders that stand for own tensors."""
        given, held, returned = [], [], None
        for node in root.graph.nodes:
            if node.op == "placeholder":
                if node.name in kept:
                    held.append(self._held(node.name, kept[node.name]))
                else:
                    given.append(_given(node, fixed.get(node.name)))
            elif node.op == "get_attr" and isinstance(_at(root, node.target), torch.Tensor):
                held.append(self._held(node.name, str(node.target)))
            elif node.op == "output":
                returned = _read(node.args[0], {})
        steps = tuple(self._steps(root))
        if isinstance(returned, (list, tuple)) and len(returned) == 1:
            returned = returned[0]
        return Program(title, tuple(given), tuple(held), steps, returned, self.needs_functions)

    def _held(self, name: str, path: str) -> Held:
        tensor = self.owned[path]
        if id(tensor) not in self.twins:
            twin = torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META
            )
            own = isinstance(tensor, nn.Parameter)
            self.twins[id(tensor)] = (
                nn.Parameter(twin, requires_grad=tensor.requires_grad) if own else twin
            )
        return Held(name, path, self.twins[id(tensor)], path in self.constants)

    def _steps(self, root: fx.GraphModule) -> Iterator[Step]:
        inside: dict[str, SubProgram] = {}
        for node in root.graph.nodes:
            if node.op == "get_attr" and isinstance(_at(root, node.target), fx.GraphModule):
                inside[node.name] = self._sub_program(_at(root, node.target))
            if node.op != "call_function" or is_check(str(node.target)):
                continue
            function = _function(node.target)
            self.needs_functions |= needs_functions(function)
            yield Step(
                function, _read(tuple(node.args), inside), _read(dict(node.kwargs), inside),
                node.name, _places(node),
            )  # fmt: skip

    def _sub_program(self, module: fx.GraphModule) -> SubProgram:
        takes = [node.name for node in module.graph.nodes if node.op == "placeholder"]
        (output,) = (node for node in module.graph.nodes if node.op == "output")
        return SubProgram(takes, list(self._steps(module)), _read(output.args[0], {}))


def _at(root: nn.Module, path: Any) -> Any:
    found: Any = root
    for name in str(path).split("."):
        found = getattr(found, name, None)
    return found


def _function(target: Any) -> Any:
    if isinstance(target, HIGHER_ORDER):
        return region_named(str(target))
    return seen_as(str(target), target)


def _given(node: fx.Node, value: Any) -> Given:
    example = node.meta.get("val")
    if not isinstance(example, torch.Tensor):
        return Given(str(node.target), None, value=value, node=node.name)
    shape = tuple(size if type(size) is int else None for size in example.shape)
    sizes = tuple(map(_hint, example.shape))
    return Given(str(node.target), shape, example.dtype, None, sizes, node.name)


def _hint(size: Any) -> int:
    return size if type(size) is int else int(size.node.hint)


def _read(tree: Any, inside: Mapping[str, SubProgram]) -> Any:
    """Arguments with Refs for nodes and programs for the functions of regions."""
    if isinstance(tree, fx.Node):
        return inside.get(tree.name, Ref(tree.name))
    if isinstance(tree, (list, tuple)):
        return type(tree)([_read(item, inside) for item in tree]) if type(tree) in (
            list, tuple) else [_read(item, inside) for item in tree]  # fmt: skip
    if isinstance(tree, dict):
        return {key: _read(item, inside) for key, item in tree.items()}
    return tree


def _places(node: fx.Node) -> tuple[Place, ...]:
    stack = node.meta.get("nn_module_stack") or {}
    return tuple(
        Place(
            key,
            clean_path(path),
            kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}",
        )
        for key, (path, kind) in stack.items()
    )

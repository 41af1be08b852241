"""Programs that `torch.export` made: files and objects, read without running their code."""

from __future__ import annotations

from typing import Any

from torch import fx

# The one module that the module of a program calls: it checks the inputs.
_GUARDS = "_guards_fn"


def is_exported(model: Any) -> bool:
    """Whether this is an ExportedProgram, or the module of one."""
    if isinstance(model, fx.GraphModule):
        return _is_exported_graph(model.graph)
    # Its class is imported only where somebody exports.
    return type(model).__module__ == "torch.export.exported_program"


def _is_exported_graph(graph: fx.Graph) -> bool:
    """Whether all calls are of functions, some of a module and with the example's result.

    `fx.symbolic_trace` calls modules and methods as well, and has run no example.
    """
    calls = [node for node in graph.nodes if node.op.startswith("call_")]
    return all(node.op == "call_function" or node.target == _GUARDS for node in calls) and any(
        "nn_module_stack" in node.meta and "val" in node.meta for node in calls
    )

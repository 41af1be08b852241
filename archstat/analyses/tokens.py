"""What a model of language has for each token: the experts that are picked, and the cache."""

from __future__ import annotations

from typing import Any

from archstat.analyses.parameters import parameters
from archstat.graph import Graph
from archstat.result import Analysis, Analyzer, Column, Note

COLUMNS = (
    Column("active_params", "count", "parameters without the experts that a token's router leaves "
           "out", "lower", of="model"),
    Column("kv_cache_bytes", "bytes", "the cache of keys and values that forward reads or writes",
           "lower", of="model"),
)  # fmt: skip
_GROUPED = frozenset({"_grouped_mm", "_scaled_grouped_mm"})


def tokens(graph: Graph) -> Analysis:
    """Parameters in use for one token, and the bytes of the cache, where the Graph knows them.

    Experts are the rows of a weight of a grouped product, and of what stands beside it. A token
    takes k of them where the latest `topk` before the product picks k of as many scores.
    """
    idle, unsaid = 0, []
    for module, (experts, picked) in _experts(graph).items():
        if picked is None:
            unsaid.append(module)
            continue
        rows = {v.storage: v.numel // experts for v in graph.parameters()
                if _owner(v.name) == module and v.shape[:1] == (experts,)}  # fmt: skip
        idle += sum(rows.values()) * (experts - picked)
    counted = parameters(graph)
    total: Any = counted.totals["params"]
    text = "has experts, but no router says how many a token uses: active_params is unknown."
    return Analysis(
        totals={
            "active_params": None if unsaid else total - idle,
            "kv_cache_bytes": graph.kv_cache_bytes,
        },
        unknown=frozenset({"active_params"} if unsaid else ()),
        lower_bounds=frozenset({"active_params"} if counted.lower_bounds else ()),
        findings=tuple(Note("note", module, f"{module} {text}") for module in unsaid),
    )


def _experts(graph: Graph) -> dict[str, tuple[int, int | None]]:
    """By module, the number of its experts and how many of them the router before it picks."""
    if not any(op.name in _GROUPED for op in graph.ops):
        return {}
    owners = {value.storage: _owner(value.name) for value in graph.parameters()}
    picked: dict[int, int] = {}
    found: dict[str, tuple[int, int | None]] = {}
    for op in graph.ops:
        if op.name == "topk":
            picked[graph.values[op.inputs[0]].shape[-1]] = op.attributes["k"]
        elif op.name in _GROUPED:
            weight = graph.values[op.inputs[1]]
            if weight.role == "parameter" and weight.storage in owners:
                experts = weight.shape[0]
                found[owners[weight.storage]] = (experts, picked.get(experts))
    return found


def _owner(name: str | None) -> str:
    return name.rpartition(".")[0] if name else ""


ANALYZER = Analyzer("tokens", COLUMNS, tokens)

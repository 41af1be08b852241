"""archstat: what a neural-network architecture costs and sees.

    import archstat
    archstat.analyze("resnet50")
    archstat.compare(["vgg16", "mobilenet_v1"])

Names are resolved on first use, so that ``import archstat`` imports no torch. `archstat.list` is
the one that ``from archstat import *`` leaves out, lest it hide Python's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archstat.version import __version__

if TYPE_CHECKING:
    from archstat import zoo as zoo
    from archstat.errors import ArchstatError as ArchstatError
    from archstat.frontends.layers import layers as layers
    from archstat.frontends.module import capture as capture
    from archstat.frontends.registered import register_op as register_op
    from archstat.graph import Graph as Graph
    from archstat.models.pipeline import analyze as analyze
    from archstat.result import Report as Report
    from archstat.result import Table as Table
    from archstat.tables.cache import cache as cache
    from archstat.tables.check import check as check
    from archstat.tables.columns import columns as columns
    from archstat.tables.compare import compare as compare
    from archstat.tables.functions import diff as diff
    from archstat.tables.functions import explain as explain
    from archstat.tables.functions import guidelines as guidelines
    from archstat.tables.functions import predict as predict
    from archstat.tables.functions import receptive_field as receptive_field
    from archstat.tables.functions import roofline as roofline
    from archstat.tables.functions import summary as summary
    from archstat.tables.functions_of_specs import audit as audit
    from archstat.tables.functions_of_specs import bench as bench
    from archstat.tables.functions_of_specs import crosscheck as crosscheck
    from archstat.tables.functions_of_specs import experiment as experiment
    from archstat.tables.functions_of_specs import memory as memory
    from archstat.tables.functions_of_specs import reconcile as reconcile
    from archstat.tables.list import list_networks
    from archstat.tables.report import report as report
    from archstat.tables.scale import scale as scale
    from archstat.tables.sweep import sweep as sweep

    list = list_networks

_HOMES = {
    "ArchstatError": "errors",
    "Graph": "graph",
    "Report": "result",
    "Table": "result",
    "analyze": "models.pipeline",
    "audit": "tables.functions_of_specs",
    "bench": "tables.functions_of_specs",
    "cache": "tables.cache",
    "capture": "frontends.module",
    "check": "tables.check",
    "columns": "tables.columns",
    "compare": "tables.compare",
    "crosscheck": "tables.functions_of_specs",
    "diff": "tables.functions",
    "experiment": "tables.functions_of_specs",
    "explain": "tables.functions",
    "guidelines": "tables.functions",
    "layers": "frontends.layers",
    "memory": "tables.functions_of_specs",
    "predict": "tables.functions",
    "receptive_field": "tables.functions",
    "reconcile": "tables.functions_of_specs",
    "register_op": "frontends.registered",
    "report": "tables.report",
    "roofline": "tables.functions",
    "scale": "tables.scale",
    "summary": "tables.functions",
    "sweep": "tables.sweep",
}

__all__ = [
    "ArchstatError",
    "Graph",
    "Report",
    "Table",
    "__version__",
    "analyze",
    "audit",
    "bench",
    "cache",
    "capture",
    "check",
    "columns",
    "compare",
    "crosscheck",
    "diff",
    "experiment",
    "explain",
    "guidelines",
    "layers",
    "memory",
    "predict",
    "receptive_field",
    "reconcile",
    "register_op",
    "report",
    "roofline",
    "scale",
    "summary",
    "sweep",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return importlib.import_module("archstat.zoo")
    if name == "list":
        return importlib.import_module("archstat.tables.list").list_networks
    if name in _HOMES:
        return getattr(importlib.import_module(f"archstat.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'archstat' has no attribute {name!r}")


def __dir__() -> tuple[str, ...]:
    return (*__all__, "list")

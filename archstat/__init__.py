"""archstat: what a neural-network architecture costs and sees.

    import archstat
    archstat.analyze("resnet50")
    archstat.compare(["vgg16", "mobilenet_v1"])

Names are resolved on first use, so that ``import archstat`` imports no torch.
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
    from archstat.graph import Graph as Graph
    from archstat.models.pipeline import analyze as analyze
    from archstat.result import Report as Report
    from archstat.result import Table as Table
    from archstat.tables.compare import compare as compare
    from archstat.tables.functions import audit as audit
    from archstat.tables.functions import bench as bench
    from archstat.tables.functions import check as check
    from archstat.tables.functions import crosscheck as crosscheck
    from archstat.tables.functions import diff as diff
    from archstat.tables.functions import explain as explain
    from archstat.tables.functions import guidelines as guidelines
    from archstat.tables.functions import memory as memory
    from archstat.tables.functions import receptive_field as receptive_field
    from archstat.tables.functions import roofline as roofline
    from archstat.tables.functions import summary as summary

_HOMES = {
    "ArchstatError": "archstat.errors",
    "Graph": "archstat.graph",
    "Report": "archstat.result",
    "Table": "archstat.result",
    "analyze": "archstat.models.pipeline",
    "capture": "archstat.frontends.module",
    "compare": "archstat.tables.compare",
    "layers": "archstat.frontends.layers",
    **dict.fromkeys(
        (
            "audit",
            "bench",
            "check",
            "crosscheck",
            "diff",
            "explain",
            "guidelines",
            "memory",
            "receptive_field",
            "roofline",
            "summary",
        ),
        "archstat.tables.functions",
    ),
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
    "capture",
    "check",
    "compare",
    "crosscheck",
    "diff",
    "explain",
    "guidelines",
    "layers",
    "memory",
    "receptive_field",
    "roofline",
    "summary",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return importlib.import_module("archstat.zoo")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'archstat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

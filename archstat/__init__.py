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
    from archstat.analyses.field import receptive_field as receptive_field
    from archstat.errors import ArchstatError as ArchstatError
    from archstat.frontends.layers import layers as layers
    from archstat.frontends.module import capture as capture
    from archstat.graph import Graph as Graph
    from archstat.models.pipeline import analyze as analyze
    from archstat.result import Report as Report
    from archstat.result import Table as Table
    from archstat.tables.compare import compare as compare

_HOMES = {
    "ArchstatError": "archstat.errors",
    "Graph": "archstat.graph",
    "Report": "archstat.result",
    "Table": "archstat.result",
    "analyze": "archstat.models.pipeline",
    "capture": "archstat.frontends.module",
    "compare": "archstat.tables.compare",
    "layers": "archstat.frontends.layers",
    "receptive_field": "archstat.analyses.field",
}

__all__ = [
    "ArchstatError",
    "Graph",
    "Report",
    "Table",
    "__version__",
    "analyze",
    "capture",
    "compare",
    "layers",
    "receptive_field",
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

"""What archstat runs with, for ``archstat --version -v`` and for bug reports."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("torch", "typer", "rich", "fvcore", "pandas", "torchvision", "timm")


def facts() -> list[str]:
    """Versions of Python and packages, and the devices that torch sees, one a line."""
    lines = [f"python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package} not installed")
    return [*lines, f"devices {', '.join(_devices())}", f"cache {_cache()}"]


def _cache() -> str:
    from archstat.models.cache import default_store

    kept = default_store()
    return "off" if kept is None else str(kept.folder)


def _devices() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count))]

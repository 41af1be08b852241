"""Telling torch's own layers from those that somebody changed."""

from __future__ import annotations

from typing import Any


def is_torchs_own(method: Any) -> bool:
    """Whether a layer's method is torch's: no subclass's, and nobody's put in its place."""
    # What is written in C need not name a module.
    return str(getattr(method, "__module__", "")).startswith("torch.nn.modules.")

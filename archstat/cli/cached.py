"""Graphs by way of the cache, and the line that says so."""

from __future__ import annotations

import sys

from archstat.models.cache import Graphs, default_store


def graphs_for(no_cache: bool) -> Graphs:
    """Where a command has its Graphs from: the cache and captures, or captures alone."""
    return Graphs(None if no_cache else default_store())


def tell_of_cache(graphs: Graphs, models: int, raw: bool) -> None:
    """Say below a table for readers how many of its models came from the cache.

    It goes to standard error: what a command prints is the same either way, byte for byte.
    """
    if graphs.answered and not raw:
        which = "the model" if models == 1 else f"{graphs.answered} of {models} models"
        print(f"from the cache: {which}; --no-cache captures afresh.", file=sys.stderr)

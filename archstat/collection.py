"""Pausing cyclic garbage collection while many small lasting records are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Run the block without cyclic garbage collection.

    A capture makes many records and no garbage cycles; collections that walk the records again
    and again would make a long capture quadratic.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

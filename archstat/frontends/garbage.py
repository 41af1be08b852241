"""When cyclic garbage is collected: not while lasting records are made, but after imports."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class collection_paused(AbstractContextManager[None]):
    """Run the block without cyclic garbage collection.

    A capture makes many records and no garbage cycles; collections that walk the records again
    and again would make a long capture quadratic.
    """

    # No generator: its end would be the first thing to be made, and so to be collected after.
    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *raised: object) -> None:
        if self._was_enabled:
            gc.enable()


def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call returns; where modules were imported on its way, their garbage is collected.

    Torch imports its Python kernels inside the first op that needs them, and frames of that keep
    tensors alive in reference cycles: the first pass of a process would find other lifetimes than
    the next.
    """
    imported = len(sys.modules)
    result = function(*args, **kwargs)
    if len(sys.modules) > imported:
        gc.collect()
    return result

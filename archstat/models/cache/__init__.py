"""The Graph of a spec for a command: from an entry of an earlier run, or captured and kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from archstat.errors import BuildError, CaptureError, GraphFileError, InputError, OptionError
from archstat.files import cache_folder
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph
from archstat.models.cache.key import Settings, key_of, settings, sources_are_unchanged
from archstat.models.cache.store import Store, graph_from_bytes, graph_to_bytes
from archstat.models.sources import SHAPES_ALONE

VARIABLE = "ARCHSTAT_CACHE"
_REFUSED = b""  # in place of a Graph, where a model does not run on shapes alone


def default_store() -> Store | None:
    """The store that ARCHSTAT_CACHE names, else the one in the user's cache folder; None if off."""
    given = os.environ.get(VARIABLE, "")
    if given.lower() == "off":
        return None
    try:
        return Store(Path(given).expanduser().absolute() if given else cache_folder() / "graphs")
    except (OSError, RuntimeError):
        return None  # the home folder is unknown


class Graphs:
    """Graphs of specs by way of a store; without one, every Graph is captured.

    `answered` counts what came from the store.
    """

    def __init__(self, kept: Store | None, chosen: Settings | None = None) -> None:
        self._store = kept
        self._settings = settings() if chosen is None else chosen
        self._is_tainted = False
        self._keys: dict[str, bytes | None] = {}
        self.answered = 0

    def __call__(
        self, text: str, input: Any = None, batch: int | None = None, guesses: bool = True
    ) -> Graph:
        """The Graph of a spec; see `pipeline.graph_of_spec`, which raises the same."""
        found = self.find(text, input, batch)
        return found if found is not None else self.capture(text, input, batch, guesses)

    def find(self, text: str, input: Any = None, batch: int | None = None) -> Graph | None:
        """The Graph of a spec if an earlier run kept it.

        Raises:
            CaptureError: one found that it does not run on `SHAPES_ALONE`, as is asked here, too.
        """
        if self._store is None:
            return None
        key = self._key(text, input, batch)
        content = self._store.read(key) if key is not None else None
        if key is None or content is None:
            return None
        if content == _REFUSED:
            if SHAPES_ALONE.get():
                raise CaptureError(f"{text} does not run so on shapes alone.")
            return None
        try:
            with collection_paused():
                graph = graph_from_bytes(content)
        except GraphFileError:
            self._store.drop(key)
            return None
        self.answered += 1
        return graph

    def capture(
        self, text: str, input: Any = None, batch: int | None = None, guesses: bool = True
    ) -> Graph:
        """The Graph of a spec, captured now and kept for later runs where that is safe."""
        from archstat.models.pipeline import graph_of_spec

        key = None if self._store is None else self._key(text, input, batch)
        # Code of the user's own may change what later models are captured as.
        self._is_tainted |= key is None
        # The first capture imports torch, where collections would take a tenth of the time.
        try:
            with collection_paused():
                graph = graph_of_spec(text, input, batch, guesses=guesses)
        except (BuildError, CaptureError, InputError, OptionError) as error:
            if SHAPES_ALONE.get() and not isinstance(error.__cause__, MemoryError):
                self._keep(key, lambda: _REFUSED)
            raise
        if graph.device == "meta":  # else real, random numbers may have decided what ran
            self._keep(key, partial(graph_to_bytes, graph))
        return graph

    def _keep(self, key: bytes | None, content: Callable[[], bytes]) -> None:
        if self._store is None or key is None or self._is_tainted:
            return
        with suppress(GraphFileError):  # captured every time
            if sources_are_unchanged():
                self._store.write(key, content())

    def is_known(self, text: str, input: Any = None, batch: int | None = None) -> bool:
        """Whether all is known that the Graph of a spec depends on, so that it can be kept."""
        return self._key(text, input, batch) is not None

    def _key(self, text: str, input: Any, batch: int | None) -> bytes | None:
        asked = repr((text, input, batch))
        if asked not in self._keys:
            self._keys[asked] = key_of(text, input, batch, self._settings)
        return self._keys[asked]

    def __reduce__(self) -> tuple[Any, ...]:
        return Graphs, (self._store, self._settings)

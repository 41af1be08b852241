"""The Graph of a spec for a command: from an entry of an earlier run, or captured and kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from archstat.errors import GraphFileError
from archstat.files import cache_folder
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph
from archstat.models.cache.key import Settings, key_of, settings, sources_are_unchanged
from archstat.models.cache.store import Store, graph_from_bytes, graph_to_bytes

VARIABLE = "ARCHSTAT_CACHE"


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
        """The Graph of a spec if an earlier run kept it."""
        if self._store is None:
            return None
        key = self._key(text, input, batch)
        content = self._store.read(key) if key is not None else None
        if key is None or content is None:
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
        with collection_paused():
            graph = graph_of_spec(text, input, batch, guesses=guesses)
        if self._store is not None and key is not None and not self._is_tainted:
            _keep(self._store, key, graph)
        return graph

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


def _keep(store: Store, key: bytes, graph: Graph) -> None:
    if graph.device != "meta":
        return  # real numbers, random ones among them, may have decided what ran
    with suppress(GraphFileError):  # captured every time
        if sources_are_unchanged():
            store.write(key, graph_to_bytes(graph))

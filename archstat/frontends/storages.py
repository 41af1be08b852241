"""The memory behind the tensors of a capture: each storage, from the op that made it to its death.

Only weak references are held, so a storage dies here when eager Python lets go of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sized
from typing import Any

import torch

from archstat.graph import Storage


class _Reference(weakref.ref[Any]):
    __slots__ = ("index",)
    index: int


class _Account:
    """A storage in the making; `owner` is the parameter, buffer or constant that lives in it."""

    __slots__ = ("born", "nbytes", "owner", "released")
    owner: int | None
    released: int | None

    def __init__(self, nbytes: int, born: int | None) -> None:
        self.nbytes = nbytes
        self.born = born
        self.owner = self.released = None


class Storages:
    """An account a storage; `ops` is the list whose length tells the time."""

    def __init__(self, ops: Sized) -> None:
        self.accounts: list[_Account] = []
        self._ops = ops
        self._known: dict[int, _Reference] = {}
        self._closed = False
        self._on_release = self._release

    def index_of(self, tensor: torch.Tensor, born: int | None) -> int:
        """The account of a tensor's storage, opened where the storage was never seen."""
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):
            # Sparse and nested tensors have several; they count as their elements.
            self.accounts.append(_Account(tensor.numel() * tensor.element_size(), born))
            return len(self.accounts) - 1
        reference = self._known.get(id(storage))
        if reference is not None and reference() is storage:
            return reference.index
        return self._open(storage, born)

    def index_of_new(self, tensor: torch.Tensor) -> int:
        """`index_of` a tensor whose memory was made just now, for it alone."""
        return self._open(tensor.untyped_storage(), len(self._ops))

    def link(self, tensor: torch.Tensor, index: int) -> None:
        """Let the storage of a stand-in be known as the one it stands for."""
        storage = tensor.untyped_storage()
        self._known[id(storage)] = reference = _Reference(storage)
        reference.index = index

    def close(self) -> tuple[Storage, ...]:
        """All storages; what is alive now stays alive in the records."""
        self._closed = True
        return tuple([Storage(a.nbytes, a.born, a.released) for a in self.accounts])

    def _open(self, storage: Any, born: int | None) -> int:
        self._known[id(storage)] = reference = _Reference(storage, self._on_release)
        index = reference.index = len(self.accounts)
        self.accounts.append(_Account(storage.nbytes(), born))
        return index

    def _release(self, reference: Any) -> None:
        if not self._closed:
            self.accounts[reference.index].released = max(0, len(self._ops) - 1)

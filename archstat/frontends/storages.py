"""The memory behind the tensors of a capture: each storage, from the op that made it to its death.

Only weak references are held, so a storage dies here when eager Python lets go of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sized
from itertools import repeat
from typing import Any

import torch

from archstat.graph import Storage, record


class _Reference(weakref.ref[Any]):
    __slots__ = ("index",)
    index: int


class Storages:
    """A number for each storage, with its size, birth and death; `ops` tells time by its length.

    `born` holds None for what was there before the first op; `owners` maps a storage to the
    parameter, buffer or constant that lives in it.
    """

    def __init__(self, ops: Sized) -> None:
        # Columns, not an object each: there are three storages to a convolution.
        self.born: list[int | None] = []
        self.owners: dict[int, int] = {}
        # Of a sparse tensor, how many numbers it holds; -1 on meta, where nobody can tell.
        self.nonzeros: dict[int, int] = {}
        self._nbytes: list[int] = []
        self._released: list[int | None] = []
        self._ops = ops
        self._known: dict[int, _Reference] = {}
        self._closed = False
        self._on_release = self._release

    def index_of(self, tensor: torch.Tensor, born: int | None) -> int:
        """The number of a tensor's storage, a new one where the storage was never seen."""
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):
            # Sparse tensors have several, for numbers and for their places.
            if tensor.layout is torch.strided:
                return self._append(tensor.numel() * tensor.element_size(), born)
            parts = parts_of(tensor)
            index = self._append(sum(t.numel() * t.element_size() for t in parts), born)
            self.nonzeros[index] = -1 if tensor.is_meta else tensor._nnz()
            return index
        reference = self._known.get(id(storage))
        if reference is not None and reference() is storage:
            return reference.index
        return self.add(storage, born)

    def known(self, tensor: torch.Tensor) -> int | None:
        """The number of a tensor's storage, None where the storage was never seen."""
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):
            return None
        reference = self._known.get(id(storage))
        return reference.index if reference is not None and reference() is storage else None

    def add(self, storage: torch.UntypedStorage, born: int | None) -> int:
        """The number of a storage that was never seen."""
        self._known[id(storage)] = reference = _Reference(storage, self._on_release)
        # As `_append` does, which takes as long as all the rest.
        index = reference.index = len(self.born)
        self._nbytes.append(storage.nbytes())
        self.born.append(born)
        self._released.append(None)
        return index

    def link(self, tensor: torch.Tensor, index: int) -> None:
        """Let the storage of a stand-in be known as the one it stands for."""
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):
            return  # sparse: its value is known by the tensor alone
        self._known[id(storage)] = reference = _Reference(storage)
        reference.index = index

    def close(self) -> tuple[Storage, ...]:
        """All storages; what is alive now stays alive in the records, and no more is recorded."""
        self._closed = True
        lifetimes = zip(self._nbytes, self.born, self._released, strict=True)
        storages = tuple(map(record, repeat(Storage), lifetimes))
        # The references hold a method of this object, which holds them: nothing shall remain
        # for the cyclic collector, which would walk all the records to find it.
        self._known.clear()
        del self._on_release
        return storages

    def _append(self, nbytes: int, born: int | None) -> int:
        self._nbytes.append(nbytes)
        self.born.append(born)
        self._released.append(None)
        return len(self.born) - 1

    def _release(self, reference: Any) -> None:
        if not self._closed:
            self._released[reference.index] = max(0, len(self._ops) - 1)


def parts_of(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The dense tensors that a sparse one consists of."""
    if tensor.layout is torch.sparse_coo:
        return tensor._values(), tensor._indices()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.values(), tensor.crow_indices(), tensor.col_indices()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.values(), tensor.ccol_indices(), tensor.row_indices()
    return ()

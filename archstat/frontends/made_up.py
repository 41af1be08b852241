"""Numbers for a real run of a forward that was given shapes alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def made_up(
    shape: Sequence[int], dtype: torch.dtype, vocabulary: int = 0, seed: int = 0
) -> torch.Tensor:
    """A tensor on cpu that is the same every time: between 0 and 1, or true, or 1, or ids.

    Whole numbers are ids where the `vocabulary` is known, and spread over it.
    """
    if dtype is not torch.bool and vocabulary > 2 and not dtype.is_floating_point:
        # 0 is often the padding.
        ids = 1 + torch.arange(torch.Size(shape).numel()) % (vocabulary - 1)
        return ids.reshape(tuple(shape)).to(dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        return torch.ones(tuple(shape), dtype=dtype)
    seeded = torch.Generator().manual_seed(seed)
    return torch.rand(tuple(shape), generator=seeded).to(dtype)


def vocabulary_of(root: nn.Module) -> int:
    """How many ids every table of the model knows; 0 where it has none."""
    tables = (m for m in root.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)))
    return min((table.num_embeddings for table in tables), default=0)

"""torch's switches that speed depends on: recorded, set where asked, put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from archstat.collection import collection_paused
from archstat.latency.conditions import Conditions


def switches() -> Mapping[str, Any]:
    """TF32, cudnn's search for algorithms, determinism and matmul precision, as they stand."""
    import torch

    mkldnn: Any = torch.backends.mkldnn
    return {
        "matmul_precision": torch.get_float32_matmul_precision(),
        # Not by `allow_tf32`, which raises where somebody used the newer settings of the same.
        "tf32_matmul": torch.get_float32_matmul_precision() != "highest",
        "tf32_cudnn": _tf32_in_cudnn(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": bool(mkldnn.is_available() and mkldnn.enabled),
    }


def _tf32_in_cudnn() -> bool | None:
    import torch

    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # the two ways of setting it were mixed
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one thread: several processes that all use every core hinder another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def prepared(conditions: Conditions) -> Iterator[None]:
    """Run the block with the threads and gradients that conditions ask for; put all back."""
    import torch

    threads = torch.get_num_threads()
    if conditions.threads is not None:
        torch.set_num_threads(conditions.threads)
    try:
        with torch.inference_mode(not conditions.backward), collection_paused():
            yield
    finally:
        torch.set_num_threads(threads)

"""What the analyses of memory cost beside the capture of the same network.

    python benchmarks/analyses.py

Build and capture, then each analysis on the Graph, in turn; medians of several rounds, and how the
time of a chain of convolutions grows with its length. Exits with 1 if those of memory access, peak
memory, guidelines and GEMM shapes together take more than 30 % of the capture of any network.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn

import archstat
from archstat import zoo
from archstat.analyses.gemm import gemm
from archstat.analyses.guidelines import guidelines
from archstat.analyses.memory import memory
from archstat.analyses.memory_access import memory_access
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph

T = TypeVar("T")
ROUNDS = 15
LIMIT = 0.30
NETWORKS = ("vgg16", "resnet50", "mobilenet_v2", "shufflenet_v2_x1_0", "densenet121",
            "inception_v3", "efficientnet_b0")  # fmt: skip
LENGTHS = (500, 5_000)
ANALYSES: dict[str, Callable[[Graph], object]] = {
    "memory_access": memory_access,
    "fused": lambda graph: memory_access(graph, "inference"),
    "memory": memory,
    "guidelines": guidelines,
    "gemm": gemm,
}
# A report runs one of the two views of memory access.
TOGETHER = ("memory_access", "memory", "guidelines", "gemm")
DEFAULT = ("memory_access", "memory")


def main() -> int:
    """Measure, print, check."""
    kept = True
    print(f"torch {torch.__version__}, medians of {ROUNDS} rounds, ms; together: {TOGETHER}")
    names = ("network", "ops", "capture", *ANALYSES, "default", "together")
    print(("{:>20}" + "{:>14}" * (len(names) - 1)).format(*names))
    for name in NETWORKS:
        with torch.device("meta"):
            model = zoo.build(name).eval()
        image = torch.empty(zoo_input(name), device="meta")
        kept &= row(name, model, image)
    chains = {}
    for length in LENGTHS:
        with torch.device("meta"):
            chain = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(length)))
        chains[length] = row(f"chain of {length}", chain, torch.empty(1, 8, 32, 32, device="meta"))
    return 0 if kept and all(chains.values()) else 1


def zoo_input(name: str) -> tuple[int, ...]:
    """The network's own input, a batch of one."""
    side = 299 if name == "inception_v3" else 224
    return (1, 3, side, side)


def row(name: str, model: nn.Module, image: torch.Tensor) -> bool:
    """Print one network's times; whether its analyses keep the limit."""
    times: dict[str, list[float]] = {key: [] for key in ("capture", *ANALYSES)}

    def timed(key: str, task: Callable[[], T]) -> T:
        start = time.process_time()
        result = task()
        times[key].append(time.process_time() - start)
        return result

    for _ in range(ROUNDS):
        gc.collect()
        # One behind the other on a new Graph, as `analyze` runs them: what one analysis leaves
        # on the Graph, the next may use.
        with collection_paused():
            graph = timed("capture", lambda: archstat.capture(model, image))
            for key, analysis in ANALYSES.items():
                timed(key, partial(analysis, graph))
    medians = {key: statistics.median(found) * 1e3 for key, found in times.items()}
    shares = [sum(medians[k] for k in keys) / medians["capture"] for keys in (DEFAULT, TOGETHER)]
    print(f"{name:>20}{len(graph.ops):>14}", *(f"{medians[key]:13.2f}" for key in medians),
          *(f"{share:13.1%}" for share in shares))  # fmt: skip
    return shares[-1] <= LIMIT


if __name__ == "__main__":
    sys.exit(main())

"""How long receptive fields take, an op, on finished Graphs: resnet152, densenet201, long chains.

    python benchmarks/receptive_field.py

Capture is left out. Every figure of every op is asked for. The least of some rounds, of processor
time, which other work on the machine hardly changes. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import gc
import time

from archstat import layers, receptive_field
from archstat.graph import Graph
from archstat.models.pipeline import graph_of_spec

ROUNDS = 7
TARGET_MICROSECONDS = 25.0
# A chain ten times as long may take this much more an op: it is linear.
TARGET_GROWTH = 1.5
NETWORKS = ("resnet152", "densenet201")
CHAINS = (1_000, 10_000)


def chain(length: int) -> Graph:
    """A chain of 3x3 convolutions."""
    return layers(f"3x3*{length}", input=32)


def microseconds(graph: Graph) -> float:
    """The least time an op for the fields of all ops, figures included."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        for row in receptive_field(graph).rows:
            _ = row.receptive_field, row.effective_stride, row.effective_padding
        times.append(time.process_time() - start)
    return 1e6 * min(times) / len(graph.ops)


def main() -> int:
    """Measure, print, check."""
    graphs = {name: graph_of_spec(name) for name in NETWORKS}
    graphs |= {f"chain of {length}": chain(length) for length in CHAINS}
    taken = {name: microseconds(graph) for name, graph in graphs.items()}
    for name, each in taken.items():
        print(f"{name:16} {len(graphs[name].ops):6} ops  {each:5.1f} us an op "
              f"(target <= {TARGET_MICROSECONDS:.0f})")  # fmt: skip
    short, long = (taken[f"chain of {length}"] for length in CHAINS)
    print(f"ten times the chain takes {long / short:.2f}x an op (target <= {TARGET_GROWTH}x)")
    kept = max(taken.values()) <= TARGET_MICROSECONDS and long <= TARGET_GROWTH * short
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())

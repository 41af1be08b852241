"""How long the whole zoo takes: every network built and captured, one after the other.

    python benchmarks/zoo.py

In one process, after `import torch`. Prints the total, by the clock and of this process alone
(which other work on the machine hardly changes), and the slowest ten. Exits with 1 if a network is
missing, has an operation that nobody knows, or the total misses its target.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from archstat import zoo
from archstat.analyses import ANALYSES
from archstat.graph import Graph
from archstat.models.pipeline import graph_of_spec

TARGET_SECONDS = 15.0
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds one network took, by the clock and of this process."""

    name: str
    clock: float
    cpu: float
    ops: int


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cpu", action="store_true", help="hold processor seconds, not the clock, to the target"
    )
    arguments = parser.parse_args()
    import torch  # what every command that builds a model pays first is not the zoo's

    timings, faults = [], []
    for name in zoo.catalogue():
        timing, graph = timed(name)
        timings.append(timing)
        faults += faults_of(name, graph)
    clock, cpu = (sum(getattr(t, key) for t in timings) for key in ("clock", "cpu"))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(timings)} networks")
    print(f"total  {clock:6.2f} s by the clock  {cpu:6.2f} s of this process")
    for timing in sorted(timings, key=lambda t: t.clock, reverse=True)[:SHOWN]:
        print(f"{timing.clock:6.2f} s  {timing.cpu:6.2f} s  {timing.ops:6} ops  {timing.name}")
    taken = cpu if arguments.cpu else clock
    if taken > TARGET_SECONDS:
        faults.append(f"{taken:.2f} s is more than the target of {TARGET_SECONDS:.0f} s.")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def timed(name: str) -> tuple[Timing, Graph]:
    """A network built and captured, and the time that took."""
    clock, cpu = time.perf_counter(), time.process_time()
    graph = graph_of_spec(name)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return Timing(name, clock, cpu, len(graph.ops)), graph


def faults_of(name: str, graph: Graph) -> list[str]:
    """What is wrong with a captured network: sentences, none where all is well."""
    totals = {key: total for a in ANALYSES for key, total in a.run(graph).totals.items()}
    entry = zoo.entry(name)
    faults = []
    if totals["unknown_ops"]:
        faults.append(f"{name} has {totals['unknown_ops']} operations that nobody knows.")
    if (totals["params"], totals["macs"]) != (entry.params, entry.macs):
        faults.append(f"{name} is not what the catalogue says: run scripts/make_catalogue.py.")
    return faults


if __name__ == "__main__":
    raise SystemExit(main())

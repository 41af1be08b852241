"""How far latencies can be trusted here: `archstat bench` again and again, beside a plain loop.

    python benchmarks/latency_noise.py

Ten invocations of ``bench resnet18 mobilenet_v2 --budget 10s`` and, in turn with them, ten of the
method of timm's benchmark script in a process of their own: model after model, the mean of 40 calls
after 10 of warm-up. Exits with 1 unless the intervals of both latencies and of the ratio hold the
median of all invocations in at least 8 of 10, the ratio's spread (p95 - p5 over the median) is at
most half that of the loop, and timing a model of 100 us adds less than 1 %. ``--write`` puts the
table into docs/latency.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from catalogue import fill_in

from archstat.measure.latency.intervals import percentile
from archstat.measure.latency.machine import cpu_name
from archstat.measure.latency.measurement import Interval
from archstat.measure.latency.sampling import WallClock, blocks_of, plan_for, timed_ns

MODELS = ("resnet18", "mobilenet_v2")
INVOCATIONS = 10
BUDGET = "10s"
HELD = 0.8
CALMER = 0.5
OVERHEAD = 0.01
WARM_UP, CALLS = 10, 40
BARE = 20

LOOP = f"""
import sys, time
import torch
from archstat import zoo
for name in sys.argv[1:]:
    torch.manual_seed(0)
    model, image = zoo.build(name).eval(), torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for _ in range({WARM_UP}):
            model(image)
        total = 0.0
        for _ in range({CALLS}):
            start = time.perf_counter()
            model(image)
            total += time.perf_counter() - start
    print(total / {CALLS} * 1e3)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: by `bench`, an interval an invocation, and by the loop, a number each."""

    what: str
    ours: tuple[Interval, ...]
    loop: tuple[float, ...]

    @property
    def held(self) -> int:
        """How many intervals hold the median of all invocations."""
        median = statistics.median(interval.middle for interval in self.ours)
        return sum(interval.contains(median) for interval in self.ours)

    @property
    def spreads(self) -> tuple[float, float]:
        """p95 - p5 over the median, of `bench` and of the loop."""
        return spread([interval.middle for interval in self.ours]), spread(self.loop)

    def cells(self, unit: str) -> tuple[str, ...]:
        """The row as text."""
        ours, loop = self.spreads
        median = statistics.median(interval.middle for interval in self.ours)
        half = statistics.median(interval.half_width for interval in self.ours)
        return (self.what, f"{median:.4g}{unit}", f"{100 * half:.1f} %",
                f"{self.held} of {len(self.ours)}", f"{100 * ours:.1f} %",
                f"{statistics.median(self.loop):.4g}{unit}", f"{100 * loop:.1f} %")  # fmt: skip


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invocations", type=int, default=INVOCATIONS)
    parser.add_argument("--budget", default=BUDGET)
    parser.add_argument("--write", action="store_true", help="write docs/latency.md")
    arguments = parser.parse_args()
    if arguments.invocations < 2:
        parser.error(f"--invocations {arguments.invocations}: a spread needs at least 2.")
    rows = measured(arguments.invocations, arguments.budget)
    added = overhead()
    text = markdown(rows, added, arguments.budget)
    print(text)
    if arguments.write:
        fill_in("latency.md", "latency_noise", text)
    return 0 if not failures(rows, added) else 1


def measured(invocations: int, budget: str) -> list[Row]:
    """Both methods in turn, each in fresh processes."""
    ours: list[tuple[Interval, ...]] = []
    loop: list[tuple[float, ...]] = []
    for number in range(invocations):
        ours.append(by_bench(budget))
        loop.append(by_loop())
        said = ", ".join(f"{i.low:.4g} {i.middle:.4g} {i.high:.4g}" for i in ours[-1])
        print(f"{number + 1}: {said}; loop {loop[-1][-1]:.4g}", file=sys.stderr, flush=True)
    names = (*MODELS, f"{MODELS[1]} / {MODELS[0]}")
    columns = zip(names, zip(*ours, strict=True), zip(*loop, strict=True), strict=True)
    return [Row(*column) for column in columns]


def by_bench(budget: str) -> tuple[Interval, ...]:
    """Both latencies in ms and the ratio of one invocation of `archstat bench`."""
    command = [sys.executable, "-m", "archstat", "bench", *MODELS, "--budget", budget,
               "--no-store", "--format", "json"]  # fmt: skip
    first, second = json.loads(output_of(command))["rows"]
    keys = ("latency_ms_low", "latency_ms", "latency_ms_high")
    ratio = ("latency_ms_ratio_low", "latency_ms_ratio", "latency_ms_ratio_high")
    return (
        Interval(*(first[key] for key in keys)),
        Interval(*(second[key] for key in keys)),
        Interval(*(second[key] for key in ratio)),
    )


def by_loop() -> tuple[float, ...]:
    """Both latencies in ms and their ratio, model after model in one process."""
    first, second = map(float, output_of([sys.executable, "-c", LOOP, *MODELS]).split())
    return first, second, second / first


def output_of(command: Sequence[str]) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} failed with {done.returncode}")
    return done.stdout


def spread(values: Sequence[float]) -> float:
    """p95 - p5 over the median."""
    ordered = sorted(values)
    return (percentile(ordered, 0.95) - percentile(ordered, 0.05)) / percentile(ordered, 0.5)


def overhead(rounds: int = 200) -> float:
    """What sampling adds to a call of about 100 us, as a part.

    The same calls are made in samples, as `bench` takes them, and, in turn with these, in bare
    loops of many calls between two readings of the clock.
    """

    def model() -> None:
        start = time.perf_counter_ns()
        while time.perf_counter_ns() - start < 100_000:
            for _ in range(50):  # work, so that readings of the clock here are few
                pass

    clock = WallClock()
    plan = plan_for(min(timed_ns(clock, model) for _ in range(20)), clock)
    sampled: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        sampled += blocks_of(model, clock, plan.calls, 5)
        start = clock.now_ns()
        for _ in range(BARE):
            model()
        bare.append((clock.now_ns() - start) / BARE / 1e6)
    # On a busy machine most loops are interrupted; the quicker ones are not.
    return percentile(sorted(sampled), 0.25) / percentile(sorted(bare), 0.25) - 1


def failures(rows: Sequence[Row], added: float) -> list[str]:
    """What does not keep its limit, in sentences."""
    told = []
    for row in rows:
        if row.held < HELD * len(row.ours):
            told.append(f"{row.what}: {row.held} of {len(row.ours)} intervals hold the median")
    ours, loop = rows[-1].spreads
    if ours > CALMER * loop:
        told.append(f"the ratio's spread is {ours / loop:.2f}x that of the loop")
    if added >= OVERHEAD:
        told.append(f"timing adds {100 * added:.2f} %")
    return told


def markdown(rows: Sequence[Row], added: float, budget: str) -> str:
    """The table, with what it was measured on, and whether it keeps its limits."""
    import torch

    head = ("", "bench", "half of its interval", "intervals that hold the median", "spread",
            "mean of 40", "spread of that")  # fmt: skip
    ratio = len(rows) - 1
    cells = [row.cells("" if place == ratio else " ms") for place, row in enumerate(rows)]
    lines = [head, ("---", *("---:",) * (len(head) - 1)), *cells]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    ours, loop = rows[-1].spreads
    told = failures(rows, added)
    return (
        f"{cpu_name()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"Python {platform.python_version()}; {len(rows[0].ours)} invocations of "
        f"`archstat bench {' '.join(MODELS)} --budget {budget}`, and of the loop, in turn.\n\n"
        f"{table}\n\n"
        f"The ratio's spread is {ours / loop:.2f}x that of the sequential mean of {CALLS} "
        f"(limit {CALMER}x). "
        f"Timing a call of 100 us adds {100 * added:.2f} % (limit {100 * OVERHEAD:.0f} %). "
        + (f"MISSED: {'; '.join(told)}." if told else "All limits are kept.")
    )


if __name__ == "__main__":
    raise SystemExit(main())

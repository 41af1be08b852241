"""How fast ``archstat rf --layers`` is beside the bare import of torch, in fresh processes.

    python benchmarks/layer_lists.py

Processes run in turn (A B A B); medians. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 11
LIMIT = 0.30
LISTS = ("3x3,3x3,3x3", "7x7/2,max3x3/2,(3x3,3x3|id)*8")


def seconds(command: list[str]) -> float:
    """The wall clock of one fresh process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, check."""
    rf = [sys.executable, "-m", "archstat", "rf", "--layers"]
    commands = {"import torch": [sys.executable, "-c", "import torch"]}
    commands |= {f"rf --layers {text}": [*rf, text] for text in LISTS}
    for command in commands.values():
        seconds(command)  # byte code is compiled and files are read once
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            runs[name].append(seconds(command))
    medians = {name: statistics.median(times) for name, times in runs.items()}
    base = medians.pop("import torch")
    print(f"import torch: {base:.3f} s")
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s, {median / base:.2f}x (target <= {LIMIT:.2f}x)")
    return 0 if all(median <= LIMIT * base for median in medians.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

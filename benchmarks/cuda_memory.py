"""What torch's allocator is said to reserve on a GPU, beside what was measured on one.

    python benchmarks/cuda_memory.py reports/gpu_h200.csv

Takes the rows of a compared.csv of `benchmarks/gpu.py`: the bytes that a training of batch 64
reserved. Needs no GPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from memory import NETWORKS, ON_GPU

from archstat.analyses.device_files import find_device
from archstat.measure.training.rows import reserved_by
from archstat.measure.training.step import Settings, training_step
from archstat.models.real import real_module


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    with parser.parse_args().file.open(newline="", encoding="utf-8") as file:
        return reserved(list(csv.DictReader(file)))


def reserved(rows: Sequence[dict[str, str]]) -> int:
    """How far measured reserved bytes are from what is said, in percent of what is said."""
    device = find_device("h200")
    sides = dict(NETWORKS)
    gaps: dict[str, list[float]] = {"counted": [], "allocated": [], "reserved": []}
    for row in rows:
        if row["quantity"] != "reserved_bytes":
            continue
        name, optimizer = row["model"].split()
        given = ((torch.empty(ON_GPU, 3, sides[name], sides[name], device="meta"),), {})
        settings = Settings(optimizer, kernels="cuda")
        step = training_step(real_module(name), *given, settings, name)
        said, measured = reserved_by(step, device), float(row["measured"])
        figures = (step.training_memory_bytes, said.allocated_bytes, said.reserved_bytes)
        for key, figure in zip(gaps, figures, strict=True):
            gaps[key].append(100 * (measured / figure - 1))
        print(f"{row['model']:28}{said.reserved_bytes:14}{measured:14.0f}"
              f"{gaps['counted'][-1]:+8.1f} %{gaps['reserved'][-1]:+8.1f} %",
              flush=True)  # fmt: skip
    for key, found in gaps.items():
        print(f"measured reserved beyond {key}: median {median(found):+.1f} %, "
              f"{min(found):+.1f} to {max(found):+.1f} %, {len(found)} rows")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())

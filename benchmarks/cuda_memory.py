"""What torch's allocator is said to reserve on a GPU, beside what was measured on GPUs.

    python benchmarks/cuda_memory.py reserved reports/gpu_h200.csv
    python benchmarks/cuda_memory.py batches FILE --sample 60 --seed 21 -o FILE

Both need no GPU. `reserved` takes the rows of a compared.csv of `benchmarks/gpu.py`: the bytes that
a training of batch 64 reserved on an H200. `batches` takes the largest batches at which networks of
timm trained on a GPU of 24 GiB: autocast to fp16, SGD with momentum, attention written out, a batch
that was stepped down until it ran. A network is right where the first step that fits by what is
reserved is the step that ran. Needs timm; nothing is fitted to the rows.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from memory import NETWORKS, ON_GPU

from archstat.analyses.device_files import find_device
from archstat.measure.training.rows import reserved_by
from archstat.measure.training.step import Settings, training_step
from archstat.models.real import real_module

LIBRARY = torch.library.Library("torchvision", "DEF")
COLUMNS = ("model", "resolution", "largest_that_ran", "smallest_that_failed", "step_by_reserved",
           "step_by_counted", "counted_bytes", "reserved_bytes", "verdict")  # fmt: skip


def main() -> int:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["reserved", "batches"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=540, help="when to begin no other network")
    parser.add_argument("-o", type=Path, metavar="FILE")
    given = parser.parse_args()
    with given.file.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if given.part == "reserved":
        return reserved(rows)
    return batches(rows, given.sample, given.seed, given.seconds, given.o)


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


def timm_on_meta() -> Any:
    """Timm with attention written out; torchvision, which it imports, wants its operations."""
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    timm.layers.set_fused_attn(False)
    return timm


def batches(
    rows: Sequence[dict[str, str]], sample: int, seed: int, seconds: float, out: Path | None
) -> int:
    """The step at which each network of a sample trains, by what is said and in truth."""
    timm = timm_on_meta()
    steps = sorted({int(row["largest_that_ran"]) for row in rows}, reverse=True)
    known = set(timm.list_models())
    bounded = [row for row in rows if row["smallest_that_failed"]]
    there = [row for row in bounded if row["model"] in known]
    print(f"{len(rows)} rows, {len(bounded)} bounded on both sides, {len(there)} in timm")
    chosen = random.Random(seed).sample(there, min(sample, len(there)))
    began, found = time.monotonic(), []
    for row in chosen:
        if time.monotonic() - began > seconds:
            break
        try:
            found.append(beside(row, steps))
        except Exception as error:
            print(f"{row['model']}: {type(error).__name__}: {error}", flush=True)
            continue
        print(*found[-1], flush=True)
        if out is not None:
            with out.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([COLUMNS, *found])
    for column, said in ((4, "reserved"), (5, "counted")):
        print(f"by {said}:", summary(found, steps, column))
    return 0


def beside(row: dict[str, str], steps: Sequence[int]) -> tuple[Any, ...]:
    """A network's row under `COLUMNS`; the bytes are those of the batch that ran."""
    import timm

    side, ran = int(row["resolution"]), int(row["largest_that_ran"])
    with torch.device("meta"):
        root = timm.create_model(row["model"], pretrained=False)
    device = find_device("rtx-3090")
    assert device.memory is not None
    room = device.memory - (device.context or 0)
    said: dict[int, tuple[int, int]] = {}

    def of(batch: int) -> tuple[int, int]:
        if batch not in said:
            given = ((torch.empty(batch, 3, side, side, device="meta"),), {})
            settings = Settings("momentum", amp=True, kernels="cuda")
            step = training_step(root, *given, settings, row["model"])
            figure = reserved_by(step, device, room).reserved_bytes
            said[batch] = step.training_memory_bytes, figure
        return said[batch]

    by_reserved, by_counted = (
        first_that_fits(steps, steps.index(ran), lambda b, n=n: of(b)[n] <= room) for n in (1, 0)
    )
    verdict = "right" if by_reserved == ran else "too large" if by_reserved > ran else "too small"
    return (row["model"], side, ran, int(row["smallest_that_failed"]), by_reserved, by_counted,
            *of(ran), verdict)  # fmt: skip


def first_that_fits(steps: Sequence[int], near: int, fits: Any) -> int:
    """The largest of falling steps that fits, looked for from one of them; 0 for none."""
    if fits(steps[near]):
        while near > 0 and fits(steps[near - 1]):
            near -= 1
        return steps[near]
    while near < len(steps) and not fits(steps[near]):
        near += 1
    return steps[near] if near < len(steps) else 0


def summary(found: Iterable[Sequence[Any]], steps: Sequence[int], column: int) -> str:
    """How many are right, within a step, too large and too small."""
    places = {batch: place for place, batch in enumerate((*steps, 0))}
    off = [places[row[2]] - places[row[column]] for row in found]
    if not off:
        return "no rows"
    share = {
        "right": [n == 0 for n in off], "within a step": [abs(n) <= 1 for n in off],
        "too large": [n > 0 for n in off], "too small": [n < 0 for n in off],
    }  # fmt: skip
    parts = [f"{name} {100 * sum(yes) / len(off):.0f} %" for name, yes in share.items()]
    return f"{', '.join(parts)} of {len(off)}"


if __name__ == "__main__":
    sys.exit(main())

"""The batch at which networks are said to train, beside that at which they trained on a GPU.

    python benchmarks/memory_truth.py FILE --sample 60 --seed 21 -o reports/training_batches.csv

FILE has the largest batch at which each network of timm trained on an RTX 3090, and the smallest
that failed. A network is right where the first step of the grid that fits, by what the allocator
reserves, is the step that ran. Needs timm, and no GPU; nothing is fitted to the rows. Of the runs
these are known: autocast to fp16, SGD with momentum, attention written out, torch 1.12.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from archstat.analyses.cuda_allocator import OutOfMemoryError, reserved_for
from archstat.analyses.device_files import find_device
from archstat.measure.training.rows import training_events
from archstat.measure.training.step import Settings, training_step

# Before torch 1.13 and CUDA 11.7 a context loads every kernel of the libraries at once. An
# out-of-memory message of such a torch on an RTX 3090 (https://huggingface.co/blog/
# zero-deepspeed-fairscale, January 2021) reports 45.69 MiB free and 22.05 GiB reserved of 24 GiB.
ROOM = int(22.05 * 2**30 + 45.69 * 2**20)
# Less than this of the room is what nobody models: workspaces of cuDNN, the driver's version.
NEAR = 0.05


class Row(NamedTuple):
    """A network: batches that ran and failed, the step said, and what the failed one needs."""

    model: str
    family: str
    resolution: int
    largest_that_ran: int
    smallest_that_failed: int
    step_said: int
    allocated_that_ran: int
    allocated_that_failed: int
    verdict: str
    reason: str


def main() -> int:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sample", type=int, help="so many networks; by default all")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=540, help="when to begin no other network")
    parser.add_argument("-o", type=Path, metavar="FILE")
    given = parser.parse_args()
    with given.file.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    torchvision = torch.library.Library("torchvision", "DEF")
    timm = timm_on_meta(torchvision)
    bounded = [row for row in rows if row["smallest_that_failed"]]
    known = [row for row in bounded if row["model"] in set(timm.list_models())]
    print(f"{len(rows)} rows, {len(bounded)} bounded on both sides, {len(known)} in timm")
    random.Random(given.seed).shuffle(known)
    steps = sorted({int(row["largest_that_ran"]) for row in rows}, reverse=True)
    found = all_beside(known[: given.sample], steps, given.seconds, given.o)
    print("\n".join(by_family(found)))
    print(summary(found, steps))
    return 0


def timm_on_meta(torchvision: torch.library.Library) -> Any:
    """Timm with attention written out; torchvision, which it imports, wants its operations."""
    for name in ("nms", "qnms"):
        torchvision.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    timm.layers.set_fused_attn(False)
    return timm


def all_beside(
    rows: Sequence[dict[str, str]], steps: Sequence[int], seconds: float, out: Path | None
) -> list[Row]:
    """The rows that could be had in time; what cannot run is named on stderr."""
    import timm

    began, found = time.monotonic(), []
    for row in rows:
        if time.monotonic() - began > seconds:
            break
        name = row["model"]
        try:
            with torch.device("meta"):
                root = timm.create_model(name, pretrained=False)
            family = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
            found.append(beside(root, family, row, steps))
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print(*found[-1], flush=True)
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([Row._fields, *sorted(found)])
    return found


def beside(root: nn.Module, family: str, row: dict[str, str], steps: Sequence[int]) -> Row:
    """What is said of a network on meta, beside what is known."""
    side, ran, failed = (int(row[key]) for key in
                         ("resolution", "largest_that_ran", "smallest_that_failed"))  # fmt: skip
    runs: dict[int, tuple[bool, int]] = {}

    def run(batch: int) -> tuple[bool, int]:
        if batch not in runs:
            runs[batch] = trains(root, batch, side)
        return runs[batch]

    said = first_that_fits(steps, steps.index(ran), lambda batch: run(batch)[0])
    verdict = "right" if said == ran else "too large" if said > ran else "too small"
    allocated = run(ran)[1], run(failed)[1]
    return Row(row["model"], family, side, ran, failed, said, *allocated, verdict,
               reason(verdict, *allocated))  # fmt: skip


def trains(root: nn.Module, batch: int, side: int, room: int = ROOM) -> tuple[bool, int]:
    """Whether the room is enough for a training, and the most bytes allocated in it."""
    given = ((torch.empty(batch, 3, side, side, device="meta"),), {})
    step = training_step(root, *given, Settings("momentum", amp=True, kernels="cuda"))
    # Gradients stay between steps: until torch 2.0 zero_grad() filled them with zeros.
    events = training_events(step, find_device("rtx-3090"), gradients_kept=True)
    unlimited = reserved_for(events)
    if unlimited.reserved_bytes <= room:
        return True, unlimited.allocated_bytes
    try:
        return reserved_for(events, room).reserved_bytes <= room, unlimited.allocated_bytes
    except OutOfMemoryError:
        return False, unlimited.allocated_bytes


def reason(verdict: str, ran: int, failed: int) -> str:
    """Why a verdict is wrong, as far as it can be told: how far the batch is from the room."""
    if verdict == "right":
        return ""
    needed = failed if verdict == "too large" else ran
    kind = "near the room" if abs(needed / ROOM - 1) < NEAR else "unexplained"
    return f"{kind}: allocated is {100 * needed / ROOM:.1f} % of it"


def first_that_fits(steps: Sequence[int], near: int, fits: Callable[[int], bool]) -> int:
    """The largest of falling steps that fits, looked for from one of them; 0 for none."""
    if fits(steps[near]):
        while near > 0 and fits(steps[near - 1]):
            near -= 1
        return steps[near]
    while near < len(steps) and not fits(steps[near]):
        near += 1
    return steps[near] if near < len(steps) else 0


def by_family(found: Iterable[Row]) -> list[str]:
    """A markdown table: how many of each family are right, too large and too small."""
    counts: dict[str, Counter[str]] = {}
    for row in found:
        counts.setdefault(row.family, Counter())[row.verdict] += 1
    verdicts = ("right", "too large", "too small")
    lines = [f"| {name} | {' | '.join(str(count[v]) for v in verdicts)} |"
             for name, count in sorted(counts.items())]  # fmt: skip
    return ["| family | right | too large | too small |", "| --- | ---: | ---: | ---: |", *lines]


def summary(found: Sequence[Row], steps: Sequence[int]) -> str:
    """How many are right, within a step, too large and too small."""
    places = {batch: place for place, batch in enumerate((*steps, 0))}
    off = [places[row.largest_that_ran] - places[row.step_said] for row in found]
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

"""Memory by counting on meta beside the same for real: tensors counted, and the allocator's peak.

    python benchmarks/memory.py --write

Writes reports/training_memory.csv: for each network the training peak on meta, the same count of
tensors on cpu, torch.profiler's peak of the second real step, and the same three of inference.
Exits with 1 where a count of tensors differs, or the training peak by more than 5 % (LeNet-5's
does, by the workspace of its convolutions).

    python benchmarks/memory.py --device cuda --seconds 60 -o FILE

sets the counts beside the allocator's peaks on a GPU, allocated and reserved, of as many networks
as fit the time, at least one; with `--device cpu` beside those on cpu, where nothing is reserved.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# The profiler announces every start and stop.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch

from archstat.analyses.memory import memory
from archstat.frontends.module import capture_call, capture_on
from archstat.measure.training.real_peaks import measured_inference_bytes, measured_training_bytes
from archstat.measure.training.step import Settings, step_on, training_step
from archstat.models.real import real_module

REPORT = Path(__file__).parents[1] / "reports" / "training_memory.csv"
BATCH, ON_GPU = 4, 64
TOLERANCE = 0.05
# A network and the side of its input: small, so that a step takes a second on cpu.
NETWORKS = (
    *(("alexnet", 227), ("vgg11", 64), ("vgg16", 64), ("squeezenet1_1", 96), ("googlenet", 96)),
    *(("inception_v2", 96), ("inception_v3", 139), ("resnet18", 96), ("resnet50", 96)),
    *(("wide_resnet50_2", 96), ("resnext50_32x4d", 96), ("preact_resnet50", 96)),
    *(("densenet121", 96), ("seresnet50", 96), ("cbam_resnet50", 96), ("mobilenet_v1", 96)),
    *(("mobilenet_v2", 96), ("mobilenet_v3_large", 96), ("mnasnet1_0", 96)),
    *(("shufflenet_v1", 96), ("shufflenet_v2_x1_0", 96), ("efficientnet_b0", 96)),
    *(("ghostnet", 96), ("xception", 128), ("regnet_y_400mf", 96), ("convnext_tiny", 96)),
    *(("vit_b_16", 224), ("lenet5", 32), ("nin_cifar10", 32), ("wrn28_10_cifar10", 32)),
)
OPTIMIZERS = ("momentum", "adam")
# On meta inference stores the scores of attention, which the kernel on cpu does not.
ATTENDING = ("vit_b_16",)
COLUMNS = ("model", "input", "optimizer", "training_memory_bytes", "counted_on_cpu_bytes",
           "allocator_bytes", "ratio", "peak_phase", "peak_module", "peak_memory_bytes",
           "inference_on_cpu_bytes", "inference_allocator_bytes")  # fmt: skip
CPU = torch.device("cpu")
ON_DEVICE = ("model", "input", "optimizer", "counted_training_bytes", "measured_training_bytes",
             "measured_reserved_bytes", "counted_inference_bytes",
             "measured_inference_bytes")  # fmt: skip


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="just these of the networks")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="just beside this allocator")
    parser.add_argument("--seconds", type=float, default=60, help="with --device: when to stop")
    parser.add_argument("-o", type=Path, metavar="FILE", help="with --device: the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [pair for pair in NETWORKS if not arguments.models or pair[0] in arguments.models]
    if arguments.device:
        return beside(chosen, arguments.device, arguments.seconds, arguments.o)
    rows = [row for name, side in chosen for row in rows_of(name, side)]
    if arguments.write:
        with REPORT.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    wrong = [row for row in rows if not agrees(row)]
    print(f"{len(rows) - len(wrong)} of {len(rows)} rows agree.")
    return 1 if wrong else 0


def agrees(row: Sequence[object]) -> bool:
    """Whether the counts are the same, and the allocator's is near."""
    cells = dict(zip(COLUMNS, row, strict=True))
    same = cells["training_memory_bytes"] == cells["counted_on_cpu_bytes"]
    inferred = cells["peak_memory_bytes"] == cells["inference_on_cpu_bytes"]
    same = same and (inferred or cells["model"] in ATTENDING)
    return same and abs(float(str(cells["ratio"])) - 1) <= TOLERANCE


def rows_of(name: str, side: int) -> list[tuple[object, ...]]:
    """A row for each optimizer of one network."""
    channels = 1 if name == "lenet5" else 3
    shape = (BATCH, channels, side, side)
    root = real_module(name)
    given = ((torch.empty(shape, device="meta"),), {})
    there = memory(capture_call(root, *given, name)).totals["peak_memory_bytes"]
    here = memory(capture_on(CPU, root, *given, name)).totals["peak_memory_bytes"]
    allocated = measured_inference_bytes(root, given)
    rows: list[tuple[object, ...]] = []
    for optimizer in OPTIMIZERS:
        settings = Settings(optimizer)
        counted = training_step(root, *given, settings, name)
        real = step_on(CPU, root, given, settings, name).training_memory_bytes
        measured = measured_training_bytes(root, given, settings)
        total = counted.training_memory_bytes
        text = "x".join(map(str, shape))
        rows.append((name, text, optimizer, total, real, measured, f"{total / measured:.4f}",
                     counted.peak.phase, counted.peak.module, there, here, allocated))  # fmt: skip
        print(*rows[-1], flush=True)
    return rows


def beside(
    chosen: Sequence[tuple[str, int]], device: str, seconds: float, file: Path | None
) -> int:
    """Print and write the counts beside the allocator's peaks, a row a network and optimizer.

    A network that does not run is told of, and the others are measured all the same.
    """
    began = time.monotonic()
    rows: list[tuple[object, ...]] = [ON_DEVICE]
    failed = 0
    for number, (name, side) in enumerate(chosen):
        if number and time.monotonic() - began > seconds:
            break
        try:
            for row in rows_beside(name, side, device):
                rows.append(row)
                print(*row, flush=True)
                if file is not None:
                    with file.open("w", newline="", encoding="utf-8") as table:
                        csv.writer(table, lineterminator="\n").writerows(rows)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            failed += 1
    return 1 if failed else 0


def rows_beside(name: str, side: int, device: str) -> Iterator[tuple[object, ...]]:
    """The counts for a device's kernels, and what its allocator gave, a row an optimizer."""
    root = real_module(name)
    batch = BATCH if device == "cpu" else ON_GPU
    shape = (batch, 1 if name == "lenet5" else 3, side, side)
    text = "x".join(map(str, shape))
    given = ((torch.empty(shape, device="meta"),), {})
    inferred = memory(capture_call(root, *given, name)).totals["peak_memory_bytes"]
    ran = measured_inference_bytes(root, given, device)
    for optimizer in OPTIMIZERS:
        settings = Settings(optimizer, kernels="cuda" if device == "cuda" else "cpu")
        counted = training_step(root, *given, settings, name).training_memory_bytes
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        trained = measured_training_bytes(root, given, settings, device)
        reserved = torch.cuda.max_memory_reserved() if device == "cuda" else trained
        yield name, text, optimizer, counted, trained, reserved, inferred, ran


if __name__ == "__main__":
    sys.exit(main())

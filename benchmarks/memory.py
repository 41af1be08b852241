"""Memory by counting on meta beside the same for real: tensors counted, and the allocator's peak.

    python benchmarks/memory.py --write

Writes reports/training_memory.csv: for each network the training peak on meta, the same count of
tensors on cpu, torch.profiler's peak of the second real step, and the same three of inference.
Exits with 1 where a count of tensors differs, or the training peak by more than 5 % (LeNet-5's
does, by the workspace of its convolutions). Where there
is a GPU, its allocator's peak comes on top (not in the file, which is the same everywhere).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
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
BATCH = 4
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


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="just these of the networks")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [pair for pair in NETWORKS if not arguments.models or pair[0] in arguments.models]
    rows = [row for name, side in chosen for row in rows_of(name, side)]
    if arguments.write:
        with REPORT.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    if not torch.cuda.is_available():
        print("GPU: skipped, torch sees none.")
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
        if torch.cuda.is_available():
            on_gpu = Settings(optimizer, kernels="cuda")
            said = training_step(root, *given, on_gpu, name).training_memory_bytes
            held = measured_training_bytes(root, given, on_gpu, "cuda")
            print(f"{name} {optimizer} on a GPU: {said} counted, {held} allocated", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())

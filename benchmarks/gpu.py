"""What archstat says of networks on a GPU, and how far that is from what was measured there.

    python benchmarks/gpu.py said FOLDER --on cuda --batch 32 resnet18 vgg16
    python benchmarks/gpu.py compared FOLDER

`scripts/on_gpu.sh` runs both, the first before and the second after everything is measured. The
first writes said.csv: the least time of each network by the roofline of the GPU's data sheet, in
the precisions that are measured. The second prints, and writes as compared.csv, each measured
figure beside what was said, with the difference in percent of what was said.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from archstat.analyses.device_files import find_device, read_devices
from archstat.analyses.devices import Device
from archstat.analyses.roofline import roofline
from archstat.errors import DeviceError
from archstat.models.pipeline import graph_of_spec

# On a GPU torch lets convolutions in fp32 use TF32, unless it is told otherwise.
PRECISIONS = {"cuda": {"fp32": "tf32", "half": "fp16"}, "cpu": {"fp32": "fp32", "half": "fp32"}}
BENCHED = {"fp32": "fp32", "half": "half", "channels_last": "half", "compile": "fp32"}
COLUMNS = ("part", "model", "quantity", "said", "measured", "difference_percent")
Row = tuple[str, str, str, float, float, float]


def main() -> int:
    """Write what is said, or print what was said beside what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["said", "compared"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--on", choices=list(PRECISIONS), default="cuda")
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.step == "said":
        write(arguments.folder / "said.csv", ("model", "precision", "device", "time_floor_ms"),
              said(arguments.models, arguments.on, arguments.batch))  # fmt: skip
        return 0
    rows = list(compared(arguments.folder))
    write(arguments.folder / "compared.csv", COLUMNS, rows)
    for part, model, quantity, before, after, difference in rows:
        print(f"{part:14}{model:22}{quantity:26}{before:14.6g}{after:14.6g}{difference:+9.1f} %")
    print((arguments.folder / "parts.csv").read_text(encoding="utf-8"))
    return 0


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A csv file, a line at a time, so that what is there stays when time is up."""
    with path.open("w", newline="", encoding="utf-8", buffering=1) as file:
        csv.writer(file, lineterminator="\n").writerows([columns])
        for row in rows:
            csv.writer(file, lineterminator="\n").writerow(row)


def said(models: Sequence[str], on: str, batch: int) -> Iterator[tuple[object, ...]]:
    """The least time of each model in each precision that is measured."""
    device = data_sheet(on)
    for model in models:
        graph = graph_of_spec(model, None, batch)
        for name, precision in PRECISIONS[on].items():
            floor = roofline(graph, model, device, precision)
            yield model, name, device.name, 1000 * floor.total.seconds


def data_sheet(on: str) -> Device:
    """The known device that torch's name of the GPU means; any known cpu in a dry run."""
    if on == "cpu":
        return find_device("ryzen-9-7950x")
    import torch

    name = torch.cuda.get_device_name().removeprefix("NVIDIA ").removeprefix("GeForce ")
    return find_device(name)


def compared(folder: Path) -> Iterator[Row]:
    """Every measured figure with what was said of it."""
    floors = {
        (r["model"], r["precision"]): float(r["time_floor_ms"]) for r in table(folder, "said")
    }
    for part, precision in BENCHED.items():
        for row in table(folder, part):
            measured = float(row["latency_ms"])
            if (floor := floors.get((row["model"], precision))) is not None:
                yield beside(part, row["model"], "time_floor_ms", floor, measured)
            for other in ("wall_ms", "cuda_graph_ms"):
                if row[other]:
                    yield beside(part, row["model"], f"latency_ms, {other}", measured,
                                 float(row[other]))  # fmt: skip
    for row in table(folder, "memory"):
        for quantity in ("training", "reserved", "inference"):
            counted = "inference" if quantity == "inference" else "training"
            yield beside("memory", f"{row['model']} {row['optimizer']}", f"{quantity}_bytes",
                         float(row[f"counted_{counted}_bytes"]),
                         float(row[f"measured_{quantity}_bytes"]))  # fmt: skip
    yield from peaks(folder)
    for name in ("g1", "g2", "g3", "g4"):
        for row in table(folder, name):
            if row["relative_speed"] and row.get("relative_speed_gtx1080ti"):
                variant = f"{row['size']} {row['variant']}"
                yield beside(name, variant, "relative_speed_gtx1080ti",
                             float(row["relative_speed_gtx1080ti"]),
                             float(row["relative_speed"]))  # fmt: skip


def peaks(folder: Path) -> Iterator[Row]:
    """The bandwidth and peaks of the local GPU against its data sheet."""
    for path in sorted((folder / "cache").rglob("local-cuda*.toml")):
        local = next(iter(read_devices(path).values()))
        try:
            sheet = data_sheet("cuda")
        except DeviceError:
            return  # a GPU of which no data sheet is known
        yield beside("local", sheet.name, "bandwidth", sheet.bandwidth, local.bandwidth)
        for units in ("vector", "tensor"):
            theirs, ours = getattr(sheet, units), getattr(local, units)
            for dtype in ours:
                if dtype in theirs:
                    yield beside(
                        "local", sheet.name, f"{units}.{dtype}", theirs[dtype], ours[dtype]
                    )


def beside(part: str, model: str, quantity: str, before: float, after: float) -> Row:
    """What was said and measured, with the difference in percent of what was said."""
    return part, model, quantity, before, after, 100 * (after / before - 1) if before else 0.0


def table(folder: Path, part: str) -> list[Mapping[str, str]]:
    """The rows of a part's table; none where it has not been written."""
    try:
        with (folder / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())

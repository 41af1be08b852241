"""What archstat says of networks on a GPU, and how far that is from what was measured there.

    python benchmarks/gpu.py said FOLDER --on cuda --batch 32 resnet18 vgg16
    python benchmarks/gpu.py compared FOLDER
    python benchmarks/gpu.py page reports

`scripts/on_gpu.sh` runs both, the first before and the second after everything is measured. The
first writes said.csv: the least time of each network by the roofline of the GPU's data sheet, in
the precisions that are measured. The second prints, and writes as compared.csv, each measured
figure beside what was said, with the difference in percent of what was said. The third prints the
tables of docs/gpu.md from the gpu_*.csv of a folder, each of which is a compared.csv.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

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
    parser.add_argument("step", choices=["said", "compared", "page"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--on", choices=list(PRECISIONS), default="cuda")
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.step == "said":
        write(arguments.folder / "said.csv", ("model", "precision", "device", "time_floor_ms"),
              said(arguments.models, arguments.on, arguments.batch))  # fmt: skip
        return 0
    if arguments.step == "page":
        print(page(arguments.folder))
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


def page(folder: Path) -> str:
    """The tables of every GPU that was measured, as Markdown."""
    found = [(path.stem.removeprefix("gpu_"), path.stem) for path in folder.glob("gpu_*.csv")]
    parts = []
    for gpu, stem in sorted(found):
        rows = table(folder, stem)
        parts += [f"## {gpu}\n", *times(rows), "", *memories(rows), "", *rates(rows)]
    return "\n".join(parts)


def times(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Floors and times in ms, a line a network."""
    figures = {
        (row["part"], row["model"], row["quantity"]): (float(row["said"]), float(row["measured"]))
        for row in rows
    }
    yield (
        "| model | floor, fp32 | fp32 | floor, half | half | as a graph "
        "| channels-last | as a graph |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    graph = "latency_ms, cuda_graph_ms"
    for model in dict.fromkeys(row["model"] for row in rows if row["part"] == "fp32"):
        (low, full), (half_low, half) = (
            figures[part, model, "time_floor_ms"] for part in ("fp32", "half")
        )
        last, _ = figures["channels_last", model, graph]
        graphs = (figures[part, model, graph][1] for part in ("half", "channels_last"))
        replayed, last_replayed = graphs
        cells = (low, full, half_low, half, replayed, last, last_replayed)
        yield f"| {model} | {' | '.join(f'{cell:.2f}' for cell in cells)} |"


def memories(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Counted bytes against the allocator's, a line a quantity."""
    yield "| the allocator's peak over what is counted | median | least | most | rows |"
    yield "| --- | --- | --- | --- | --- |"
    titles = {"training": "training step, allocated", "reserved": "training step, reserved",
              "inference": "inference, allocated"}  # fmt: skip
    for key, title in titles.items():
        over = [float(row["difference_percent"]) for row in rows
                if row["part"] == "memory" and row["quantity"] == f"{key}_bytes"]  # fmt: skip
        cells = (median(over), min(over), max(over))
        yield f"| {title} | {' | '.join(f'{c:+.1f} %' for c in cells)} | {len(over)} |"


def rates(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Measured bandwidth and peaks against the data sheet's."""
    yield "| rate | data sheet | measured | difference |"
    yield "| --- | --- | --- | --- |"
    for row in (row for row in rows if row["part"] == "local"):
        said, measured = (float(row[key]) / 1e12 for key in ("said", "measured"))
        difference = float(row["difference_percent"])
        yield f"| {row['quantity']} | {said:.1f} T | {measured:.1f} T | {difference:+.1f} % |"


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

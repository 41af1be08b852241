"""What archstat says of networks on a GPU, and how far that is from what was measured there.

    python benchmarks/gpu.py machine FOLDER --on cuda
    python benchmarks/gpu.py said FOLDER --on cuda --batch 32 resnet18 vgg16
    python benchmarks/gpu.py rates FOLDER --on cuda
    python benchmarks/gpu.py compared FOLDER
    python benchmarks/gpu.py page reports

`scripts/on_gpu.sh` runs all. `machine` prints what there is. `said`, before anything is measured,
writes said.csv: the least time of each network by the roofline of the GPU's data sheet, in the
precisions that are measured. `rates` writes rates.csv: matrix products of ones and of random
numbers, which may cost a GPU more power, and copies of two sizes. `compared` prints, and writes as
compared.csv, each measured figure beside what was said, with the difference in percent of what was
said. `page` prints the tables of docs/gpu.md from the gpu_*.csv of a folder, each of which is a
compared.csv.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median

from archstat.analyses.device_files import find_device, read_devices
from archstat.analyses.devices import Device
from archstat.analyses.roofline import roofline
from archstat.models.pipeline import graph_of_spec

# On a GPU torch lets convolutions in fp32 use TF32, unless it is told otherwise.
PRECISIONS = {"cuda": {"fp32": "tf32", "half": "fp16"}, "cpu": {"fp32": "fp32", "half": "fp32"}}
BENCHED = {"fp32": "fp32", "half": "half", "channels_last": "half", "compile": "fp32"}
# The side of a matrix and the bytes of a copy, beyond any cache; small in a dry run.
SIDE = {"cuda": 8192, "cpu": 128}
COPIED = {"cuda": (2**30, 2**33), "cpu": (2**20, 2**22)}
TAKES, CALLS = 3, 10
PACKAGES = ("torch", "triton", "numpy", "pandas", "typer", "rich", "fvcore", "pytest")
COLUMNS = ("part", "model", "quantity", "said", "measured", "difference_percent")
Row = tuple[str, str, str, float, float, float]


def main() -> int:
    """Write what is said, or print what was said beside what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["machine", "said", "rates", "compared", "page"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--on", choices=list(PRECISIONS), default="cuda")
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    if given.step == "machine":
        machine(given.on)
    elif given.step == "said":
        write(given.folder / "said.csv", ("model", "precision", "device", "time_floor_ms"),
              said(given.models, given.on, given.batch))  # fmt: skip
    elif given.step == "rates":
        write(given.folder / "rates.csv", ("quantity", "data", "rate"), taken(given.on))
    elif given.step == "page":
        print(page(given.folder))
    else:
        show(given.folder)
    return 0


def show(folder: Path) -> None:
    """Write and print everything beside what was said of it."""
    rows = list(compared(folder))
    write(folder / "compared.csv", COLUMNS, rows)
    for part, model, quantity, before, after, difference in rows:
        print(f"{part:14}{model:26}{quantity:26}{before:13.6g}{after:13.6g}{difference:+8.1f} %")


def machine(on: str) -> None:
    """Print the versions and, of a GPU, what its driver tells."""
    import torch

    print(platform.platform(), f"Python {platform.python_version()}", sep="\n")
    for package in PACKAGES:
        try:
            print(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            print(package, "is not there")
    if on == "cuda":
        print(torch.ones(1, device="cuda"), torch.cuda.get_device_properties(0))
        print("cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())
        subprocess.run(["nvidia-smi"], check=False)


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


def taken(on: str) -> Iterator[tuple[str, str, float]]:
    """Operations a second of matrix products, bytes a second read and written by copies."""
    import torch

    side = SIDE[on]
    for dtype in ("float16", "bfloat16", "float32"):
        for data, make in (("ones", torch.ones), ("random", torch.randn)):
            square = make(side, side, device=on).to(getattr(torch, dtype))
            yield dtype, data, 2 * side**3 / seconds_of(partial(torch.mm, square, square), on)
    for size in COPIED[on]:
        source = torch.randn(size // 4, device=on)
        target = torch.empty_like(source)
        yield "bandwidth", f"{size} bytes", 2 * size / seconds_of(partial(target.copy_, source), on)


def seconds_of(run: Callable[[], object], on: str) -> float:
    """Seconds a call, many of them without a wait between; the least of some takes."""
    import torch

    wait = torch.cuda.synchronize if on == "cuda" else int
    takes = []
    for _ in range(1 + TAKES):
        wait()
        start = time.perf_counter()
        for _ in range(CALLS):
            run()
        wait()
        takes.append((time.perf_counter() - start) / CALLS)
    return min(takes[1:])


def compared(folder: Path) -> Iterator[Row]:
    """Every measured figure with what was said of it."""
    yield from latencies(folder)
    for row in table(folder, "memory"):
        for quantity in ("training", "reserved", "inference"):
            counted = "inference" if quantity == "inference" else "training"
            yield beside("memory", f"{row['model']} {row['optimizer']}", f"{quantity}_bytes",
                         float(row[f"counted_{counted}_bytes"]),
                         float(row[f"measured_{quantity}_bytes"]))  # fmt: skip
    for name in ("g1", "g2", "g3", "g4"):
        for row in table(folder, name):
            if row["relative_speed"] and row.get("relative_speed_gtx1080ti"):
                variant = f"{row['size']} {row['variant']}"
                yield beside(name, variant, "relative_speed_gtx1080ti",
                             float(row["relative_speed_gtx1080ti"]),
                             float(row["relative_speed"]))  # fmt: skip
    for row in table(folder, "said")[:1]:
        yield from peaks(folder, find_device(row["device"]))


def latencies(folder: Path) -> Iterator[Row]:
    """Networks against their floors and by other clocks, and the layers that beat their floor."""
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
    for row in table(folder, "layers"):
        floor, measured = float(row["time_floor_ms"]), float(row["time_ms"])
        if 0 < measured < floor:
            yield beside("layers", row["layer"], "time_floor_ms", floor, measured)


def peaks(folder: Path, sheet: Device) -> Iterator[Row]:
    """The bandwidth and peaks of the local device, and single rates, against a data sheet."""
    for path in sorted((folder / "cache").rglob("local*.toml")):
        local = next(iter(read_devices(path).values()))
        yield beside("local", sheet.name, "bandwidth", sheet.bandwidth, local.bandwidth)
        for units in ("vector", "tensor"):
            theirs, ours = getattr(sheet, units), getattr(local, units)
            for dtype in ours:
                if dtype in theirs:
                    yield beside(
                        "local", sheet.name, f"{units}.{dtype}", theirs[dtype], ours[dtype]
                    )
    known = {"bandwidth": sheet.bandwidth, **sheet.tensor, "float32": sheet.vector["float32"]}
    for row in table(folder, "rates"):
        if row["quantity"] in known:
            yield beside("rates", row["data"], row["quantity"], known[row["quantity"]],
                         float(row["rate"]))  # fmt: skip


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

"""How fast archstat is beside its peers, in one run, as median ratios.

    python -m pip install -c constraints.txt ".[bench]" && python benchmarks/speed.py

In process: build + count of a network, each tool with a build of its own, in turn (A B A B). In
fresh processes: the commands beside ``python -c "import torch"``, and `report` beside `summary`,
both from the cache where it holds the model. Then a chain of convolutions.
A ratio is the median over the rounds of the ratio in one round, whose two times were taken one
after the other: a machine that becomes slower meanwhile does so for both.
Exits with 1 if a target is missed; ``--write`` puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from catalogue import fill_in, imports, torchvision_importable
from peers import PEERS, SHAPE, quietly

# What is measured here is capturing; benchmarks/cache.py measures doing without.
os.environ["ARCHSTAT_CACHE"] = "off"

ROUNDS, SECONDS = 5, 20  # at least so many rounds, and more until so much time is spent
# An installed package has its byte code, a checkout only where Python may write it.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
FURTHER = ("thop", "ptflops", "calflops", "torchprofile")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured ratio and, where there is one, the target it must keep."""

    what: str
    ours: str
    theirs: str
    ratio: float
    target: str = ""
    kept: bool = True

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        verdict = "" if not self.target else "kept" if self.kept else "MISSED"
        return (self.what, self.ours, self.theirs, f"{self.ratio:.2f}x", self.target, verdict)


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    arguments = parser.parse_args()
    rows = [*processes(), *pages(), *in_process(), *files(), *chains()]
    table = markdown(rows)
    print(table)
    if arguments.write:
        fill_in("performance.md", "speed", table)
    return 0 if all(row.kept for row in rows) else 1


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, with what they were measured on."""
    import torch

    head = ("measured", "archstat", "other", "ratio", "target", "")
    lines = [head, ("---",) * len(head), *(row.cells() for row in rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {ROUNDS} or more interleaved rounds.\n\n{text}"
    )


# -- fresh processes -------------------------------------------------------------------------------


def run_once(command: Sequence[str], **variables: str) -> tuple[float, float]:
    """Seconds and peak MB of one fresh process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**ENVIRONMENT, **variables})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return seconds, usage.ru_maxrss / 1e3


def processes() -> list[Row]:
    """The commands beside the bare import of torch."""
    archstat = [sys.executable, "-m", "archstat"]
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "compare vgg16 mobilenet_v1": [*archstat, "compare", "vgg16", "mobilenet_v1"],
        "list": [*archstat, "list"],
        "--help": [*archstat, "--help"],
    }
    limits = {"compare vgg16 mobilenet_v1": 1.25, "list": 0.30, "--help": 0.20}
    for command in commands.values():
        run_once(command)  # byte code is compiled and files are read once
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(2 * ROUNDS):
        for name, command in commands.items():
            measured[name].append(run_once(command))
    seconds = {name: [second for second, _ in runs] for name, runs in measured.items()}
    memory = {name: [peak for _, peak in runs] for name, runs in measured.items()}
    rows = [at_most(f"archstat {n}, time", seconds, n, limits[n], "s") for n in limits]
    name = "compare vgg16 mobilenet_v1"
    peak = at_most(f"archstat {name}, peak memory", memory, name, 1.15, "MB")
    return [rows[0], peak, *rows[1:]]


def pages() -> list[Row]:
    """`report` beside `summary` of the same model."""
    from archstat.zoo import vit

    # As many operations as a Llama of 112 layers has.
    encoder = f"{vit.__file__}:Encoder,tokens=128,layers=300,hidden=512,mlp=2048,heads=8"
    models: dict[str, list[str]] = {
        "resnet50": [],
        "densenet201": [],
        encoder: ["--input", "128x512"],
    }
    rows = []
    for model, given in models.items():
        with TemporaryDirectory() as folder:
            ends = {"report": ["-o", "-"], "summary": []}
            seconds: dict[str, list[float]] = {name: [] for name in ends}
            for number in range(1 + 2 * ROUNDS):
                for name, end in ends.items():
                    command = [sys.executable, "-m", "archstat", name, model, *given, *end]
                    taken, _ = run_once(command, ARCHSTAT_CACHE=folder)
                    if number:  # the first round fills the cache
                        seconds[name].append(taken)
        factor = ratio(seconds["report"], seconds["summary"])
        ours, theirs = (f"{statistics.median(seconds[name]):.3g} s" for name in ends)
        what = "8,102 operations" if model == encoder else model
        rows.append(Row(f"archstat report, {what}", ours, f"archstat summary {theirs}", factor,
                        "<= 1.5x", factor <= 1.5))  # fmt: skip
    return rows


def at_most(
    what: str, runs: Mapping[str, Sequence[float]], name: str, limit: float, unit: str
) -> Row:
    """A ratio to the bare import of torch that must not exceed a limit."""
    middle = [statistics.median(runs[key]) for key in (name, "import torch")]
    mine, bare = (f"{n:.0f} MB" if unit == "MB" else f"{n:.3g} s" for n in middle)
    factor = ratio(runs[name], runs["import torch"])
    return Row(what, mine, f"import torch {bare}", factor, f"<= {limit:.2f}x", factor <= limit)


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median over the rounds of the ratio in each."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


# -- in process ------------------------------------------------------------------------------------

TARGETS = {
    **{("resnet50", "torchinfo"): 10, ("resnet50", "fvcore"): 18},
    **{("vgg16", "torchinfo"): 60, ("vgg16", "fvcore"): 60},
}


def in_process() -> list[Row]:
    """Build and count, each tool with its own build.

    What has no target comes last: those packages import many others, and some patch torch.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import archstat

    def with_flop_counter(name: str) -> None:
        with torch.device("meta"):
            model, image = archstat.zoo.build(name).eval(), torch.empty(1, 3, 224, 224)
        with torch.no_grad(), FlopCounterMode(display=False):
            model(image)

    first = {name: on_real_weights(name) for name in ("torchinfo", "fvcore")}
    rows = beside({**first, "FlopCounterMode on meta": with_flop_counter})
    with torchvision_importable() if find_spec("torchvision") else nullcontext():
        names = [name for name in FURTHER if imports(name)]
        gc.freeze()  # what they imported is nobody's garbage
        return rows + beside({name: on_real_weights(name) for name in names})


def beside(tools: dict[str, Callable[[str], object]]) -> list[Row]:
    """Each tool beside archstat, in turn, for each network."""
    import archstat

    rows = []
    for name in ("vgg16", "resnet50", "mobilenet_v1"):
        tasks: dict[str, Callable[[str], object]] = {"archstat": archstat.analyze, **tools}
        times = interleaved({tool: partial(task, name) for tool, task in tasks.items()})
        for tool in tools:
            factor = ratio(times[tool], times["archstat"])
            goal = TARGETS.get((name, tool))
            ours, theirs = milliseconds(times["archstat"]), milliseconds(times[tool])
            wanted, kept = (f">= {goal}x", factor >= goal) if goal else ("", True)
            what = f"{name}: build + count"
            rows.append(Row(what, ours, f"{tool} {theirs}", factor, wanted, kept))
    return rows


def on_real_weights(tool: str) -> Callable[[str], object]:
    """Build a network of the zoo and count it with a peer, silently."""
    import torch

    import archstat

    def task(name: str) -> float:
        return quietly(PEERS[tool].count, archstat.zoo.build(name).eval(), torch.rand(1, *SHAPE))

    return task


def interleaved(tasks: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each task by round, the tasks taking turns; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    begin, rounds = time.perf_counter(), 0
    while rounds <= ROUNDS or time.perf_counter() < begin + SECONDS:
        for name, task in tasks.items():
            gc.collect()
            start = time.perf_counter()
            task()
            if rounds:
                times[name].append(time.perf_counter() - start)
        rounds += 1
    return times


def milliseconds(seconds: Sequence[float]) -> str:
    """The median of seconds as milliseconds."""
    return f"{statistics.median(seconds) * 1e3:.3g} ms"


# -- files -----------------------------------------------------------------------------------------


def files() -> list[Row]:
    """ResNet-50 as a file, written before, beside building and capturing it."""
    import torch

    import archstat

    network, image = archstat.zoo.build("resnet50").eval(), torch.zeros(1, 3, 224, 224)
    with TemporaryDirectory() as folder:
        names = [f"{folder}/resnet50.pt2"]
        torch.export.save(torch.export.export(network, (image,)), names[0])
        if find_spec("onnx"):
            names.append(f"{folder}/resnet50.onnx")
            torch.onnx.export(network, (image,), names[1], dynamo=False)
        if find_spec("onnxscript"):
            names.append(f"{folder}/resnet50-dynamo.onnx")
            torch.onnx.export(network, (image,), names[-1], dynamo=True, verbose=False)
        tasks = {name: partial(archstat.analyze, name) for name in (*names, "resnet50")}
        times = interleaved(tasks)
    rows = []
    for name in names:
        factor = ratio(times[name], times["resnet50"])
        ours, theirs = milliseconds(times[name]), milliseconds(times["resnet50"])
        what = f"{os.path.basename(name)}: read + count"
        rows.append(Row(what, ours, f"build + count {theirs}", factor, "<= 1.5x", factor <= 1.5))
    return rows


# -- a chain of convolutions -----------------------------------------------------------------------


def chains() -> list[Row]:
    """Capture alone of 1,000 and 10,000 convolutions, beside FlopCounterMode on meta."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    import archstat

    image = torch.empty(1, 8, 32, 32, device="meta")

    def chain(length: int) -> nn.Module:
        with torch.device("meta"):
            return nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(length)))

    short, long = chain(1_000), chain(10_000)

    def count() -> None:
        with torch.no_grad(), FlopCounterMode(display=False):
            long(image)

    times = interleaved(
        {
            "short": lambda: archstat.capture(short, image),
            "long": lambda: archstat.capture(long, image),
            "counter": count,
        }
    )
    per_op = statistics.median(times["long"]) / 10_000 * 1e6
    growth, share = (ratio(times["long"], times[name]) for name in ("short", "counter"))
    ours, counter = milliseconds(times["long"]), milliseconds(times["counter"])
    return [
        Row("10,000 convolutions: capture, us an op", f"{per_op:.1f} us", "60 us", per_op / 60,
            "<= 60 us", per_op <= 60),
        Row("10,000 convolutions: capture", ours, f"1,000: {milliseconds(times['short'])}",
            growth, "<= 13x", growth <= 13),
        Row("10,000 convolutions: capture", ours, f"FlopCounterMode {counter}", share,
            "<= 0.33x", share <= 1 / 3),
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())

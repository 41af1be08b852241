"""How fast archstat is beside its peers, in one run, as ratios of medians.

    python -m pip install -c constraints.txt ".[bench]" && python benchmarks/speed.py

In process: build + count of a network, each tool with a build of its own, in turn (A B A B). In
fresh processes: the commands beside ``python -c "import torch"``. Then a chain of convolutions.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 5
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


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
    rows = [*processes(), *in_process(), *chains()]
    table = markdown(rows)
    print(table)
    if arguments.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    return 0 if all(row.kept for row in rows) else 1


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, with what they were measured on."""
    import torch

    head = ("measured", "archstat", "other", "ratio", "target", "")
    lines = [head, ("---",) * len(head), *(row.cells() for row in rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {ROUNDS} interleaved rounds.\n\n{text}"
    )


# -- fresh processes -------------------------------------------------------------------------------


def run_once(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak MB of one fresh process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
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
    for _ in range(ROUNDS):
        for name, command in commands.items():
            measured[name].append(run_once(command))
    seconds = {n: statistics.median(s for s, _ in runs) for n, runs in measured.items()}
    memory = {n: statistics.median(m for _, m in runs) for n, runs in measured.items()}
    base, base_memory = seconds["import torch"], memory["import torch"]
    rows = [
        at_most(f"archstat {name}, time", seconds[name], base, limit, "import torch", "s")
        for name, limit in limits.items()
    ]
    name = "compare vgg16 mobilenet_v1"
    return [
        rows[0],
        at_most(
            f"archstat {name}, peak memory", memory[name], base_memory, 1.15, "import torch", "MB"
        ),
        *rows[1:],
    ]


def at_most(what: str, ours: float, base: float, limit: float, against: str, unit: str) -> Row:
    """A ratio that must not exceed a limit."""
    shown = f"{ours:.3g} {unit}" if unit != "MB" else f"{ours:.0f} MB"
    other = f"{against} {base:.3g} {unit}" if unit != "MB" else f"{against} {base:.0f} MB"
    return Row(what, shown, other, ours / base, f"<= {limit:.2f}x", ours / base <= limit)


# -- in process ------------------------------------------------------------------------------------


def in_process() -> list[Row]:
    """Build and count, each tool with its own build."""
    import torch
    from fvcore.nn import FlopCountAnalysis
    from torch.utils.flop_counter import FlopCounterMode
    from torchinfo import summary

    import archstat

    def with_torchinfo(name: str) -> None:
        summary(archstat.zoo.build(name), input_size=(1, 3, 224, 224), verbose=0)

    def with_fvcore(name: str) -> None:
        analysis = FlopCountAnalysis(archstat.zoo.build(name).eval(), torch.rand(1, 3, 224, 224))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

    def with_flop_counter(name: str) -> None:
        with torch.device("meta"):
            model, image = archstat.zoo.build(name).eval(), torch.empty(1, 3, 224, 224)
        with torch.no_grad(), FlopCounterMode(display=False):
            model(image)

    tools: dict[str, Callable[[str], object]] = {
        "archstat": lambda name: archstat.analyze(name),
        "torchinfo": with_torchinfo,
        "fvcore": with_fvcore,
        "FlopCounterMode on meta": with_flop_counter,
    }
    targets = {
        ("resnet50", "torchinfo"): 10,
        ("resnet50", "fvcore"): 18,
        ("vgg16", "torchinfo"): 60,
        ("vgg16", "fvcore"): 60,
    }
    rows = []
    for name in ("vgg16", "resnet50", "mobilenet_v1"):
        medians = interleaved({tool: lambda n=name, f=f: f(n) for tool, f in tools.items()})
        for tool in list(tools)[1:]:
            factor = medians[tool] / medians["archstat"]
            goal = targets.get((name, tool))
            rows.append(
                Row(
                    f"{name}: build + count",
                    milliseconds(medians["archstat"]),
                    f"{tool} {milliseconds(medians[tool])}",
                    factor,
                    f">= {goal}x" if goal else "",
                    goal is None or factor >= goal,
                )
            )
    return rows


def interleaved(tasks: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each task, the tasks taking turns; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(ROUNDS + 1):
        for name, task in tasks.items():
            gc.collect()
            start = time.perf_counter()
            task()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1e3:.3g} ms"


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

    medians = interleaved(
        {
            "short": lambda: archstat.capture(short, image),
            "long": lambda: archstat.capture(long, image),
            "counter": count,
        }
    )
    per_op = medians["long"] / 10_000 * 1e6
    growth = medians["long"] / medians["short"]
    share = medians["long"] / medians["counter"]
    ours, counter = milliseconds(medians["long"]), milliseconds(medians["counter"])
    return [
        Row("10,000 convolutions: capture, us an op", f"{per_op:.1f} us", "60 us", per_op / 60,
            "<= 60 us", per_op <= 60),
        Row("10,000 convolutions: capture", ours, f"1,000: {milliseconds(medians['short'])}",
            growth, "<= 13x", growth <= 13),
        Row("10,000 convolutions: capture", ours, f"FlopCounterMode {counter}", share,
            "<= 0.33x", share <= 1 / 3),
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())

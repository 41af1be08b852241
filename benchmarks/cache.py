"""What the cache saves: commands a second time beside the bare import of torch, and loading.

    python benchmarks/cache.py

Fresh processes in turn (A B A B), by their processor time, which other work on the machine
disturbs less than the clock; medians. Then a Graph of 10,000 operations: the cache's own form, JSON
and, where they are installed, orjson, msgpack and msgspec. Exits with 1 if a target is missed;
``--write`` puts the tables into docs/cache.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from catalogue import fill_in

ROUNDS = 7
MILLISECONDS = 60
BEST_KNOWN = [
    "lenet5",
    "alexnet",
    "zfnet",
    "nin_imagenet",
    "vgg11",
    "vgg16",
    "vgg19",
    "googlenet",
    "inception_v2",
    "inception_v3",
    "inception_v4",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "wide_resnet50_2",
    "resnext50_32x4d",
    "densenet121",
    "squeezenet1_0",
    "squeezenet1_1",
    "xception",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "vit_b_16",
]
COMMANDS = {
    "compare vgg16 mobilenet_v1": 0.35,
    "summary resnet50": 0.35,
    "rf resnet50": 0.35,
    "guidelines resnet50": 0.35,
    "check": 0.35,
    f"compare {' '.join(BEST_KNOWN)}": 0.60,
}
BUDGETS = "".join(f'[[budget]]\nmodel = "{name}"\nparams = "<= 1G"\n' for name in BEST_KNOWN[:4])


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/cache.md")
    arguments = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        lines, kept = processes(folder)
    formats, fast = loading()
    text = "\n".join([about(), "", *lines, "", *formats])
    print(text)
    if arguments.write:
        fill_in("cache.md", "cache", text)
    return 0 if kept and fast else 1


def about() -> str:
    """What was measured on."""
    import torch

    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {ROUNDS} interleaved rounds, processor time."
    )


def seconds(command: list[str], folder: str) -> float:
    """The processor time of one fresh process, with a cache of this benchmark's."""
    environment = {**os.environ, "ARCHSTAT_CACHE": os.path.join(folder, "kept")}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def processes(folder: str) -> tuple[list[str], bool]:
    """A table of the commands, answered from the cache, and whether all keep their targets."""
    with open(os.path.join(folder, "archstat.toml"), "w", encoding="utf-8") as file:
        file.write(BUDGETS)
    start = [sys.executable, "-m", "archstat"]
    commands = {text: [*start, *text.split()] for text in COMMANDS}
    commands = {"": [sys.executable, "-c", "import torch"], **commands}
    for command in commands.values():
        seconds(command, folder)  # fills the cache; byte code is compiled
    runs: dict[str, list[float]] = {text: [] for text in commands}
    for _ in range(ROUNDS):
        for text, command in commands.items():
            runs[text].append(seconds(command, folder))
    medians = {text: statistics.median(times) for text, times in runs.items()}
    base = medians.pop("")
    lines = [
        "| a second time | archstat | import torch | ratio | target |  |",
        "|---|---|---|---|---|---|",
    ]
    for text, median in medians.items():
        words = text.split()
        shown = text if len(words) < 5 else f"{words[0]} of {len(words) - 1} networks"
        limit = COMMANDS[text]
        verdict = "kept" if median <= limit * base else "MISSED"
        lines.append(
            f"| {shown} | {median:.2f} s | {base:.2f} s | {median / base:.2f}x | <= {limit:.2f}x "
            f"| {verdict} |"
        )
    return lines, all(median <= COMMANDS[text] * base for text, median in medians.items())


# -- loading ---------------------------------------------------------------------------------------


class Format(NamedTuple):
    """A way to keep a Graph: its bytes, and how to make a Graph of them."""

    name: str
    content: bytes | str
    load: Callable[[Any], object]


class Operation(NamedTuple):
    """An op as msgspec decodes it."""

    kind: str
    target: str
    module: str
    module_type: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any]


def formats() -> Iterator[Format]:
    """The ways to keep a chain of convolution, batch norm and ReLU of 10,000 operations."""
    from archstat.graph import Graph
    from archstat.models.cache.store import graph_from_bytes, graph_to_bytes

    graph = chain()
    text = graph.to_json()
    plain = json.loads(text)
    yield Format("marshal, as the cache keeps it", graph_to_bytes(graph), graph_from_bytes)
    yield Format("json, as `Graph.save` writes it", text, Graph.from_json)
    if find_spec("orjson"):
        orjson: Any = import_module("orjson")
        yield Format("orjson, not yet a Graph", orjson.dumps(plain), orjson.loads)
    if find_spec("msgpack"):
        msgpack: Any = import_module("msgpack")
        yield Format("msgpack, not yet a Graph", msgpack.packb(plain), msgpack.unpackb)
    if find_spec("msgspec"):
        msgspec: Any = import_module("msgspec")
        for kind in ("json", "msgpack"):
            codec = getattr(msgspec, kind)
            decoder = codec.Decoder(typed())
            yield Format(f"msgspec.{kind}, records, unchecked", codec.encode(plain), decoder.decode)


def typed() -> Any:
    """A Graph as msgspec decodes it: records of the right types, no index checked."""
    from archstat.graph import Module, ModuleCall, Storage, Value

    return import_module("msgspec").defstruct(
        "Typed",
        [("ops", tuple[Operation, ...]), ("values", tuple[Value, ...]),
         ("storages", tuple[Storage, ...]), ("calls", tuple[ModuleCall, ...]),
         ("modules", tuple[Module, ...])],
    )  # fmt: skip


def chain() -> Any:
    """The Graph of 10,000 operations in 10,000 modules."""
    import torch
    from torch import nn

    import archstat

    with torch.device("meta"):
        layers = [
            layer
            for _ in range(3334)
            for layer in (nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        ]
        return archstat.capture(nn.Sequential(*layers[:10_000]), torch.empty(1, 8, 16, 16))


def loading() -> tuple[list[str], bool]:
    """A table of the formats, and whether the cache's own keeps its target."""
    lines = ["| a Graph of 10,000 operations | bytes | loads in |", "|---|---|---|"]
    measured = {}
    for way in formats():
        way.load(way.content)
        measured[way.name] = min(_load_time(way) for _ in range(ROUNDS))
        size = len(way.content)
        lines.append(f"| {way.name} | {size / 1e6:.2f} MB | {measured[way.name]:.0f} ms |")
    fast = next(iter(measured.values())) <= MILLISECONDS
    lines.append("")
    lines.append(
        f"Best of {ROUNDS}; at most {MILLISECONDS} ms wanted: {'kept' if fast else 'MISSED'}."
    )
    return lines, fast


def _load_time(way: Format) -> float:
    gc.collect()
    gc.disable()  # as the cache does while it loads
    start = time.process_time()
    way.load(way.content)
    spent = time.process_time() - start
    gc.enable()
    return spent * 1e3


if __name__ == "__main__":
    raise SystemExit(main())

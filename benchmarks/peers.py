"""What archstat and its peers count for the same five networks, and why they differ.

    python -m pip install -c constraints.txt ".[bench,torchvision]" && python benchmarks/peers.py

Each tool is called as its own documentation shows, on a model of its own in eval mode, in a process
of its own, because some leave torch patched. ``--write`` puts the table into docs/conventions.md.
Exits with 1, and writes nothing, if a tool is missing or fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

from catalogue import fill_in, torchvision_importable

NETWORKS = ("vgg16", "resnet50", "mobilenet_v1", "mobilenet_v2", "vit_b_16")
OF_TORCHVISION = ("mobilenet_v2", "vit_b_16")
SHAPE = (3, 224, 224)

Model = Any
Count = Callable[[Model, Any], float]


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: its package, how it is called, and what its total has or lacks beside macs."""

    package: str
    count: Count
    why: str


def main() -> int:
    """Measure, print; as ``--tool NAME`` measure one tool and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/conventions.md")
    parser.add_argument("--tool", choices=PEERS, help="count with this one alone, as JSON")
    arguments = parser.parse_args()
    if arguments.tool:
        print(json.dumps(totals(arguments.tool)))
        return 0
    counted = {tool: in_a_process(tool) for tool in PEERS}
    table = markdown(counted)
    print(table)
    if not all(counted.values()):
        return 1  # a page with gaps is not written
    if arguments.write:
        fill_in("conventions.md", "peers", table)
    return 0


def in_a_process(tool: str) -> Mapping[str, float]:
    """The totals of one tool, from a process that ends with it."""
    command = [sys.executable, __file__, "--tool", tool]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{tool}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    found: dict[str, float] = json.loads(done.stdout)
    return found


def totals(tool: str) -> dict[str, float]:
    """What one tool counts for every network."""
    import torch

    peer = PEERS[tool]
    with torchvision_importable():
        return {name: quietly(peer.count, build(name), torch.rand(1, *SHAPE)) for name in NETWORKS}


def build(name: str) -> Model:
    """A network with real weights in eval mode, as the peers need it."""
    import archstat

    if name not in OF_TORCHVISION:
        return archstat.zoo.build(name).eval()
    models = importlib.import_module("torchvision.models")
    return models.get_model(name, weights=None).eval()


def quietly(count: Count, model: Model, image: Any) -> float:
    """A count without what the tool prints, logs and warns of."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            return float(count(model, image))
    finally:
        logging.disable(logging.NOTSET)


def markdown(counted: Mapping[str, Mapping[str, float]]) -> str:
    """One row a tool: 1e9 macs of each network, then the reason of the difference."""
    from importlib.metadata import version

    head = ("tool", *NETWORKS, "differs by")
    lines: list[Sequence[str]] = [head, ("---", *["---:"] * len(NETWORKS), "---")]
    for tool, found in counted.items():
        numbers = [f"{found[name] / 1e9:.4f}" if name in found else "fails" for name in NETWORKS]
        lines.append((tool, *numbers, PEERS[tool].why))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    packages = dict.fromkeys(peer.package for peer in PEERS.values())
    versions = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in packages)
    return f"{text}\n\nMeasured with {versions}."


# -- the tools -------------------------------------------------------------------------------------


def with_archstat(model: Model, image: Any) -> float:
    """The `macs` column."""
    import archstat

    return float(archstat.analyze(model, SHAPE).totals["macs"])


def with_fvcore(model: Model, image: Any) -> float:
    """Called flops, but one a multiply-accumulate."""
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, image)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def with_flop_counter(model: Model, image: Any) -> float:
    """Half of what it prints, which is two a multiply-accumulate."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() / 2


def with_flop_counter_on_meta(model: Model, image: Any) -> float:
    """The same where no fused kernel can run."""
    return with_flop_counter(model.to("meta"), image.to("meta"))


def with_torchinfo(model: Model, image: Any) -> float:
    """`Total mult-adds`."""
    from torchinfo import summary

    return summary(model, input_data=image, verbose=0).total_mult_adds


def with_thop(model: Model, image: Any) -> float:
    """The first of the two totals, called macs."""
    from thop import profile

    return profile(model, inputs=(image,), verbose=False)[0]


def with_ptflops(model: Model, image: Any, backend: str = "pytorch") -> float:
    """`Computational complexity`, of the default backend."""
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        model, tuple(image.shape[1:]), as_strings=False, print_per_layer_stat=False,
        backend=backend, input_constructor=lambda shape: image,
    )  # fmt: skip
    return macs


def with_calflops(model: Model, image: Any) -> float:
    """`fwd MACs`."""
    from calflops import calculate_flops

    _, macs, _ = calculate_flops(
        model, args=[image], print_results=False, print_detailed=False, output_as_string=False
    )
    return macs


def with_torchprofile(model: Model, image: Any) -> float:
    """`profile_macs`."""
    from torchprofile import profile_macs

    return profile_macs(model, image)


PEERS: Mapping[str, Peer] = {
    "archstat": Peer("torch", with_archstat, ""),
    "fvcore": Peer(
        "fvcore",
        with_fvcore,
        "adds 2 an element for batch norm, 5 for layer norm, 1 an input element of adaptive "
        "pooling; misses fused attention",
    ),
    "FlopCounterMode, halved": Peer(
        "torch",
        with_flop_counter,
        "misses the fused attention layer with its projections, for which it has no formula on cpu",
    ),
    "the same on meta": Peer(
        "torch",
        with_flop_counter_on_meta,
        "nothing: on meta attention is decomposed",
    ),
    "torchinfo": Peer(
        "torchinfo",
        with_torchinfo,
        "adds bias and each weight of a norm once; counts a linear layer for one token "
        "and attention not at all",
    ),
    "thop": Peer(
        "thop",
        with_thop,
        "adds 4 an element for norms, and average pooling; misses nn.MultiheadAttention",
    ),
    "ptflops": Peer(
        "ptflops",
        with_ptflops,
        "adds bias, 2 an element for norms, activations and pooling inputs (ReLU and "
        "pooling modules twice: as module and as function)",
    ),
    "ptflops, aten": Peer(
        "ptflops",
        partial(with_ptflops, backend="aten"),
        "adds bias; misses fused attention",
    ),
    "calflops": Peer(
        "calflops",
        with_calflops,
        "misses fused attention",
    ),
    "torchprofile": Peer(
        "torchprofile",
        with_torchprofile,
        "adds 1 an output element for norms and average pooling",
    ),
}

if __name__ == "__main__":
    raise SystemExit(main())

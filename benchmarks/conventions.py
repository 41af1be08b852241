"""Whether archstat knows what other tools print: each tool beside its emulation, to the unit.

    python -m pip install -c constraints.txt ".[bench,torchvision,timm]" transformers
    python benchmarks/conventions.py [--tool NAME]... [MODEL...]

Every tool counts a real model of its own, in eval mode, in a process of its own; archstat computes
the same figure from the Graph. Prints where they differ, and exits with 1 where a tool is equal on
fewer than 60 networks, or on fewer than all that are named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from catalogue import TIMM, torchvision_importable
from peers import PEERS, quietly
from transformers_small import INPUTS

from archstat.graph import Graph

ZOO = """
    alexnet convnext_tiny densenet121 efficientnet_b0 ghostnet googlenet inception_resnet_v2
    inception_v3 inception_v4 lenet5_modern mnasnet1_0 mobilenet_v1 mobilenet_v2
    mobilenet_v3_large mobilenet_v3_small nin_imagenet preact_resnet18 regnet_x_400mf
    regnet_y_400mf resnet18 resnet50 resnext50_32x4d seresnet50 shufflenet_v1 shufflenet_v2_x1_0
    squeezenet1_1 vgg11 vgg16_bn vit_b_16 wide_resnet50_2 xception cbam_resnet18
"""
TORCHVISION = """
    alexnet convnext_tiny densenet121 efficientnet_b0 googlenet inception_v3 maxvit_t mnasnet0_5
    mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnet18 resnext50_32x4d shufflenet_v2_x0_5
    squeezenet1_0 swin_t swin_v2_t vgg11_bn vit_b_32
"""
SMALL = Path(__file__).with_name("transformers_small.py")
FEWEST = 60
_PEERS = {
    "fvcore": "fvcore",
    "flop_counter": "FlopCounterMode, halved",
    "flop_counter_meta": "the same on meta",
    "torchinfo": "torchinfo",
    "thop": "thop",
    "ptflops": "ptflops",
    "ptflops_aten": "ptflops, aten",
    "calflops": "calflops",
    "torchprofile": "torchprofile",
}


def main() -> int:
    """Compare and print; with ``--of NAME`` print one tool's own figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--tool", action="append", choices=_PEERS)
    parser.add_argument("--of", choices=_PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    models = arguments.models or every()
    if arguments.of:
        print(json.dumps(figures(arguments.of, models)))
        return 0
    with torchvision_importable():
        equal = [compare(tool, models) for tool in arguments.tool or _PEERS]
    return 1 if min(equal) < min(FEWEST, len(models)) else 0


def every() -> list[str]:
    """The specs that are compared where none are named."""
    timm = [f"timm:{name}" for name in TIMM.split()]
    torchvision = [f"torchvision:{name}" for name in TORCHVISION.split()]
    return [*(f"{SMALL}:{name}" for name in INPUTS), *ZOO.split(), *torchvision, *timm]


def graph_of(model: str) -> Graph:
    """The Graph of a spec, at the input of its own or that of a small transformer."""
    from archstat.models.pipeline import graph_of_spec

    path, _, name = model.rpartition(":")
    return graph_of_spec(model, INPUTS[name] if path == str(SMALL) else None)


def compare(tool: str, models: Sequence[str]) -> int:
    """On how many models the tool and its emulation are equal; prints where they are not."""
    from archstat.analyses.conventions.tools import TOOLS

    command = [sys.executable, __file__, "--of", tool, *models]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    emulated = next(known for known in TOOLS if known.name == tool)
    equal, failed = 0, 0
    for model in models:
        real = theirs[model]
        ours = 0 if isinstance(real, str) else emulated.total(graph_of(model))
        if isinstance(real, str):
            failed += 1
            print(f"{tool} fails on {model}: {real[:100]}")
        elif ours == real:
            equal += 1
        else:
            print(f"{tool}: {model}: {real:,.0f}, emulated {ours:,} ({ours - real:+,.0f})")
    print(f"{tool}: {equal} of {len(models) - failed} equal, {failed} failed", flush=True)
    return equal


def figures(tool: str, models: Sequence[str]) -> dict[str, float | str]:
    """What one tool counts of each model, or why it fails."""
    import torch

    from archstat.models.real import given_tensors, ordinary, real_module

    found: dict[str, float | str] = {}
    twice = 2 if tool.startswith("flop_counter") else 1  # peers halves it
    with torchvision_importable():
        for model in models:
            try:
                module = real_module(model).eval()
                args, _ = given_tensors(graph_of(model), module, ordinary(module))
                with torch.random.fork_rng():
                    found[model] = twice * quietly(PEERS[_PEERS[tool]].count, module, *args)
            except Exception as error:
                found[model] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    raise SystemExit(main())

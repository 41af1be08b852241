"""The same totals from fvcore and from torch's FlopCounterMode, beside archstat's own.

Both run the model for real on cpu, and neither leaves it alone: fvcore may leave hooks behind, and
a model in training mode has its statistics changed. Give them a model of their own, as
`counted_elsewhere` does, in a process where hooks, statistics and warnings stay behind.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.trees import tensors
from archstat.graph import Graph, Kind, Storage
from archstat.hints import shortened
from archstat.models.real import given_tensors, ordinary
from archstat.models.sources import find
from archstat.models.specs import parse_spec


@dataclass(frozen=True, slots=True)
class PeerCount:
    """What another tool counts: multiply-accumulates, split by kind, and the ops it skipped."""

    tool: str
    macs: int
    by_kind: Mapping[str, int]
    skipped: tuple[str, ...] = ()
    by_module: Mapping[str, int] = field(default_factory=dict)


PRODUCTS: tuple[Kind, ...] = ("conv", "linear", "matmul", "attention", "recurrent")
_FLOP_COUNTER_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **dict.fromkeys(("convolution", "_convolution"), "conv"),
        **dict.fromkeys(("addmm", "mm"), "linear"),
        **dict.fromkeys(("bmm", "baddbmm"), "matmul"),
    }
)
_FVCORE_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "conv": "conv",
        "linear": "linear",
        "addmm": "linear",
        **dict.fromkeys(("matmul", "bmm", "baddbmm", "mm", "einsum"), "matmul"),
        **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm"), "norm"),
        **dict.fromkeys(("adaptive_avg_pool2d", "avg_pool2d"), "pool"),
    }
)


def flop_counter_count(
    model: nn.Module, *args: Any, products: Sequence[str] = (), **kwargs: Any
) -> PeerCount:
    """What FlopCounterMode counts for ``model(*args, **kwargs)``, two flops being one macs.

    Of the `products`, names of ops, those are skipped that it has no formula for.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*args, **kwargs)
    known = {str(operator).rpartition(".")[2] for operator in counter.flop_registry}
    skipped = tuple(name for name in products if name not in known)
    by_kind: dict[str, int] = {}
    by_module: dict[str, int] = {}
    for module, counts in counter.get_flop_counts().items():
        # Paths come with the root's class in front; "Global" is the root once more.
        path = module.partition(".")[2]
        if module != "Global":
            by_module[path] = sum(counts.values()) // 2
    for operator, flops in counter.get_flop_counts().get("Global", {}).items():
        name = str(operator).removeprefix("aten.").split(".")[0]
        _add(by_kind, _FLOP_COUNTER_KINDS.get(name, _attention_or_other(name)), flops // 2)
    total = counter.get_total_flops() // 2
    return PeerCount("FlopCounterMode", total, by_kind, skipped, by_module)


def fvcore_count(model: nn.Module, *args: Any, **kwargs: Any) -> PeerCount:
    """What fvcore counts for ``model(*args, **kwargs)``; norms and pools are in its total."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it scripts and traces, which torch deprecates
        if not kwargs:
            return _fvcore_count(model, *args)
        named = {key: value for key, value in kwargs.items() if any(True for _ in tensors(value))}
        plain = {key: value for key, value in kwargs.items() if key not in named}
        called = _Named(model, len(args), tuple(named), plain)
        counted = _fvcore_count(called, *args, *named.values())
        inside = {path.partition(".")[2]: macs for path, macs in counted.by_module.items() if path}
        return replace(counted, by_module=inside)


class _Named(nn.Module):
    """Takes by position the tensors that a model takes by name: fvcore passes no names."""

    def __init__(
        self, model: nn.Module, positional: int, names: tuple[str, ...], plain: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.model = model
        self._positional, self._names, self._plain = positional, names, plain

    def forward(self, *args: Any) -> Any:
        named = dict(zip(self._names, args[self._positional :], strict=True))
        return self.model(*args[: self._positional], **named, **self._plain)


def _fvcore_count(model: nn.Module, *args: Any) -> PeerCount:
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = FlopCountAnalysis(model, args)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_kind: dict[str, int] = {}
    for operator, macs in analysis.by_operator().items():
        _add(by_kind, _FVCORE_KINDS.get(operator, "other"), int(macs))
    skipped = tuple(sorted(name.removeprefix("aten::") for name in analysis.unsupported_ops()))
    by_module = {
        path: int(sum(n for op, n in counts.items() if _FVCORE_KINDS.get(op) in PRODUCTS))
        for path, counts in analysis.by_module_and_operator().items()
    }
    return PeerCount("fvcore", int(analysis.total()), by_kind, skipped, by_module)


def _attention_or_other(name: str) -> Kind:
    return "attention" if "attention" in name else "other"


def _add(by_kind: dict[str, int], kind: str, macs: int) -> None:
    by_kind[kind] = by_kind.get(kind, 0) + macs


def counted_elsewhere(spec: str, graph: Graph) -> dict[str, PeerCount | str]:
    """What each tool counts of a model of its own, built for real on cpu in another process.

    Args:
        graph: the model's, for the shapes of its inputs.

    Returns:
        By the tool's name its count, or why it failed.

    Raises:
        CaptureError: the process failed as a whole.
        BuildError: the model is a file that holds no module.
    """
    source = find(parse_spec(spec))
    if source.graph is not None:
        source.build()
    products = sorted({op.name for op in graph.ops if op.kind in PRODUCTS})
    inputs = tuple(graph.values[index] for index in graph.inputs)
    alone = replace(graph, ops=(), calls=(), modules=(), outputs=(), values=inputs,
                    storages=tuple(Storage(storage.nbytes) for storage in graph.storages),
                    inputs=tuple(range(len(inputs))))  # fmt: skip
    request = {"spec": spec, "inputs": alone.to_json(), "products": products}
    command = [sys.executable, "-m", "archstat.measure.other_tools"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CaptureError(f"the other tools' process for {spec} failed: {last}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        tool: found if isinstance(found, str) else PeerCount(**found)
        for tool, found in answer.items()
    }


def _answer(spec: str, inputs: str, products: Sequence[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for tool, count in (
        ("fvcore", fvcore_count),
        ("flop_counter", partial(flop_counter_count, products=products)),
    ):
        source = find(parse_spec(spec))
        model = source.build_for_real().train(source.spec.train_mode)
        args, kwargs = given_tensors(Graph.from_json(inputs), model, ordinary(model))
        try:
            answer[tool] = asdict(count(model, *args, **kwargs))
        except Exception as error:
            answer[tool] = shortened(error)
    return answer


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(_answer(**json.loads(sys.stdin.read()))))

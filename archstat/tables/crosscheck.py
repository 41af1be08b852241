"""`crosscheck`: archstat's macs beside fvcore's and FlopCounterMode's, and where they part.

The other tools run a model of their own, built for real on cpu, in a process of their own: hooks
left behind, changed statistics and warnings stay there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from archstat.errors import CaptureError
from archstat.hints import shortened
from archstat.measure.other_tools import PeerCount, flop_counter_count, fvcore_count
from archstat.models.pipeline import CONVENTION, analyze
from archstat.models.sources import find
from archstat.models.specs import parse_spec
from archstat.result import Cell, Column, Report, Table
from archstat.tables.summary import summary
from archstat.version import __version__

_TOOLS = ("fvcore", "flop_counter")
_FIGURES = (
    Column("archstat_macs", "count", "archstat's multiply-accumulates"),
    Column("fvcore_macs", "count", "what fvcore counts"),
    Column("fvcore_difference", "count", "fvcore less archstat"),
    Column("flop_counter_macs", "count", "half of what torch's FlopCounterMode counts"),
    Column("flop_counter_difference", "count", "FlopCounterMode less archstat"),
)
CROSSCHECK_COLUMNS: tuple[Column, ...] = (
    Column("model", "text", "the spec as typed"),
    Column("part", "text", "the kinds of op compared, or the module"),
    *_FIGURES,
    Column("verdict", "text", "agrees, or why not"),
)
_PARTS: Mapping[str, tuple[str, ...]] = {
    "conv": ("conv",),
    "linear + matmul + attention": ("linear", "matmul", "attention", "recurrent"),
    "norm": ("norm",),
    "pool": ("pool",),
    "other": ("other",),
}


def crosscheck(models: Sequence[str], input: Any = None, batch: int | None = None,
               *, deep: bool = False) -> Table:  # fmt: skip
    """Archstat's macs of each model beside the other tools', by kind or, if `deep`, by module.

    Raises:
        CaptureError: a tool's process failed as a whole; see also `analyze`.
    """
    rows: list[tuple[Cell, ...]] = []
    for model in models:
        report = analyze(model, input, batch)
        peers = _peers(report)
        rows += list(_by_module(report, peers) if deep else _by_part(report, peers))
    return Table(
        columns=CROSSCHECK_COLUMNS,
        rows=tuple(rows),
        convention=CONVENTION,
        archstat_version=__version__,
    )


def disagrees(table: Table) -> bool:
    """Whether any row differs without a known reason."""
    return any(str(verdict).startswith("differs") for verdict in table.column("verdict"))


def _by_part(report: Report, peers: Mapping[str, PeerCount | str]) -> Iterator[tuple[Cell, ...]]:
    totals = dict.fromkeys(("archstat", *_TOOLS), 0)
    for part, kinds in _PARTS.items():
        ours = sum(int(report.by_kind.get(kind, {}).get("macs", 0)) for kind in kinds)
        theirs = [_of_kinds(peers[tool], kinds) for tool in _TOOLS]
        if not ours and not any(theirs):
            continue
        totals["archstat"] += ours
        verdicts = [
            _verdict(tool, peers[tool], ours, count, part in ("conv", list(_PARTS)[1]))
            for tool, count in zip(_TOOLS, theirs, strict=True)
        ]
        yield (report.model, part, *_figures(ours, theirs), _joined(verdicts))
    whole = [peer.macs if isinstance(peer, PeerCount) else None for peer in map(peers.get, _TOOLS)]
    failures = [f"{tool}: {peers[tool]}" for tool in _TOOLS if isinstance(peers[tool], str)]
    yield (report.model, "total", *_figures(totals["archstat"], whole), "; ".join(failures))


def _by_module(report: Report, peers: Mapping[str, PeerCount | str]) -> Iterator[tuple[Cell, ...]]:
    for record in summary(report).records():
        path, macs = str(record["module"]), record["macs"]
        ours = macs if isinstance(macs, int) else 0
        if str(record["tree"]).endswith("(functional)") or path.endswith("(functional)"):
            continue
        counts = [peers[tool] for tool in _TOOLS]
        theirs = [
            peer.by_module.get(path, 0) if isinstance(peer, PeerCount) else None for peer in counts
        ]
        if ours or any(theirs):
            verdicts = [
                _verdict(tool, peers[tool], ours, count, True)
                for tool, count in zip(_TOOLS, theirs, strict=True)
            ]
            name = path or "(root)"
            yield (report.model, name, *_figures(ours, theirs), _joined(verdicts))


def _of_kinds(peer: PeerCount | str, kinds: Sequence[str]) -> int | None:
    if isinstance(peer, str):
        return None
    return sum(peer.by_kind.get(kind, 0) for kind in kinds)


def _figures(ours: int, theirs: Sequence[int | None]) -> list[Cell]:
    cells: list[Cell] = [ours]
    for count in theirs:
        cells += [count, None if count is None else count - ours]
    return cells


def _verdict(tool: str, peer: PeerCount | str, ours: int, count: int | None, products: bool) -> str:
    name = "fvcore" if tool == "fvcore" else "FlopCounterMode"
    if isinstance(peer, str) or count is None:
        return f"{name} failed"
    if count == ours:
        return ""
    if not products:
        return f"{name} counts these as macs, archstat among flops"
    missed = [op for op in peer.skipped if any(word in op for word in _PRODUCT_WORDS)]
    if count < ours and tool == "fvcore" and missed:
        return f"{name} does not count {', '.join(missed)}"
    if count < ours and tool == "flop_counter":
        return f"{name} does not count fused attention or recurrent layers on cpu"
    return f"differs from {name}"


_PRODUCT_WORDS = ("attention", "lstm", "gru", "rnn", "bilinear", "trilinear", "transformer")


def _joined(verdicts: Sequence[str]) -> str:
    return "; ".join(filter(None, verdicts)) or "agrees"


# -- the other tools' process ----------------------------------------------------------------------


def _peers(report: Report) -> dict[str, PeerCount | str]:
    values = [report.graph.values[index] for index in report.graph.inputs]
    request = {
        "spec": report.model,
        "inputs": [(v.name, v.shape, v.dtype) for v in values],
    }
    command = [sys.executable, "-m", "archstat.tables.crosscheck"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CaptureError(f"the other tools' process for {report.model} failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return {
        tool: found if isinstance(found, str) else PeerCount(**found)
        for tool, found in answer.items()
    }


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    answer: dict[str, Any] = {}
    for tool, count in (("fvcore", fvcore_count), ("flop_counter", flop_counter_count)):
        model = find(parse_spec(request["spec"])).build_for_real().eval()
        named, positional = {}, []
        for name, shape, dtype in request["inputs"]:
            kind = getattr(torch, dtype)
            made = torch.rand(shape).to(kind) if kind.is_floating_point else torch.zeros(
                shape, dtype=kind
            )  # fmt: skip
            if name:
                named[name] = made
            else:
                positional.append(made)
        try:
            if named:
                raise TypeError("takes no keyword inputs")
            answer[tool] = asdict(count(model, *positional))
        except Exception as error:
            answer[tool] = shortened(error)
    return answer


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(_answer(json.loads(sys.stdin.read()))))

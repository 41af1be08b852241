"""`crosscheck`: archstat's macs beside fvcore's and FlopCounterMode's, and where they part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from archstat.analyses import CONVENTION
from archstat.measure.other_tools import PeerCount, counted_elsewhere
from archstat.models.pipeline import analyze
from archstat.result import Cell, Column, Mark, Report, Table
from archstat.tables.summary import module_totals

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
_PRODUCTS = tuple(_PARTS)[:2]
_TOTAL = "total"


class Verdict(Enum):
    """What a tool's figure says of archstat's."""

    AGREES = auto()
    FAILED = auto()
    COUNTS_OTHERS = auto()
    SKIPS_PRODUCTS = auto()
    DIFFERS = auto()


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool's macs of a part of a model, None where it failed, and what is to be said of them."""

    macs: int | None
    verdict: Verdict
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a model: archstat's macs and, in the order of the columns, the other tools'."""

    model: str
    name: str
    macs: int
    peers: tuple[Peer, ...]

    @property
    def compared(self) -> bool:
        """Whether any tool has a figure of it."""
        return any(peer.macs is not None for peer in self.peers)

    @property
    def disagrees(self) -> bool:
        """Whether a tool differs without a known reason."""
        return any(peer.verdict is Verdict.DIFFERS for peer in self.peers)


def crosscheck(models: Iterable[str], input: Any = None, batch: int | None = None,
               *, deep: bool = False) -> tuple[Part, ...]:  # fmt: skip
    """Archstat's macs of each model beside the other tools', by kind or, if `deep`, by module.

    Raises:
        CaptureError: a tool's process failed as a whole; see also `analyze`.
    """
    found: list[Part] = []
    for model in models:
        report = analyze(model, input, batch)
        peers = counted_elsewhere(model, report.graph)
        found += _by_module(report, peers) if deep else _by_part(report, peers)
    return tuple(found)


def crosscheck_table(parts: Sequence[Part]) -> Table:
    """A row a part."""
    rows = tuple((part.model, part.name, *_figures(part), _said(part)) for part in parts)
    return Table(CROSSCHECK_COLUMNS, rows, convention=CONVENTION)


def _by_part(report: Report, counts: Mapping[str, PeerCount | str]) -> Iterator[Part]:
    total = 0
    for name, kinds in _PARTS.items():
        ours = sum(int(report.by_kind.get(kind, {}).get("macs", 0)) for kind in kinds)
        theirs = {tool: _of_kinds(counts[tool], kinds) for tool in _TOOLS}
        if ours or any(theirs.values()):
            total += ours
            products = name in _PRODUCTS
            peers = (_peer(tool, counts[tool], ours, theirs[tool], products) for tool in _TOOLS)
            yield Part(report.model, name, ours, tuple(peers))
    yield Part(report.model, _TOTAL, total, tuple(_whole(tool, counts[tool]) for tool in _TOOLS))


def _by_module(report: Report, counts: Mapping[str, PeerCount | str]) -> Iterator[Part]:
    for path, macs in module_totals(report, "macs").items():
        theirs = {tool: _of_module(counts[tool], path) for tool in _TOOLS}
        if macs or any(theirs.values()):
            ours = int(macs)
            peers = (_peer(tool, counts[tool], ours, theirs[tool], True) for tool in _TOOLS)
            yield Part(report.model, path or "(root)", ours, tuple(peers))


def _of_kinds(count: PeerCount | str, kinds: Sequence[str]) -> int | None:
    if isinstance(count, str):
        return None
    return sum(count.by_kind.get(kind, 0) for kind in kinds)


def _of_module(count: PeerCount | str, path: str) -> int | None:
    return None if isinstance(count, str) else count.by_module.get(path, 0)


def _whole(tool: str, count: PeerCount | str) -> Peer:
    if isinstance(count, str):
        return Peer(None, Verdict.FAILED, f"{tool}: {count}")
    return Peer(count.macs, Verdict.AGREES)


def _peer(tool: str, count: PeerCount | str, ours: int, macs: int | None, products: bool) -> Peer:
    name = "fvcore" if tool == "fvcore" else "FlopCounterMode"
    if isinstance(count, str) or macs is None:
        return Peer(None, Verdict.FAILED, f"{name} failed")
    if macs == ours:
        return Peer(macs, Verdict.AGREES)
    if not products:
        said = f"{name} counts these as macs, archstat among flops"
        return Peer(macs, Verdict.COUNTS_OTHERS, said)
    skipped = [op for op in count.skipped if _is_product(op)]
    if macs < ours and skipped:
        return Peer(macs, Verdict.SKIPS_PRODUCTS, f"{name} does not count {', '.join(skipped)}")
    if macs < ours and tool == "flop_counter":
        said = f"{name} does not count fused attention or recurrent layers on cpu"
        return Peer(macs, Verdict.SKIPS_PRODUCTS, said)
    return Peer(macs, Verdict.DIFFERS, f"differs from {name}")


def _is_product(op: str) -> bool:
    name = op.rstrip("_")
    return name in _UNCOUNTED_PRODUCTS or any(word in name for word in _PRODUCT_WORDS)


_UNCOUNTED_PRODUCTS = frozenset({
    "mv", "addmv", "dot", "vdot", "inner", "addr", "addbmm", "_convolution_mode", "_grouped_mm",
    "_int_mm", "_scaled_mm", "_sparse_addmm", "_sparse_mm", "chain_matmul", "linalg_multi_dot",
    "tensordot", "conv_tbc", "mm", "addmm", "bmm", "baddbmm", "linalg_vecdot",
})  # fmt: skip
_PRODUCT_WORDS = ("attention", "lstm", "gru", "rnn", "bilinear", "trilinear", "transformer")


def _figures(part: Part) -> Iterator[Cell]:
    yield part.macs
    for peer in part.peers:
        yield peer.macs
        yield None if peer.macs is None else peer.macs - part.macs


def _said(part: Part) -> str:
    said = "; ".join(peer.remark for peer in part.peers if peer.remark)
    if said:
        return Mark(said, "bad" if part.disagrees else "open")
    return "" if part.name == _TOTAL else Mark("agrees", "good")

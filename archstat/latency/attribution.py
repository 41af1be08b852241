"""What ran, laid onto a Graph: the time of each of its ops, and of what it does not know.

A module's ops run in the Graph's order, one call after another. torch may do in one what the Graph
has in several (a linear layer is a transposition and a product), or call a kernel by another name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from archstat.graph import Graph
from archstat.latency.kinds import kind_of_name, kinds_of
from archstat.latency.profiling import Profile, RanOp

# They do what the Graph has as several ops, of which some have the names of its parts.
_FUSED = ("attention", "_transformer", "lstm", "gru", "rnn")
_MINOR = ("reshape", "split")
# An op of the Graph or None, a module, a kind.
_Place = tuple[int | None, str, str]


@dataclass(frozen=True, slots=True)
class Share:
    """The time of some work in one pass, the median over passes.

    `op` is its index in the Graph, None for what ran there and is none of its ops. `time_ms` is
    of GPU kernels or, on a cpu, of the calls; `dispatch_ms` of the calls on a GPU, else None.
    """

    op: int | None
    module: str
    kind: str
    time_ms: float
    dispatch_ms: float | None


def attributed(graph: Graph, profile: Profile) -> list[Share]:
    """The time of every op of a Graph that ran by itself, and of everything else that ran."""
    kinds = kinds_of(graph)
    times: dict[_Place, list[float]] = {}
    calls: dict[_Place, list[float]] = {}
    for ran in profile.passes:
        sums: dict[_Place, tuple[float, float]] = {}
        for op, one in zip(matched(graph, ran), ran, strict=True):
            kind = kind_of_name(one.names[0]) if op is None else kinds[op]
            place = (op, one.module, kind)
            time, dispatch = sums.get(place, (0.0, 0.0))
            sums[place] = (time + one.time_ms, dispatch + one.cpu_ms)
        for place, (time, dispatch) in sums.items():
            times.setdefault(place, []).append(time)
            calls.setdefault(place, []).append(dispatch)
    on_gpu = profile.dispatch_ms is not None
    return [
        Share(*place, median(found), median(calls[place]) if on_gpu else None)
        for place, found in times.items()
    ]


def matched(graph: Graph, ran: Sequence[RanOp]) -> list[int | None]:
    """For everything that ran in one pass, the op of the Graph that it is, or None."""
    waiting: dict[str, list[int]] = {}
    for index, op in enumerate(graph.ops):
        waiting.setdefault(op.module, []).append(index)
    found = []
    for one in ran:
        mine = waiting.get(one.module, [])
        taken = [] if _is_fused(one.names[0]) else _taken(graph, mine, one.names)
        if taken:
            waiting[one.module] = mine[mine.index(taken[-1]) + 1 :]
        main = [index for index in taken if graph.ops[index].kind not in _MINOR]
        found.append(next(iter((*main, *taken)), None))
    return found


def _is_fused(name: str) -> bool:
    return any(part in name for part in _FUSED)


def _taken(graph: Graph, waiting: Sequence[int], names: Sequence[str]) -> list[int]:
    """The next ops that have one of the names, as many of a name as there are."""
    left = Counter(names)
    taken: list[int] = []
    for index in waiting:
        name = graph.ops[index].name
        if left[name]:
            left[name] -= 1
            taken.append(index)
        elif taken:
            break
    return taken

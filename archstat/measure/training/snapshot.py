"""A training in the layout of torch's own memory snapshot, which its viewers open.

The layout is that of ``torch.cuda.memory._snapshot()``: segments with their blocks at the end, and
what was allocated and freed until then. A frame names the module as file, the operation as function
and its number in the step as line.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archstat.analyses.cuda_allocator import CudaAllocator, Event, OutOfMemoryError
from archstat.errors import Option, OutputError, SpecError
from archstat.measure.training.live_bytes import TrainingStep
from archstat.measure.training.rows import MemoryRow, training_events
from archstat.measure.training.step import Settings
from archstat.measure.training.timeline import NO_MODULE

SUFFIXES = (".json", ".pickle")
_BASE = 0x7F0000000000  # where addresses of a GPU begin, about
_SMALL_SEGMENT = 2**21
# torch's viewer fails on categories without this one.
_UNKNOWN = "unknown"
# The viewer reads pickles of protocol 2 to 4.
_PROTOCOL = 4


@dataclass(frozen=True, slots=True)
class _Maker:
    category: str
    module: str
    target: str
    number: int

    def frames(self) -> list[dict[str, Any]]:
        """The stack of an allocation."""
        return [{"name": self.target, "filename": self.module, "line": self.number}]


def check_snapshot(path: Path, settings: Settings, models: int) -> None:
    """Whether there is a snapshot of that, before the work.

    Raises:
        OutputError: neither a JSON file nor a pickle.
        SpecError: kernels without segments, or not one model.
    """
    if path.suffix not in SUFFIXES:
        raise OutputError(f"{path}: a snapshot is a .pickle, as torch's web page reads it, or a "
                          ".json.")  # fmt: skip
    settings.need_segments(Option("export_snapshot"))
    if models != 1:
        raise SpecError(f"{Option('export_snapshot')} writes one model: {models} were given.")


def snapshot_bytes(row: MemoryRow, suffix: str) -> bytes:
    """The snapshot of the row's training as JSON, or as the pickle that torch's web page reads."""
    found = memory_snapshot(row)
    if suffix == ".json":
        return json.dumps(found).encode()
    return pickle.dumps(found, protocol=_PROTOCOL)


def memory_snapshot(row: MemoryRow) -> dict[str, Any]:
    """Three steps from the start of training, as `reserved_bytes` has them."""
    events = training_events(row.step, row.device)
    makers, storages = _makers(row.step), row.step.trace.storages

    def maker_of(owner: int) -> _Maker:
        # A storage that a later step makes again has the number of the first, plus so many.
        return makers[owner if owner < 0 else owner % storages]

    try:
        return _replayed(events, maker_of, row.budget)
    except OutOfMemoryError:
        return _replayed(events, maker_of, None)


def _replayed(
    events: Sequence[Event], maker_of: Callable[[int], _Maker], capacity: int | None
) -> dict[str, Any]:
    allocator = CudaAllocator(capacity)
    sizes: dict[int, int] = {}
    trace: list[dict[str, Any]] = []
    told = 0

    def note(action: str, address: int, size: int, maker: _Maker) -> None:
        trace.append({"action": action, "addr": _BASE + address, "size": size, "stream": 0,
                      "time_us": len(trace), "frames": maker.frames(),
                      "category": maker.category})  # fmt: skip

    for owner, nbytes in events:
        if not nbytes:
            continue
        maker = maker_of(owner)
        if nbytes > 0:
            sizes[owner] = nbytes
            address = allocator.allocate(owner, nbytes)
            for segment, size in allocator.segments[told:]:
                note("segment_alloc" if size > 0 else "segment_free", segment, abs(size), maker)
            told = len(allocator.segments)
            note("alloc", address, nbytes, maker)
        else:
            address = allocator.address(owner)
            allocator.free(owner)
            del sizes[owner]
            for action in ("free_requested", "free_completed"):
                note(action, address, -nbytes, maker)
    return {
        "segments": _segments(allocator, maker_of, sizes),
        "device_traces": [trace],
        "allocator_settings": {},
        "external_annotations": [],
    }


def _segments(
    allocator: CudaAllocator, maker_of: Callable[[int], _Maker], sizes: dict[int, int]
) -> list[dict[str, Any]]:
    there: dict[int, int] = {}
    for address, size in allocator.segments:
        there[address] = there.get(address, 0) + size
    blocks = allocator.layout()
    found, place = [], 0
    for start, total in sorted(there.items()):
        inside: list[dict[str, Any]] = []
        while total and place < len(blocks) and blocks[place][0] < start + total:
            address, size, owner = blocks[place]
            place += 1
            block: dict[str, Any] = {"address": _BASE + address, "size": size, "requested_size": 0,
                     "state": "inactive", "frames": []}  # fmt: skip
            if owner is not None:
                block |= {"requested_size": sizes[owner], "state": "active_allocated",
                          "frames": maker_of(owner).frames()}  # fmt: skip
            inside.append(block)
        active = [block for block in inside if block["state"] == "active_allocated"]
        if total:
            found.append({
                "device": 0, "address": _BASE + start, "total_size": total, "stream": 0,
                "segment_type": "small" if total == _SMALL_SEGMENT else "large",
                "segment_pool_id": [0, 0], "is_expandable": False, "frames": [],
                "allocated_size": sum(block["size"] for block in active),
                "active_size": sum(block["size"] for block in active),
                "requested_size": sum(block["requested_size"] for block in active),
                "blocks": inside,
            })  # fmt: skip
    return found


def _makers(step: TrainingStep) -> dict[int, _Maker]:
    """For each storage what it is for, and the module and operation that made it."""
    for_what = {one.number: one for one in step.trace.held}
    found = {-1: _Maker("workspace", "cuBLAS", "workspace of forward", 0),
             -2: _Maker("workspace", "cuBLAS", "workspace of backward", 0)}  # fmt: skip
    for number, _ in step.trace.events[: step.trace.given]:
        held = for_what[number]
        found[number] = _Maker(held.category, held.module or NO_MODULE, held.category, 0)
    for op, number in step.made():
        moment, kept = step.moments[op], for_what.get(number)
        category = kept.category if kept else _UNKNOWN
        found[number] = _Maker(category, moment.module or NO_MODULE,
                               f"{moment.target} ({moment.phase})", op)  # fmt: skip
    return found

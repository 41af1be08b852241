"""The snapshot of a training, read by torch's own functions and held against the allocator."""

from __future__ import annotations

import json
import pickletools
from dataclasses import replace

import pytest
from torch.cuda import _memory_viz

from archstat.analyses.cuda_allocator import BLOCK
from archstat.errors import OutputError, SpecError
from archstat.measure.training.rows import memory_row
from archstat.measure.training.sharding import Sharding
from archstat.measure.training.snapshot import check_snapshot, memory_snapshot, snapshot_bytes
from archstat.measure.training.step import Settings

# What torch/utils/viz/MemoryViz.js can read of a pickle.
KNOWN_TO_THE_VIEWER = {
    "PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "BININT", "BININT1",
    "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "NEWTRUE", "NEWFALSE",
    "NONE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
}  # fmt: skip


@pytest.fixture(scope="module", params=[None, Sharding(3, 2, ())])
def row(request):
    return memory_row("lenet5", Settings("adam", kernels="cuda", sharding=request.param))


@pytest.fixture(scope="module")
def data(row):
    return json.loads(snapshot_bytes(row, ".json"))


def running(events, plus, minus, size):
    alive, most = 0, 0
    for event in events:
        alive += size(event) * ((event["action"] == plus) - (event["action"] == minus))
        most = max(most, alive)
    return alive, most


def test_most_segments_and_blocks_are_the_reserved_and_allocated_bytes(row, data):
    (events,) = data["device_traces"]
    reserved, most = running(events, "segment_alloc", "segment_free", lambda e: e["size"])
    assert most == row.reserved.reserved_bytes
    # Nothing of lenet5 takes more than 1 MiB but cuBLAS, so that every remainder is split off.
    allocated, most = running(events, "alloc", "free_completed",
                              lambda e: -(-e["size"] // BLOCK) * BLOCK)  # fmt: skip
    assert most == row.reserved.allocated_bytes
    segments = data["segments"]
    assert reserved == sum(segment["total_size"] for segment in segments)
    assert allocated == sum(segment["allocated_size"] for segment in segments)
    for segment in segments:
        assert segment["total_size"] == sum(block["size"] for block in segment["blocks"])


def test_torchs_viewers_open_it(row, data):
    segments = _memory_viz.segsum(data)  # which adds everything up and refuses a wrong sum
    reserved = sum(segment["total_size"] for segment in data["segments"])
    assert f"total_reserved: {reserved / 2**20:.1f}MiB" in segments
    assert "cudaMalloc" in _memory_viz.trace(data)
    blocks = _memory_viz.memory(data, format_flamegraph=str)
    assert "c5:0:parameters" in blocks
    assert "Active Memory Timeline" in _memory_viz.trace_plot(data)
    assert "Allocator State History" in _memory_viz.segment_plot(data)


def test_frames_name_module_and_operation(data):
    (events,) = data["device_traces"]
    frames = {(e["frames"][0]["filename"], e["frames"][0]["name"]) for e in events
              if e["action"] == "alloc"}  # fmt: skip
    assert ("c1", "aten.convolution.default (forward)") in frames
    assert ("f6", "optimizer") in frames
    assert any(name.endswith("(backward)") for _, name in frames)
    assert {"parameters", "gradients", "optimizer", "saved", "unknown"} <= {
        event["category"] for event in events
    }


def test_frees_give_back_what_was_allocated_there(data):
    (events,) = data["device_traces"]
    held = {}
    for before, event in zip([None, *events], events, strict=False):
        if event["action"] == "alloc":
            assert event["addr"] not in held
            held[event["addr"]] = event["size"]
        elif event["action"] == "free_completed":
            assert (before["action"], before["addr"]) == ("free_requested", event["addr"])
            assert held.pop(event["addr"]) == event["size"]
    there = {block["address"]: block["requested_size"] for segment in data["segments"]
             for block in segment["blocks"] if block["state"] == "active_allocated"}  # fmt: skip
    assert there == held


def test_pickle_has_no_operation_that_the_web_page_lacks(row):
    operations = list(pickletools.genops(snapshot_bytes(row, ".pickle")))
    assert {operation.name for operation, _, _ in operations} <= KNOWN_TO_THE_VIEWER
    assert [value for operation, value, _ in operations if operation.name == "PROTO"] == [4]


def test_free_segments_go_back_where_the_room_is_small():
    row = memory_row("squeezenet1_1", Settings(kernels="cuda"), batch=8)
    (events,) = memory_snapshot(row)["device_traces"]
    assert not any(event["action"] == "segment_free" for event in events)
    room = row.reserved.reserved_bytes - 1
    (events,) = memory_snapshot(replace(row, budget=room))["device_traces"]
    _, most = running(events, "segment_alloc", "segment_free", lambda e: e["size"])
    assert any(event["action"] == "segment_free" for event in events)
    assert most <= room


@pytest.mark.parametrize(
    ("name", "kernels", "models", "error"),
    [
        ("step.pkl", "cuda", 1, OutputError),
        ("step.json", "cpu", 1, SpecError),
        ("step.json", "cuda", 2, SpecError),
    ],
)
def test_impossible_snapshot_is_refused(tmp_path, name, kernels, models, error):
    with pytest.raises(error):
        check_snapshot(tmp_path / name, Settings(kernels=kernels), models)

"""Files of weights: names, shapes and dtypes alone; nothing in them is run or believed blindly."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from archstat import analyze
from archstat.analyses.field import receptive_field
from archstat.errors import LookupFailedError, SpatialAxesError
from archstat.frontends.state_dicts import graph_of_tensors, tensors_of

BITS = {"F32": 32, "F16": 16, "I64": 64, "I32": 32, "BF16": 16, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6}


def safetensors(path, **tensors):
    """A file of tensors, each a dtype and a shape, whose numbers are zeros."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + BITS[dtype] * torch.Size(shape).numel() // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


@pytest.fixture
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5))


PARAMS, BUFFERS = 8 * 3 * 9 + 8 + 2 * 8 + 8 * 5 + 5, 2 * 8 + 1


def test_state_dict_has_the_parameters_of_its_module(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    totals = analyze(str(tmp_path / "net.pt")).totals
    assert (totals["params"], totals["buffers"]) == (PARAMS, BUFFERS)
    assert totals["param_bytes"] == 4 * PARAMS


def test_checkpoint_holds_the_state_dict_under_a_usual_key(net, tmp_path):
    torch.save({"epoch": 3, "model": net.state_dict()}, tmp_path / "last.ckpt")
    assert analyze(str(tmp_path / "last.ckpt")).totals["params"] == PARAMS


def test_shared_tensor_counts_once(net, tmp_path):
    state = {"a.weight": torch.zeros(4, 5), "c.weight": torch.zeros(4, 5)}
    state["b.weight"] = state["a.weight"]
    torch.save(state, tmp_path / "tied.pth")
    report = analyze(str(tmp_path / "tied.pth"))
    assert report.totals["params"] == 2 * 4 * 5
    assert next((v.name, v.aliases) for v in report.graph.parameters()) == (
        "a.weight", ("b.weight",),
    )  # fmt: skip


def test_safetensors_are_read_by_their_header(tmp_path):
    path = safetensors(
        tmp_path / "x.safetensors", **{"a.weight": ("F16", [4, 5]), "a.running_mean": ("F32", [4])}
    )
    totals = analyze(str(path)).totals
    assert (totals["params"], totals["param_bytes"], totals["buffers"]) == (4 * 5, 2 * 4 * 5, 4)


def test_weights_of_a_few_bits_have_their_bytes_by_dtype(tmp_path):
    path = safetensors(
        tmp_path / "x.safetensors", **{"a.codes": ("F4", [4, 6]), "a.scales": ("F8_E8M0", [4]),
                                       "b.codes": ("F6_E2M3", [4, 6]), "c.qweight": ("I32", [3, 5]),
                                       "c.scales": ("F16", [5])}
    )  # fmt: skip
    totals = analyze(str(path)).totals
    assert totals["weight_dtypes"] == (
        f"int32={3 * 5 * 4} float6_e2m3fn={4 * 6 * 6 // 8} float4_e2m1fn={4 * 6 // 2} "
        f"float16={2 * 5} float8_e8m0fnu=4"
    )
    assert totals["params"] == 4 * 6 + 4 + 4 * 6 + 5


def test_pairs_in_a_byte_are_two_parameters(tmp_path):
    pairs = torch.empty(4, 3, dtype=torch.float4_e2m1fn_x2)
    torch.save({"codes": pairs}, tmp_path / "x.pt")
    totals = analyze(str(tmp_path / "x.pt")).totals
    assert (totals["params"], totals["param_bytes"]) == (4 * 2 * 3, 4 * 3)


def test_dtype_that_nobody_knows_is_refused(tmp_path):
    torch.save({"w": torch.empty(2, dtype=torch.bits8)}, tmp_path / "x.pt")
    with pytest.raises(LookupFailedError, match="w has the unknown dtype 'bits8'"):
        tensors_of(tmp_path / "x.pt")


def test_shards_are_read_by_their_index(tmp_path):
    safetensors(tmp_path / "1.safetensors", **{"a.weight": ("F32", [4, 5])})
    safetensors(tmp_path / "2.safetensors", **{"b.weight": ("F32", [6])})
    index = tmp_path / "model.safetensors.index.json"
    named = {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}
    index.write_text(json.dumps({"weight_map": named}))
    assert analyze(str(index)).totals["params"] == 4 * 5 + 6


@pytest.mark.parametrize("shard", ["../1.safetensors", "/etc/passwd", "a/../1.safetensors"])
def test_shard_outside_the_folder_is_refused(tmp_path, shard):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(LookupFailedError, match="not a file beside it"):
        tensors_of(index)


def test_what_needs_a_forward_pass_is_unknown(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    report = analyze(str(tmp_path / "net.pt"))
    assert report.totals["macs"] is None
    assert {"macs", "flops", "peak_memory_bytes", "memory_access"} <= report.unknown
    assert "without a forward pass" in report.findings[0].text
    with pytest.raises(SpatialAxesError, match="without a forward pass, which this needs"):
        receptive_field(report.graph)


class Hostile:
    def __reduce__(self):
        return (print, ("run",))


def test_pickled_objects_are_refused(tmp_path, capsys):
    torch.save({"model": Hostile()}, tmp_path / "bad.pt")
    with pytest.raises(LookupFailedError, match="runs no pickled code"):
        tensors_of(tmp_path / "bad.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_with_the_way_out(net, tmp_path):
    torch.jit.save(torch.jit.trace(net.eval(), torch.rand(1, 3, 3, 3)), str(tmp_path / "net.pt"))
    with pytest.raises(LookupFailedError, match=r"TorchScript archive.*\.pt2"):
        tensors_of(tmp_path / "net.pt")


def test_file_without_tensors_is_said(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(LookupFailedError, match="without tensors by name"):
        tensors_of(tmp_path / "x.pt")


def test_missing_file_is_said(tmp_path):
    with pytest.raises(LookupFailedError, match="cannot be read"):
        graph_of_tensors(tmp_path / "none.safetensors")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entry=st.fixed_dictionaries({
        "dtype": st.sampled_from(["F32", "I64", "X", None, 3]),
        "shape": st.lists(st.integers(-2, 10**12), max_size=3),
        "data_offsets": st.lists(st.integers(-5, 10**12), max_size=3),
    }),
    length=st.none() | st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_damaged_header_gives_one_error(tmp_path, entry, length):
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)
    try:
        tensors_of(path)
    except LookupFailedError as error:
        assert len(str(error)) < 500
    else:
        numel = torch.Size(entry["shape"]).numel()
        assert entry["data_offsets"] == [0, 0]
        assert numel == 0


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_checkpoint_gives_one_error_or_tensors(tmp_path_factory, at, byte, cut):
    folder = tmp_path_factory.mktemp("damaged")
    torch.save({"a.weight": torch.zeros(4, 5)}, folder / "x.pt")
    whole = (folder / "x.pt").read_bytes()
    place = min(int(at * len(whole)), len(whole) - 1)
    damaged = whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :]
    (folder / "x.pt").write_bytes(damaged)
    try:
        tensors_of(folder / "x.pt")
    except LookupFailedError as error:
        assert len(str(error)) < 1000

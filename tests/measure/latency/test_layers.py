"""Times of layers and kinds of a real pass: complete, beside the work of the Graph."""

from __future__ import annotations

import pytest
import torch

from archstat.analyses.devices import Device
from archstat.errors import DeviceError, LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.layers import measured_layers
from archstat.models.pipeline import analyze
from archstat.tables.bench_layers import kind_time_table, layer_table, layer_time_table

SLOW = Device("slow", "a slow device", 1e6, {"float32": 1e6}, {}, None, {})
SPEC = "shufflenet_v2_x0_5,resolution=64"


@pytest.fixture(scope="module")
def timed():
    return measured_layers(SPEC, Conditions(threads=1, batch=2), device=SLOW, passes=3)


def test_layers_and_kinds_share_all_of_the_time_and_work(timed):
    for parts in (timed.layers, timed.kinds):
        assert sum(part.time_ms for part in parts) == pytest.approx(timed.total.time_ms)
        assert sum(part.floor_ms for part in parts) == pytest.approx(timed.total.floor_ms)
        assert sum(part.work.nbytes for part in parts) == timed.total.work.nbytes
    assert timed.total.work.products == 2 * analyze(SPEC, batch=2).totals["macs"]


def test_every_kind_of_a_shufflenet_has_time(timed):
    times = {part.name: part.time_ms for part in timed.kinds}
    assert {"convolution", "depthwise convolution", "normalisation", "element-wise"} <= set(times)
    assert {"data movement", "channel shuffle", "pooling", "matrix product"} <= set(times)
    assert all(time > 0 for time in times.values())


def test_everything_that_ran_is_known_to_the_graph(timed):
    assert [share for share in timed.shares if share.op is None] == []


def test_layers_are_the_modules_of_the_capture(timed):
    names = [part.name for part in timed.layers]
    assert names[:3] == ["conv1.0", "conv1.1", "conv1.2"]
    assert len(set(names)) == len(names)


def test_tables_end_with_the_whole_model(timed):
    layers, kinds = layer_time_table(timed), kind_time_table(timed)
    assert layers.rows[-1][:2] == ("", SPEC)
    assert kinds.rows[-1][0] == "all"
    for table in (layers, kinds):
        shares = table.column("time_share")
        assert shares[-1] == pytest.approx(1)
        assert sum(shares[:-1]) == pytest.approx(1)
        assert set(table.column("dispatch_ms")) == {None}
        assert table.column("macs")[-1] == sum(table.column("macs")[:-1])


def test_percent_of_peak_is_the_rate_over_the_device(timed):
    table = kind_time_table(timed)
    total = timed.total
    rate = total.work.flops / (total.time_ms / 1e3)
    assert table.column("peak_share")[-1] == pytest.approx(rate / 1e6)
    assert table.column("floor_share")[-1] == pytest.approx(total.floor_ms / total.time_ms)


def test_note_tells_wall_and_profiled_time_apart(timed):
    notes = layer_time_table(timed).notes
    assert any("on the wall clock; under the profiler" in note.text for note in notes)
    assert any("a slow device" in note.text for note in notes)


def test_threads_are_put_back():
    before = torch.get_num_threads()
    measured_layers("conv,in=4,resolution=8", Conditions(threads=before + 1), device=SLOW, passes=1)
    assert torch.get_num_threads() == before


def test_amp_counts_in_the_dtype_of_autocast():
    device = Device("d", "d", 1e9, {"float32": 1e9, "bfloat16": 1e9}, {}, None, {})
    timed = measured_layers(
        "conv,in=4,resolution=8", Conditions(dtype="amp"), device=device, passes=1
    )
    assert timed.roofline.dtype == "bf16"
    assert any(note.text.startswith("amp: ") for note in layer_time_table(timed).notes)


@pytest.mark.parametrize(
    ("conditions", "option"),
    [
        (Conditions(compile=True), "compile="),
        (Conditions(backward=True), "backward="),
        (Conditions(device="cuda", cold=True), "cold="),
        (Conditions(device="cuda", cuda_graph=True), "cuda_graph="),
    ],
)
def test_condition_without_single_ops_is_refused(conditions, option):
    with pytest.raises(LatencyError, match=f"leave {option} out"):
        measured_layers("conv", conditions, device=SLOW)


def test_missing_gpu_is_told():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(LatencyError, match="Devices: cpu"):
        measured_layers("conv", Conditions(device="cuda"), device=SLOW)


def test_unknown_device_is_told():
    with pytest.raises(DeviceError, match="write cpu, cuda"):
        measured_layers("conv", Conditions(device="tpu"), device=SLOW)


@pytest.mark.cuda
def test_times_on_a_gpu_are_of_kernels():
    timed = measured_layers(SPEC, Conditions(device="cuda", batch=2), device=SLOW, passes=3)
    assert timed.total.time_ms > 0
    assert timed.total.dispatch_ms > 0
    assert timed.dispatch_ms <= timed.wall_ms
    assert all(part.dispatch_ms is not None for part in timed.layers)


class Slow:
    """A clock on which every reading is ten seconds after the one before."""

    def __init__(self):
        self.now = 0

    def now_ns(self):
        self.now += 10**10
        return self.now


def test_slow_model_makes_few_passes():
    clock = Slow()
    timed = measured_layers("conv,in=4,resolution=8", Conditions(), device=SLOW, clock=clock)
    assert (timed.wall_ms, timed.watched_ms) == (20_000, 20_000)
    # Two readings for each of three calls to warm up, three for each of three passes, without the
    # profiler and under it.
    assert clock.now == (3 * 2 + 2 * 3 * 3) * 10**10


@pytest.mark.parametrize(("others", "said"), [(10**4, True), (None, False)])
def test_busy_machine_is_told(monkeypatch, others, said):
    monkeypatch.setattr("archstat.measure.latency.layers.others_runnable", lambda: others)
    timed = measured_layers("conv,in=4,resolution=8", Conditions(threads=1), device=SLOW, passes=1)
    assert any("Busy machine" in note.text for note in layer_time_table(timed).notes) == said


def test_layer_table_gives_layers_or_kinds(monkeypatch):
    monkeypatch.setattr("archstat.measure.latency.layers.local_device", lambda where: SLOW)
    conditions = Conditions(threads=1)
    assert layer_table("conv,in=4", conditions, ["4x8x8"]).column("layer") == ("conv1", "")
    kinds = layer_table("conv,in=4", conditions, ["4x8x8"], by_kind=True)
    assert kinds.column("kind") == ("convolution", "all")

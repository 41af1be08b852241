"""The local device: measured by a clock that the tests hold, and kept in a folder of theirs."""

from __future__ import annotations

import pytest

from archstat.analyses.device_files import read_devices
from archstat.errors import DeviceError
from archstat.measure.latency import local_device as module
from archstat.measure.latency.local_device import cache_folder, local_device

COPIED = 2**12


class Clock:
    """A clock that goes on by a fifth of a second whenever it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return 0.2 * self.looks


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "_COPIED", {"cpu": COPIED})


def test_rates_are_work_over_time(tmp_path):
    found = local_device(folder=tmp_path, clock=Clock())
    product = 2 * 256**3 / 0.2
    assert found.bandwidth == pytest.approx(2 * COPIED / 0.2, rel=1e-3)
    assert found.vector == pytest.approx({"float32": product, "float64": product}, rel=1e-3)
    assert found.tensor == pytest.approx({"float16": product, "bfloat16": product}, rel=1e-3)
    assert found.memory
    assert "threads, measured 20" in found.title
    assert "with torch" in found.sources["vector"]


def test_larger_products_are_tried_until_one_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LONG_ENOUGH", {"cpu": 0.3})
    monkeypatch.setattr(module, "_SIZES", (8, 16))
    found = local_device(folder=tmp_path, clock=Clock())
    assert found.vector["float32"] == pytest.approx(2 * 16**3 / 0.2, rel=1e-3)


def test_measured_once_and_kept(tmp_path, capsys):
    clock = Clock()
    first = local_device(folder=tmp_path, clock=clock)
    (kept,) = tmp_path.iterdir()
    assert f"kept in {kept}" in capsys.readouterr().err
    assert read_devices(kept)["local"] == first
    looks = clock.looks
    assert local_device(folder=tmp_path, clock=clock) == first
    assert clock.looks == looks
    assert capsys.readouterr().err == ""


def test_measured_again_on_request_and_where_the_file_is_damaged(tmp_path):
    clock = Clock()
    local_device(folder=tmp_path, clock=clock)
    once = clock.looks
    local_device(again=True, folder=tmp_path, clock=clock)
    assert clock.looks == 2 * once
    (kept,) = tmp_path.iterdir()
    kept.write_text("[devices.local]\nbandwidth = 0\n", encoding="utf-8")
    assert local_device(folder=tmp_path, clock=clock).bandwidth > 0
    assert clock.looks == 3 * once
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    assert local_device(folder=blocked / "archstat", clock=Clock()).bandwidth > 0
    assert "cannot be kept" in capsys.readouterr().err


def test_cache_folder_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "archstat"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "archstat"


def test_gpu_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="torch sees no GPU here"):
        local_device("cuda", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.cuda
def test_a_real_gpu_has_rates_and_is_kept(tmp_path, monkeypatch):
    monkeypatch.undo()
    found = local_device("cuda", folder=tmp_path)
    assert set(found.vector) == {"float32", "float64"}
    assert set(found.tensor) == {"float16", "bfloat16", "tfloat32"}
    assert found.bandwidth > 1e10
    assert local_device("cuda", folder=tmp_path) == found

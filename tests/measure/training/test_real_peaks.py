"""Real runs beside the counts: near each other, refused where there is no room."""

from __future__ import annotations

import sys

import pytest

from archstat.errors import CaptureError, InputError, SpecError
from archstat.frontends import building
from archstat.measure.training.real_peaks import real_peaks
from archstat.measure.training.rows import Plan, memory_row
from archstat.models.pipeline import graph_of_spec

ODD = """
import torch
from torch import nn

class OnlyOnMeta(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        print("forward")
        if not x.is_meta:
            raise RuntimeError("not for real")
        return super().forward(x)
"""


def test_allocator_holds_what_was_counted_and_little_more():
    settings = Plan("adam").settings()
    row = memory_row("squeezenet1_1", settings, ["3x96x96"], 4, measure=True)
    assert row.real is not None
    assert row.real.training_bytes == pytest.approx(row.step.training_memory_bytes, rel=0.05)
    assert row.peak_memory_bytes <= row.real.inference_bytes <= 1.15 * row.peak_memory_bytes


def test_weights_of_the_measured_run_are_of_the_dtype_asked_for():
    single, half = (
        memory_row("resnet18", Plan(dtype=dtype).settings(), ["3x32x32"], 2, measure=True).real
        for dtype in ("fp32", "bf16")
    )
    assert single is not None
    assert half is not None
    # What a library needs besides differs by processor and dtype.
    assert half.inference_bytes == pytest.approx(single.inference_bytes / 2, rel=0.25)


def test_run_that_does_not_fit_is_refused_before_it_starts():
    graph, settings = graph_of_spec("vgg16", None, 2), Plan().settings()
    step = memory_row("vgg16", settings, None, 2).step
    needed = step.training_memory_bytes + step.param_bytes
    with pytest.raises(InputError, match="Choose a smaller batch= or input="):
        real_peaks("vgg16", graph, step, settings, free=needed - 1)


def test_count_with_the_kernels_of_a_gpu_is_not_measured_on_cpu():
    with pytest.raises(SpecError, match="leave kernels='cuda' out"):
        memory_row("lenet5", Plan(kernels="cuda").settings(), measure=True)


def test_model_that_runs_on_meta_alone_is_one_message(tmp_path, capsys):
    path = tmp_path / "odd.py"
    path.write_text(ODD)
    with pytest.raises(CaptureError, match="RuntimeError: not for real"):
        memory_row(f"{path}:OnlyOnMeta", Plan().settings(), ["4"], measure=True)
    assert capsys.readouterr().out.count("forward") == 0


@pytest.mark.parametrize(("limit", "free"), [("1000000", 600_000), ("300000", 0)])
def test_limit_of_the_container_counts(tmp_path, monkeypatch, limit, free):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(building, "_CGROUP", tmp_path)
    assert building.free_bytes() == free


def test_container_without_limit_leaves_what_the_system_has(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_CGROUP", tmp_path)
    assert 0 < building.free_bytes() < sys.maxsize
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert 0 < building.free_bytes() < sys.maxsize

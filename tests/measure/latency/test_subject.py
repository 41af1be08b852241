"""Modules under conditions: what runs, in which dtype and layout, and what is timed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import CaptureError, LatencyError
from archstat.measure.latency import subject as module
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import one_thread, prepared, switches
from archstat.measure.latency.sampling import WallClock
from archstat.measure.latency.subject import (
    Inference,
    Training,
    by_phase,
    check_here,
    moved,
    tensors_moved,
)


class Watched(nn.Module):
    """Keeps what its last call was given, and under which modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.calls = 0

    def forward(self, image, scale=None):
        self.calls += 1
        self.image, self.inference = image, torch.is_inference_mode_enabled()
        made = self.conv(image)
        self.made = made.dtype
        return made.mean((2, 3)) if scale is None else made.mean((2, 3)) * scale


def given():
    return (torch.rand(2, 3, 8, 8),), {}


def sampled(conditions: Conditions, kwargs=None):
    root = moved(Watched(), conditions)
    inputs = tensors_moved((given()[0], kwargs or {}), conditions)
    with prepared(conditions):
        found = Inference(root, inputs, conditions).sample(WallClock(), 3, 2)
    return root, found


def test_a_forward_pass_is_eval_in_inference_mode_and_timed_in_blocks():
    root, found = sampled(Conditions())
    assert root.calls == 6
    assert list(found) == ["forward"]
    assert len(found["forward"]) == 2
    assert all(ms > 0 for ms in found["forward"])
    assert root.inference
    assert not root.training


@pytest.mark.parametrize(
    ("dtype", "weights", "made"),
    [
        ("fp32", torch.float32, torch.float32),
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("amp", torch.float32, torch.bfloat16),
    ],
)
def test_the_dtype_is_that_of_the_conditions(dtype, weights, made):
    root, _ = sampled(Conditions(dtype=dtype))
    assert (root.conv.weight.dtype, root.image.dtype, root.made) == (weights, weights, made)


def test_channels_last_is_of_weights_and_images():
    root, _ = sampled(Conditions(channels_last=True))
    assert root.image.is_contiguous(memory_format=torch.channels_last)
    assert root.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_inputs_by_name_are_given_by_name():
    root, found = sampled(Conditions(), {"scale": torch.rand(4)})
    assert root.calls == 6
    assert len(found["forward"]) == 2


def test_whole_numbers_keep_their_dtype():
    ids = torch.arange(6)
    (moved_ids,), _ = tensors_moved(((ids,), {}), Conditions(dtype="bf16"))
    assert moved_ids.dtype == torch.int64


def test_a_training_step_is_timed_in_parts_that_sum_to_it():
    conditions = Conditions(backward=True)
    root = moved(Watched(), conditions)
    before = root.conv.weight.detach().clone()
    with prepared(conditions):
        found = Training(root, given(), conditions, torch.sum).sample(WallClock(), 2, 3)
    assert root.training
    assert not root.inference
    assert list(found) == list(conditions.phases)
    parts = zip(*(found[phase] for phase in ("forward", "backward", "optimizer")), strict=True)
    assert found["step"] == pytest.approx([sum(times) for times in parts])
    assert root.calls == 6
    assert torch.equal(root.conv.weight, before)
    assert root.conv.weight.grad is None


def test_a_model_without_parameters_cannot_be_trained():
    with pytest.raises(CaptureError, match="no parameter that is trained"):
        Training(nn.ReLU(), given(), Conditions(backward=True), torch.sum).optimize()


def test_marks_become_phases_averaged_over_a_block():
    found = by_phase([[0, 1, 3, 6], [10, 12, 15, 19], [20, 21, 22, 23], [30, 33, 34, 35]], 2)
    assert found == {
        "forward": [1.5, 2],
        "backward": [2.5, 1],
        "optimizer": [3.5, 1],
        "step": [7.5, 4],
    }


def test_a_dtype_without_kernels_is_refused(monkeypatch):
    def refuse(self, *args):
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")

    monkeypatch.setattr(nn.Conv2d, "forward", refuse)
    check_here(Conditions())
    with pytest.raises(LatencyError, match="dtype='fp16': cpu has no convolution in this dtype"):
        check_here(Conditions(dtype="fp16"))


def test_a_gpu_that_is_not_there_is_told_with_the_devices_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LatencyError, match=r"device='cuda:3': torch sees no such GPU.*: cpu\."):
        check_here(Conditions(device="cuda:3"))


def test_threads_and_gradients_are_put_back():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), prepared(Conditions(threads=before + 2)):
        assert torch.get_num_threads() == before + 2
        assert torch.is_inference_mode_enabled()
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()
    with prepared(Conditions(backward=True)):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_switches_are_read_and_not_changed():
    first = switches()
    assert first == switches()
    assert first["cudnn_benchmark"] is torch.backends.cudnn.benchmark
    assert first["matmul_precision"] == torch.get_float32_matmul_precision()
    assert first["tf32_matmul"] is (first["matmul_precision"] != "highest")


def test_a_compiled_model_runs_compiled(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda root: asked.append(root) or root)
    root, _ = sampled(Conditions(compile=True))
    assert asked == [root]


def test_mixed_precision_forgets_its_casts_only_for_a_captured_graph():
    cached = []
    for conditions in (Conditions(dtype="amp"), Conditions(dtype="amp", cuda_graph=True)):
        with module.autocast(conditions):
            cached.append(torch.is_autocast_cache_enabled())
    assert cached == [True, False]

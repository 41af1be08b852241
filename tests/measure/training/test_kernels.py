"""Autocast by own rules, against torch's autocast on cpu and its list for cuda."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from archstat import zoo
from archstat.frontends.building import build_on_meta
from archstat.measure.training.kernels import AUTOCAST, DeviceKernels
from archstat.measure.training.step import Settings, step_on, training_step

F = nn.functional
CPU = torch.device("cpu")
CASES = {
    "conv2d": lambda x, w: F.conv2d(x, w),
    "conv_transpose2d": lambda x, w: F.conv_transpose2d(x, w.transpose(0, 1)),
    "linear": lambda x, w: F.linear(x[..., :3], w.flatten(1)),
    "matmul": lambda x, w: x @ x.transpose(2, 3),
    "einsum": lambda x, w: torch.einsum("nchw,nchv->nwv", x, x),
    "relu": lambda x, w: F.relu(x),
    "relu of a product": lambda x, w: F.relu(F.conv2d(x, w)),
    "softmax of a product": lambda x, w: F.softmax(F.conv2d(x, w), 1),
    "layer_norm of a product": lambda x, w: F.layer_norm(F.conv2d(x, w), (4, 4)),
    "batch_norm of a product": lambda x, w: F.batch_norm(F.conv2d(x, w), None, None, training=True),
    "sum of a product": lambda x, w: F.conv2d(x, w).sum(),
    "product plus single": lambda x, w: F.conv2d(x, w) + 1.0 * w.sum(),
    "cat": lambda x, w: torch.cat([F.conv2d(x, w), F.conv2d(x, w).float()]),
    "pow of a product": lambda x, w: F.conv2d(x, w) ** 2,
    "mse": lambda x, w: F.mse_loss(F.conv2d(x, w), torch.zeros(2, 3, 4, 4, device=x.device)),
    "cross_entropy": lambda x, w: F.cross_entropy(
        F.conv2d(x, w)[:, :, 0, 0], torch.zeros(2, dtype=torch.int64, device=x.device)),
    "mean": lambda x, w: F.conv2d(x, w).mean(),
    "adaptive_avg_pool2d": lambda x, w: F.adaptive_avg_pool2d(F.conv2d(x, w), 1),
    "interpolate": lambda x, w: F.interpolate(F.conv2d(x, w), scale_factor=2, mode="bilinear"),
    "gelu": lambda x, w: F.gelu(F.conv2d(x, w)),
}  # fmt: skip
# What the two devices' lists differ in, by torch's documentation: single on a GPU.
SINGLE_ON_CUDA = {"softmax of a product", "layer_norm of a product", "sum of a product",
                  "pow of a product", "interpolate"}  # fmt: skip


def given(device):
    # as many channels out as in, so that a weight fits either way
    return torch.rand(2, 3, 4, 4, device=device), torch.rand(3, 3, 1, 1, device=device)


@pytest.mark.parametrize("name", CASES)
def test_outputs_have_the_dtype_of_cpu_autocast(name):
    with torch.autocast("cpu", torch.bfloat16):
        expected = CASES[name](*given("cpu")).dtype
    with DeviceKernels("cpu", amp=True):
        assert CASES[name](*given("meta")).dtype == expected


@pytest.mark.parametrize("name", CASES)
def test_outputs_on_cuda_differ_where_torch_says_so(name):
    with DeviceKernels("cpu", amp=True):
        on_cpu = CASES[name](*given("meta")).dtype
    with DeviceKernels("cuda", amp=True):
        on_cuda = CASES[name](*given("meta")).dtype
    half = {torch.bfloat16: torch.float16}.get(on_cpu, on_cpu)
    assert on_cuda == (torch.float32 if name in SINGLE_ON_CUDA else half)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large", "googlenet"])
def test_networks_save_what_they_save_under_cpu_autocast(name):
    net = zoo.build(name)
    given = ((torch.empty(2, 3, 64, 64, device="meta"),), {})
    there = training_step(net, *given, settings=Settings(amp=True))
    here = step_on(CPU, net, given, Settings(amp=True), name)
    assert there.saved_activation_bytes == here.saved_activation_bytes
    assert there.training_memory_bytes == pytest.approx(here.training_memory_bytes, rel=0.01)
    plain = training_step(net, *given)
    assert there.gradient_bytes == plain.gradient_bytes == there.param_bytes
    # Backward keeps the half-precision copies of the weights as well.
    copies = sum(2 * p.numel() for p in net.parameters() if p.dim() > 1)
    assert copies < there.saved_activation_bytes < plain.saved_activation_bytes + copies


def test_weight_used_twice_is_cast_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(50, 50, bias=False)

        def forward(self, x):
            return self.layer(self.layer(x))

    found = training_step(
        Twice(), (torch.empty(2, 50, device="meta"),), settings=Settings(amp=True)
    )
    casts = [m for m in found.moments if m.target == "aten._to_copy.default"]
    # the input, the weight once, the scores for the loss; back: scores, weight, twice none
    assert sum(m.phase == "forward" for m in casts) == 2


def test_attention_and_dropout_take_the_kernels_of_the_device():
    net = nn.Sequential(nn.Linear(40, 40), nn.Dropout(0.5), nn.Linear(40, 40))
    x = (torch.empty(10, 40, device="meta"),)
    floats, bools = (training_step(net, x, settings=Settings(kernels=k)) for k in ("cpu", "cuda"))
    # a mask of 400 elements in four bytes or in one
    assert floats.saved_activation_bytes - bools.saved_activation_bytes == 400 * 3
    vit = build_on_meta(lambda: zoo.build("vit_b_16"))
    found = training_step(vit, (torch.empty(1, 3, 224, 224, device="meta"),))
    assert found.attention == ("flash",)
    assert not any("softmax" in m.target for m in found.moments if m.phase == "forward")


def test_square_is_single_on_a_gpu_as_the_pow_below_it():
    half = torch.empty(3, dtype=torch.float16, device="meta")
    for kernels, dtype in (("cuda", torch.float32), ("cpu", torch.float16)):
        with DeviceKernels(kernels, amp=True):
            assert half.square().dtype is torch.square(half).dtype is dtype


HEADER = Path(torch.__file__).parent / "include" / "ATen" / "autocast_mode.h"


@pytest.mark.skipif(not HEADER.exists(), reason="this build of torch brings no headers")
@pytest.mark.parametrize(("macro", "policy"), [
    ("AT_FORALL_LOWER_PRECISION_FP", "half"),
    ("AT_FORALL_FP32", "single"),
    ("AT_FORALL_FP32_SET_OPT_DTYPE", "single_result"),
    ("AT_FORALL_PROMOTE", "widest"),
])  # fmt: skip
def test_rules_for_cuda_have_every_op_of_torchs_list(macro, policy):
    text = HEADER.read_text()
    found = re.search(rf"#define {macro}\(_\)(.*?)\n\n", text, re.DOTALL)
    if found is None:
        pytest.skip("another version of torch keeps its list elsewhere")
    names = set(re.findall(r"_\((\w+)", found[1]))
    kernels = {n for n in names if n.startswith(("_thnn", "_scaled_dot"))}
    policies = AUTOCAST["cuda"].policies
    assert {n for n in names - kernels if policies.get(n) != policy} == set()


RECURRENT = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "projected": lambda *sizes, **options: nn.LSTM(*sizes, proj_size=2, **options),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@hypothesis.given(
    st.sampled_from(list(RECURRENT)), st.integers(1, 3), st.booleans(), st.booleans(),
    st.booleans(), st.sampled_from([0.0, 0.5]), st.booleans(),
)  # fmt: skip
@hypothesis.settings(max_examples=30, deadline=None)
def test_recurrent_layers_train_on_meta_as_on_cpu(kind, layers, both, first, bias, drop, unbatched):
    net = RECURRENT[kind](
        3, 4, layers, bidirectional=both, batch_first=first, bias=bias,
        dropout=drop if layers > 1 else 0.0,
    )  # fmt: skip
    call = ((torch.rand((5, 3) if unbatched else (5, 2, 3)),), {})
    meta = training_step(net, *call, settings=Settings("adam"))
    real = step_on(torch.device("cpu"), net, call, Settings("adam"), "net")
    alive = [[m.live_bytes for m in step.moments if m.target != "aten.zero_.default"]
             for step in (meta, real)]  # fmt: skip
    assert alive[0] == alive[1]  # classes of samples are filled in a real run alone
    assert meta.saved_activation_bytes == real.saved_activation_bytes
    assert meta.training_macs == real.training_macs
    assert not meta.uncounted


@pytest.mark.parametrize("kind", list(RECURRENT))
def test_gpu_trains_recurrent_layers_by_one_kernel(kind):
    net = RECURRENT[kind](3, 4, 2)
    step = training_step(net, (torch.rand(5, 2, 3),), settings=Settings(kernels="cuda"))
    matrices = sum(p.numel() for p in net.parameters() if p.dim() > 1)
    assert step.device == "meta"
    assert step.training_macs == 3 * 5 * 2 * matrices
    assert step.gradient_bytes == step.param_bytes


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(16, 3 * 16)

    def forward(self, x):
        parts = self.inner(x).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(*parts)


@pytest.mark.parametrize("kernels", ["cpu", "cuda"])
def test_explicit_attention_takes_what_the_math_kernel_takes_for_real(kernels):
    given = ((torch.rand(3, 40, 16),), {})
    settings = Settings(kernels=kernels, explicit=True)
    said = step_on(torch.device("meta"), Attends(), given, settings, "it")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        real = step_on(CPU, Attends(), given, settings, "it")
    assert [m.live_bytes for m in said.moments] == [m.live_bytes for m in real.moments]
    assert said.attention == ("math",)
    # query, key and value in copies, and the scores of two heads
    assert said.saved_activation_bytes == 3 * (3 * 40 * 16 + 2 * 40 * 40) * 4
    fused = training_step(Attends(), *given, Settings(kernels=kernels))
    assert fused.saved_activation_bytes < said.saved_activation_bytes - 3 * 40 * 40 * 4

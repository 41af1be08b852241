"""Which kernel attention runs by, against torch's own choice on cpu, and what meta then records."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend

from archstat.analyses.memory import attention_of, memory
from archstat.analyses.operations import operations
from archstat.analyses.workspaces import attention_workspace
from archstat.frontends.attention import AttentionKernels, kernel_of
from archstat.frontends.module import capture_call, capture_on
from archstat.measure.training.real_peaks import measured_inference_bytes
from archstat.measure.training.step import Settings, step_on

FLASH = 1  # torch.nn.attention.SDPBackend.FLASH_ATTENTION
MASKS = [None, (5, 7), (1, 7), (5, 1), (1, 1, 5, 7), (2, 1, 1, 7), (2, 4, 5, 7), (2, 5, 7),
         (3, 1, 5, 7), (2, 2, 5, 7), (5, 6)]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(0, 5), st.integers(1, 8)),
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(0, 7), st.integers(1, 8)),
    st.sampled_from([None, *MASKS[1:]]),
    st.booleans(),
    st.sampled_from([0.0, 0.1]),
    st.booleans(),
)
def test_choice_on_cpu_is_torchs_own(query, key, mask, causal, dropout, grouped):
    q, k = torch.rand(query), torch.rand(key)
    bias = None if mask is None else torch.zeros(mask)
    chosen = torch._fused_sdp_choice(q, k, k, bias, dropout, causal, enable_gqa=grouped)
    own = kernel_of("cpu", q, k, k, bias, dropout, causal, grouped)
    assert (own == "flash") == (chosen == FLASH)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_choice_with_a_mask_is_torchs_own(mask, dtype):
    q, k = torch.rand(2, 4, 5, 8), torch.rand(2, 4, 7, 8)
    bias = None if mask is None else torch.ones(mask).to(dtype)
    chosen = torch._fused_sdp_choice(q, k, k, bias)
    assert (kernel_of("cpu", q, k, k, bias) == "flash") == (chosen == FLASH)


def test_strided_heads_and_a_trained_mask_have_no_kernel_on_cpu():
    q = torch.rand(2, 4, 8, 5).transpose(2, 3)
    assert kernel_of("cpu", q, q, q) == "math"
    q = torch.rand(2, 4, 5, 8)
    assert kernel_of("cpu", q, q, q, torch.zeros(5, 5, requires_grad=True)) == "math"


def half(*shape, dtype=torch.float16):
    return torch.empty(*shape, dtype=dtype, device="meta")


@pytest.mark.parametrize(("query", "key", "options", "kernel"), [
    ((1, 8, 9, 64), (1, 8, 9, 64), {}, "flash"),
    ((1, 8, 9, 64), (1, 2, 9, 64), {"grouped": True}, "flash"),
    ((1, 8, 9, 256), (1, 8, 9, 256), {}, "flash"),
    ((1, 8, 9, 264), (1, 8, 9, 264), {}, "memory-efficient"),
    ((1, 8, 9, 60), (1, 8, 9, 60), {}, "flash"),
    ((1, 8, 9, 64), (1, 8, 7, 64), {"causal": True}, "memory-efficient"),
    ((1, 8, 9, 64), (1, 2, 7, 64), {"causal": True, "grouped": True}, "math"),
    ((1, 8, 9, 64), (1, 8, 9, 64), {"mask": half(9, 9)}, "memory-efficient"),
    ((1, 8, 9, 60), (1, 8, 9, 60), {"mask": half(9, 9)}, "math"),
    ((1, 8, 9, 64), (1, 8, 9, 64), {"dropout": 0.1}, "flash"),
])  # fmt: skip
def test_choice_on_a_gpu_in_half_precision(query, key, options, kernel):
    assert kernel_of("cuda", half(*query), half(*key), half(*key), **options) == kernel


@pytest.mark.parametrize(("dtype", "groups", "size", "kernel"), [
    (torch.float32, 8, 64, "memory-efficient"), (torch.float32, 2, 64, "math"),
    (torch.float32, 8, 6, "math"), (torch.float64, 8, 64, "math"),
])  # fmt: skip
def test_choice_on_a_gpu_in_other_precision(dtype, groups, size, kernel):
    q, k = half(1, 8, 9, size, dtype=dtype), half(1, groups, 9, size, dtype=dtype)
    assert kernel_of("cuda", q, k, k, grouped=groups < 8) == kernel


class Block(nn.Module):
    """Projections of `heads` queries and `groups` keys around torch's attention."""

    def __init__(self, heads=4, groups=4, size=8, mask=None, **options):
        super().__init__()
        self.heads, self.groups, self.size, self.mask = heads, groups, size, mask
        self.options = options
        self.q = nn.Linear(32, heads * size)
        self.kv = nn.Linear(32, 2 * groups * size)
        self.out = nn.Linear(heads * size, 32)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.groups, self.size).permute(2, 0, 3, 1, 4)
        mask = None if self.mask is None else torch.ones(n, n, device=x.device).to(self.mask)
        y = attend(q, k, v, mask, enable_gqa=self.groups < self.heads, **self.options)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


BLOCKS = {
    "heads": (Block(), "flash"),
    "one head": (Block(1, 1), "flash"),
    "groups": (Block(4, 2), "flash"),
    "one group": (Block(4, 1), "flash"),
    "causal": (Block(is_causal=True), "flash"),
    "causal groups": (Block(4, 2, is_causal=True), "flash"),
    "mask": (Block(mask=torch.float32), "flash"),
    "mask of booleans": (Block(mask=torch.bool), "flash"),
    "masked groups": (Block(4, 2, mask=torch.bool), "flash"),
    "scale": (Block(scale=0.5), "flash"),
    "odd size": (Block(2, 2, 5), "flash"),
    "dropout": (Block(dropout_p=0.1), "math"),
    "dropout over groups": (Block(4, 2, dropout_p=0.1), "math"),
}


@pytest.mark.parametrize("case", BLOCKS)
@pytest.mark.parametrize("length", [1, 33])
def test_inference_on_meta_is_the_one_on_cpu(case, length):
    block, kernel = BLOCKS[case]
    meta, cpu = (
        capture_on(torch.device(device), block, (torch.rand(2, length, 32),), {}, "block")
        for device in ("meta", "cpu")
    )
    assert [op.target for op in meta.ops] == [op.target for op in cpu.ops]
    assert attention_of(meta) == (kernel,)
    assert memory(meta).totals == memory(cpu).totals
    assert operations(meta).totals == operations(cpu).totals


@pytest.mark.parametrize("case", BLOCKS)
def test_training_on_meta_is_the_one_on_cpu(case):
    block, kernel = BLOCKS[case]
    given = ((torch.rand(2, 33, 32),), {})
    meta, cpu = (
        step_on(torch.device(device), block, given, Settings(), "block")
        for device in ("meta", "cpu")
    )
    assert meta.attention == (kernel,)
    assert meta.training_memory_bytes == cpu.training_memory_bytes
    assert meta.saved_activation_bytes == cpu.saved_activation_bytes
    assert meta.training_macs == cpu.training_macs


def test_flash_keeps_a_logarithm_for_each_query_and_no_scores():
    b, n, heads, size, width = 2, 64, 4, 8, 32
    given = ((torch.empty(b, n, width, device="meta"),), {})
    step = step_on(torch.device("meta"), Block(heads, heads, size), given, Settings(), "block")
    q, kv, out = b * n * heads * size, b * n * 2 * heads * size, b * n * heads * size
    # the reshaped output of attention is a view of it
    assert step.saved_activation_bytes == 4 * (q + kv + out + b * heads * n)


def test_math_keeps_scores_and_their_mask():
    b, n, heads, size = 2, 64, 4, 8
    given = ((torch.empty(b, n, 32, device="meta"),), {})
    step = step_on(
        torch.device("meta"), Block(heads, heads, size, dropout_p=0.1), given, Settings(), "block"
    )
    assert step.saved_activation_bytes > 4 * 2 * b * heads * n * n


def test_gpu_in_half_precision_keeps_no_scores_of_groups():
    b, n, heads, groups, size = 1, 128, 4, 2, 8
    given = ((torch.empty(b, n, 32, device="meta"),), {})
    settings = Settings(dtype=torch.bfloat16, kernels="cuda")
    step = step_on(torch.device("meta"), Block(heads, groups, size), given, settings, "block")
    assert step.attention == ("flash",)
    activations = 2 * b * n * (heads + 2 * groups + heads) * size
    logarithms = 4 * b * heads * n
    assert 0 <= step.saved_activation_bytes - activations - logarithms <= 32  # the generator's


@pytest.mark.parametrize(("kernels", "dtype", "names"), [
    ("cpu", torch.float32, ("flash",)), ("cuda", torch.float32, ("memory-efficient",)),
    ("cuda", torch.float16, ("flash",)),
])  # fmt: skip
def test_inference_takes_the_kernels_asked_for(kernels, dtype, names):
    block = Block().to(dtype)
    graph = capture_call(block, (torch.rand(1, 9, 32).to(dtype),), {}, "block",
                         partial(AttentionKernels, kernels))  # fmt: skip
    assert attention_of(graph) == names


@pytest.mark.parametrize(("length", "rows"), [(5, 5), (100, 32), (192, 64), (768, 256)])
def test_workspace_is_a_block_of_scores(length, rows):
    query = (2, 4, length, 8)
    block = rows * min(length, 512)
    assert attention_workspace(query, length, 4, backward=False) == 4 * (block + rows * (2 + 8))
    assert attention_workspace(query, length, 4, backward=True) == 4 * 2 * block


def test_allocator_on_one_thread_has_the_counted_peak():
    block, given = Block(4, 2), ((torch.rand(1, 800, 32),), {})
    counted = memory(capture_call(block, *given, "block")).totals["peak_memory_bytes"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert measured_inference_bytes(block, given) == counted
    finally:
        torch.set_num_threads(threads)


def test_attention_inside_torchs_own_layers_is_seen():
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    graph = capture_call(layer, (torch.rand(2, 9, 32),), {}, "layer")
    assert attention_of(graph) == ("flash",)


def test_forward_that_catches_everything_is_recorded_whole():
    class Careful(Block):
        def forward(self, x):
            try:
                return super().forward(x)
            except Exception:
                return x

    graph = capture_call(Careful(), (torch.rand(2, 9, 32),), {}, "careful")
    assert attention_of(graph) == ("flash",)

"""What oneDNN's LSTM keeps and takes, against the kernel itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archstat.analyses.workspaces import lstm_reserve, lstm_scratch

sizes = st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 300), st.integers(1, 300))


@given(sizes, st.sampled_from([torch.float32, torch.bfloat16]))
@settings(max_examples=30, deadline=None)
def test_reserve_is_what_the_kernel_returns(size, dtype):
    steps, batch, features, hidden = size
    weights = [torch.zeros(4 * hidden, n, dtype=dtype) for n in (features, hidden)]
    biases = [torch.zeros(4 * hidden, dtype=dtype)] * 2
    state = torch.zeros(batch, hidden, dtype=dtype)
    x = torch.zeros(steps, batch, features, dtype=dtype)
    try:
        reserve = torch.ops.aten.mkldnn_rnn_layer(
            x, *weights, *biases, state, state, False, [], 2, hidden, 1, True, False, False, True
        )[3]
    except RuntimeError as error:  # a processor whose library has no such kernel
        assume("primitive descriptor" not in str(error))
        raise
    assert lstm_reserve(size[:3], hidden, x.element_size()) == reserve.numel()


def test_scratch_holds_the_gates_of_all_steps_in_training_and_of_one_in_inference():
    x, hidden = (500, 64, 64), 128
    gates = 500 * 64 * (4 * hidden + 16) * 4  # rows of 512 numbers would be multiples of 256
    forward, backward = (lstm_scratch(x, hidden, during) for during in ("forward", "backward"))
    assert gates < forward < backward < 1.02 * gates
    states = 2 * 2 * 501 * 64 * hidden * 4  # before and after the layer, and as many cells
    assert lstm_scratch(x, hidden, "inference") == pytest.approx(states, rel=0.02)

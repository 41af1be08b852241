"""The written-out optimizers against torch's own, in the same count."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.measure.training.mode import CountingMode
from archstat.measure.training.optimizers import OPTIMIZERS, optimizer_named

SHAPES = ((64, 32), (32,), (8, 4, 3, 3), (500,))
REAL = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}


def parameters():
    made = [nn.Parameter(torch.rand(shape)) for shape in SHAPES]
    for parameter in made:
        parameter.grad = torch.rand_like(parameter)
    return made


def most(mode):
    return max(moment.live_bytes for moment in mode.account.moments)


def peak_of_torchs(name, way):
    kind, options = REAL[name]
    made = parameters()
    optimizer = kind(made, foreach=way == "foreach", fused=way == "fused", **options)
    optimizer.step()
    states = [
        value
        for state in optimizer.state.values()
        for key, value in state.items()
        if torch.is_tensor(value) and key != "step"
    ]
    mode = CountingMode(torch.device("cpu"))
    mode.account.give([*made, *(p.grad for p in made)])
    kept = mode.account.give(states)
    with mode:
        optimizer.step()
    return kept, most(mode)


def peak_of_ours(name, way):
    made = [p.detach() for p in parameters()]
    grads = [torch.rand_like(p) for p in made]
    optimizer = OPTIMIZERS[name]
    states = optimizer.new_states(made)
    mode = CountingMode(torch.device("cpu"))
    mode.account.give([made, grads])
    kept = mode.account.give(states)
    with mode, torch.no_grad():
        optimizer.step(made, grads, states, way)
    return kept, most(mode)


@pytest.mark.parametrize("way", ["each", "foreach", "fused"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_states_and_peak_are_those_of_torch_optim(name, way):
    kept, peak = peak_of_torchs(name, way)
    ours_kept, ours = peak_of_ours(name, way)
    assert ours_kept == kept
    # torch's step counters: a few bytes a parameter, on the host.
    assert 0 <= peak - ours <= 8 * (len(SHAPES) + 1)


def test_way_is_named_by_the_argument_of_torch():
    assert optimizer_named("adamw").way is None
    for name, way in (("adamw,fused=true", "fused"), ("sgd,foreach=false", "each")):
        assert optimizer_named(name).way == way
    for wrong, meant in (("adamw,fused=tru", "fused=true"), ("adm,fused=true", "adam")):
        with pytest.raises(OptionError, match=f"Did you mean {meant}"):
            optimizer_named(wrong)

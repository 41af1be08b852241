"""A training step: its parts as products of dimensions, and a module that stays as it was."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import weight_norm as parametrized_weight_norm

from archstat.errors import CaptureError, OptionError
from archstat.measure.training.live_bytes import foreseen
from archstat.measure.training.step import Settings, step_on, training_step

FLOAT, CLASS = 4, 8
SIZES = st.integers(1, 40)


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


def step(module, *shape, **options):
    return training_step(module, (meta(*shape),), settings=Settings(**options))


def mlp(*widths):
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


def test_trace_of_a_training_makes_states_in_the_first_step_and_lets_gradients_go():
    module = nn.Linear(3, 2, bias=False)
    given = ((torch.empty(4, 3, device="meta"),), {})
    step = training_step(module, *given, Settings("momentum"))
    trace, held = step.trace, {}
    weight = 2 * 3 * 4
    for owner, nbytes in trace.steps(2):
        held[owner] = held.get(owner, 0) + nbytes
        assert held[owner] >= 0
    assert sum(held.values()) == 2 * weight + 4 * 3 * 4  # weight, momentum, input
    states = [owner for owner, _ in trace.steps(1)].index(trace.states[0])
    assert states > trace.given  # made after forward and backward
    assert len(list(trace.steps(2))) > 1.5 * len(list(trace.steps(1)))


def test_gradients_that_are_kept_stay_between_steps_and_take_each_steps_own_once_more():
    weight, samples = 2 * 3 * FLOAT, 4 * 3 * FLOAT
    trace = step(nn.Linear(3, 2, bias=False), 4, 3, optimizer="momentum").trace
    for count in (1, 2, 3):
        held = [nbytes for _, nbytes in trace.steps(count, gradients_kept=True)]
        assert sum(held) == 3 * weight + samples  # weight, momentum, gradient, input
        assert len(held) == trace_length(trace, count) + (count - 1)
    free = [nbytes for _, nbytes in trace.steps(2)]
    assert sum(free) == 2 * weight + samples


def trace_length(trace, count):
    """Events of so many steps of which nothing goes in between."""
    return trace.given + count * (len(trace.events) - trace.given)


def test_linear_chain_saves_its_activations_and_the_loss_its_scores():
    batch, first, hidden, classes = 6, 10, 20, 7
    found = step(mlp(first, hidden, classes), batch, first)
    params = first * hidden + hidden + hidden * classes + classes
    assert found.param_bytes == found.gradient_bytes == params * FLOAT
    assert found.input_bytes == batch * first * FLOAT
    # ReLU's output, which the second layer reads as well; log-softmax; the sum of the weights
    assert found.saved_activation_bytes == (batch * hidden + batch * classes + 1) * FLOAT
    assert found.optimizer_bytes == 0
    assert found.loss == "cross-entropy"


def test_convolution_and_relu_save_one_map():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU())
    found = step(net, 2, 3, 12, 10)
    assert found.saved_activation_bytes == 2 * 8 * 10 * 8 * FLOAT
    assert found.loss == "sum"


def test_batch_norm_runs_in_training_and_saves_its_statistics():
    net = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8)).eval()
    found = step(net, 2, 3, 6, 6)
    assert found.saved_activation_bytes == (2 * 8 * 6 * 6 + 2 * 8) * FLOAT


@pytest.mark.parametrize(("name", "copies"), [("sgd", 2), ("momentum", 3), ("adam", 4)])
def test_weights_gradients_and_states_are_copies_of_the_parameters(name, copies):
    net = nn.Linear(300, 200, bias=False)
    found = step(net, 1, 300, optimizer=name)
    params = 300 * 200 * FLOAT
    assert found.param_bytes + found.gradient_bytes + found.optimizer_bytes == copies * params
    last = found.moments[-1]
    # Input, output, class and loss are the rest at the end of the step.
    rest = (300 + 200 + 1) * FLOAT + CLASS
    temporaries = params if name == "adam" else 0
    assert last.live_bytes == copies * params + temporaries + rest
    assert last.phase == "optimizer"


def test_foreach_needs_a_temporary_of_all_parameters():
    net = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False))
    single, together = (step(net, 1, 100, optimizer="adam", kernels=k) for k in ("cpu", "cuda"))
    assert together.moments[-1].live_bytes - single.moments[-1].live_bytes == 100 * 100 * FLOAT
    assert together.optimizer_bytes == single.optimizer_bytes


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.lists(SIZES, min_size=2, max_size=5), st.sampled_from(["sgd", "adam"]))
def test_every_mlp_has_the_parts_of_its_sizes(batch, widths, optimizer):
    widths = [*widths, 3]
    pairs = list(pairwise(widths))
    found = step(mlp(*widths), batch, widths[0], optimizer=optimizer)
    params = sum(a * b + b for a, b in pairs)
    assert found.param_bytes == found.gradient_bytes == params * FLOAT
    assert found.optimizer_bytes == {"sgd": 0, "adam": 2}[optimizer] * params * FLOAT
    assert found.saved_activation_bytes == (batch * sum(widths[1:]) + 1) * FLOAT
    # forward, gradient of every weight, gradient of every input but the first
    products = batch * sum(a * b for a, b in pairs)
    assert found.training_macs == 3 * products - batch * widths[0] * widths[1]
    floor = found.param_bytes + found.gradient_bytes + found.optimizer_bytes + found.input_bytes
    assert found.training_memory_bytes >= floor


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.lists(SIZES, min_size=2, max_size=4),
       st.sampled_from(["sgd", "momentum", "adamw"]))  # fmt: skip
def test_meta_and_cpu_count_the_same_moments(batch, widths, optimizer):
    net = mlp(*widths, 3)
    chosen = Settings(optimizer)
    there = training_step(net, (meta(batch, widths[0]),), settings=chosen)
    here = step_on(torch.device("cpu"), net, ((meta(batch, widths[0]),), {}), chosen, "net")
    assert [m.live_bytes for m in there.moments if m.phase == "backward"] == [
        m.live_bytes for m in here.moments if m.phase == "backward"
    ]
    assert there.training_memory_bytes == here.training_memory_bytes


NORMS = {
    "batch norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
    "instance norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8)),
    "group norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)),
    "layer norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm((8, 6, 6))),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("norm", NORMS)
def test_statistics_of_norms_are_those_of_cpu_in_every_dtype(norm, dtype):
    net, chosen = NORMS[norm]().to(dtype), Settings(dtype=dtype)
    given = ((torch.empty(4, 3, 8, 8, device="meta", dtype=dtype),), {})
    there = training_step(net, *given, chosen)
    here = step_on(torch.device("cpu"), net, given, chosen, norm)
    assert there.training_memory_bytes == here.training_memory_bytes
    assert there.saved_activation_bytes == here.saved_activation_bytes


def test_statistics_of_norms_are_single_on_a_gpu():
    net = NORMS["layer norm"]().to(torch.bfloat16)
    given = ((torch.empty(4, 3, 8, 8, device="meta", dtype=torch.bfloat16),), {})
    saved = [training_step(net, *given, Settings(dtype=torch.bfloat16, kernels=kernels))
             .saved_activation_bytes for kernels in ("cpu", "cuda")]  # fmt: skip
    assert saved[1] - saved[0] == 2 * 4 * 2  # two statistics, four samples, two bytes more


def test_dtype_halves_what_is_floating_point():
    net = mlp(64, 64, 10)
    single, half = (step(net, 8, 64, dtype=d) for d in (None, torch.float16))
    for key in ("param_bytes", "gradient_bytes", "input_bytes"):
        assert getattr(single, key) == 2 * getattr(half, key)
    assert next(net.parameters()).dtype == torch.float32


def test_tied_parameters_have_one_gradient_and_one_state():
    net = nn.Sequential(nn.Linear(30, 30, bias=False), nn.Linear(30, 30, bias=False))
    net[1].weight = net[0].weight
    found = step(net, 2, 30, optimizer="adam")
    assert found.param_bytes == found.gradient_bytes == 30 * 30 * FLOAT
    assert found.optimizer_bytes == 2 * 30 * 30 * FLOAT


def test_frozen_and_unused_parameters_have_neither_gradient_nor_state():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.used, self.unused = (nn.Linear(9, 9, bias=False) for _ in range(3))
            self.frozen.requires_grad_(False)

        def forward(self, x):
            return self.used(self.frozen(x))

    found = step(Net(), 2, 9, optimizer="momentum")
    each = 9 * 9 * FLOAT
    parts = (found.param_bytes, found.gradient_bytes, found.optimizer_bytes)
    assert parts == (3 * each, each, each)


def snapshot(net):
    return {
        "state": {key: value.clone() for key, value in net.state_dict().items()},
        "objects": [id(t) for t in (*net.parameters(), *net.buffers())],
        "versions": [t._version for t in (*net.parameters(), *net.buffers())],
        "grads": [p.grad for p in net.parameters()],
        "modes": [m.training for m in net.modules()],
        "entries": [sorted(m.__dict__) for m in net.modules()],
    }


def assert_same(before, after):
    states = zip(before["state"].values(), after["state"].values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)
    for key in ("objects", "versions", "grads", "modes", "entries"):
        assert before[key] == after[key]


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_module_and_generators_stay_as_they_were(device):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU(inplace=True))
    net[1].eval()
    before, random = snapshot(net), torch.get_rng_state()
    step_on(torch.device(device), net, ((torch.rand(2, 3, 8, 8),), {}), Settings("adam"), "net")
    # The input above is drawn by the test itself, and by it alone.
    expected = torch.get_rng_state()
    torch.set_rng_state(random)
    torch.rand(2, 3, 8, 8)
    assert torch.equal(torch.get_rng_state(), expected)
    assert_same(before, snapshot(net))


def test_module_stays_as_it_was_when_forward_raises():
    class Raising(nn.Sequential):
        def forward(self, x):
            super().forward(x)
            raise ValueError("after its layers")

    net = Raising(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = snapshot(net)
    with pytest.raises(CaptureError, match="after its layers"):
        step(net, 2, 3)
    assert_same(before, snapshot(net))


def test_old_weight_norm_and_parametrizations_train():
    with pytest.warns(FutureWarning):
        old = nn.utils.weight_norm(nn.Linear(6, 5))
    new = parametrized_weight_norm(nn.Linear(6, 5))
    weights = (6 * 5 + 5 + 5) * FLOAT
    assert [step(net, 2, 6).gradient_bytes for net in (old, new)] == [weights, weights]


def test_lazy_modules_train_and_stay_lazy():
    net = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
    assert step(net, 3, 4, optimizer="momentum").optimizer_bytes == (4 * 5 + 5 + 5 * 2 + 2) * FLOAT
    assert nn.parameter.is_lazy(net[0].weight)


def test_module_on_meta_gets_no_gradients():
    with torch.device("meta"):
        net = mlp(4, 5, 3)
    versions = [p._version for p in net.parameters()]
    assert step(net, 2, 4, optimizer="adam").device == "meta"
    assert [p.grad for p in net.parameters()] == [None] * 4
    assert [p._version for p in net.parameters()] == versions


def test_own_train_method_is_named_and_not_called():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()
            return self

    layers = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
    plain, frozen = (step(kind(*layers), 2, 3, 5, 5) for kind in (nn.Sequential, Frozen))
    assert plain.saved_activation_bytes == frozen.saved_activation_bytes
    assert (plain.own_train, frozen.own_train) == ((), ("Frozen",))


def test_forward_that_reads_numbers_runs_for_real():
    class Looking(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (2 if x.sum().item() > 0 else 1)

    net = Looking(4, 3)
    before = snapshot(net)
    found = step(net, 2, 4)
    assert found.device == "cpu"
    assert found.gradient_bytes == (4 * 3 + 3) * FLOAT
    assert_same(before, snapshot(net))


def test_tables_that_forward_makes_meet_activations():
    class Gathering(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(7, 5))
            self.order = torch.tensor([3, 1, 2])  # a plain attribute

        def forward(self, x):
            rows = self.table[self.order + torch.arange(3)]
            return (x @ rows.t()) * torch.ones(3)

    found = step(Gathering(), 2, 5)
    assert (found.device, found.gradient_bytes) == ("meta", 7 * 5 * FLOAT)


def test_checkpointing_saves_less_and_computes_more():
    from torch.utils.checkpoint import checkpoint

    class Block(nn.Module):
        def __init__(self, again):
            super().__init__()
            self.layers, self.again = mlp(32, 64, 64, 32), again

        def forward(self, x):
            if self.again:
                return checkpoint(self.layers, x, use_reentrant=False)
            return self.layers(x)

    def net(again):
        return nn.Sequential(*(Block(again) for _ in range(4)))

    kept, redone = (step(net(again), 64, 32) for again in (False, True))
    assert redone.saved_activation_bytes < kept.saved_activation_bytes
    assert redone.training_memory_bytes < kept.training_memory_bytes
    assert redone.training_macs > kept.training_macs


def test_several_outputs_add_their_losses():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 6)

        def forward(self, x):
            return {"scores": self.a(x), "maps": self.b(x).view(-1, 2, 3)}

    found = step(Two(), 5, 4)
    assert found.gradient_bytes == (4 * 3 + 3 + 4 * 6 + 6) * FLOAT
    assert found.loss == "cross-entropy"


def test_peak_names_phase_and_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.small, self.large = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 200, 1)

        def forward(self, x):
            return self.large(self.small(x)).mean(1)

    peak = step(Net(), 2, 3, 16, 16).peak
    assert (peak.phase, peak.module) in {("backward", "(root)"), ("backward", "large")}
    assert peak.live_bytes > 2 * 200 * 16 * 16 * FLOAT


def test_backward_ops_belong_to_the_modules_of_forward():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    moments = step(net, 2, 3, 9, 9).moments
    places = [m.module for m in moments if m.target.startswith("aten.convolution_backward")]
    assert places == ["2", "0"]
    (relu,) = {m.module for m in moments if m.target.startswith("aten.threshold_backward")}
    assert relu == "1"


def test_output_without_gradient_is_one_message():
    class Choosing(nn.Linear):
        def forward(self, x):
            return super().forward(x).argmax(1)

    with pytest.raises(CaptureError, match=r"cannot be trained: no gradient .*int64"):
        step(Choosing(4, 3), 2, 4)
    with pytest.raises(CaptureError, match="cannot be trained"):
        step(copy.deepcopy(nn.Linear(4, 3)).requires_grad_(False), 2, 4)


def test_batch_norm_of_one_value_says_which_batch_would_do():
    with pytest.raises(CaptureError, match="give batch=2 or more"):
        step(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), 1, 4)


def test_scripted_module_is_refused():
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.script(nn.Linear(4, 3))
    with pytest.raises(CaptureError, match=r"before torch\.jit\.script"):
        step(scripted, 2, 4)


def test_unknown_optimizer_names_the_nearest():
    with pytest.raises(OptionError, match="Did you mean adam"):
        step(nn.Linear(4, 3), 2, 4, optimizer="adma")


@pytest.mark.parametrize("options", [{}, {"kernels": "cuda", "amp": True}, {"optimizer": "adam"}])
def test_checkpointed_modules_take_what_a_model_takes_that_calls_checkpoint(options):
    from torch.utils.checkpoint import checkpoint

    class Again(nn.Sequential):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=False)

    def net(kind):
        blocks = (kind(*mlp(32, 64, 64, 32), nn.Dropout(0.5)) for _ in range(4))
        return nn.Sequential(nn.Linear(32, 32), *blocks)

    samples = 1024
    said = step(net(nn.Sequential), samples, 32, checkpoint=("[1-4]",), **options)
    own = step(net(Again), samples, 32, **options)  # the first would import the compiler inside
    kept = step(net(nn.Sequential), samples, 32, **options)
    # Of a function that runs again, unlike of a module, casts of biases go before its end.
    casts = 2 * (64 + 64 + 32) if options.get("amp") else 0
    for ours, its in zip(said.moments, own.moments, strict=True):
        assert 0 <= ours.live_bytes - its.live_bytes <= casts
    assert said.training_macs == own.training_macs > kept.training_macs
    # The casts that the second runs made are gone.
    assert said.moments[-1].live_bytes == kept.moments[-1].live_bytes
    assert said.saved_activation_bytes < kept.saved_activation_bytes


@pytest.mark.parametrize("options", [{}, {"amp": True}, {"kernels": "cuda", "amp": True}])
def test_attention_that_a_model_runs_again_takes_the_kernels_that_it_took(options):
    from torch.utils.checkpoint import checkpoint

    class Again(nn.ModuleList):
        def forward(self, x):
            for layer in self:
                x = checkpoint(layer, x, use_reentrant=False)
            return x

    class Once(nn.ModuleList):
        def forward(self, x):
            for layer in self:
                x = layer(x)
            return x

    def layers():
        return [nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2)]

    own = step(Again(layers()), 4, 9, 16, **options)
    said = step(Once(layers()), 4, 9, 16, checkpoint=("?",), **options)
    assert own.attention == said.attention
    assert [m.live_bytes for m in own.moments] == [m.live_bytes for m in said.moments]


@pytest.mark.parametrize("options", [{}, {"kernels": "cuda", "amp": True, "optimizer": "adam"}])
def test_step_at_another_batch_is_foreseen_to_the_byte(options):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                        nn.Linear(4 * 6 * 6, 5), nn.Dropout(0.5))  # fmt: skip
    one, two, other = (step(net, n, 3, 8, 8, **options) for n in (2, 3, 17))
    said = foreseen({2: one, 3: two}, 17)
    assert said.trace.events == other.trace.events
    assert [m.live_bytes for m in said.moments] == [m.live_bytes for m in other.moments]
    assert foreseen({2: one, 3: step(nn.Conv2d(3, 4, 3), 3, 3, 8, 8)}, 17) is None


def test_pattern_that_matches_no_module_is_refused_with_near_names():
    with pytest.raises(OptionError, match="layer1"):
        step(nn.Sequential(OrderedDict(layer1=nn.Linear(3, 3))), 2, 3, checkpoint=("layr1",))


class Listed(nn.Module):
    """Calls the elements of a list, and those of a sequence that it never calls as a whole."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3))
        self.more = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x):
        for layer in (*self.layers, *self.more):
            x = layer(x)
        return x


def test_elements_stand_for_a_list_of_modules():
    found = step(Listed(), 4, 8, checkpoint=("layer*",))
    assert found.checkpointed == ("layers.0", "layers.1", "layers.2")
    assert found.training_macs - step(Listed(), 4, 8).training_macs == 3 * 4 * 8 * 8


def test_module_that_forward_never_calls_is_no_place_for_a_checkpoint():
    with pytest.raises(OptionError, match="forward never calls more; name the modules inside"):
        step(Listed(), 4, 8, checkpoint=("*",))
    assert step(Listed(), 4, 8, checkpoint=("more.?",)).checkpointed == ("more.0", "more.1")


def test_training_forward_that_ends_the_process_does_not():
    class Exit(nn.Linear):
        def forward(self, x):
            raise SystemExit("no")

    with pytest.raises(CaptureError, match="training step of Exit raised SystemExit: no"):
        step(Exit(3, 3), 2, 3)


FIRST_AND_SECOND = """
from torch import nn
import torch
from archstat.measure.training.step import Settings, training_step
net = nn.Sequential(*(nn.Sequential(nn.Linear(32, 32), nn.ReLU()) for _ in range(4)))
x = torch.empty(8, 32, device="meta")
once, again = (training_step(net, (x,), {}, Settings(checkpoint=("?",))) for _ in range(2))
assert once == again
"""


@pytest.mark.slow
def test_the_first_checkpointed_step_of_a_process_takes_what_the_second_takes():
    subprocess.run([sys.executable, "-c", FIRST_AND_SECOND], check=True)

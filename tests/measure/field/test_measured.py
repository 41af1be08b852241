"""Measuring by NaN: what is cut, what is left as it was, what a wrong theory looks like."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.analyses.field import receptive_field
from archstat.errors import BuildError, CaptureError, LookupFailedError
from archstat.frontends.module import capture
from archstat.measure.field.measured import gates_of, measured_field


def fields_of(network, *shape):
    return receptive_field(capture(network, torch.empty(1, *shape, device="meta")))


class Excited(nn.Module):
    """A convolution, scaled by a gate that sees the whole input."""

    def __init__(self, swapped=False, inplace=False):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.squeeze = nn.Conv2d(2, 2, 1)
        self.swapped, self.inplace = swapped, inplace

    def forward(self, x):
        x = self.conv(x)
        gate = self.squeeze(x.mean((2, 3), keepdim=True)).sigmoid()
        if self.inplace:
            return x.mul_(gate)
        return gate * x if self.swapped else x * gate


@pytest.mark.parametrize("options", [{}, {"swapped": True}, {"inplace": True}])
def test_gate_is_cut_for_the_local_field_and_left_in_for_the_global_one(options):
    network = Excited(**options).eval()
    fields = fields_of(network, 2, 9, 9)
    check = measured_field(network, fields, fields.of_value(fields.graph.outputs[0]))
    assert check.agrees
    assert len(check.gates) == 1
    assert check.seen[0][4] == {3, 4, 5}
    assert check.seen_through_gates[0][4] == set(range(9))
    assert check.positions == check.exact == (18, 18)
    assert len(gates_of(fields, 0)) == 1


def test_relu6_and_zero_weights_hide_nothing():
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU6(), nn.MaxPool2d(3, 2, 1))
    nn.init.zeros_(network[0].weight)
    nn.init.constant_(network[0].bias, 100)
    check = measured_field(network, fields_of(network, 1, 12, 12))
    assert check.agrees
    assert check.seen[0][2] == set(range(2, 7))


def test_theory_of_another_network_disagrees_with_position_and_both_intervals():
    wide, narrow = nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3, padding=1)
    check = measured_field(narrow, fields_of(wide, 1, 10, 10))
    assert not check.agrees
    first = check.disagreements[0]
    assert (first.axis, first.position) == (0, 2)
    assert (first.expected, first.measured) == ((0, 4), (1, 3))
    assert "DIFFERS" in check.lines()[0]
    assert check.lines()[1] == "axis 0, position 2 (gates cut): sees 1..3, expected 0..4"


def test_module_of_other_shapes_is_not_the_one_that_was_counted():
    with pytest.raises(CaptureError, match="makes 1x1x8x8 where 1x1x6x6 was counted"):
        measured_field(nn.Conv2d(1, 1, 3), fields_of(nn.Conv2d(1, 1, 5), 1, 10, 10))


def test_seeing_less_is_allowed_where_padding_is_read_and_seeing_more_never_is():
    theory = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2))
    smaller = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
    check = measured_field(smaller, fields_of(theory, 1, 9, 9))
    assert {d.position for d in check.disagreements} == set(range(2, 7))
    check = measured_field(theory, fields_of(smaller, 1, 9, 9))
    assert {d.position for d in check.disagreements} == set(range(9))


class MixesBatch(nn.Module):
    """Subtracts the mean over the batch: the entries of a batch are not independent."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x - x.mean(0, keepdim=True))


class OneAtATime(nn.Module):
    """Refuses every other batch size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x).view(1, 1, 4, 5)


@pytest.mark.parametrize("network", [MixesBatch(), OneAtATime()])
def test_network_that_runs_no_batch_is_run_once_an_index(network):
    check = measured_field(network, fields_of(network, 1, 6, 7))
    assert check.agrees
    assert check.seen[1][4] == {4, 5, 6}


def test_module_is_left_as_it_was_and_no_generator_advances():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Dropout(0.5)
    ).train()
    calls = []
    network[0].register_forward_hook(lambda *_: calls.append(1))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    attributes = [dict(vars(module)) for module in network.modules()]
    versions = [tensor._version for tensor in network.state_dict().values()]
    generator = torch.get_rng_state()
    measured_field(network, fields_of(network, 1, 8, 8))
    assert attributes == [dict(vars(module)) for module in network.modules()]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert versions == [tensor._version for tensor in network.state_dict().values()]
    assert torch.equal(generator, torch.get_rng_state())
    assert network.training
    assert calls


class Raises(nn.Module):
    """Runs on meta alone."""

    def forward(self, x):
        if not x.is_meta:
            raise RuntimeError("no such luck")
        return x * 2


class Infinite(nn.Module):
    """Makes a NaN of its own."""

    def forward(self, x):
        return x + (x * 0).log().exp().log() * 0


def test_forward_that_raises_is_one_message():
    with pytest.raises(CaptureError, match=r"does not run on cpu.*no such luck"):
        measured_field(Raises(), fields_of(Raises(), 1, 4, 4))


def test_module_that_gives_nan_by_itself_is_refused():
    with pytest.raises(CaptureError, match="gives NaN for an ordinary input"):
        measured_field(Infinite(), fields_of(Infinite(), 1, 4, 4))


def test_spec_is_built_for_real(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text("from torch import nn\ndef net():\n    return nn.Conv2d(1, 1, 3)\n")
    fields = fields_of(nn.Conv2d(1, 1, 3), 1, 6, 6)
    check = measured_field(f"{file}:net", fields)
    assert check.agrees
    assert check.model == f"{file}:net"
    file.write_text("def net():\n    raise ValueError('no')\n")
    with pytest.raises(BuildError, match="does not build"):
        measured_field(f"{file}:net", fields)
    with pytest.raises(LookupFailedError):
        measured_field(f"{file}:other", fields)


def test_half_precision_and_larger_batches():
    network = nn.Conv2d(1, 1, 3).to(torch.bfloat16)
    image = torch.empty(2, 1, 6, 6, device="meta", dtype=torch.bfloat16)
    assert measured_field(network, receptive_field(capture(network, image))).agrees


def test_verdict_counts_the_exact_intervals():
    network = nn.Conv2d(1, 1, 3)
    (line,) = measured_field(network, fields_of(network, 1, 6, 6)).lines()
    assert line.endswith("agrees with the theory; 8 of 8 intervals are exactly the expected ones.")

"""Conditions that go together, and sentences for those that do not."""

from __future__ import annotations

import pytest

from archstat.errors import DeviceError, LatencyError
from archstat.measure.latency.conditions import Conditions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch": 0}, "batch=0 is impossible: give at least 1"),
        ({"batch": -3}, "batch=-3 is impossible"),
        ({"threads": 0}, "threads=0 is impossible"),
        ({"dtype": "float32"}, "dtype='float32' is not one of fp32, fp16, bf16, amp"),
        ({"dtype": "pf16"}, "Did you mean fp16"),
        ({"cuda_graph": True}, "cuda_graph=True needs a GPU, and the device is cpu"),
        ({"cold": True}, "cold=True needs a GPU"),
        (
            {"device": "cuda", "cuda_graph": True, "backward": True},
            "cuda_graph=True measures inference; leave backward= out",
        ),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(given, said):
    with pytest.raises(LatencyError, match=said) as raised:
        Conditions(**given).checked()
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:", "cuda:first", "cuda:-1", "", "mps"])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(DeviceError, match="write cpu, cuda or cuda:NUMBER"):
        Conditions(device=device).checked()


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:11"])
def test_a_device_is_accepted_without_asking_torch(device):
    given = Conditions(device=device, batch=None)
    assert given.checked() is given
    assert given.on_cuda == device.startswith("cuda")


def test_phases_are_those_of_the_device_and_the_mode():
    assert Conditions().phases == ("forward",)
    assert Conditions(device="cuda").phases == ("forward", "wall", "dispatch")
    assert Conditions(device="cuda:0", cuda_graph=True).phases[-1] == "cuda_graph"
    for device in ("cpu", "cuda"):
        given = Conditions(device=device, backward=True)
        assert given.phases == ("forward", "backward", "optimizer", "step")
        assert given.main_phase == "step"


def test_a_record_gives_the_same_conditions_back():
    given = Conditions("cuda:1", "amp", 8, True, True, 3, True, False, True)
    assert Conditions.from_record(given.to_record()) == given
    assert Conditions.from_record({"batch": 2, "new": 1}) == Conditions(batch=2)

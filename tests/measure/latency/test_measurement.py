"""Records: plain values that give the same measurement back."""

from __future__ import annotations

import json

import pytest

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.measurement import Interval, Machine, Measurement, Progress, Timing

MACHINE = Machine("a cpu", None, "2.9.0", "3.12.1", "Linux", 4, "0123456789abcdef")


def a_measurement(**changed) -> Measurement:
    timing = Timing("forward", 9.0, 10.0, 12.0, 1.0, Interval(9.5, 10.0, 10.5), 30, 3)
    fields = {"model": "resnet18", "input": "8x3x224x224", "conditions": Conditions(batch=8),
                  "asked_batch": 32, "threads": 4, "layout": "contiguous", "method": "by hand",
                  "rule": "budget of 10 s used", "first_call_ms": 80.5, "timings": (timing,),
                  "machine": MACHINE, "date": "2030-01-02T03:04:05+00:00",
                  "settings": {"cudnn_benchmark": False, "tf32_cudnn": None},
                  "per_process": ((10.0, 10.5), (9.5,))}  # fmt: skip
    return Measurement(**{**fields, **changed})


def test_a_record_in_json_gives_the_same_measurement_back():
    given = a_measurement()
    assert Measurement.from_record(json.loads(json.dumps(given.to_record()))) == given


def test_throughput_is_batch_over_the_median():
    assert a_measurement().throughput == pytest.approx(800)


def test_the_main_timing_of_training_is_the_step():
    step = Timing("step", 1, 2, 3, 1, Interval(1, 2, 3), 9, 3)
    given = a_measurement(conditions=Conditions(batch=1, backward=True))
    assert given.main.phase == "forward"  # all that there is
    both = a_measurement(conditions=given.conditions, timings=(*given.timings, step))
    assert both.main is step
    assert both.timing("wall") is None


def test_a_record_that_lacks_something_is_none():
    record = a_measurement().to_record()
    del record["machine"]
    with pytest.raises(KeyError):
        Measurement.from_record(record)


def test_an_interval_tells_its_half_width():
    assert Interval(9.0, 10.0, 11.0).half_width == pytest.approx(0.1)
    assert Progress("measuring", 40.0, 30.0).share == 1

"""The machine's record, and how busy it is."""

from __future__ import annotations

import platform

import pytest

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import cores, others_runnable, this_machine


def test_the_identity_of_a_machine_is_the_same_every_time():
    first, second = (this_machine(Conditions(batch=b)) for b in (1, 8))
    assert first == second
    assert len(first.identity) == 16
    assert first.python == platform.python_version()
    assert (first.driver, first.cores) == (None, cores())
    assert first.device_name


def test_another_host_is_another_machine(monkeypatch):
    here = this_machine(Conditions())
    monkeypatch.setattr("archstat.measure.latency.machine._host", lambda: "elsewhere")
    assert this_machine(Conditions()).identity != here.identity


@pytest.mark.parametrize(
    ("text", "others"),
    [("0.52 0.48 0.40 4/512 9999\n", 3), ("0 0 0 1/9 1", 0), ("", None), ("a b c d", None)],
)
def test_runnable_processes_are_counted_without_the_one_that_looks(text, others):
    assert others_runnable(text) == others

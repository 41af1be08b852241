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
    [("0.52 0.48 0.40 7/512 9999\n", 4), ("0 0 0 1/9 1", 0), ("", None), ("a b c d", None)],
)
def test_runnable_threads_of_this_process_and_of_its_workers_do_not_count(tmp_path, text, others):
    (tmp_path / "loadavg").write_text(text)
    threads = {"self": "R", "71": "SRR", "72": "SS", "99": "RRRR"}
    for process, states in threads.items():
        for number, state in enumerate(states):
            folder = tmp_path / process / "task" / str(number)
            folder.mkdir(parents=True)
            (folder / "stat").write_text(f"{number} (py (R) thread) {state} 1 1")
    # 7 run: this process, two threads of its worker 71, four of another program
    assert others_runnable([71, 72, 73], tmp_path) == others


def test_system_that_tells_nothing_is_not_guessed_at(tmp_path):
    assert others_runnable([], tmp_path) is None

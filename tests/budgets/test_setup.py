"""The keys that say how a budget's model is run: what they take, and what they are for."""

from __future__ import annotations

import pytest

from archstat.budgets.rules import Setup
from archstat.budgets.setup import SETUP_KEYS, setup_of


def read(given: dict[str, object], *rules: str) -> tuple[Setup | None, list[str]]:
    """Give the setup and the keys that have a mistake."""
    wrong: list[str] = []
    found = setup_of(given, rules, lambda key, text: wrong.append(key))
    return found, wrong


def test_every_key_is_taken():
    given = {
        "batch": 8, "optimizer": "adam", "dtype": "fp32", "amp": True, "kernels": "cuda",
        "checkpoint": "layer*",
        "fits": "24GiB", "device": "cpu", "threads": 2, "measure_for": "1min",
    }  # fmt: skip
    rules = ("training_memory_bytes", "largest_batch", "latency_ms")
    assert read(given, *rules) == (Setup(**given), [])
    assert read({"module": "features.*"}, "params") == (Setup(module="features.*"), [])
    assert {*given, "module"} == set(SETUP_KEYS)


@pytest.mark.parametrize(
    ("given", "rules", "wrong"),
    [
        ({"batch": 0}, ["params"], ["batch"]),
        ({"batch": True}, ["params"], ["batch"]),
        ({"batch": "8"}, ["params"], ["batch"]),
        ({"module": ""}, ["params"], ["module"]),
        ({"amp": "yes"}, ["training_memory_bytes"], ["amp"]),
        ({"optimizer": "adam"}, ["params"], ["optimizer"]),
        ({"threads": 1}, ["training_memory_bytes"], ["threads"]),
        ({"fits": "24"}, ["largest_batch"], ["fits"]),
        ({}, ["largest_batch"], ["largest_batch"]),
        ({"dtype": "fp23"}, ["latency_ms"], ["dtype"]),
        ({"device": "gpu"}, ["latency_ms"], ["device"]),
        ({"measure_for": "ten"}, ["latency_ms"], ["measure_for"]),
        ({"module": "a"}, ["params", "depth"], ["module"]),
        ({"module": "a"}, ["latency_ms"], ["module"]),
    ],
)
def test_mistake_is_at_its_key(given, rules, wrong):
    assert read(given, *rules)[1] == wrong

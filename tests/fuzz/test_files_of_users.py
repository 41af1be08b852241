"""Files that people write and merge, budgets, lock files, device files: damage has one message.

FUZZ_EXAMPLES=30000 pytest tests/fuzz tries that many each.
"""

from __future__ import annotations

import json
import os
import random
import tomllib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archstat.analyses.device_files import devices_of
from archstat.budgets import gate, parse_lock
from archstat.budgets.lock import Entry
from archstat.budgets.reading import parse_config
from archstat.budgets.verdicts import judge
from archstat.errors import ArchstatError, ConfigError, DeviceError, LockFileError
from archstat.graph import Graph
from archstat.result import Analysis, Report

many = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

BUDGETS = """
budget = [
  {name = "a", model = "vgg16,width=2", params = "<= 140M", max_increase = "1%"},
  {model = "resnet18", input = ["3x64x64"], receptive_field = ">= 32", informational = true},
]
"""
TABLES = """
[[budget]]
name = "phone"
model = "mobilenet_v2"
input = "3x224x224"
params = "<= 3.6M"
param_bytes = '<= 20MiB'
max_increase = {params = "0%", macs = "5%"}
message = '''The flash
has 24 MiB.'''

[[budget]]
"model" = "resnet*"
depth = "< 200"
"""
LOCK = json.dumps(
    {
        "archstat": "0.1.0",
        "budgets": {
            "net": {
                "input": "1x3x8x8",
                "layers": [{"module": "conv", "type": "Conv2d", "params": 108, "macs": 3888}],
                "lower_bounds": ["macs"],
                "model": "net",
                "totals": {"params": 108, "macs": 3888, "receptive_field": [3, None], "depth": 1.5},
            }
        },
        "schema_version": 1,
        "torch": "2.13.0",
    },
    indent=2,
)
DEVICES = """
[sources]
sheet = "My sheet, https://example.org/sheet"
[devices.mine]
title = "My accelerator"
memory = "24GiB"
bandwidth = 1e12
vector = { float32 = 10e12 }
tensor = { float16 = 100e12 }
source = { bandwidth = "sheet", vector = "sheet; 2 x 5" }
[devices.other]
bandwidth = 500_000_000_000
vector.float32 = 1e12
"""
PIECES = [
    *("1e999", "-1e999", "nan", "inf", "9" * 5000, "-1", "0", "true", "null", "1.5", "0x1F", '""'),
    *("1979-05-27T07:32:00+99:99", "07:32:00", "{}", "[]", "[[", "]]", "{", "}", ",", "="),
    *(".", '"', "'''", '"""', "#", "\n", "\r\n", "\r", "\0", "\ufeff", "\\", "\\u0000", "<=", ">"),
    *("%", "1e9%", "5M", "5MiB", "*", "?", "[!", "../", "/", ":", "vgg*", "budget", "model"),
    *("name", "params", "macs", "receptive_field", "devices", "mine", "float32", "vector"),
    *("schema_version", "== 1e999"),
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> str:
    """One of the texts with pieces of it cut, repeated, exchanged, or of something else put in."""
    text = draw(st.sampled_from(texts))
    chance = random.Random(draw(st.integers(0, 2**64)))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 1, 2, 5, 20, 80)))
        elsewhere = chance.randrange(len(text) + 1)
        new = chance.choice((
            "", chance.choice(PIECES), chance.choice(PIECES), chr(chance.randrange(32, 0x3000)),
            text[start:end] * chance.choice((2, 3, 50)), text[elsewhere : elsewhere + 20],
        ))  # fmt: skip
        text = text[:start] + new + text[end:]
    return draw(st.one_of(st.just(text), st.just(text), st.text(max_size=30).map(text.__add__)))


@many
@given(damaged([BUDGETS, TABLES]), st.sampled_from(["archstat.toml", "pyproject.toml"]))
def test_damaged_budgets_are_told_or_every_rule_of_them_is_read(text, name):
    if name == "pyproject.toml":
        text = text.replace("[[budget", "[[tool.archstat.budget")
    try:
        config = parse_config(text, Path(name))
    except ConfigError as error:
        assert error.mistakes
        assert all(mistake.line >= 1 for mistake in error.mistakes)
        return
    content = tomllib.loads(text.removeprefix("\ufeff"))
    if name == "pyproject.toml":
        content = content["tool"]["archstat"]
    asked = [
        sum(key not in ("name", "model", "input", "informational", "message", "max_increase")
            for key in entry) + ("max_increase" in entry)
        for entry in content["budget"]
    ]  # fmt: skip
    assert len({budget.name for budget in config.budgets}) == len(config.budgets)
    assert len(config.budgets) >= len(asked)
    assert sum(len(budget.rules) for budget in config.budgets) >= sum(asked)
    failed = gate.Judged
    assert gate.Outcome(
        config,
        tuple(
            failed(budget, tuple(gate._failed(rule, ArchstatError()) for rule in budget.rules))
            for budget in config.budgets
        ),
    ).exit_code() == 2  # fmt: skip


@many
@given(damaged([LOCK]))
def test_damaged_lock_file_is_told_or_serves(text):
    try:
        lock = parse_lock(text, "x")
    except LockFileError:
        return
    assert parse_lock(lock.to_json(), "x") == lock
    (budget,) = parse_config(
        'budget = [{model = "net.py:net", max_increase = {params = "1%", macs = "1%"}}]',
        Path("archstat.toml"),
    ).budgets
    figures = {"params": 108, "macs": 3888}
    report = Report("net", "1x3x8x8", (), (Analysis(figures),), (), Graph("net", (), (), ()))
    locked: Entry | None = lock.entries.get("net")
    for rule in budget.rules:
        try:
            verdict = judge(rule, report, locked)
        except ArchstatError:
            continue
        assert locked is not None
        assert (locked.model, locked.input) == ("net", "1x3x8x8") or verdict.state != "kept"
        if rule.key in locked.lower_bounds:
            assert verdict.state == "incomplete"


@many
@given(damaged([DEVICES]))
def test_damaged_device_file_is_told_or_describes_devices(text):
    try:
        devices = devices_of(text, "x.toml")
    except DeviceError:
        return
    assert devices
    assert all(0 < device.bandwidth < float("inf") for device in devices.values())

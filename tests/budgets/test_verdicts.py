"""Verdicts: kept, broken, informational, incomplete; margins and sentences."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from archstat.budgets import Entry, judge, parse_rule
from archstat.budgets.rules import parse_increase
from archstat.budgets.verdicts import percent
from archstat.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value", "state", "margin"),
    [
        ("<= 100", 100, "kept", 0),
        ("<= 100", 101, "broken", -1),
        ("< 100", 100, "broken", 0),
        ("< 100", 99, "kept", 1),
        (">= 100", 100, "kept", 0),
        (">= 100", 99, "broken", -1),
        ("> 100", 100, "broken", 0),
        ("== 100", 100, "kept", 0),
        ("== 100", 101, "broken", -1),
        ("== 100", 99, "broken", -1),
        ("<= 9007199254740993", 9007199254740994, "broken", -1),
    ],
)
def test_verdict_and_margin(report_of, text, value, state, margin):
    verdict = judge(parse_rule("params", text), report_of(params=value))
    assert (verdict.state, verdict.margin, verdict.value) == (state, margin, value)


@pytest.mark.parametrize("text", [">= 30", "<= 30", "== 30", "> 1"])
def test_rule_on_an_unknown_figure_is_never_kept(report_of, text):
    report = report_of(unknown=("receptive_field",), receptive_field=None)
    verdict = judge(parse_rule("receptive_field", text), report)
    assert (verdict.state, verdict.cell, verdict.value) == ("incomplete", None, None)
    lenient = judge(parse_rule("receptive_field", text), report, informational=True)
    assert lenient.state == "informational"


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("<= 100", 100, "incomplete"),
        ("<= 100", 101, "broken"),
        ("< 100", 99, "incomplete"),
        (">= 100", 1000, "incomplete"),
        (">= 100", 99, "incomplete"),
        ("> 100", 101, "incomplete"),
        ("== 100", 100, "incomplete"),
        ("== 100", 99, "incomplete"),
        ("== 100", 101, "broken"),
    ],
)
def test_rule_on_a_lower_bound_is_never_kept(report_of, text, value, state):
    verdict = judge(parse_rule("macs", text), report_of(("macs",), macs=value))
    assert (verdict.state, verdict.lower_bound) == (state, True)
    assert "unknown operations" in verdict.message


def test_rule_on_a_complete_column_is_kept_beside_an_incomplete_one(report_of):
    report = report_of(("macs",), macs=5, params=5)
    assert judge(parse_rule("params", "<= 5"), report).state == "kept"


@pytest.mark.parametrize(("bounds", "value"), [((), 101), (("params",), 99), (("params",), 101)])
def test_informational_rule_is_informational_unless_kept(report_of, bounds, value):
    report = report_of(bounds, params=value)
    rule = parse_rule("params", "<= 100")
    assert judge(rule, report, informational=True).state == "informational"
    kept = parse_rule("params", "<= 200")
    assert judge(kept, report_of(params=value), informational=True).state == "kept"


@pytest.mark.parametrize(
    ("cell", "text", "state", "value"),
    [
        ((300, 200), ">= 224", "broken", 200),
        ((300, 224), ">= 224", "kept", 224),
        ((None, 224), ">= 224", "kept", 224),
        ((None, None), ">= 224", "kept", inf),
        ((None, 10), "<= 224", "broken", inf),
        ((224, 224), "== 224", "kept", 224),
        ((224, 225), "== 224", "broken", 225),
        ((None, None), "== 224", "broken", inf),
    ],
)
def test_every_axis_must_keep_the_rule(report_of, cell, text, state, value):
    verdict = judge(parse_rule("receptive_field", text), report_of(receptive_field=cell))
    assert (verdict.state, verdict.value, verdict.cell) == (state, value, cell)


def test_model_without_the_figure_cannot_be_judged(report_of):
    with pytest.raises(SpecError, match="net has no receptive_field"):
        judge(parse_rule("receptive_field", ">= 224"), report_of(receptive_field=None))


@pytest.mark.parametrize(
    ("share", "value", "state", "limit"),
    [
        ("1%", 1010, "kept", 1010),
        ("1%", 1011, "broken", 1010),
        ("0%", 1000, "kept", 1000),
        ("0%", 1001, "broken", 1000),
        ("0.15%", 1001, "kept", 1001),
        ("0.15%", 1002, "broken", 1001),
        ("1%", 1, "kept", 1010),
    ],
)
def test_relative_rule_refers_to_the_lock_file(report_of, share, value, state, limit):
    locked = Entry("net", "1x3x8x8", {"params": 1000})
    verdict = judge(parse_increase("params", share), report_of(params=value), locked)
    assert (verdict.state, verdict.limit) == (state, limit)


@pytest.mark.parametrize("locked", [None, Entry("net", "", {"macs": 1})])
def test_relative_rule_without_anything_locked_says_how_to_lock(report_of, locked):
    with pytest.raises(SpecError, match="archstat check --update"):
        judge(parse_increase("params", "1%"), report_of(params=1), locked)


@pytest.mark.parametrize("value", [900, 1100])
def test_relative_rule_on_a_locked_lower_bound_is_incomplete(report_of, value):
    locked = Entry("net", "1x3x8x8", {"macs": 1000}, lower_bounds=("macs",))
    verdict = judge(parse_increase("macs", "1%"), report_of(macs=value), locked)
    assert verdict.state == "incomplete"


def test_sentence_has_the_numbers_in_full(report_of):
    verdict = judge(parse_rule("params", "<= 5.3M"), report_of(params=5_300_001))
    assert verdict.message == (
        "params is 5,300,001, the budget says <= 5,300,000: 1 (2e-05%) too much."
    )
    verdict = judge(parse_rule("param_bytes", ">= 1KiB"), report_of(param_bytes=1000))
    assert verdict.message.endswith("1,024 B: 24 B (2.3%) too little.")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 100, "1.0%"),
        (-1, 3, "33.3%"),
        (0, 5, "0.0%"),
        (1, 5_300_000, "2e-05%"),
        (3, 1, "300.0%"),
    ],
)
def test_no_share_looks_like_nothing(part, whole, text):
    assert percent(part, whole) == text


@pytest.mark.parametrize("operator", ["<=", "<", ">=", ">", "=="])
@pytest.mark.parametrize("key", ["params", "param_bytes", "peak_memory_bytes", "receptive_field"])
@pytest.mark.parametrize("cell", [None, 0, 10**6])
def test_what_is_unknown_is_never_kept(report_of, operator, key, cell):
    report = report_of(**{key: cell})
    (analysis,) = report.analyses
    unknown = replace(report, analyses=(replace(analysis, unknown=frozenset({key})),))
    unit = "B" if key.endswith("bytes") else ""
    assert judge(parse_rule(key, f"{operator} 10{unit}"), unknown).state == "incomplete"


@pytest.mark.parametrize("locked", [
    Entry("other", "1x3x8x8", {"params": 1000}), Entry("net", "1x3x9x9", {"params": 1000}),
    Entry("net", "", {"params": 1000}), Entry("net,width=4", "1x3x8x8", {"params": 1000}),
])  # fmt: skip
def test_base_of_another_model_or_input_keeps_nothing(report_of, locked):
    with pytest.raises(SpecError, match="the lock file has"):
        judge(parse_increase("params", "1%"), report_of(params=1), locked)


def test_base_of_other_options_breaks_a_rule_all_the_same(report_of):
    locked = Entry("net,width=4", "1x3x8x8", {"params": 1000})
    assert judge(parse_increase("params", "1%"), report_of(params=1011), locked).state == "broken"

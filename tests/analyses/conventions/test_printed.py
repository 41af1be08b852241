"""Printed figures: what their digits and unit say, and which exact numbers print as they do."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.conventions.printed import parse_cell, parse_printed
from archstat.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value", "step"),
    [
        ("4.12G", 4_120_000_000, 10**7),
        ("4.1 GFLOPs", 4_100_000_000, 10**8),
        ("4.1B", 4_100_000_000, 10**8),
        ("569 M", 569 * 10**6, 10**6),
        ("25.6 M params", 25_600_000, 10**5),
        ("8,216M", 8_216 * 10**6, 10**6),
        ("61100840", 61_100_840, 1),
        ("61,100,840", 61_100_840, 1),
        ("0.319 GMACs", 319 * 10**6, 10**6),
    ],
)
def test_digits_and_unit_give_value_and_step(text, value, step):
    printed = parse_printed(text)
    assert (printed.value, printed.step) == (value, step)


@pytest.mark.parametrize(
    "text", ["", "G", "0", "0.0 GFLOPs", "4.1.2G", "4.12 parsecs", "-3M", "1e9", "4,1G", "∞"]
)
def test_what_is_no_figure_is_refused(text):
    with pytest.raises(SpecError, match="not a printed figure"):
        parse_printed(text)


@pytest.mark.parametrize(
    ("text", "step"),
    [("1820000000", 10**7), ("2180000", 10**4), ("4000000000", 10**8), ("11689512", 1),
     ("11,690,000", 10**4), ("4457472768", 1), ("218000", 1)],
)  # fmt: skip
def test_zeros_at_the_end_of_a_full_count_are_rounding(text, step):
    assert parse_cell(text).step == step


@given(st.integers(10**9, 10**13), st.sampled_from(["M", "G"]), st.integers(0, 4))
def test_exact_number_prints_as_its_own_rounding(exact, unit, decimals):
    scale = {"M": 10**6, "G": 10**9}[unit]
    text = f"{round(Decimal(exact) / scale, decimals):f}{unit}"
    assert parse_printed(text).shows(exact) == "rounded"


@given(st.integers(10**9, 10**13), st.integers(0, 3))
def test_exact_number_prints_as_its_digits_cut_off(exact, decimals):
    whole, rest = divmod(exact * 10**decimals // 10**9, 10**decimals)
    text = f"{whole}.{rest:0{decimals}d}G" if decimals else f"{whole}G"
    assert parse_printed(text).shows(exact)


@given(st.integers(10**9, 10**13), st.integers(2, 10**6))
def test_number_two_steps_away_does_not_print_so(exact, factor):
    printed = parse_printed(f"{exact}")
    assert printed.shows(exact + factor) == ""
    assert printed.off_percent(exact + factor) > 0

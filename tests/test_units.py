"""Counts, bytes and ratios as people write them: round trips, borders, and refusals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.errors import SpecError
from archstat.units import (
    BYTE_UNITS,
    COUNT_UNITS,
    format_bytes,
    format_count,
    format_milliseconds,
    format_printed,
    format_rate,
    format_ratio,
    format_share,
    parse_bytes,
    parse_count,
    parse_seconds,
)

checked = settings(deadline=None)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (4_200_000, "4.2 M"), (569_000_000, "569 M"), (60_000, "60 k"),
     (100, "100"), (138_357_544, "138.36 M"), (1_000_001, "1 M"), (-1_500, "-1.5 k")],
)  # fmt: skip
def test_printed_count_has_no_zeros_behind(number, text):
    assert format_printed(number) == text


@checked
@given(st.integers(0, 10**15))
def test_printed_count_is_the_count_in_fewer_signs(number):
    assert parse_count(format_printed(number)) == parse_count(format_count(number))


# -- counts and bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (512, "512"),
        (999, "999"),
        (1000, "1.00 k"),
        (1500, "1.50 k"),
        (999_994, "999.99 k"),
        (999_999, "1.00 M"),
        (10**6, "1.00 M"),
        (25_557_032, "25.56 M"),
        (999_999_999, "1.00 G"),
        (4_089_184_256, "4.09 G"),
        (15_470_264_320, "15.47 G"),
        (10**12, "1.00 T"),
        (10**15, "1000.00 T"),
        (-1500, "-1.50 k"),
        (0.5, "0.5"),
        (2.0, "2"),
        (12.3456, "12.346"),
        (1e-9, "0"),
    ],
)
def test_count_is_written_with_a_decimal_prefix(number, text):
    assert format_count(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1_048_575, "1.00 MiB"),
        (1_048_576, "1.00 MiB"),
        (553_430_176, "527.79 MiB"),
        (2**30, "1.00 GiB"),
        (24 * 2**30, "24.00 GiB"),
        (2**40, "1.00 TiB"),
    ],
)
def test_bytes_are_written_with_a_binary_prefix(number, text):
    assert format_bytes(number) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("512", 512),
        ("5.3M", 5_300_000),
        ("5.3 M", 5_300_000),
        (" 4.09 G ", 4_090_000_000),
        ("1k", 1000),
        ("1K", 1000),
        (".5k", 500),
        ("5.", 5),
        ("0", 0),
        ("2T", 2 * 10**12),
        ("0.1", 0),
        ("1.0000001M", 1_000_000),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_count_is_read_exactly(text, number):
    assert parse_count(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("24GiB", 24 * 2**30),
        ("20MB", 20 * 10**6),
        ("20 MB", 20 * 10**6),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("512 B", 512),
        ("1.5TiB", 3 * 2**39),
    ],
)
def test_bytes_are_read_with_both_kinds_of_prefix(text, number):
    assert parse_bytes(text) == number


@pytest.mark.parametrize(
    "text", ["", " ", "M", "-5M", "+5", "5X", "5 MM", "5e6", "1,000", "5M 3", "0x10", "٣", "NaN"]
)
def test_what_is_no_count_is_refused_with_an_example(text):
    with pytest.raises(SpecError, match=r"a count such as 5\.3M") as refusal:
        parse_count(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "512", "5.3M", "5 G", "5 gib", "5mb", "5Kib", "-1 B"])
def test_bytes_without_a_byte_unit_are_refused_with_the_units(text):
    with pytest.raises(SpecError, match=r"such as 20MB or 24GiB.*KiB"):
        parse_bytes(text)


@checked
@given(st.integers(0, 10**18))
def test_whole_number_is_read_back(number):
    assert parse_count(str(number)) == number
    assert parse_bytes(f"{number} B") == number


@checked
@given(st.integers(0, 10**15))
def test_written_count_is_read_back_to_its_digits(number):
    again = parse_count(format_count(number))
    assert format_count(again) == format_count(number)
    assert abs(again - number) <= max(number * 0.005, 0.5)


@checked
@given(st.integers(0, 2**50))
def test_written_bytes_are_read_back_to_their_digits(number):
    again = parse_bytes(format_bytes(number))
    assert abs(again - number) <= max(number * 0.005, 0.5)


@checked
@given(st.integers(0, 10**16), st.sampled_from([format_count, format_bytes]))
def test_written_number_never_has_more_than_four_digits_before_the_point(number, write):
    digits, _, unit = write(number).partition(" ")
    assert len(digits.partition(".")[0]) <= (5 if unit in ("T", "TiB") else 4)
    assert not re.match(r"1000\.00", digits) or unit == "T"


@checked
@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_larger_count_is_not_written_as_a_smaller_one(first, second):
    low, high = sorted((first, second))
    assert parse_count(format_count(low)) <= parse_count(format_count(high))


@checked
@given(st.text())
def test_any_text_is_a_quantity_or_a_spec_error(text):
    for parse in (parse_count, parse_bytes):
        try:
            assert parse(text) >= 0
        except SpecError as refusal:
            assert str(refusal)


@pytest.mark.parametrize(("unit", "factor"), [*COUNT_UNITS.items()])
def test_every_count_unit_is_its_factor(unit, factor):
    assert parse_count(f"3{unit}") == 3 * factor


@pytest.mark.parametrize(("unit", "factor"), [*BYTE_UNITS.items()])
def test_every_byte_unit_is_its_factor(unit, factor):
    assert parse_bytes(f"3{unit}") == 3 * factor


# -- ratios --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1, "same"),
        (1.0, "same"),
        (0.0368, "27.2x less"),
        (0.5, "2.00x less"),
        (2, "2.00x more"),
        (27.2, "27.2x more"),
        (1.5, "1.50x more"),
        (0, "none"),
        (0.99999, "1.00x less"),
        (1.001, "1.00x more"),
    ],
)
def test_ratio_is_put_into_words(ratio, text):
    assert format_ratio(ratio) == text


@checked
@given(st.floats(1e-6, 1e6))
def test_ratio_and_its_inverse_say_more_and_less(ratio):
    words = format_ratio(ratio), format_ratio(1 / ratio)
    if format_ratio(1) not in words:
        assert {w.rpartition(" ")[2] for w in words} == {"more", "less"}


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0%"), (1, "100.0%"), (0.123, "12.3%"), (0.0005, "0.1%"), (0.0004999, "<0.1%"),
     (-0.0004, "<0.1%"), (-0.25, "-25.0%")],
)  # fmt: skip
def test_share_that_rounds_to_nothing_is_not_told_as_zero(share, text):
    assert format_share(share) == text


@pytest.mark.parametrize("parse", [parse_count, parse_bytes])
@pytest.mark.parametrize("form", ["{}", "{}GiB", "0.{}M", "0.{}MB", "{}.5k"])
def test_number_of_thousands_of_digits_is_refused(parse, form):
    with pytest.raises(SpecError):
        parse(form.format("9" * 5000))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (1234.5, "1.23 s"),
        (12.345, "12.35 ms"),
        (0.9999999, "1.00 ms"),
        (0.0612, "61.20 us"),
        (0.000123, "123 ns"),
        (0, "0 ns"),
    ],
)
def test_times_have_the_unit_of_their_size(milliseconds, text):
    assert format_milliseconds(milliseconds) == text


@pytest.mark.parametrize(
    ("rate", "unit", "text"),
    [
        (1555e9, "B/s", "1,555 GB/s"),
        (19.5e12, "FLOP/s", "19.5 TFLOP/s"),
        (1978.9e12, "FLOP/s", "1,979 TFLOP/s"),
        (78.093e9, "FLOP/s", "78.09 GFLOP/s"),
    ],
)
def test_rates_are_told_on_four_digits(rate, unit, text):
    assert format_rate(rate, unit) == text


# -- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("500ms", 0.5), ("0.1 s", 0.1), ("2min", 120), (" 1s ", 1), ("0s", 0)],
)
def test_time_is_read_in_seconds(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "30m", "-1s", "1e3s", "30 sec", "٣s"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(SpecError, match="a time with a unit such as 30s or 500ms") as refused:
        parse_seconds(text)
    assert repr(text) in str(refused.value)

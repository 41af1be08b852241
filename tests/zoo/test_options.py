"""The checks of options: what passes, what is refused, and what the refusal says."""

from __future__ import annotations

import math

import pytest

from archstat.errors import OptionError
from archstat.zoo.options import one_of, positive, positive_factor


@pytest.mark.parametrize("value", [1, 1000])
def test_whole_number_from_one_up_passes(value):
    positive("num_classes", value)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "10", None])
def test_count_that_is_no_whole_number_from_one_up_is_refused(value):
    with pytest.raises(OptionError, match="expected a whole number of at least 1"):
        positive("num_classes", value)


@pytest.mark.parametrize("value", [0.25, 1, 1.0, 2])
def test_finite_factor_above_zero_passes(value):
    positive_factor("width", value)


@pytest.mark.parametrize("value", [0, -0.5, math.inf, math.nan, True, "1.0", None])
def test_factor_that_is_no_finite_number_above_zero_is_refused(value):
    with pytest.raises(OptionError, match="expected a finite number above 0"):
        positive_factor("width", value)


@pytest.mark.parametrize("value", ["paper", "torchvision"])
def test_value_among_the_choices_passes(value):
    one_of("layout", value, ("paper", "torchvision"))


@pytest.mark.parametrize("value", [3, 1.0, True, "1", None, [1]])
def test_value_that_only_equals_or_resembles_a_choice_is_refused(value):
    with pytest.raises(OptionError, match="expected 1 or 2"):
        one_of("towers", value, (1, 2))


def test_refusal_says_what_was_given_what_is_expected_and_what_to_do():
    with pytest.raises(OptionError) as refusal:
        one_of("layout", "caffe", ("paper", "torchvision"))
    assert str(refusal.value) == (
        "layout='caffe' is unknown: expected 'paper' or 'torchvision'; "
        "give one of these, or leave layout out for its default."
    )

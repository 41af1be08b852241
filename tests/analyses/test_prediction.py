"""Predicted times: the formula, its limits, devices by ratio, and measurements of one's own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.analyses.device_files import built_in
from archstat.analyses.kernels import KINDS, Kernel
from archstat.analyses.prediction import (
    Measured,
    Rate,
    calibrated,
    fit_for,
    fits,
    left_out,
    mean_of,
    predict,
    seconds_of,
    times,
    transferred,
)
from archstat.errors import DeviceError

CONV, ADD = Kernel("conv", 10**9, 10**6, 10**5), Kernel("add", 0, 3 * 10**6, 0)
NUMBER = st.integers(1, 10**12)


def test_kernel_takes_the_fourth_root_of_the_sum_of_fourth_powers():
    batch, rate = 8, Rate(1e12, 1e9)
    macs, nbytes = 10**9 / 1e12, (10**6 + 10**5 / 8) / 1e9
    assert seconds_of(CONV, rate, batch) == pytest.approx((macs**4 + nbytes**4) ** (1 / 4))


@given(NUMBER, NUMBER, NUMBER)
def test_kernel_takes_the_longer_time_or_up_to_a_fifth_more(macs, activations, weights):
    found = seconds_of(Kernel("conv", macs, activations, weights), Rate(1e9, 1e9), 2)
    longer = max(macs, activations + weights / 2) / 1e9
    assert longer <= found * (1 + 1e-12)
    assert found <= 2 ** (1 / 4) * longer * (1 + 1e-12)


def test_shared_kernel_and_launches_are_split_over_the_batch():
    fit = fits()[0]
    shared = ADD._replace(shared=True)
    assert seconds_of(shared, Rate(1, 1e6), 4) == 3 * 10**6 / 4 / 1e6
    assert times({ADD: 6}, fit, 4)["launch"] == 6 * fit.launch / 4


def test_weights_of_a_batch_of_one_take_as_many_times_longer():
    plain, slow = (
        seconds_of(Kernel("linear", 0, 10, 20), Rate(1, 1e6), 1, ratio) for ratio in (1, 3)
    )
    assert (plain, slow) == ((10 + 20) / 1e6, (10 + 3 * 20) / 1e6)


def test_mean_of_fits_is_geometric():
    one = fits()[0]
    other = replace(one, launch=4 * one.launch)
    assert mean_of([(one, 0.5), (other, 0.5)]).launch == pytest.approx(sqrt(1 * 4) * one.launch)


def test_nothing_takes_no_time():
    assert seconds_of(Kernel("add", 0, 0, 0), Rate(1, 1), 1) == 0


@pytest.mark.parametrize("fit", fits(), ids=lambda fit: f"{fit.device} {fit.layout} {fit.engine}")
def test_every_fit_has_all_kinds_and_a_known_device(fit):
    assert set(fit.rates) == {*KINDS}
    assert set(fit.largest_shares) == {*KINDS, "launch"}
    assert fit.device in built_in()
    for low, high in (fit.interval, fit.unseen, fit.calibrated):
        assert low < 1 < high
    assert fit.batches[0] <= fit.batches[1] <= fit.batches[2]


def test_batch_outside_the_table_is_refused():
    fit = fit_for(built_in()["rtx-4090"])
    with pytest.raises(DeviceError, match=str(fit.batches[0])):
        predict({CONV: 1}, fit, 1)


def test_kind_beyond_its_largest_share_widens_the_interval():
    fit = fit_for(built_in()["rtx-4090"])
    found = predict({ADD: 1000}, fit)
    assert "add" in found.outside
    assert found.interval == (fit.interval.low**2, fit.interval.high**2)
    assert next(iter(found.shares)) == "add"


def test_device_by_data_sheet_has_rates_times_the_ratios():
    here, there = built_in()["rtx-4090"], built_in()["l4"]
    fit = fit_for(here)
    moved = transferred([fit], there)
    assert moved.rates["conv"].macs == pytest.approx(fit.rates["conv"].macs * 121e12 / 165.2e12)
    assert moved.rates["add"].nbytes == pytest.approx(fit.rates["add"].nbytes * 300e9 / 1008e9)
    assert (moved.device, moved.interval) == ("l4", fit.unseen)


def test_device_without_table_is_predicted_from_all_near_it():
    basis = fit_for(built_in()["h200"]).basis
    assert "rtx-5090" in basis
    assert "rtx-4090" in basis
    assert "rtx-3090" not in basis
    assert basis.count("timm project") == 1
    assert "i9-10940x" in fit_for(built_in()["epyc-9654"]).basis


def test_device_far_from_all_is_refused():
    slow = replace(built_in()["epyc-9654"], name="slow", bandwidth=1e9)
    with pytest.raises(DeviceError, match="i9-10940x"):
        fit_for(slow)


def test_choice_without_table_names_those_there_are():
    with pytest.raises(DeviceError, match="rtx-3090 amp nhwc eager"):
        fit_for(built_in()["rtx-3090"], engine="compile")


@settings(max_examples=10)
@given(st.floats(0.1, 10))
def test_calibration_finds_a_factor_of_all_times(factor):
    fit = fits()[0]
    mixes = [{CONV: 10, ADD: 3}, {CONV: 1, ADD: 30}, {CONV: 20, ADD: 20}]
    rows = [Measured(mix, 1, factor * sum(times(mix, fit, 1).values())) for mix in mixes]
    adapted = calibrated(fit, rows)
    for row in rows:
        assert sum(times(row.kernels, adapted, 1).values()) == pytest.approx(row.seconds, rel=0.01)
    assert left_out(partial(calibrated, fit), rows) == pytest.approx([1, 1, 1], rel=0.01)


def test_measurement_far_from_the_others_has_little_say():
    fit = fits()[0]
    mixes = [{CONV: count, ADD: count} for count in (1, 2, 3, 4, 5)]
    rows = [Measured(mix, 1, sum(times(mix, fit, 1).values())) for mix in mixes]
    rows[0] = rows[0]._replace(seconds=10 * rows[0].seconds)
    adapted = calibrated(fit, rows)
    assert sum(times(mixes[4], adapted, 1).values()) == pytest.approx(rows[4].seconds, rel=0.01)

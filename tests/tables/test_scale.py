"""`scale`: exponents of known power laws, of published families, and of theory."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archstat.errors import FailedModelsError, SpecError
from archstat.result import Column, Table
from archstat.tables.scale import curve, power_law, scale, scale_table, summary_table
from archstat.tables.sweep import Settings, sweep

SETTINGS = Settings(["3x32x32"], jobs=1)
SIZES = ("400mf", "800mf", "1_6gf", "3_2gf", "4gf", "6_4gf", "8gf", "12gf", "16gf", "32gf")
NET = """
from torch import nn

def net(width: int = 64, depth: int = 64, kernels: tuple = (3,), flag: bool = True):
    first = nn.Conv2d(3, width, 1, bias=False)
    same = (nn.Conv2d(width, width, k, padding=k // 2, bias=False)
            for _ in range(depth) for k in kernels)
    return nn.Sequential(first, *same)
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET, encoding="utf-8")
    return f"{path}:net"


@given(st.floats(-3, 3), st.floats(0.1, 100),
       st.lists(st.integers(1, 10**9), min_size=3, max_size=9, unique=True))  # fmt: skip
def test_points_on_a_power_law_give_its_exponent(exponent, factor, xs):
    assume(max(xs) > 1.01 * min(xs))
    law = power_law([(x, factor * x**exponent) for x in xs])
    assert law is not None
    assert law.exponent == pytest.approx(exponent, abs=1e-6)
    assert law.low <= law.exponent <= law.high
    assert law.at(xs[0]) == pytest.approx(factor * xs[0] ** exponent, rel=1e-5)


def test_interval_is_students():
    # y = 1, e^2, e^1 at x = 1, e, e^2: slope 1/2, residuals of squares 3/2, one degree of freedom
    law = power_law([(1, 1), (math.e, math.e**2), (math.e**2, math.e)])
    assert law is not None
    assert law.exponent == pytest.approx(1 / 2)
    half = 12.706 * math.sqrt(3 / 2 / 1 / 2)
    assert law.high - law.exponent == pytest.approx(half, rel=1e-3)
    assert law.r2 == pytest.approx(1 - (3 / 2) / 2)


@pytest.mark.parametrize("pairs", [[], [(1, 1), (2, 2)], [(3, 1), (3, 2), (3, 3)],
                                   [(0, 1), (1, 1), (2, 2)]])  # fmt: skip
def test_too_few_sizes_give_no_exponent(pairs):
    assert power_law(pairs) is None


def test_what_does_not_grow_has_exponent_0():
    law = power_law([(1, 7), (2, 7), (4, 7)])
    assert law is not None
    assert (law.exponent, law.low, law.high, law.r2) == (0, 0, 0, None)


def exponent_of(specs):
    table = sweep(specs, jobs=2)
    law = power_law(zip(table.column("macs"), table.column("activations"), strict=True))
    assert law is not None
    return law


def test_activations_of_regnet_x_grow_as_published():
    law = exponent_of([f"regnet_x_{size}" for size in SIZES])
    assert law.low < 0.534 < law.high
    assert law.exponent == pytest.approx(0.534, abs=0.005)


def test_activations_of_efficientnet_grow_as_published():
    law = exponent_of([f"efficientnet_b{number}" for number in range(8)])
    assert law.low < 0.825 < law.high
    assert law.exponent == pytest.approx(0.825, abs=0.002)


@pytest.mark.parametrize(
    ("by", "theory"),
    [("width", 1 / 2), ("depth", 1), ("resolution", 1), ("width+depth+resolution", 5 / 6)],
)
def test_exponents_of_scaling_are_those_of_theory(net, by, theory):
    law = curve(net, by, SETTINGS).law("activations", "macs")
    assert law is not None
    assert law.exponent == pytest.approx(theory, abs=0.03)


def test_values_may_be_given_and_replace_those_of_the_spec(net):
    found = curve(f"{net},depth=2,width=3", "width=8|16|32", SETTINGS)
    assert list(found.table.column("model")) == [f"{net},depth=2,width={w}" for w in (8, 16, 32)]


def test_list_is_scaled_item_by_item(net):
    found = curve(f"{net},depth=1,kernels=[3,5]", "kernels", SETTINGS)
    assert f"{net},depth=1,kernels=[3,5]" in found.table.column("model")
    assert f"{net},depth=1,kernels=[6,10]" in found.table.column("model")


@pytest.mark.parametrize("by", ["flag", "absent", "width=1|2+depth", "width=1..", "+"])
def test_option_that_cannot_be_scaled_is_refused(net, by):
    with pytest.raises(SpecError):
        curve(net, by, SETTINGS)


def test_sizes_that_all_fail_are_an_error(net):
    with pytest.raises(FailedModelsError):
        curve(net, "width=-2|-1", SETTINGS)


def test_two_sizes_are_refused(net):
    with pytest.raises(SpecError, match="three"):
        scale_table([curve(f"{net},depth=1", "width=8|16", SETTINGS)])


def test_summary_has_percentiles_and_exponents():
    units = {"model": "text", "macs": "count", "activations": "count", "receptive_field": "pixels"}
    columns = tuple(Column(key, unit, "") for key, unit in units.items())
    rows = tuple((str(n), n**2, 10 * n, (n, 2 * n)) for n in range(1, 12))
    macs, activations, field = summary_table(Table(columns, rows), "macs", raw=True).records()
    assert (macs["least"], macs["p10"], macs["median"], macs["most"]) == (1, 4, 36, 121)
    assert macs["exponent"] is None
    assert activations["exponent"] == pytest.approx(1 / 2)
    assert (field["least"], field["most"]) == (1, 11)


def test_an_option_that_leaves_macs_as_they_are_scales_nothing():
    with pytest.raises(SpecError, match=r"^macs is the same at every value of num_classes"):
        scale("lenet5", "num_classes=8|16|32", jobs=1)


def test_misspelt_option_is_answered_with_the_one_that_is_meant():
    with pytest.raises(SpecError, match=r"no option 'widht'. Did you mean width\?"):
        scale("mobilenet_v1", "widht", jobs=1)

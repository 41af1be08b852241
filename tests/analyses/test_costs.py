"""The table of costs: every name once, with a formula or a reason."""

from __future__ import annotations

import itertools

import pytest

from archstat.analyses import costs

FORMULAS = {
    "per output": costs.PER_OUTPUT,
    "per input": costs.PER_INPUT,
    "folds": costs.FOLDS,
    "max pools": costs.MAX_POOLS,
    "average pools": costs.AVERAGE_POOLS,
    "adaptive maxima": costs.ADAPTIVE_MAX_POOLS,
    "adaptive averages": costs.ADAPTIVE_AVERAGE_POOLS,
    "batch norms": costs.BATCH_NORMS,
    "free": costs.FREE,
}


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(FORMULAS, 2)))
def test_no_name_stands_in_two_tables(first, second):
    assert set(FORMULAS[first]) & set(FORMULAS[second]) == set()


def test_no_free_name_stands_under_two_reasons():
    names = [name for text in costs._FREE.values() for name in text.split()]
    assert len(names) == len(set(names))


def test_every_free_op_has_a_reason():
    assert all(reason.strip() for reason in costs.FREE.values())
    assert costs.FREE["view"] == "moves or renames elements"


def test_names_are_those_of_ops_without_their_in_place_underscore():
    for names in FORMULAS.values():
        assert [n for n in names if n.endswith("_") and not n.startswith("__")] == []


def test_no_cost_is_negative():
    assert min(costs.PER_OUTPUT.values()) >= 0
    assert min(costs.PER_INPUT.values()) >= 1


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        *(("add", 1), ("mul", 1), ("relu", 1), ("hardtanh", 1), ("hardsigmoid", 3)),
        *(("hardswish", 4), ("sigmoid", 4), ("tanh", 4), ("silu", 5), ("gelu", 8)),
        *(("_softmax", 5), ("native_layer_norm", 5), ("native_group_norm", 5)),
    ],
)
def test_cost_of_one_output_is_the_documented_convention(name, flops):
    assert costs.PER_OUTPUT[name] == flops


def test_batch_norm_in_eval_costs_two():
    assert costs.BATCH_NORM_EVAL == 2

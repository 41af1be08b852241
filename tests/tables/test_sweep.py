"""`sweep`: rows of candidates, files that grow and are gone on with, and Pareto fronts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archstat
from archstat.errors import FailedModelsError, OptionError, SchedulerError
from archstat.result import Column, Table
from archstat.tables.sweep import (
    SWEEP_COLUMNS,
    Candidate,
    Settings,
    analyzed,
    front,
    table_of,
    told,
)

NETS = """
import os
from torch import nn

def net(kernel: int = 3, width: int = 4, ending: int = 0):
    if ending == 2:
        os._exit(5)
    return nn.Conv2d(3, width, kernel, bias=False)
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return f"{path}:net,input=3x8x8"


def candidate(spec, macs=1):
    return Candidate({"model": spec, "macs": macs})


def test_every_candidate_has_a_row_with_its_figures(nets):
    table = archstat.sweep(f"{nets},kernel=1|3,width=2..3", jobs=1)
    expected = [(8 + 1 - kernel) ** 2 * kernel * kernel * 3 * width
                for kernel in (1, 3) for width in (2, 3)]  # fmt: skip
    assert list(table.column("macs")) == expected
    specs = [f"{nets},kernel={kernel},width={width}" for kernel in (1, 3) for width in (2, 3)]
    assert list(table.column("model")) == specs
    assert archstat.compare(specs).column("macs") == table.column("macs")


def test_number_of_processes_changes_nothing(nets):
    one, two = (archstat.sweep(f"{nets},width=1..9", jobs=jobs) for jobs in (1, 2))
    assert one == two


def test_candidate_that_fails_is_a_row_with_its_reason(nets):
    table = archstat.sweep(f"{nets},kernel=3|9", jobs=1)
    assert [macs is None for macs in table.column("macs")] == [False, True]
    assert [reason is None for reason in table.column("failed")] == [True, False]


def test_candidate_that_ends_its_process_takes_no_other_with_it(nets):
    table = archstat.sweep(f"{nets},width=1..2,ending=0..3", jobs=1)
    dead = [reason is not None for reason in table.column("failed")]
    assert dead == [False, False, True, False] * 2


def test_all_failing_is_an_error(nets):
    with pytest.raises(FailedModelsError):
        archstat.sweep(f"{nets},kernel=9|11", jobs=1)


def test_unknown_option_is_refused_before_the_work(nets):
    with pytest.raises(OptionError, match="width"):
        archstat.sweep(f"{nets},widht=1..1000")


# -- fronts ----------------------------------------------------------------------------------------

PAIR = (Column("model", "text", ""), Column("x", "count", ""), Column("y", "count", ""))
numbers = st.none() | st.integers(0, 6)


@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.booleans(), st.booleans())
def test_front_is_what_nothing_dominates(pairs, x_more, y_more):
    table = Table(PAIR, tuple((str(n), *pair) for n, pair in enumerate(pairs)))
    signs = (-1 if x_more else 1, -1 if y_more else 1)
    costs = {n: (signs[0] * a, signs[1] * b) for n, (a, b) in enumerate(pairs)
             if a is not None and b is not None}  # fmt: skip
    expected = {
        str(n)
        for n, cost in costs.items()
        if not any(
            other != cost and other[0] <= cost[0] and other[1] <= cost[1]
            for other in costs.values()
        )
    }
    found = front(table, ("x", x_more), ("y", y_more))
    assert set(found.column("model")) == expected
    xs = [signs[0] * x for x in found.column("x")]
    assert xs == sorted(xs)


def test_bounds_stay_with_their_rows():
    bound = candidate("b")._replace(bounds=frozenset({"macs"}))
    assert table_of([candidate("a"), bound]).bounds == {(1, "macs")}


def test_unknown_operations_are_told_of():
    columns = ("model", "macs", "unknown_ops")
    known = {column.key: column for column in SWEEP_COLUMNS}
    table = told(Table(tuple(known[key] for key in columns), (("a", 1, 0), ("b", 2, 3))))
    (note,) = table.notes
    assert str(note).startswith("1 of 2 candidates")


def test_worker_that_dies_once_is_tried_again(tmp_path):
    path = tmp_path / "once.py"
    path.write_text(
        "import os, signal\nfrom pathlib import Path\nfrom torch import nn\n\n"
        "def net(width: int = 1):\n"
        "    mark = Path(__file__).with_name(f'{width}.seen')\n"
        "    if width == 2 and not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return nn.Conv2d(3, width, 1)\n",
        encoding="utf-8",
    )
    table = archstat.sweep(f"{path}:net,input=3x8x8,width=1..3", jobs=1)
    assert table.column("failed") == (None, None, None)
    assert table.column("macs") == tuple(8 * 8 * 3 * width for width in (1, 2, 3))


def test_only_what_is_asked_for_is_analyzed():
    (one,) = analyzed(["lenet5"], Settings(keys=frozenset({"params", "arithmetic_intensity"})))
    full = archstat.analyze("lenet5").totals
    assert one.cells["params"] == full["params"]
    assert one.cells["arithmetic_intensity"] == full["arithmetic_intensity"]
    assert "receptive_field" not in one.cells


def test_predictions_are_those_of_predict():
    from archstat.models.pipeline import graph_of_spec
    from archstat.tables.predict import fit_named, predict_table, predicted

    (row,) = archstat.sweep("mobilenet_v1", predict="rtx-4090", jobs=1).records()
    fit = fit_named("rtx-4090")
    (own,) = predict_table(
        [predicted("mobilenet_v1", graph_of_spec("mobilenet_v1", None, 1), fit)], fit
    ).records()
    assert row["predicted_ms"] == own["predicted_ms"]
    assert row["device"] == own["device"]


@pytest.mark.slow
def test_cluster_gives_the_same_rows_as_processes(nets):
    pytest.importorskip("distributed")
    space = f"{nets},width=1..9,ending=0|1"
    assert archstat.sweep(space, jobs=2, scheduler="local") == archstat.sweep(space, jobs=1)
    table = archstat.sweep(f"{nets},width=1..2,ending=0..3", jobs=2, scheduler="local")
    dead = [reason is not None for reason in table.column("failed")]
    assert dead == [False, False, True, False] * 2


def test_cluster_that_is_not_there_is_an_error():
    pytest.importorskip("distributed")
    with pytest.raises(SchedulerError):
        archstat.sweep("lenet5", scheduler="nonsense")

"""`sweep`: rows of candidates, files that grow and are gone on with, and Pareto fronts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archstat
from archstat.errors import ColumnError, FailedModelsError, OptionError, OutputError
from archstat.result import Column, Table
from archstat.tables.sweep import (
    SWEEP_COLUMNS,
    Candidate,
    Results,
    _told,
    front,
    plain,
    read_results,
    table_of,
)

NETS = """
import os
from torch import nn

def net(kernel: int = 3, width: int = 4, ending: int = 0):
    if ending == 2:
        os._exit(5)
    return nn.Conv2d(3, width, kernel, bias=False)
"""
KEYS = ("model", "macs", "receptive_field", "global_from", "failed")
SPECS = [f"net,x={x}" for x in range(1, 6)]


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return f"{path}:net,input=3x8x8"


def candidate(spec, macs=1, failed=None):
    record = {"model": spec, "macs": macs, "failed": failed}
    return Candidate(tuple(record.get(column.key) for column in SWEEP_COLUMNS))


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


# -- files -----------------------------------------------------------------------------------------


def written(path, specs):
    results = Results(path, KEYS, SPECS)
    for spec in specs:
        results.append([candidate(spec)])
    return results.done


def test_file_has_a_head_and_a_row_a_candidate(tmp_path):
    assert written(tmp_path / "r.csv", SPECS[:2]) == 0
    lines = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [",".join(KEYS), '"net,x=1",1,,,', '"net,x=2",1,,,']


@pytest.mark.parametrize("cut", range(1, 14))
def test_file_that_was_cut_short_ends_as_if_it_was_not(tmp_path, cut):
    whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
    written(whole, SPECS)
    written(broken, SPECS[:3])
    broken.write_bytes(broken.read_bytes()[:-cut])
    done = Results(broken, KEYS, SPECS).done
    assert done == 2
    written(broken, SPECS[done:])
    assert broken.read_bytes() == whole.read_bytes()


def test_candidates_that_did_not_fit_are_not_done_again(tmp_path):
    written(tmp_path / "r.csv", [SPECS[3]])
    assert Results(tmp_path / "r.csv", KEYS, SPECS).done == 4


@pytest.mark.parametrize(
    "text",
    [
        "model,params\na,1\n",
        ",".join(KEYS) + "\nother,1,,,\n",
        ",".join(KEYS) + '\n"net,x=2",1,,,\n"net,x=1",1,,,\n',
    ],
)
def test_file_of_another_sweep_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="name a new file"):
        Results(path, KEYS, SPECS)
    assert path.read_text(encoding="utf-8") == text


def test_results_are_read_as_they_were(tmp_path, nets):
    table = archstat.sweep([f"{nets},kernel=3|9", "vit_b_16"], jobs=1)
    table.save(tmp_path / "r.csv")
    read = read_results(tmp_path / "r.csv")
    for key in ("model", "macs", "param_bytes", "arithmetic_intensity", "failed"):
        assert read.column(key) == table.column(key)
    assert [plain(cell) for cell in read.column("receptive_field")] == [3, None, None]
    assert read.column("receptive_field")[2] == (None,)


def test_column_of_the_user_is_read_as_number_or_text(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("model,accuracy,who\na,0.5,me\nb,,you\n", encoding="utf-8")
    table = read_results(path)
    assert [column.unit for column in table.columns] == ["text", "number", "text"]
    assert table.column("accuracy") == (0.5, None)


@pytest.mark.parametrize(
    "text", ["", "model\na\n", "a,b\n1,2\n", "model,macs\n", "model,macs\na\n", "model,macs\na,x\n",
             "model,macs,macs\na,1,1\n", 'model,macs\n"a,1\n'],
)  # fmt: skip
def test_file_without_candidates_is_refused(tmp_path, text):
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ColumnError):
        read_results(path)


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
    table = _told(Table(tuple(known[key] for key in columns), (("a", 1, 0), ("b", 2, 3))))
    (note,) = table.notes
    assert str(note).startswith("1 of 2 candidates")

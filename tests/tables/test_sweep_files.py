"""Files of a sweep's results: a csv that grows and is gone on with, and what is read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import archstat
from archstat.errors import ColumnError, OutputError
from archstat.result import Table
from archstat.tables.sweep import SWEEP_COLUMNS, Candidate, plain
from archstat.tables.sweep_files import Results, read_results, write_parquet

KEYS = ("model", "macs", "receptive_field", "global_from", "failed")
COLUMNS = [column for column in SWEEP_COLUMNS if column.key in KEYS]
SPECS = [f"net,x={x}" for x in range(1, 6)]


def candidate(spec, macs=1, failed=None):
    return Candidate({"model": spec, "macs": macs, "failed": failed})


def written(path, specs):
    results = Results(path, COLUMNS, SPECS)
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
    done = Results(broken, COLUMNS, SPECS).done
    assert done == 1  # the last row is made again, and compared
    written(broken, SPECS[done:])
    assert broken.read_bytes() == whole.read_bytes()


def test_candidates_that_did_not_fit_are_not_done_again(tmp_path):
    written(tmp_path / "r.csv", [SPECS[3]])
    assert Results(tmp_path / "r.csv", COLUMNS, SPECS).done == 3


@pytest.mark.parametrize("length", range(1, len(",".join(KEYS)) + 1))
def test_file_with_part_of_a_head_begins_anew(tmp_path, length):
    whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
    broken.write_text(",".join(KEYS)[:length], encoding="utf-8")
    for path in (whole, broken):
        assert written(path, SPECS[:1]) == 0
    assert broken.read_bytes() == whole.read_bytes()


def test_file_of_the_same_specs_with_other_figures_is_left_as_it_is(tmp_path):
    path = tmp_path / "r.csv"
    written(path, SPECS[:2])
    before = path.read_bytes()
    results = Results(path, COLUMNS, SPECS)
    with pytest.raises(OutputError):
        results.append([candidate(SPECS[1], macs=7)])
    assert path.read_bytes() == before


def test_candidate_that_failed_last_is_not_tried_again(tmp_path):
    results = Results(tmp_path / "r.csv", COLUMNS, SPECS)
    results.append([candidate(SPECS[0]), candidate(SPECS[1], None, "ended by signal 9")])
    again = Results(tmp_path / "r.csv", COLUMNS, SPECS)
    assert (again.done, again.rows, again.failed) == (2, 2, 1)
    again.append([candidate(SPECS[2])])
    assert (again.rows, again.failed) == (3, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full device")
def test_full_disk_is_told():
    with pytest.raises(OutputError, match="No space"):
        Results(Path("/dev/full"), COLUMNS, SPECS).append([candidate(SPECS[0])])


def test_parquet_has_numbers_and_texts(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas

    rows = ((SPECS[0], 5, (7, 9), None, None), (SPECS[1], None, None, None, "why"))
    write_parquet(Table(tuple(COLUMNS), rows), tmp_path / "r.parquet")
    frame = pandas.read_parquet(tmp_path / "r.parquet")
    assert list(frame.columns) == list(KEYS)
    assert (frame["macs"][0], frame["receptive_field"][0]) == (5, "7x9")
    assert list(frame["failed"].isna()) == [True, False]


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
        Results(path, COLUMNS, SPECS)
    assert path.read_text(encoding="utf-8") == text


def test_results_are_read_as_they_were(tmp_path):
    table = archstat.sweep(["lenet5,num_classes=10|0", "vit_b_16"], jobs=1)
    table.save(tmp_path / "r.csv")
    read = read_results(tmp_path / "r.csv")
    for key in ("model", "macs", "param_bytes", "arithmetic_intensity", "failed"):
        assert read.column(key) == table.column(key)
    assert [plain(cell) for cell in read.column("receptive_field")] == [32, None, None]
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

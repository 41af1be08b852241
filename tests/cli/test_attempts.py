"""Several models of which some fail: what is shown, what is said, and the exit code."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.cli.attempts import Attempts
from archstat.errors import FailedModelsError, InputError

COMMANDS = [["compare"], ["rf"], ["memory"], ["guidelines"], ["roofline", "--device", "t4"]]


def halved(text: str) -> int:
    if not text.isdigit():
        raise InputError(f"{text} is not a number.")
    return int(text) // 2


def test_what_fails_does_not_stop_the_others():
    attempts = Attempts(["4", "x", "8", "y"])
    assert attempts(halved) == [2, 4]
    assert list(attempts.failed) == [1, 3]
    assert attempts.left() == [0, 2]
    assert [attempts.place(number) for number in (0, 2)] == [0, 1]
    with pytest.raises(InputError, match="x is not a number"):
        attempts.place(1)
    with pytest.raises(FailedModelsError, match="2 of 4 models failed: x, y"):
        attempts.refuse()


def test_the_only_model_raises_its_own_error():
    with pytest.raises(InputError, match="x is not a number"):
        Attempts(["x"])(halved)


def test_nothing_that_works_is_an_error_with_every_reason():
    with pytest.raises(FailedModelsError, match=r"x is not a number\.\ny: y is not a number"):
        Attempts(["x", "y"])(halved)


def test_one_reason_for_all_is_said_once(archstat):
    ran = archstat("compare", "lenet5", "alexnet", "--batch", "1", "--input", "3x")
    assert ran.code == 2
    assert ran.err.startswith("archstat: all 2 models failed: ")
    assert ran.err.count("\n") == 1


def test_where_all_fail_each_model_has_its_line(archstat):
    ran = archstat("compare", "nope1", "nope2")
    assert (ran.code, ran.out) == (2, "")
    first, *others = ran.err.splitlines()
    assert first == "archstat: all 2 models failed."
    assert [line.partition(":")[0] for line in others] == ["nope1", "nope2"]


def test_nothing_that_fails_raises_nothing():
    attempts = Attempts(["4"])
    assert attempts(halved) == [2]
    assert attempts.keys(["model", "params"]) == ["model", "params"]
    attempts.refuse()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_failed_model_is_a_row_with_its_reason(archstat, nets, command):
    ran = archstat(*command, "lenet5", "nets.py:raising", "lenet5_modern")
    assert ran.code == 2
    assert ran.err == "archstat: 1 of 3 models failed: nets.py:raising.\n"
    (row,) = [line for line in ran.out.splitlines() if line.startswith("nets.py:raising  ")]
    assert "does not build" in row
    assert "nets.py:raising failed: nets.py:raising does not build: RuntimeError" in ran.out
    assert "lenet5_modern" in ran.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_files_hold_the_whole_reason(archstat, nets, command):
    ran = archstat(*command, "nets.py:raising", "lenet5", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ran.code == 2
    assert rows[-1]["model"] == "nets.py:raising"
    assert rows[-1]["failed"].startswith("nets.py:raising does not build: RuntimeError")
    assert not any(row["failed"] for row in rows[:-1])


def test_chosen_columns_get_that_of_reasons(archstat, nets):
    ran = archstat("compare", "lenet5", "absent", "-f", "json", "--columns", "params")
    assert [row["failed"] is None for row in json.loads(ran.out)["rows"]] == [True, False]


def test_ratios_are_to_the_first_that_works(archstat):
    ran = archstat(
        "compare", "absent", "lenet5", "lenet5", "-f", "csv", "--columns", "params_ratio"
    )
    assert [line.split(",")[1] for line in ran.out.splitlines()[1:]] == ["1.0", "1.0", ""]


def test_reference_that_fails_is_the_error(archstat):
    ran = archstat("compare", "absent", "lenet5", "--reference", "absent")
    assert (ran.code, ran.out) == (2, "")
    assert "There is no network 'absent'" in ran.err

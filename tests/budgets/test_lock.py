"""The lock file: what it holds, how it is read, and that nothing is ever lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat import analyze
from archstat.budgets import Entry, Layer, LockFile, entry_of, parse_lock, read_lock
from archstat.budgets.lock import write_lock
from archstat.errors import LockFileError

ENTRY = Entry(
    "nets.py:Net",
    "1x3x8x8",
    {"params": 10**20, "macs": 7, "receptive_field": (3, None), "effective_stride": (0.5, 1)},
    (Layer("a", "Conv2d", {"macs": 7, "params": 10**20}), Layer("", "Net", {"params": 1})),
    ("macs",),
)
LOCK = LockFile({"small": ENTRY}, "0.1.0", "2.9.0")
TEXT = LOCK.to_json()


def renamed(lock: LockFile, name: str) -> LockFile:
    return replace(lock, entries={name: ENTRY})


# -- content ---------------------------------------------------------------------------------------


def test_entry_has_params_macs_and_what_is_asked_in_total_and_by_layer():
    entry = entry_of(analyze("alexnet"), ["receptive_field", "param_bytes", "params"])
    assert list(entry.totals) == ["params", "macs", "receptive_field", "param_bytes"]
    assert entry.totals["params"] == 60_965_224
    for key in ("params", "macs", "param_bytes"):
        assert sum(layer.figures.get(key, 0) for layer in entry.layers) == entry.totals[key]
    assert all(layer.figures for layer in entry.layers)
    assert {layer.type for layer in entry.layers} == {"Conv2d", "Linear"}


def test_text_is_sorted_json_with_raw_integers_and_a_line_a_layer():
    document = json.loads(TEXT)
    assert list(document) == sorted(document) == ["archstat", "budgets", "schema_version", "torch"]
    budget = document["budgets"]["small"]
    assert list(budget) == sorted(budget)
    assert budget["totals"]["params"] == 10**20
    layer = '{"macs": 7, "module": "a", "params": 100000000000000000000, "type": "Conv2d"},'
    assert f"        {layer}" in TEXT.splitlines()
    two = LockFile({"b": ENTRY, "a": ENTRY})
    assert list(json.loads(two.to_json())["budgets"]) == ["a", "b"]
    assert two.to_json() == LockFile({"a": ENTRY, "b": ENTRY}).to_json()


_CELLS = st.one_of(
    st.none(), st.integers(0, 10**30), st.floats(0, 1e6),
    st.lists(st.one_of(st.none(), st.integers(0, 999)), max_size=3).map(tuple),
)  # fmt: skip
_FIGURES = st.dictionaries(st.sampled_from(["params", "macs", "flops"]), st.integers(0, 10**20))
_LAYERS = st.lists(st.builds(Layer, st.text(), st.text(), _FIGURES), max_size=3).map(tuple)
_ENTRIES = st.builds(
    Entry, st.text(), st.text(), st.dictionaries(st.text(), _CELLS), _LAYERS,
    st.sets(st.sampled_from(["flops", "macs"])).map(lambda keys: tuple(sorted(keys))),
)  # fmt: skip


@given(st.builds(LockFile, st.dictionaries(st.text(), _ENTRIES, max_size=3), st.text(), st.text()))
def test_text_of_any_lock_file_gives_it_back(lock):
    assert parse_lock(lock.to_json(), "x") == lock


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: this lock file cannot be used, it is not JSON"),
        (TEXT[:-30], "it is not JSON"),
        (TEXT.replace('"torch"', '"archstat"'), "'archstat' appears twice"),
        (TEXT.replace('"schema_version": 1', '"schema_version": 2'), "its schema_version is 2"),
        ("[]", "its schema_version is None"),
        (TEXT.replace("100000000000000000000,", '"many",'), "'many' is not a number"),
        (TEXT.replace("100000000000000000000,", "true,"), "True is not a number"),
        (TEXT.replace("0.5", "NaN"), "NaN is not a number"),
        (TEXT.replace('"layers"', '"layer"'), "KeyError: 'layers'"),
        (TEXT.replace('  "budgets"', '<<<<<<< HEAD\n  "budgets"'), "x:3: this lock file"),
        ("[" * 100_000, "it is not JSON"),
        (
            TEXT.replace('"schema_version": 1', '"schema_version": true'),
            "its schema_version is True",
        ),
        (TEXT.replace('"schema_version": 1', '"schema_version": 1.0'), "its schema_version is 1.0"),
        (TEXT.replace("0.5", "1e999"), "inf is not a number"),
        (TEXT.replace("0.5", "-1e999"), "-inf is not a number"),
        (TEXT.replace("0.5", "9" * 4000), "is not a number"),
        (TEXT.replace("0.5", "9" * 5000), "it is not JSON"),
        (TEXT.replace('"input"', '"inputs": "", "input"'), "'inputs' is not a key of a budget"),
    ],
)
def test_damaged_lock_file_says_where_and_what_to_do(text, said):
    with pytest.raises(LockFileError) as caught:
        parse_lock(text, "x")
    assert said in str(caught.value)
    assert "It was left unchanged: restore it from version control" in str(caught.value)


@given(st.text(max_size=60), st.integers(0, len(TEXT)), st.integers(0, 20))
def test_no_damage_has_a_traceback(piece, place, length):
    try:
        parse_lock(TEXT[:place] + piece + TEXT[place + length :], "x")
    except LockFileError as error:
        assert "x" in str(error)


def test_absent_lock_file_is_none_and_an_unreadable_one_an_error(tmp_path):
    assert read_lock(tmp_path / "archstat.lock") is None
    with pytest.raises(LockFileError, match="cannot be read"):
        read_lock(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(LockFileError, match="cannot be read"):
        read_lock(tmp_path / "bytes")


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "nowhere", "folder"])
def test_lock_file_that_is_no_file_is_an_error_and_not_waited_for(tmp_path, kind):
    path = tmp_path / "archstat.lock"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(kind)
    with pytest.raises(LockFileError, match="cannot be read"):
        read_lock(path)


# -- writing ---------------------------------------------------------------------------------------


def test_written_file_is_the_text_and_a_new_one_is_readable_by_all(tmp_path):
    path = tmp_path / "archstat.lock"
    assert write_lock(path, LOCK, None)
    assert path.read_text() == TEXT
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert list(tmp_path.iterdir()) == [path]


def test_other_versions_alone_leave_the_file_as_it_is(tmp_path):
    path = tmp_path / "archstat.lock"
    write_lock(path, LOCK, None)
    assert not write_lock(path, replace(LOCK, torch_version="9", archstat_version="9"), LOCK)
    assert path.read_text() == TEXT


def test_mode_and_symbolic_link_stay(tmp_path):
    real, link = tmp_path / "real.lock", tmp_path / "archstat.lock"
    real.write_text(TEXT)
    real.chmod(0o640)
    link.symlink_to(real)
    assert write_lock(link, renamed(LOCK, "b"), LOCK)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert read_lock(real) == renamed(LOCK, "b")


def test_what_another_run_wrote_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "archstat.lock"
    write_lock(path, renamed(LOCK, "theirs"), None)
    for seen in (None, LOCK):
        with pytest.raises(LockFileError, match="was changed by another run"):
            write_lock(path, renamed(LOCK, "ours"), seen)
    assert read_lock(path) == renamed(LOCK, "theirs")


def test_file_that_vanished_meanwhile_is_a_change_too(tmp_path):
    with pytest.raises(LockFileError, match="was changed by another run"):
        write_lock(tmp_path / "archstat.lock", renamed(LOCK, "ours"), LOCK)
    assert list(tmp_path.iterdir()) == []


def test_damaged_file_is_not_overwritten(tmp_path):
    path = tmp_path / "archstat.lock"
    path.write_text("{")
    with pytest.raises(LockFileError, match="was left unchanged"):
        write_lock(path, LOCK, None)
    assert path.read_text() == "{"


def test_failure_to_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "archstat.lock"
    write_lock(path, LOCK, None)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LockFileError, match="cannot be written: No space left"):
        write_lock(path, renamed(LOCK, "b"), LOCK)
    assert path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [path]


def test_absent_folder_is_an_error(tmp_path):
    with pytest.raises(LockFileError, match="cannot be written"):
        write_lock(tmp_path / "none" / "archstat.lock", LOCK, None)


_KILLED = """
import os, sys, time
from pathlib import Path
from archstat.budgets import read_lock, parse_lock
from archstat.budgets.lock import write_lock
path, other = Path(sys.argv[1]), parse_lock(Path(sys.argv[2]).read_text(), "other")
def wait(*_):
    print("in the middle", flush=True)
    time.sleep(60)
os.replace = wait
write_lock(path, other, read_lock(path))
"""


def test_kill_in_the_middle_leaves_the_old_file_and_the_next_run_cleans_up(tmp_path):
    path, other = tmp_path / "archstat.lock", tmp_path / "other.json"
    write_lock(path, LOCK, None)
    other.write_text(renamed(LOCK, "b").to_json())
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path), str(other)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in the middle\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == TEXT
    assert len(list(tmp_path.glob(".archstat.lock.*"))) == 1
    assert write_lock(path, renamed(LOCK, "c"), LOCK)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archstat.lock", "other.json"]
    assert read_lock(path) == renamed(LOCK, "c")


def _write_many(path, name, outcomes) -> None:
    for number in range(30):
        lock = renamed(LOCK, f"{name}{number}")
        try:
            write_lock(path, lock, read_lock(path))
        except LockFileError as error:
            outcomes.put(str(error))
        else:
            outcomes.put("")


def test_concurrent_writers_never_leave_half_a_file(tmp_path):
    path = tmp_path / "archstat.lock"
    write_lock(path, LOCK, None)
    context = multiprocessing.get_context("spawn")
    outcomes = context.Queue()
    writers = [
        context.Process(target=_write_many, args=(path, name, outcomes)) for name in ("a", "b")
    ]
    for writer in writers:
        writer.start()
    said = []
    deadline = time.monotonic() + 60
    while len(said) < 60 and time.monotonic() < deadline:
        lock = read_lock(path)  # whenever one looks, it is a whole file
        assert lock is not None
        assert list(lock.entries.values()) == [ENTRY]
        while not outcomes.empty():
            said.append(outcomes.get())
    for writer in writers:
        writer.join()
    assert len(said) == 60
    assert all(not text or "was changed by another run" in text for text in said)
    assert "" in said
    assert list(tmp_path.iterdir()) == [path]


def test_writer_waits_for_the_one_before_it(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "archstat.lock"
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    writer = threading.Thread(target=write_lock, args=(path, LOCK, None))
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    assert not path.exists()
    os.close(handle)
    writer.join(20)
    assert path.read_text() == TEXT

"""The store of latencies: appends that last, writers at the same time, and every broken file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from archstat.errors import LatencyStoreError
from archstat.measure.latency.store import SCHEMA_VERSION, LatencyStore, store_path, subject_of

WRITER = """
import json, sys
from archstat.measure.latency.measurement import Measurement
from archstat.measure.latency.store import LatencyStore
from pathlib import Path
record = json.loads(sys.argv[2])
store = LatencyStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    store.append([Measurement.from_record(record)] * 2)
"""


@pytest.fixture
def store(tmp_path):
    return LatencyStore(tmp_path / "data" / "latency.sqlite", patience_s=0.0)


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_what_is_appended_comes_back_in_order_and_whole(store, measurement):
    first, second = measurement(date="2026-11-01T00:00:00+00:00"), measurement("vgg16", 20.0)
    store.append([second])
    store.append([first])
    assert [one.measurement for one in store.of_machine("m1")] == [first, second]
    assert [one.subject for one in store.of_machine("m1")] == ["resnet18", "vgg16"]


def test_other_machines_measurements_stay_apart(store, measurement):
    store.append([measurement(machine="m1"), measurement(machine="m2", ms=99.0)])
    (mine,) = store.of_machine("m1")
    assert mine.measurement.main.p50_ms == 10.0
    assert store.of_machine("m3") == ()


def test_nothing_is_in_a_store_that_does_not_exist_and_reading_makes_none(store):
    assert store.of_machine("m1") == ()
    assert not store.path.exists()


def test_check_makes_a_store_that_is_empty(store):
    store.check()
    assert store.path.is_file()
    assert store.of_machine("m1") == ()


def test_empty_file_becomes_a_store(store, measurement):
    store.path.parent.mkdir()
    store.path.touch()
    assert store.of_machine("m1") == ()
    store.append([measurement()])
    assert len(store.of_machine("m1")) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM measurements",
                                       "UPDATE measurements SET date = ''"])  # fmt: skip
def test_measurements_are_neither_changed_nor_deleted(store, measurement, statement):
    store.append([measurement()])
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        changed(store.path, statement)
    assert len(store.of_machine("m1")) == 1


def test_append_is_all_or_nothing(store, measurement):
    store.append([measurement()])
    with pytest.raises(TypeError):
        store.append([measurement(), measurement(model=b"not JSON")])  # type: ignore[arg-type]
    assert len(store.of_machine("m1")) == 1


def test_processes_write_at_the_same_time_and_nothing_is_lost(tmp_path, measurement):
    import json

    path = tmp_path / "latency.sqlite"
    record = json.dumps(measurement().to_record())
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path), record, "10"]
    # Nobody made the file before: they race for that, too.
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    told = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], told
    assert len(LatencyStore(path).of_machine("m1")) == 3 * 10 * 2


def test_locked_store_is_refused_when_patience_ends(store, measurement):
    store.append([measurement()])
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LatencyStoreError, match="locked by another program for 0 s"):
            store.append([measurement()])
        assert len(store.of_machine("m1")) == 1  # a writer is in nobody's way who reads
        other.execute("ROLLBACK")
    store.append([measurement()])
    assert len(store.of_machine("m1")) == 2


def test_file_that_is_no_database_is_refused_and_left_alone(store, measurement):
    store.path.parent.mkdir()
    store.path.write_bytes(b"not a database, but longer than its header" * 100)
    for act in (store.check, lambda: store.append([measurement()]), lambda: store.of_machine("")):
        with pytest.raises(LatencyStoreError, match=r"is damaged \(file is not a database\)"):
            act()
    assert store.path.read_bytes().startswith(b"not a database")


def test_damage_inside_is_told_before_anything_is_measured(store, measurement):
    store.append([measurement()] * 200)
    content = bytearray(store.path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = b"\xff" * 4096
    store.path.write_bytes(content)
    with pytest.raises(LatencyStoreError, match=r"is damaged .*move it away") as refused:
        store.check()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("record", ["{", "[]", "{}", "3", '{"model": "vgg16"}'])
def test_record_that_is_none_is_damage(store, measurement, record):
    store.append([measurement()])
    changed(store.path, f"INSERT INTO measurements VALUES (9, '2026', 'm1', 'x', '{record}')")
    with pytest.raises(LatencyStoreError, match="is damaged"):
        store.of_machine("m1")


def test_database_of_another_program_is_refused(store, measurement):
    store.path.parent.mkdir()
    changed(store.path, "CREATE TABLE bookmarks (address TEXT)")
    for act in (store.check, lambda: store.append([measurement()]), lambda: store.of_machine("")):
        with pytest.raises(LatencyStoreError, match="belongs to another program: set ARCHSTAT_"):
            act()


def test_store_of_a_newer_archstat_is_refused(store, measurement):
    store.append([measurement()])
    changed(store.path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for act in (store.check, lambda: store.of_machine("m1")):
        with pytest.raises(LatencyStoreError, match=r"newer archstat .*update archstat"):
            act()


def test_place_that_cannot_be_written_is_told_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "latency.sqlite", tmp_path):
        with pytest.raises(LatencyStoreError, match="ARCHSTAT_STORE to another"):
            LatencyStore(path).check()


def test_path_with_signs_of_an_address_is_a_path(tmp_path, measurement):
    store = LatencyStore(tmp_path / "a?b#c %20" / "latency.sqlite")
    store.append([measurement()])
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.sqlite")] == [
        f"a?b#c %20{os.sep}latency.sqlite"
    ]


def test_place_of_the_store_is_the_variables_or_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHSTAT_STORE", str(tmp_path / "mine.db"))
    assert store_path() == tmp_path / "mine.db"
    monkeypatch.delenv("ARCHSTAT_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store_path() == tmp_path / "archstat" / "latency.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_path() == tmp_path / ".local" / "share" / "archstat" / "latency.sqlite"


def test_file_of_a_spec_is_told_from_one_of_the_same_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert subject_of("nets.py:Net,depth=3") == f"{tmp_path / 'nets.py'}:Net,depth=3"
    for spec in ("resnet18", "mobilenet_v1,width=0.5", "timm:resnet50", "nets:Net"):
        assert subject_of(spec) == spec

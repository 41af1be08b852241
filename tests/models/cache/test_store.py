"""Entries in a folder: whole or absent, checked, bounded, the user's alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import stat
import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from archstat.models.cache import store as stores
from archstat.models.cache.store import Store

KEY, OTHER = sha256(b"key").digest(), sha256(b"other").digest()
unix = pytest.mark.skipif(sys.platform == "win32", reason="permissions are Unix's")


def entry(store: Store, digest: bytes = KEY) -> Path:
    return store.folder / f"{digest.hex()}.graph"


def test_what_was_written_is_read(store):
    assert store.write(KEY, b"content")
    assert store.read(KEY) == b"content"
    assert store.usage() == (1, entry(store).stat().st_size)


def test_nothing_is_read_before_it_is_written(store):
    assert store.read(KEY) is None
    assert store.usage() == (0, 0)
    assert store.clear() == (0, 0)
    assert not store.folder.exists()


def test_later_content_replaces_the_former(store):
    assert store.write(KEY, b"former")
    assert store.write(KEY, b"later")
    assert store.read(KEY) == b"later"


@unix
def test_entries_and_their_folder_are_the_users_alone(store):
    store.write(KEY, b"content")
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(store).stat().st_mode) == 0o600


def test_two_hundred_randomly_damaged_entries_are_dropped(store):
    random_ = random.Random(9)
    content = random_.randbytes(500)
    for _ in range(200):
        store.write(KEY, content)
        damaged = bytearray(entry(store).read_bytes())
        place = random_.randrange(len(damaged))
        kind = random_.choice(["flip", "cut", "zero", "append", "insert", "swap"])
        if kind == "flip":
            damaged[place] ^= 1 << random_.randrange(8)
        elif kind == "cut":
            del damaged[place:]
        elif kind == "zero":
            damaged[place:] = b"\0" * (len(damaged) - place + 1)
        elif kind == "append":
            damaged += random_.randbytes(random_.randrange(1, 50))
        elif kind == "insert":
            damaged[place:place] = random_.randbytes(3)
        else:
            damaged = bytearray(random_.randbytes(len(damaged)))
        entry(store).write_bytes(damaged)
        assert store.read(KEY) is None, kind
        assert not entry(store).exists()


def test_entry_of_another_key_is_dropped(store):
    store.write(OTHER, b"other")
    os.replace(entry(store, OTHER), entry(store))
    assert store.read(KEY) is None
    assert not entry(store).exists()


def test_entry_of_an_older_schema_is_dropped(store, monkeypatch):
    monkeypatch.setattr(stores, "_MAGIC", b"archstat graph 0\n")
    store.write(KEY, b"older")
    monkeypatch.undo()
    assert store.read(KEY) is None
    assert not entry(store).exists()


@unix
def test_entry_of_another_user_is_not_read(store, monkeypatch):
    store.write(KEY, b"content")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert store.read(KEY) is None


@unix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_entry_that_others_may_write_is_not_read(store, mode):
    store.write(KEY, b"content")
    entry(store).chmod(mode)
    assert store.read(KEY) is None


@unix
def test_pipe_in_place_of_an_entry_is_not_waited_for(store):
    store.folder.mkdir()
    os.mkfifo(entry(store))
    assert store.read(KEY) is None


def test_folder_in_place_of_an_entry_is_no_entry(store):
    entry(store).mkdir(parents=True)
    assert store.read(KEY) is None
    assert not store.write(KEY, b"content")
    assert [path.name for path in store.folder.iterdir()] == [entry(store).name]


def test_oldest_entries_make_room(store):
    store = replace(store, limit=1000)
    digests = [sha256(bytes([number])).digest() for number in range(8)]
    for age, digest in enumerate(reversed(digests)):
        store.write(digest, b"x" * 100)
        os.utime(entry(store, digest), (1000 + age, 1000 + age))
    assert store.usage()[1] <= store.limit
    kept = [store.read(digest) is not None for digest in digests]
    assert 0 < sum(kept) < 8
    assert kept == sorted(kept, reverse=True)  # the youngest


def test_entry_in_use_becomes_young_again(store):
    store.write(KEY, b"content")
    os.utime(entry(store), (1000, 1000))
    assert store.read(KEY) == b"content"
    assert entry(store).stat().st_mtime > 1_000_000


def test_entry_beyond_the_limit_is_not_kept(store):
    assert not replace(store, limit=100).write(KEY, b"x" * 100)
    assert not store.folder.exists()


def test_abandoned_drafts_are_taken_out_and_young_ones_left(store):
    store.folder.mkdir()
    old, young = (store.folder / f".{KEY.hex()}.graph.draft.{name}" for name in ("old", "young"))
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    store.write(KEY, b"content")
    assert (old.exists(), young.exists()) == (False, True)


def test_clear_leaves_what_is_no_entry(store):
    store.write(KEY, b"content")
    own = store.folder / "vgg16.graph"
    own.write_text("mine")
    assert store.clear()[0] == 1
    assert list(store.folder.iterdir()) == [own]


@pytest.mark.parametrize("call", ["mkdir", "mkstemp", "replace", "fdopen"])
def test_full_or_read_only_disk_costs_the_entry_alone(store, monkeypatch, call):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    place = {"mkdir": Path, "mkstemp": tempfile}.get(call, os)
    with monkeypatch.context() as patch:
        patch.setattr(place, call, refuse)
        assert not store.write(KEY, b"content")
    assert not store.folder.exists() or list(store.folder.iterdir()) == []
    assert store.read(KEY) is None


def test_file_in_place_of_the_folder_is_no_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    store = Store(tmp_path / "file")
    assert not store.write(KEY, b"content")
    assert store.read(KEY) is None
    assert store.usage() == store.clear() == (0, 0)
    assert (tmp_path / "file").read_text() == "mine"


def content_of(number: int) -> bytes:
    return random.Random(number).randbytes(300 + 40 * number)


def race(folder: Path, limit: int, seed: int) -> int:
    """Read and write forty keys in a random order; how many contents were wrong."""
    store, random_, wrong = Store(folder, limit), random.Random(seed), 0
    for _ in range(300):
        number = random_.randrange(40)
        digest = sha256(bytes([number])).digest()
        found = store.read(digest)
        wrong += found not in (None, content_of(number))
        if found is None or random_.random() < 0.3:
            store.write(digest, content_of(number))
        if random_.random() < 0.05:
            store.drop(digest)
    return wrong


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("limit", [10**9, 12_000], ids=["empty at first", "full"])
def test_eight_processes_race(store, limit):
    store = Store(store.folder, limit)
    if limit < 10**9:
        for number in range(40):
            store.write(sha256(bytes([number])).digest(), content_of(number))
    with multiprocessing.get_context("fork").Pool(8) as pool:
        wrong = pool.starmap(race, [(store.folder, limit, seed) for seed in range(8)])
    assert wrong == [0] * 8
    assert store.write(KEY, b"last")
    assert store.usage()[1] <= limit
    assert not [path for path in store.folder.iterdir() if path.suffix != ".graph"]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_process_killed_while_it_writes_leaves_no_entry(store, monkeypatch):
    store.write(OTHER, b"other")
    child = os.fork()
    if child == 0:  # the very moment before the draft gets its name
        monkeypatch.setattr(os, "replace", lambda *_: os.kill(os.getpid(), 9))
        store.write(KEY, b"half")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert store.read(KEY) is None
    assert store.usage()[0] == 1
    assert store.write(KEY, b"whole")
    assert store.read(KEY) == b"whole"

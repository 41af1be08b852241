"""The user's cache folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archstat.files import cache_folder, write_whole


def test_cache_folder_is_where_platformdirs_puts_it(tmp_path, monkeypatch):
    platformdirs = pytest.importorskip("platformdirs", reason="to compare with")
    for given in (str(tmp_path), ""):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        expected = platformdirs.user_cache_dir("archstat", appauthor=False)
        assert cache_folder() == Path(expected)


@pytest.mark.parametrize(
    ("system", "expected"),
    [("linux", ".cache/archstat"), ("darwin", "Library/Caches/archstat"),
     ("win32", "AppData/Local/archstat/Cache")],
)  # fmt: skip
def test_cache_folder_of_each_system(tmp_path, monkeypatch, system, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", system)
    assert cache_folder() == tmp_path / expected


def test_write_keeps_the_mode_of_what_it_replaces(tmp_path):
    path = tmp_path / "kept"
    write_whole(path, "first")
    path.chmod(0o640)
    write_whole(path, b"second")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"second", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_private_file_is_the_users_alone(tmp_path):
    write_whole(tmp_path / "kept", "x", private=True)
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


def test_write_into_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "absent" / "kept", "x")

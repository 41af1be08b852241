"""The user's cache folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archstat.files import cache_folder


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

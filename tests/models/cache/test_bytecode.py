"""Byte code that is older than its source."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from archstat.models.cache.key import any_may_be_stale

SECOND = 10**9


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A compiled source of a whole second long ago."""
    path = tmp_path / "nets.py"
    path.write_text("width = 32\n", encoding="utf-8")
    os.utime(path, ns=(1000 * SECOND, 1000 * SECOND))
    py_compile.compile(str(path))
    return path


def test_source_without_byte_code_is_what_runs(tmp_path):
    (tmp_path / "nets.py").write_text("width = 32\n", encoding="utf-8")
    assert not any_may_be_stale([tmp_path / "nets.py"])


def test_byte_code_of_the_source_is_what_runs(source):
    assert not any_may_be_stale([source])


def edited_at(source: Path, text: str, nanoseconds: int, compiled: int) -> Path:
    source.write_text(text, encoding="utf-8")
    os.utime(source, ns=(nanoseconds, nanoseconds))
    cached = next((source.parent / "__pycache__").glob("nets.*.pyc"))
    os.utime(cached, ns=(compiled, compiled))
    return source


def test_edit_in_the_second_of_the_former_is_missed_by_python(source):
    at = 1000 * SECOND + 700_000_000
    assert any_may_be_stale([edited_at(source, "width = 64\n", at, at - 1)])


@pytest.mark.parametrize(("text", "at"), [("width = 64\n", 1001), ("width = 128\n", 1000)])
def test_edit_that_python_notices_is_what_runs(source, text, at):
    assert not any_may_be_stale([edited_at(source, text, at * SECOND, 999 * SECOND)])


@pytest.mark.parametrize(("mode", "stale"), [("UNCHECKED_HASH", True), ("CHECKED_HASH", False)])
def test_byte_code_that_is_never_checked_may_be_stale(source, mode, stale):
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode[mode])
    later = 4_000_000_000 * SECOND
    assert any_may_be_stale([edited_at(source, "width = 64\n", later, 999 * SECOND)]) is stale

"""The plan of the house: tests mirror the package, files stay small, versions agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archstat import __version__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archstat"
MIRRORED = ("analyses", "budgets", "cli", "diff", "frontends", "measure", "models", "reporters",
            "tables", "zoo")  # fmt: skip
# Tests of something that runs through several files of their room.
ACROSS = {
}  # fmt: skip
MOST_LINES, MOST_FILES = 380, 260


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_files_are_small_but_those_of_the_zoo():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items()
            if lines > MOST_LINES and path.parent.name != "zoo"}  # fmt: skip
    assert long == {}


def test_the_house_has_few_files():
    assert len(sources()) <= MOST_FILES


@pytest.mark.parametrize("room", MIRRORED)
def test_tests_mirror_the_package(room):
    strange = {
        str(path.relative_to(ROOT / "tests"))
        for path in (ROOT / "tests" / room).rglob("test_*.py")
        if not is_mirror(path)
    }
    assert strange <= ACROSS


def is_mirror(test: Path) -> bool:
    """Whether ``tests/a/test_b.py`` is of ``archstat/a/b.py`` or of the room ``archstat/a/b``."""
    place = PACKAGE / test.parent.relative_to(ROOT / "tests") / test.stem.removeprefix("test_")
    return place.with_suffix(".py").is_file() or place.is_dir()


def test_changelog_tells_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (?:Unreleased \(([\d.]+)\)|([\d.]+))", changelog, re.MULTILINE)
    assert newest is not None
    assert __version__ in newest.groups()

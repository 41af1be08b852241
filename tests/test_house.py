"""The plan of the house: tests mirror the package, files stay small, versions agree."""

from __future__ import annotations

import re
from pathlib import Path

from archstat import __version__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archstat"
OTHERS = ("fuzz", "scripts")  # of several rooms at once, and of what stands beside the package
MOST_LINES, MOST_FILES = 380, 310  # a network of the zoo is a file, of any length


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "zoo")


def test_files_are_small_but_those_of_the_zoo():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MOST_LINES}
    assert long == {}


def test_the_house_has_few_files():
    assert len(sources()) <= MOST_FILES


def test_tests_mirror_the_rooms():
    folders = {path.parent.relative_to(ROOT / "tests") for path in ROOT.glob("tests/**/test_*.py")}
    strange = {str(place) for place in folders if not (PACKAGE / place).exists()}
    assert strange == set(OTHERS)


def test_changelog_tells_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (?:Unreleased \(([\d.]+)\)|([\d.]+))", changelog, re.MULTILINE)
    assert newest is not None
    assert __version__ in newest.groups()

"""What README, CHANGELOG and docs say is what the package does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import archstat
from archstat import errors
from archstat.cli.app import COMMANDS
from archstat.reporters import FORMATS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
START = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
DOCS = README + "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/*.md"))
BLOCKS = re.findall(r"^```[^\n]*\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

SET_UP = [
    "python -m pip install -c constraints.txt . && archstat compare vgg16 mobilenet_v1\n",
    'python -m pip install -c constraints.txt ".[test]" && python -m pytest\n',
]


def test_first_two_blocks_of_the_readme_are_the_two_commands():
    assert BLOCKS[:2] == SET_UP


def test_readme_is_short():
    assert len(README.splitlines()) <= 128


ENTRIES = [entry for entries in COMMANDS.values() for entry in entries]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_every_command_has_help_and_is_in_the_docs(entry):
    assert inspect.getdoc(entry.run)
    assert f"archstat {entry.name}" in DOCS


def test_every_exit_code_is_in_the_docs():
    codes = [int(digits) for digits in re.findall(r"^\| (\d) \|", START, re.MULTILINE)]
    assert codes == sorted(getattr(errors, name) for name in dir(errors) if name[:5] == "EXIT_")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_file_of_every_raw_format_is_in_the_docs(suffix):
    assert any(suffix in form.suffixes for form in FORMATS)
    assert f"-o out{suffix}" in START


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_links_of_a_page_of_the_site_lead_to_another_part_of_it(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert [link for link in links if link.startswith("..")] + missing == []


def test_newest_entry_of_the_changelog_is_this_version_or_unreleased():
    newest = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)[0]
    assert newest.startswith(("Unreleased", archstat.__version__, f"[{archstat.__version__}]"))
    assert archstat.__version__ in CHANGELOG


def test_every_command_is_in_the_changelog():
    assert [one.name for one in ENTRIES if f"archstat {one.name}" not in CHANGELOG] == []

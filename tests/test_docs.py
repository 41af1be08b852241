"""What README, CHANGELOG and docs say is what the package does."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest

import archstat
from archstat import errors
from archstat.cli import main
from archstat.cli.app import COMMANDS
from archstat.reporters import FORMATS
from archstat.reporters.to_console import to_console
from archstat.tables.compare import compare

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```[a-z]*\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

SET_UP = [
    "python -m pip install -c constraints.txt . && archstat compare vgg16 mobilenet_v1\n",
    'python -m pip install -c constraints.txt ".[test]" && python -m pytest\n',
]


def test_first_two_blocks_of_the_readme_are_the_two_commands():
    assert BLOCKS[:2] == SET_UP


def printed_tables() -> list[tuple[list[str], str]]:
    """The models of each `compare` that the README shows, and the table it shows for them."""
    shown = []
    for block in BLOCKS:
        command, _, table = block.partition("\n")
        if command.startswith("$ archstat compare ") and table:
            shown.append((shlex.split(command)[3:], table))
        elif command.startswith("model "):
            shown.append((["vgg16", "mobilenet_v1"], block))
    return shown


def test_readme_shows_the_table_of_the_main_job():
    assert printed_tables()[0][0] == ["vgg16", "mobilenet_v1"]


@pytest.mark.parametrize(
    ("models", "table"), printed_tables(), ids=[" ".join(models) for models, _ in printed_tables()]
)
def test_readme_shows_what_compare_prints(models, table):
    models, _, shape = " ".join(models).partition(" --input ")
    keys = ["params", "macs", "flops", "activations", "depth"]
    chosen = ["model", "input", *keys, *(f"{key}_ratio" for key in keys)]
    compared = compare(models.split(), input=shape or None)
    assert table == to_console(compared.select(chosen), width=None, colour=False)


SHOWN = {
    block.partition("\n")[0][2:]: block.partition("\n")[2]
    for block in BLOCKS
    if block.startswith(("$ archstat guidelines", "$ archstat memory", "$ archstat roofline"))
}


@pytest.mark.parametrize("command", SHOWN)
def test_readme_shows_what_is_printed_by(command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    try:
        code: object = main()
    except SystemExit as stop:
        code = stop.code
    assert not code
    assert capsys.readouterr().out.rstrip("\n") == SHOWN[command].rstrip("\n")


def test_readme_shows_these_commands():
    assert [command.split()[1] for command in SHOWN] == ["guidelines", "memory", "roofline"]


ENTRIES = [entry for entries in COMMANDS.values() for entry in entries]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_every_command_has_help_and_is_in_the_readme(entry):
    assert inspect.getdoc(entry.run)
    assert f"archstat {entry.name}" in README


@pytest.mark.parametrize("name", ["analyze", "compare", "capture"])
def test_every_function_of_the_api_is_in_the_readme(name):
    assert f"archstat.{name}" in README


def test_readme_gives_the_exit_codes():
    (sentence,) = re.findall(r"Exit codes: ([^.]*)\.", README)
    codes = [int(digits) for digits in re.findall(r"\b\d\b", sentence)]
    assert codes == sorted(getattr(errors, name) for name in dir(errors) if name[:5] == "EXIT_")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_readme_shows_a_file_of_every_raw_format(suffix):
    assert any(suffix in form.suffixes for form in FORMATS)
    assert f"-o out{suffix}" in README or f"out{suffix}" in README


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


def test_python_example_of_the_readme_runs():
    (example,) = [block for block in BLOCKS if block.startswith("import archstat")]
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["report"].totals["macs"] > 0

"""Help that can be skimmed."""

from __future__ import annotations

import re

import pytest
import typer.main

from archstat.cli.app import COMMANDS, app

ENTRIES = [entry for entries in COMMANDS.values() for entry in entries]
EXAMPLES = [example for entry in ENTRIES for example in entry.examples]
GROUP = typer.main.get_command(app)
WIDTH = 80


@pytest.fixture
def pages(archstat):
    """The help of a command, by its name."""
    return lambda *words: archstat(*words).out


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_line_of_a_command_is_whole_on_a_narrow_screen(entry, pages):
    assert len(entry.line) <= 55
    assert re.search(rf"^  {entry.name} +{re.escape(entry.line)}$", pages("--help"), re.MULTILINE)


def test_commands_stand_in_groups(pages):
    titles = re.findall(r"^([A-Z].*):$", pages("--help"), re.MULTILINE)
    assert titles == [*COMMANDS, "Options"]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_help_of_a_command_fits_and_shows_its_examples(entry, pages):
    text = pages(entry.name, "-h")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(f"  archstat {example}\n" in text for example in entry.examples)
    assert not re.search(r"<(int|str|float|list)", text)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_a_command_line_that_parses(example):
    import shlex

    words = [word for word in shlex.split(example) if word != "-v"]
    command = GROUP.get_command(None, words[0])
    command.make_context(words[0], words[1:])


def test_options_stand_in_groups_and_help_comes_last(pages):
    titles = re.findall(r"^([A-Z][A-Za-z ]*):$", pages("compare", "-h"), re.MULTILINE)
    assert titles == ["Arguments", "Options", "Measuring", "Input", "Choose and order", "Output",
                      "Other", "Examples"]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "usage"), [("compare", "MODEL..."), ("bench", "[MODEL...]"), ("summary", "MODEL")]
)
def test_usage_shows_how_many_models_a_command_takes(pages, command, usage):
    assert pages(command, "-h").startswith(f"Usage: archstat {command} [OPTIONS] {usage}\n")


@pytest.mark.parametrize("words", [("compare", "-h"), ("compare", "--help"), ("help", "compare")])
def test_every_way_to_ask_for_help_gives_the_same(pages, words):
    assert pages(*words) == pages("compare", "--help")


def test_help_without_a_command_is_the_page_of_all(pages):
    assert pages("help").rstrip() == pages("--help").rstrip()


def test_version_is_a_command_too(pages):
    assert pages("version") == pages("--version")


def test_version_says_what_it_runs_with_if_asked(pages):
    assert "\ntorch " in pages("-v", "version")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("compare lenet5 --dtype fp16", "It is an option of memory, roofline"),
        ("bench lenet5 --colums macs", "Did you mean --columns"),
        ("list --nonsense-entirely", "list has no option --nonsense-entirely. `archstat list -h`"),
    ],
)
def test_unknown_option_names_the_commands_that_have_it_or_the_nearest(archstat, line, told):
    ran = archstat(*line.split())
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1

"""A model without a command, words that are neither, and what --version -v says."""

from __future__ import annotations

import platform

import pytest
import torch

from archstat.cli.app import facts


def test_versions_and_devices_are_named():
    lines = facts()
    assert lines[0].startswith(f"python {platform.python_version()}, ")
    assert f"torch {torch.__version__}" in lines
    assert any(line.startswith("devices cpu") for line in lines)


def test_model_alone_shows_its_overview(archstat):
    shown, asked = archstat("lenet5", "--depth", "1"), archstat("summary", "lenet5", "--depth", "1")
    assert shown == asked
    assert shown.code == 0
    assert shown.out.splitlines()[2].startswith("lenet5")


def test_model_of_a_file_shows_its_overview_or_says_what_it_lacks(archstat, nets):
    assert archstat("nets.py:Net", "--input", "3x32x32").code == 0
    ran = archstat("nets.py:Nett")
    assert ran.code == 2
    assert "Did you mean" in ran.err


@pytest.mark.parametrize(
    ("word", "meant"),
    [("sumary", "summary"), ("vgg61", "vgg16"), ("resnet", "resnet18"), ("explan", "explain")],
)
def test_word_that_is_neither_command_nor_model_names_the_nearest_of_both(archstat, word, meant):
    ran = archstat(word)
    assert (ran.code, ran.out) == (2, "")
    assert f"{word}: there is no such command, and no such model." in ran.err
    assert meant in ran.err
    assert "archstat list" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["params", "lenet5"], "It is a column: `archstat compare MODEL --columns params`."),
        (["lenet5", "alexnet"], "alexnet is too much. `archstat compare` takes several models."),
        (["list", "a", "b"], "list takes [PATTERN], so b is too much. `archstat list -h`"),
    ],
)
def test_half_right_words_get_the_command_that_was_meant(archstat, words, said):
    ran = archstat(*words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err

"""Messages are for people: nothing that archstat does hangs on the words of a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import archstat

SOURCES = sorted(Path(archstat.__file__).parent.rglob("*.py"))
# What other programs print, and rows of tables that are named by two words.
FOREIGN = {
    "model name", "can't allocate memory", "not enough memory", "more than 1 value per channel",
    "fatal: ", "worktree ",
}  # fmt: skip
NAMES = {"in place", "look up", " \t\r\n", "("}
# Words that archstat's own messages end in or begin with.
WORDS = {"less", "more", "differs", "agrees", "(functional)"}
_TESTS = {"startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "count"}


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, (ast.Tuple, ast.Set, ast.List)):
        for element in node.elts:
            yield from _texts(element)


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the literal of every test on a text."""
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            sides = node.args if node.func.attr in _TESTS else []
        yield from ((node.lineno, text) for side in sides for text in _texts(side))


def is_prose(text: str) -> bool:
    return text in WORDS or (" " in text and any(map(str.isalpha, text)))


@pytest.mark.parametrize("line", [
    'note.startswith("unknown: ")', 'text.endswith("less")', '"outputs; the" in message',
    'verdict in (expected, "can\'t tell")', 'path.endswith("(functional)")',
])  # fmt: skip
def test_comparison_with_a_sentence_is_found(line):
    assert [text for _, text in _literals(ast.parse(line)) if is_prose(text)]


def test_no_source_tests_the_words_of_a_message():
    found = [
        f"{path.name}:{line}: {text!r}"
        for path in SOURCES
        for line, text in _literals(ast.parse(path.read_text(encoding="utf-8")))
        if is_prose(text) and text not in FOREIGN | NAMES
    ]
    assert found == []

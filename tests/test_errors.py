"""Messages speak to whoever reads: options at a command line, arguments in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

import archstat
from archstat.errors import AT_COMMAND_LINE, Option

PACKAGE = Path(archstat.__file__).parent


def at_command_line(option: Option) -> str:
    """Its text where a command line asks."""
    context = copy_context()
    context.run(AT_COMMAND_LINE.set, True)
    return context.run(str, option)


@pytest.mark.parametrize(
    ("option", "typed", "written"),
    [
        (Option("at"), "--at", "at="),
        (Option("dtype", "fp16"), "--dtype fp16", "dtype='fp16'"),
        (Option("batch", 2), "--batch 2", "batch=2"),
        (Option("cuda_graph", True), "--cuda-graph", "cuda_graph=True"),
    ],
)
def test_option_is_typed_in_a_shell_and_written_in_python(option, typed, written):
    assert (at_command_line(option), str(option)) == (typed, written)


def texts(tree: ast.AST) -> Iterator[str]:
    """The texts of a file but for its docstrings; those with figures in them whole."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield "".join(str(getattr(part, "value", "")) for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            yield str(node.value)


def test_no_text_below_the_command_line_names_an_option_of_it():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            # A whole command, to be run in a shell, is one; a word alone is for another tool.
            prose = re.sub(r"`(archstat|git) [^`]*(`|$)", "", text)
            if path.parent.name != "cli" and re.search(r"\s--[a-z<]|^--[a-z-]+ \S", prose):
                found.append((str(path), text))
    assert not found

"""The notebooks of examples/ run, and print what is kept in them."""

from __future__ import annotations

import pytest
from make_examples import executed, notebooks


def test_there_are_two_notebooks():
    assert len(notebooks()) == 2


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebook_prints_what_it_keeps(path):
    kept = path.read_text(encoding="utf-8")
    assert executed(kept) == kept

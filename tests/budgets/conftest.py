"""What the tests of budgets share: reports of hand-made totals, without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archstat.budgets import Config
from archstat.budgets.reading import parse_config
from archstat.errors import ConfigError
from archstat.graph import Graph
from archstat.result import Analysis, Report


@pytest.fixture
def report_of() -> Callable[..., Report]:
    """Make a Report of totals; the keys in `bounds` are lower bounds."""

    def make(
        bounds: tuple[str, ...] = (), unknown: tuple[str, ...] = (), **totals: object
    ) -> Report:
        analysis = Analysis(totals, lower_bounds=frozenset(bounds), unknown=frozenset(unknown))
        return Report("net", "1x3x8x8", (), (analysis,), (), Graph("net", (), (), ()))

    return make


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[..., Config]:
    """Read a text as an archstat.toml, or as the file of another name."""

    def read(text: str, name: str = "archstat.toml") -> Config:
        return parse_config(text, tmp_path / name)

    return read


@pytest.fixture
def mistakes_of(config_of: Callable[..., Config]) -> Callable[..., list[tuple[int, str]]]:
    """Give the line and text of every mistake in a text."""

    def find(text: str, name: str = "archstat.toml") -> list[tuple[int, str]]:
        with pytest.raises(ConfigError) as caught:
            config_of(text, name)
        return [(mistake.line, mistake.text) for mistake in caught.value.mistakes]

    return find

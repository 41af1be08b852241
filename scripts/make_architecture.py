"""Draw the rooms in docs/architecture.md from the imports; ``--check`` only compares.

An arrow is an import, written anywhere in a file; what another path of arrows says already is left
out. The rows of the table are the layers of the import-linter contract in pyproject.toml.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from generated import ROOT, between, finish

PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "archstat"


def main() -> int:
    """Draw the rooms, or compare the drawing."""
    return finish({PAGE: between(PAGE.read_text(encoding="utf-8"), "rooms", picture())})


def picture() -> str:
    """The drawing and, below it, a line for each room: its layer and what it is for."""
    arrows = reduced({room: set(imported(room)) - {room} for room in rooms()})
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {a} --> {b}" for a in rooms() for b in rooms() if b in arrows[a]]
    lines += ["```", "", "| layer | room | what it is for |", "| --- | --- | --- |"]
    for number, layer in enumerate(layers(), 1):
        lines += [f"| {number} | `{room}` | {purpose(room)} |" for room in layer]
    return "\n".join(lines)


def layers() -> list[list[str]]:
    """The layers of the contract, highest first; a layer is one room or several side by side."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def rooms() -> list[str]:
    """Every room, highest first."""
    return [room for layer in layers() for room in layer]


def files(room: str) -> list[Path]:
    """The Python files of a room, which is a folder or one file."""
    place = PACKAGE / room
    return sorted(place.rglob("*.py")) if place.is_dir() else [PACKAGE / f"{room}.py"]


def imported(room: str) -> Iterator[str]:
    """The rooms that a room's files import, wherever in a file the import stands."""
    for path in files(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "archstat":
                yield from (alias.name for alias in node.names if alias.name in rooms())
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("archstat."):
                yield str(node.module).split(".")[1]


def reduced(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no longer path says already."""

    def reached(room: str) -> set[str]:
        return arrows[room].union(*(reached(lower) for lower in arrows[room]))

    return {
        room: lower - set().union(*(reached(other) for other in lower))
        for room, lower in arrows.items()
    }


def purpose(room: str) -> str:
    """The first line of a room's docstring."""
    place = PACKAGE / room
    text = (place / "__init__.py" if place.is_dir() else files(room)[0]).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    raise SystemExit(main())

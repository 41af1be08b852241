"""Write the README's table of families from the catalogue; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from archstat import zoo

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- families: begin -->", "<!-- families: end -->"
SHOWN = 4


def main() -> int:
    """Rewrite what stands between the markers; exit code 1 if ``--check`` finds it stale."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    fresh = f"{before}{BEGIN}\n{families_table()}\n{END}{rest.partition(END)[2]}"
    if "--check" in sys.argv:
        print("fresh" if fresh == text else "stale: run python scripts/make_families_table.py")
        return 0 if fresh == text else 1
    README.write_text(fresh, encoding="utf-8")
    return 0


def families_table() -> str:
    """One line a family: its networks, its year and its paper, in the catalogue's order."""
    families: dict[str, list[zoo.Entry]] = {}
    for entry in zoo.catalogue().values():
        families.setdefault(entry.family, []).append(entry)
    lines = ["| family | networks | year | paper |", "| --- | --- | --- | --- |"]
    for title, entries in families.items():
        first = entries[0]
        year, paper = (str(first.year), linked(first.paper))
        if first.category == "block":
            year = paper = "of its network"
        lines.append(f"| {title} | {named(entries)} | {year} | {paper} |")
    return "\n".join(lines)


def named(entries: list[zoo.Entry]) -> str:
    """The names of a family's networks; of many, the first and how many more; all blocks."""
    shown = entries if first_is_block(entries) or len(entries) <= SHOWN + 1 else entries[:SHOWN]
    names = ", ".join(f"`{entry.name}`" for entry in shown)
    return names if len(shown) == len(entries) else f"{names} and {len(entries) - SHOWN} more"


def first_is_block(entries: list[zoo.Entry]) -> bool:
    """Whether these are blocks, which people look for by name."""
    return entries[0].category == "block"


def linked(paper: str) -> str:
    """An arXiv id as a link; another venue as it is."""
    number = paper.removeprefix("arXiv:")
    return paper if number == paper else f"[{number}](https://arxiv.org/abs/{number})"


if __name__ == "__main__":
    raise SystemExit(main())

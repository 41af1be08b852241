"""Write the table of families in docs/zoo.md from the catalogue; ``--check`` only compares."""

from __future__ import annotations

from generated import ROOT, between, finish

from archstat import zoo

PAGE = ROOT / "docs" / "zoo.md"
SHOWN = 4


def main() -> int:
    """Write the table, or compare it."""
    return finish({PAGE: between(PAGE.read_text(encoding="utf-8"), "families", families_table())})


def families_table() -> str:
    """One line a family: its networks, its year and its paper, in the catalogue's order."""
    families: dict[str, list[zoo.Entry]] = {}
    for entry in zoo.catalogue().values():
        families.setdefault(entry.family, []).append(entry)
    blocks = sum(entry.category == "block" for entry in zoo.catalogue().values())
    counted = f"{len(zoo.catalogue()) - blocks} networks and {blocks} blocks:"
    lines = [counted, "", "| family | networks | year | paper |", "| --- | --- | --- | --- |"]
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

"""How long ``archstat check`` takes over budgets of the zoo, beside the bare import of torch.

    python benchmarks/budgets.py

50 networks at 3x224x224, which have a target, and every network of the zoo, which has none.
Whole processes, taking turns; median ratios. Exits with 1 where the target, at most 3 times the
import, is missed; ``--write`` puts the table into docs/performance.md. ``--profile`` prints instead
where a check of the 50 in one process spends its time.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from catalogue import fill_in
from speed import ROUNDS, Row, at_most, markdown, run_once

from archstat import zoo
from archstat.zoo import Entry

BUDGETS = 50
INPUT = "3x224x224"
LIMIT = 3.0


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--profile", action="store_true", help="where the time goes, no figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder))
        if arguments.profile:
            profile(files["imagenet"])
            return 0
        rows = measured(files)
    table = markdown(rows)
    print(table)
    if arguments.write:
        fill_in("performance.md", "budgets", table)
    return 0 if all(row.kept for row in rows) else 1


def imagenet() -> list[Entry]:
    """Networks at 3x224x224, taken evenly from all of the zoo's."""
    entries = [entry for entry in every() if entry.input == INPUT]
    return [entries[number * len(entries) // BUDGETS] for number in range(BUDGETS)]


def every() -> list[Entry]:
    """The whole zoo without its blocks."""
    return [entry for entry in zoo.catalogue().values() if entry.category != "block"]


def budgets(entries: list[Entry]) -> str:
    """Four rules for each network."""
    return "\n".join(
        f'[[budget]]\nmodel = "{entry.name}"\nparams = "== {entry.params}"\n'
        f'macs = "<= {entry.macs}"\nparam_bytes = "<= 4GiB"\nreceptive_field = ">= 1"\n'
        for entry in entries
    )


def written(folder: Path) -> dict[str, Path]:
    """A file of budgets for each set, in a folder."""
    files = {"imagenet": imagenet(), "every": every()}
    for name, entries in files.items():
        (folder / f"{name}.toml").write_text(budgets(entries), encoding="utf-8")
    return {name: folder / f"{name}.toml" for name in files}


def measured(files: dict[str, Path]) -> list[Row]:
    """The check without a lock file, with one, and writing one, beside the import."""

    def check(name: str) -> list[str]:
        return [sys.executable, "-m", "archstat", "check", "--config", str(files[name])]

    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "check --update": [*check("imagenet"), "--update"],
        "check --locked": [*check("imagenet"), "--locked"],
        "check": check("imagenet"),
        "every": check("every"),
    }
    for command in commands.values():
        run_once(command)  # byte code is compiled and files are read once
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(run_once(command)[0])
    title = f"{BUDGETS} networks at {INPUT}"
    rows = [
        at_most(f"archstat {name}, {title}", seconds, name, LIMIT, "s")
        for name in ("check", "check --locked", "check --update")
    ]
    whole = at_most(f"archstat check, all {len(every())} networks of the zoo", seconds, "every",
                    float("inf"), "s")  # fmt: skip
    return [*rows, replace(whole, target="")]


def profile(path: Path) -> None:
    """Print the functions that a check of a file takes longest in, with torch there already."""
    import archstat.frontends.module  # noqa: F401
    from archstat.budgets import gate
    from archstat.budgets.reading import load

    config = load(str(path))
    with cProfile.Profile() as profiler:
        gate.check(config, None)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    raise SystemExit(main())

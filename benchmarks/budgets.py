"""How long ``archstat check`` takes over 50 budgets of the zoo, beside the bare import of torch.

    python benchmarks/budgets.py

Whole processes, taking turns; medians. Exits with 1 where the target, at most 3 times the import,
is missed; ``--write`` puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from catalogue import fill_in
from speed import Row, at_most, markdown, run_once

from archstat import zoo

BUDGETS = 50
LIMIT = 3.0
ROUNDS = 5


def main() -> int:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archstat.toml"
        path.write_text(budgets(), encoding="utf-8")
        rows = measured(path)
    table = markdown(rows)
    print(table)
    if arguments.write:
        fill_in("performance.md", "budgets", table)
    return 0 if all(row.kept for row in rows) else 1


def budgets() -> str:
    """Four rules for each of 50 networks, taken evenly from the whole zoo without its blocks."""
    entries = [entry for entry in zoo.catalogue().values() if entry.category != "block"]
    chosen = [entries[number * len(entries) // BUDGETS] for number in range(BUDGETS)]
    return "\n".join(
        f'[[budget]]\nmodel = "{entry.name}"\nparams = "== {entry.params}"\n'
        f'macs = "<= {entry.macs}"\nparam_bytes = "<= 4GiB"\nreceptive_field = ">= 1"\n'
        for entry in chosen
    )


def measured(path: Path) -> list[Row]:
    """The check without a lock file, with one, and writing one, beside the import."""
    check = [sys.executable, "-m", "archstat", "check", "--config", str(path)]
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "check --update": [*check, "--update"],
        "check --locked": [*check, "--locked"],
        "check": check,
    }
    for command in commands.values():
        run_once(command)  # byte code is compiled and files are read once
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(run_once(command)[0])
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    base = medians["import torch"]
    return [
        at_most(f"archstat {name}, {BUDGETS} budgets", medians[name], base, LIMIT, "s")
        for name in ("check", "check --locked", "check --update")
    ]


if __name__ == "__main__":
    raise SystemExit(main())

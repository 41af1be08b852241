"""Write archstat/zoo/catalogue.json from the family files; ``--check`` only compares.

A network is every public function of a family file that is annotated to return an nn.Module.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import archstat
import archstat.zoo
from archstat.frontends.building import build_on_meta
from archstat.zoo.family import Family

CATALOGUE = Path(archstat.zoo.__file__).with_name("catalogue.json")


def main() -> int:
    """Generate the catalogue; exit code 1 if ``--check`` finds it stale."""
    text = catalogue_text()
    if "--check" in sys.argv:
        fresh = CATALOGUE.exists() and CATALOGUE.read_text(encoding="utf-8") == text
        print("fresh" if fresh else "stale: run python scripts/make_catalogue.py")
        return 0 if fresh else 1
    CATALOGUE.write_text(text, encoding="utf-8")
    return 0


def catalogue_text() -> str:
    """The whole catalogue as JSON, one network a line."""
    rows = [row for module in family_modules() for row in rows_of(module)]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f'{{"networks": [\n{lines}\n]}}\n'


def family_modules() -> list[ModuleType]:
    """The files of the zoo that describe a family, by year and name."""
    names = [info.name for info in pkgutil.iter_modules(archstat.zoo.__path__)]
    modules = [importlib.import_module(f"archstat.zoo.{name}") for name in names]
    families = [module for module in modules if hasattr(module, "FAMILY")]
    return sorted(families, key=lambda module: (module.FAMILY.year, module.__name__))


def rows_of(module: ModuleType) -> list[dict[str, Any]]:
    """One row for each network of a family file, in the file's order."""
    family: Family = module.FAMILY
    rows = []
    for name, function in vars(module).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        if function.__module__ != module.__name__ or "Module" not in str(
            function.__annotations__.get("return")
        ):
            continue
        rows.append(row(family, module.__name__.rpartition(".")[2], name, function))
    return rows


def row(family: Family, file: str, name: str, function: Any) -> dict[str, Any]:
    """One network with its measured parameters and macs."""
    report = archstat.analyze(build_on_meta(function), input=family.input_of(name))
    by_option = {
        key.removeprefix(f"{name},"): shape
        for key, shape in family.inputs.items()
        if key.startswith(f"{name},")
    }
    return {
        "name": name,
        "family": family.title,
        "file": file,
        "year": family.year,
        "paper": family.paper,
        "category": family.category,
        "input": family.input_of(name),
        "options": list(inspect.signature(function).parameters),
        "params": report.totals["params"],
        "macs": report.totals["macs"],
        **({"inputs": by_option} if by_option else {}),
    }


if __name__ == "__main__":
    raise SystemExit(main())

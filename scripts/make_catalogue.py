"""Write archstat/zoo/catalogue.json from the family files; ``--check`` only compares.

A network is every public function of a family file that is annotated to return an nn.Module.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from generated import finish
from published.figures import Figure, exception_of, figures, network_of

import archstat
import archstat.zoo
from archstat.frontends.building import build_on_meta
from archstat.models.options import spelled
from archstat.zoo.family import Family

UNITS = {"count": 1, "K": 10**3, "M": 10**6, "G": 10**9}
# LeNet's paper counts its trainable parameters
QUANTITIES = {"params": ("params", "params_trainable"), "macs": ("macs",)}
# they print what others made, by conventions of their own
COLLECTIONS = ("timm", "timm docs", "osmr", "keras-applications", "ptflops", "convnet-burden")

CATALOGUE = Path(archstat.zoo.__file__).with_name("catalogue.json")


def main() -> int:
    """Write the catalogue, or compare it."""
    return finish({CATALOGUE: catalogue_text()})


def catalogue_text() -> str:
    """The whole catalogue as JSON, one network a line."""
    rows = [row for module in family_modules() for row in rows_of(module)]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f'{{"networks": [\n{lines}\n]}}\n'


def family_modules() -> list[ModuleType]:
    """The files of the zoo that describe a family, by year and name, those of blocks last."""
    names = [info.name for info in pkgutil.iter_modules(archstat.zoo.__path__)]
    modules = [importlib.import_module(f"archstat.zoo.{name}") for name in names]
    families = [module for module in modules if hasattr(module, "FAMILY")]

    def place(module: ModuleType) -> tuple[bool, int, str]:
        return module.FAMILY.category == "block", module.FAMILY.year, module.__name__

    return sorted(families, key=place)


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
    origin = family.origins.get(name, family)
    by_option = {
        key.removeprefix(f"{name},"): shape
        for key, shape in family.inputs.items()
        if key.startswith(f"{name},")
    }
    return {
        "name": name,
        "family": family.title,
        "file": file,
        "year": origin.year,
        "paper": origin.paper,
        "category": family.category,
        "input": family.input_of(name),
        "options": [spelled(option) for option in inspect.signature(function).parameters],
        "params": report.totals["params"],
        "macs": report.totals["macs"],
        "published_params": published(family, name, "params"),
        "published_macs": published(family, name, "macs"),
        **({"inputs": by_option} if by_option else {}),
    }


def published(family: Family, name: str, key: str) -> int | None:
    """The figure that torchvision prints, else the network's paper, its authors, a collection."""

    def rank(figure: Figure) -> tuple[int, bool]:
        own = figure.source.startswith(family.title)
        places = (figure.source == "torchvision", own, figure.source.endswith("paper"),
                  figure.source not in COLLECTIONS, True)  # fmt: skip
        return places.index(True), figure.unit != "count"

    fitting = [
        figure
        for figure in figures_by_spec().get(name, [])
        if figure.quantity in QUANTITIES[key] and figure.input in ("", family.input_of(name))
    ]
    if not fitting:
        return None
    best = min(fitting, key=rank)
    return round(Fraction(best.value) * UNITS[best.unit])


@cache
def figures_by_spec() -> dict[str, list[Figure]]:
    """The published counts of each spec, without those that fit no network."""
    found: dict[str, list[Figure]] = {}
    for figure in figures():
        # osmr adds half of the normalisations to its macs
        ours = (figure.source, figure.quantity) != ("osmr", "macs")
        if ours and figure.unit in UNITS and figure.zoo_key and exception_of(figure) is None:
            found.setdefault(network_of(figure).spec, []).append(figure)
    return found


if __name__ == "__main__":
    raise SystemExit(main())

"""What is measured together: networks of a family in the same rounds, or an experiment."""

from __future__ import annotations

from dataclasses import dataclass

from archstat import zoo
from archstat.measure.latency.experiments import EXPERIMENTS, Experiment

# The classic families of the zoo, by what they are known for, and the lightweight ones.
CATEGORIES = ("spatial", "depth", "multi-path", "lightweight")
MOST = 6  # networks in a round: what lies a minute apart is hard to compare
BY_KIND = ("shufflenet_v1", "shufflenet_v2_x1_0", "mobilenet_v2")


@dataclass(frozen=True, slots=True)
class Group:
    """Specs that are measured together; ratios of zoo networks are to the first one."""

    name: str
    specs: tuple[str, ...]
    experiment: Experiment | None = None


def groups(on_cuda: bool) -> list[Group]:
    """The experiments, then the families in the zoo's order, large ones in parts."""
    found = [
        Group(name, tuple(variant.spec for variant in one.variants(on_cuda)), one)
        for name, one in EXPERIMENTS.items()
    ]
    families: dict[str, list[str]] = {}
    for entry in zoo.catalogue().values():
        if entry.category in CATEGORIES:
            families.setdefault(entry.file, []).append(entry.name)
    for file, names in families.items():
        parts = -(-len(names) // MOST)
        for part in range(parts):
            name = file if parts == 1 else f"{file} {part + 1}"
            found.append(Group(name, tuple(names[part * MOST : (part + 1) * MOST])))
    return found

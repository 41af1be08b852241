"""Shell completion of model names with their options, of column keys and of formats."""

from __future__ import annotations


def complete_model(incomplete: str) -> list[str]:
    """Zoo names; after a comma the options of the one typed, after ``FILE.py:`` its names."""
    from archstat import zoo

    path, colon, begun = incomplete.rpartition(":")
    if colon and path.endswith(".py"):
        return [f"{path}:{name}" for name in _names_in(path) if name.startswith(begun)]
    known = zoo.catalogue()
    name, comma, typed = incomplete.partition(",")
    if not comma:
        return [candidate for candidate in known if candidate.startswith(name)]
    if name not in known:
        return []
    *before, last = typed.split(",")
    head = ",".join([name, *before])
    options = (*known[name].options, "resolution", "batch", "input")
    return [f"{head},{option}=" for option in options if option.startswith(last)]


def _names_in(path: str) -> list[str]:
    from pathlib import Path

    from archstat.errors import LookupFailedError
    from archstat.models.users_code import candidates

    try:
        return candidates(Path(path))
    except LookupFailedError:
        return []


def complete_category(incomplete: str) -> list[str]:
    """Categories of the zoo's networks."""
    from archstat import zoo

    known = sorted({entry.category for entry in zoo.catalogue().values()})
    return [name for name in known if name.startswith(incomplete.lower())]


def complete_optimizer(incomplete: str) -> list[str]:
    """Optimizers that `archstat memory` knows."""
    return [one for one in ("adam", "adamw", "momentum", "sgd") if one.startswith(incomplete)]


def complete_columns(incomplete: str) -> list[str]:
    """Column keys, each after the commas already typed."""
    from archstat.tables.compare import COMPARISON_COLUMNS

    *before, last = incomplete.split(",")
    sign = "-" if last.startswith("-") else ""
    keys = [column.key for column in COMPARISON_COLUMNS]
    found = [f"{sign}{key}" for key in keys if key.startswith(last.removeprefix("-"))]
    return [",".join([*before, key]) for key in found]


def complete_format(incomplete: str) -> list[str]:
    """Names of output formats."""
    from archstat.reporters import FORMATS

    return [known.name for known in FORMATS if known.name.startswith(incomplete)]


def complete_fusion(incomplete: str) -> list[str]:
    """Names of fusions."""
    from archstat.analyses.memory_access import FUSIONS

    return [name for name in FUSIONS if name.startswith(incomplete)]


def complete_device(incomplete: str) -> list[str]:
    """Names of known devices, and those of this machine."""
    from archstat.analyses.device_files import built_in

    names = ("local", "local-cuda", *built_in())
    return [name for name in names if name.startswith(incomplete.lower())]


def complete_experiment(incomplete: str) -> list[str]:
    """Names of experiments."""
    from archstat.measure.latency.experiments import EXPERIMENTS

    return [name for name in EXPERIMENTS if name.startswith(incomplete)]


def complete_check_format(incomplete: str) -> list[str]:
    """Names of the output formats of `archstat check`."""
    return [*complete_format(incomplete), *(["github"] if "github".startswith(incomplete) else [])]


def complete_measured_device(incomplete: str) -> list[str]:
    """Devices that `archstat bench` measures on."""
    return [name for name in ("cpu", "cuda", "cuda:0") if name.startswith(incomplete)]


def complete_measured_dtype(incomplete: str) -> list[str]:
    """Dtypes that `archstat bench` measures in."""
    from archstat.measure.latency.conditions import DTYPES

    return [name for name in DTYPES if name.startswith(incomplete)]

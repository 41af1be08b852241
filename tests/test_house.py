"""The plan of the house: tests mirror the package, files stay small, versions agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archstat import __version__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archstat"
MIRRORED = ("analyses", "budgets", "cli", "diff", "frontends", "measure", "models", "reporters",
            "tables", "zoo")  # fmt: skip
# Tests of something that runs through several files of their room.
ACROSS = {
    "analyses/field/test_modules.py",
    "analyses/field/test_receptive_field.py",
    "analyses/test_module_peaks.py",
    "analyses/test_more_costs.py",
    "analyses/test_operations_by_loops.py",
    "analyses/test_oracles.py",
    "analyses/test_rooflines.py",
    "budgets/test_config.py",
    "budgets/test_growth.py",
    "budgets/test_imports.py",
    "cli/test_bench_docs.py",
    "cli/test_check_docs.py",
    "cli/test_errors.py",
    "frontends/layers/test_layers.py",
    "frontends/test_attention.py",
    "frontends/test_attributes.py",
    "frontends/test_calls.py",
    "frontends/test_constants.py",
    "frontends/test_fallback.py",
    "frontends/test_gates.py",
    "frontends/test_hooks.py",
    "frontends/test_lazy.py",
    "frontends/test_paths.py",
    "frontends/test_reductions.py",
    "frontends/test_shape_table.py",
    "frontends/test_sharing.py",
    "frontends/test_small_cases.py",
    "frontends/test_torch_layers.py",
    "frontends/test_unknown.py",
    "frontends/test_user_modules.py",
    "frontends/test_wrappers.py",
    "measure/field/test_random_graphs.py",
    "measure/field/test_zoo.py",
    "measure/latency/test_attribution.py",
    "measure/latency/test_noise.py",
    "measure/latency/test_stopping.py",
    "measure/training/test_measured.py",
    "models/cache/test_codec.py",
    "models/cache/test_graphs.py",
    "models/test_report.py",
    "models/test_torchvision_models.py",
    "reporters/plots/test_pictures.py",
    "reporters/test_formats.py",
    "zoo/test_blocks.py",
    "zoo/test_catalogue.py",
    "zoo/test_every_network.py",
}
MOST_LINES, MOST_FILES = 380, 260


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_files_are_small_but_those_of_the_zoo():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items()
            if lines > MOST_LINES and path.parent.name != "zoo"}  # fmt: skip
    assert long == {}


def test_the_house_has_few_files():
    assert len(sources()) <= MOST_FILES


@pytest.mark.parametrize("room", MIRRORED)
def test_tests_mirror_the_package(room):
    strange = {
        str(path.relative_to(ROOT / "tests"))
        for path in (ROOT / "tests" / room).rglob("test_*.py")
        if not is_mirror(path)
    }
    assert strange <= ACROSS


def is_mirror(test: Path) -> bool:
    """Whether ``tests/a/test_b.py`` is of ``archstat/a/b.py`` or of the room ``archstat/a/b``."""
    place = PACKAGE / test.parent.relative_to(ROOT / "tests") / test.stem.removeprefix("test_")
    return place.with_suffix(".py").is_file() or place.is_dir()


def test_changelog_tells_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (?:Unreleased \(([\d.]+)\)|([\d.]+))", changelog, re.MULTILINE)
    assert newest is not None
    assert __version__ in newest.groups()

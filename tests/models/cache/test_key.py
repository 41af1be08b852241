"""Keys: each part changed in turn gives another; what cannot be known has none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import archstat
from archstat import zoo
from archstat.models.cache import key as keys
from archstat.models.cache.key import key_of, settings
from archstat.models.specs import Resolution


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def digest(text: str = "vgg16", input: object = None, batch: int | None = None) -> bytes | None:
    return key_of(text, input, batch, settings())


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of archstat's sources, which keys are then made of."""
    package = tmp_path / "archstat"
    shutil.copytree(Path(archstat.__file__).parent, package, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(keys, "_PACKAGE", package)
    keys._sources.cache_clear()
    yield package
    keys._sources.cache_clear()


@pytest.mark.parametrize(
    "asked",
    [("vgg19",), ("vgg16,num_classes=10",), ("vgg16,batch=2",), ("vgg16,resolution=32",),
     ("vgg16", ["3x32x32"]), ("vgg16", "3x32x32"), ("vgg16", Resolution((32,))),
     ("vgg16", Resolution((32,), overrides=True)), ("vgg16", None, 2)],
    ids=str,
)  # fmt: skip
def test_other_spec_option_input_or_batch_is_another_key(asked):
    assert digest(*asked) not in (None, digest())


@pytest.mark.parametrize(
    "name", ["zoo/vgg.py", "zoo/lenet.py", "frontends/aten.py", "analyses/costs.py", "graph.py"]
)
def test_every_source_is_part_of_the_key(copied, name):
    before = digest()
    keys._sources.cache_clear()
    append(copied / name, "#")
    assert digest() not in (None, before)


@pytest.mark.parametrize("other", ["new.py", "zoo/new.py"])
def test_source_that_comes_anew_is_part_of_the_key(copied, other):
    before = digest()
    keys._sources.cache_clear()
    (copied / other).write_text("")
    assert digest() not in (None, before)


def test_change_of_a_source_after_the_key_was_made_is_seen(copied):
    digest()
    assert keys.sources_are_unchanged()
    append(copied / "zoo" / "vgg.py", "#")
    assert not keys.sources_are_unchanged()


@pytest.mark.parametrize("package", ["torch", "timm", "torchvision"])
def test_version_of_a_package_is_part_of_the_key(monkeypatch, package):
    spec = "vgg16" if package == "torch" else f"{package}:resnet18"
    versions = {"torch": "2.13", "timm": "1.0", "torchvision": "0.28"}
    monkeypatch.setattr(keys, "_version", versions.get)
    before = digest(spec)
    versions[package] = "9.9"
    assert digest(spec) not in (None, before)


def test_version_of_torchvision_which_timm_uses_is_part_of_its_key(monkeypatch):
    versions = {"torch": "2.13", "timm": "1.0", "torchvision": "0.28"}
    monkeypatch.setattr(keys, "_version", versions.get)
    before = digest("timm:resnet18")
    versions["torchvision"] = "9.9"
    assert digest("timm:resnet18") != before


@pytest.mark.parametrize("place", ["__version__", "SCHEMA_VERSION"])
def test_version_of_archstat_and_of_graphs_is_part_of_the_key(monkeypatch, place):
    before = digest()
    monkeypatch.setattr(keys, place, 99)
    assert digest() not in (None, before)


@pytest.mark.parametrize(("place", "other"), [("version", "3.99"), ("platform", "plan9")])
def test_python_is_part_of_the_key(monkeypatch, place, other):
    before = digest()
    monkeypatch.setattr(sys, place, other)
    assert digest() not in (None, before)


@pytest.mark.parametrize("name", ["TIMM_FUSED_ATTN", "PYTORCH_JIT", "TORCH_SOMETHING"])
def test_variables_that_steer_torch_and_timm_are_part_of_the_key(monkeypatch, name):
    before = digest()
    monkeypatch.setenv(name, "0")
    assert digest() not in (None, before)


def test_input_that_the_catalogue_gives_is_part_of_the_key(monkeypatch):
    before, entry = digest(), zoo.catalogue()["vgg16"]
    other = replace(entry, input="3x32x32")
    monkeypatch.setitem(zoo.catalogue(), "vgg16", other)
    assert digest() not in (None, before)


@pytest.mark.parametrize("spec", ["vgg61", "nothing.py:Net", "nets:Net", "vgg16,=", "vgg16,a"])
def test_spec_that_is_wrong_or_a_users_has_no_key(spec):
    assert digest(spec) is None


@pytest.mark.parametrize("input", [(3, 224, 224), {"x": "3x8x8"}, 7])
def test_input_that_no_command_line_has_has_no_key(input):
    assert digest("vgg16", input) is None


def test_package_in_development_has_no_key(monkeypatch, tmp_path):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("")
    (tmp_path / "timm" / "version.py").write_text("__version__ = '1.0'")
    keys._version.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    assert digest("timm:resnet18") is None
    keys._version.cache_clear()

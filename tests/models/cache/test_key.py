"""Keys: each part changed in turn gives another; what cannot be known has none."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import archstat
from archstat import zoo
from archstat.models.cache import key as keys
from archstat.models.cache import sources
from archstat.models.cache.key import key_of, settings
from archstat.models.cache.sources import Files
from archstat.models.specs import Resolution

NET = "from torch import nn\nimport blocks\n\nclass Net(nn.Conv2d):\n    pass\n"


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def digest(text: str = "vgg16", input: object = None, batch: int | None = None) -> bytes | None:
    key = key_of(text, input, batch, Files(), settings())
    return None if key is None else key.digest


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of archstat's sources, which keys are then made of."""
    package = tmp_path / "archstat"
    shutil.copytree(Path(archstat.__file__).parent, package, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(sources, "_PACKAGE", package)
    return package


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model of two files."""
    (tmp_path / "nets.py").write_text(NET, encoding="utf-8")
    (tmp_path / "blocks.py").write_text("width = 32\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_same_question_has_the_same_key_whatever_was_read_before():
    files = Files()
    key_of("resnet50", None, None, files, settings())
    later = key_of("vgg16", None, None, files, settings())
    assert later is not None
    assert later.digest == digest() == digest(batch=1)


@pytest.mark.parametrize(
    "asked",
    [("vgg19",), ("vgg16,num_classes=10",), ("vgg16,batch=2",), ("vgg16,resolution=32",),
     ("vgg16", ["3x32x32"]), ("vgg16", "3x32x32"), ("vgg16", Resolution((32,))),
     ("vgg16", Resolution((32,), overrides=True)), ("vgg16", None, 2)],
    ids=str,
)  # fmt: skip
def test_other_spec_option_input_or_batch_is_another_key(asked):
    assert digest(*asked) not in (None, digest())


def test_every_source_that_captures_is_part_of_the_key(copied):
    key = key_of("vgg16", None, None, Files(), settings())
    assert key is not None
    assert {
        "zoo/vgg.py",
        "zoo/family.py",
        "frontends/mode.py",
        "frontends/aten.py",
        "models/pipeline.py",
        "graph.py",
        "version.py",
    } <= {p.relative_to(copied).as_posix() for p in key.files}
    for path in sorted(key.files):
        before = path.read_bytes()
        path.write_bytes(before + b"#")
        assert digest() not in (None, key.digest), path
        path.write_bytes(before)
    assert digest() == key.digest


def test_source_that_a_family_imports_anew_is_part_of_the_key(copied):
    append(copied / "zoo" / "vgg.py", "from archstat.zoo import lenet\n")
    before = digest()
    append(copied / "zoo" / "lenet.py", "#")
    assert digest() != before


def test_source_of_another_family_is_no_part_of_the_key(copied):
    before = digest()
    append(copied / "zoo" / "lenet.py", "#")
    append(copied / "analyses" / "operations.py", "#")
    assert digest() == before


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


@pytest.mark.parametrize("spec", ["nets.py:Net", "nets:Net", "nets.py:Net,in_channels=3"])
@pytest.mark.parametrize("name", ["nets.py", "blocks.py"])
def test_every_file_of_a_users_model_is_part_of_the_key(nets, spec, name):
    before = digest(spec)
    assert before is not None
    append(nets / name, "#")
    assert digest(spec) not in (None, before)


def test_package_that_comes_to_shadow_a_neighbour_is_seen(nets):
    before = digest("nets.py:Net")
    (nets / "blocks").mkdir()
    (nets / "blocks" / "__init__.py").write_text("width = 64\n", encoding="utf-8")
    os.utime(nets, (1, 1))
    assert digest("nets.py:Net") not in (None, before)


def test_dynamic_model_has_no_key(nets):
    (nets / "blocks.py").write_text("import os\nwidth = int(os.environ['WIDTH'])\n")
    assert digest("nets.py:Net") is None


@pytest.mark.parametrize("spec", ["vgg61", "nothing.py:Net", "vgg16,=", "os:getcwd", "vgg16,a"])
def test_spec_that_is_wrong_has_no_key(nets, spec):
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

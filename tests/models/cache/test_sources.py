"""The files that networks and users' models are made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import archstat
from archstat import zoo
from archstat.models.cache.sources import Files, user_sources

PACKAGE = Path(archstat.__file__).parent
# What `pipeline` imports to read finished Graphs.
READERS = ("analyses", "result.py")
NET = "from torch import nn\n\nclass Net(nn.Conv2d):\n    pass\n"

# The files that captures import, network by network: of each those that came with it.
_CAPTURES = """
import json, sys
from archstat.models.pipeline import graph_of_spec
seen, found = set(), {}
def new():
    files = {m.__file__ for n, m in list(sys.modules.items()) if n.partition(".")[0] == "archstat"}
    more = files - seen
    seen.update(files)
    return sorted(more)
for name in json.loads(sys.argv[1]):
    try:
        graph_of_spec(name)
    except Exception as error:
        raise SystemExit(f"{name}: {error}")
    found[name] = new()
print(json.dumps(found))
"""


def within(paths: object) -> set[str]:
    return {Path(str(path)).relative_to(PACKAGE).as_posix() for path in paths}  # type: ignore


def test_sources_of_every_family_cover_what_its_capture_imports():
    families = {entry.file: entry.name for entry in zoo.catalogue().values()}
    command = [sys.executable, "-c", _CAPTURES, json.dumps(list(families.values()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files, sources = Files(), set()
    for family, name in families.items():
        own = within(files.capturing(f"zoo.{family}"))
        assert f"zoo/{family}.py" in own
        sources |= own
        imported = within(json.loads(done.stdout)[name])
        readers = {path for path in imported if path.startswith(READERS)}
        assert imported - readers <= sources, name


def test_family_that_builds_on_another_has_its_sources_too():
    own = within(Files().capturing("zoo.resnext"))
    assert {"zoo/resnext.py", "zoo/resnet.py", "zoo/family.py", "graph.py"} <= own
    assert not {"zoo/vgg.py", "analyses/operations.py", "comparison.py"} & own


def made_of(folder: Path, target: str, **sources: str) -> set[str] | None:
    """The names of the files of a user's model among some sources of a package `pkg`."""
    inside = target.startswith("pkg.")
    place = folder / "pkg" if inside else folder
    place.mkdir(exist_ok=True)
    for name, text in sources.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    found = user_sources(Files(), target, folder)
    return None if found is None else {p.relative_to(folder).as_posix() for p in found.files}


@pytest.mark.parametrize("target", ["{}/nets.py", "nets"])
def test_model_is_made_of_its_file_and_of_its_neighbours(tmp_path, target):
    found = made_of(
        tmp_path, target.format(tmp_path), nets=f"import blocks\n{NET}",
        blocks="from parts import P",        parts="import math\nP = math.pi\n", other=NET,
    )  # fmt: skip
    assert found == {"nets.py", "blocks.py", "parts.py"}


def test_packages_are_followed_with_their_parents_and_relative_imports(tmp_path):
    found = made_of(
        tmp_path, "pkg.nets", __init__="", nets=f"from . import a\nfrom .b import c\n{NET}",
        a="", b="from pkg import d\nc = 1\n", d="", e="",
    )  # fmt: skip
    assert found == {f"pkg/{name}.py" for name in ("__init__", "nets", "a", "b", "d")}


@pytest.mark.parametrize(
    "line",
    ["import os", "import numpy", "import nothing_of_that_name", "from . import blocks",
     "import torch.hub", "import archstat", "from archstat.zoo import build", "import dynamic",
     "from archstat import zoo", "import archstat.models.pipeline", "import folder.module"],
)  # fmt: skip
def test_model_with_an_import_that_is_not_known_is_not_known(tmp_path, line):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "module.py").write_text("")
    nets = f"{line}\n{NET}"
    assert made_of(tmp_path, f"{tmp_path}/nets.py", nets=nets, dynamic="import os\n") is None


@pytest.mark.parametrize("name", ["math", "torch", "pytest"])
def test_file_that_shadows_an_installed_module_is_not_known(tmp_path, name):
    nets = f"import {name}\n{NET}"
    assert made_of(tmp_path, f"{tmp_path}/nets.py", nets=nets, **{name: "x = 1\n"}) is None


@pytest.mark.parametrize("suffix", [".so", ".pyc"])
def test_model_with_a_compiled_neighbour_is_not_known(tmp_path, suffix):
    (tmp_path / f"blocks{suffix}").write_bytes(b"")
    assert made_of(tmp_path, f"{tmp_path}/nets.py", nets=f"import blocks\n{NET}") is None


def test_models_of_the_zoo_and_packages_that_a_file_uses_are_named(tmp_path):
    (tmp_path / "nets.py").write_text(f"import timm\nfrom archstat.zoo import resnet\n{NET}")
    found = user_sources(Files(), str(tmp_path / "nets.py"), tmp_path)
    assert found is not None
    assert (found.packages, found.own) == ({"timm"}, {"zoo.resnet"})


@pytest.mark.parametrize("target", ["nothing.py", "nothing", "pathlib"])
def test_target_that_is_no_users_file_is_not_known(tmp_path, target):
    assert user_sources(Files(), target, tmp_path) is None

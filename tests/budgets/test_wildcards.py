"""Wildcards: names of the zoo, of files and of modules."""

from __future__ import annotations

import os

import pytest

from archstat import zoo
from archstat.budgets.wildcards import has_wildcard, matching, silent
from archstat.errors import ArchstatError, SpecError

SOURCE = """
raise RuntimeError("reading a file for its names must not run it")
class SmallNet: ...
class LargeNet: ...
def build(): ...
class _Hidden: ...
"""


@pytest.fixture
def folder(tmp_path):
    """Make nets/one.py, nets/two.py and the package pkg."""
    for name in ("nets/one.py", "nets/two.py", "pkg/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SOURCE)
    return tmp_path


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("nets/one.py:*Net", ["nets/one.py:SmallNet", "nets/one.py:LargeNet"]),
        ("nets/*.py:build,depth=3", ["nets/one.py:build,depth=3", "nets/two.py:build,depth=3"]),
        ("nets.one:S*", ["nets.one:SmallNet"]),
        ("nets.*:build", ["nets.one:build", "nets.two:build"]),
        ("pkg:[bL]*", ["pkg:LargeNet", "pkg:build"]),
        ("squeezenet1_?", ["squeezenet1_0", "squeezenet1_1"]),
    ],
)
def test_what_a_wildcard_stands_for(folder, model, found):
    assert has_wildcard(model)
    assert matching(model, folder) == found


MODELS = """
from torch import nn
import other
__all__ = ["listed", "Config"]
def conv3(width): ...
def listed(): ...
def annotated() -> nn.Module: ...
def quoted() -> "Net": ...
def number() -> int: ...
class Config: ...
class Net(nn.Module):
    def helper(self): ...
class Unknown(other.Base): ...
if other:
    def late() -> Net | None: ...
net = Net()
"""


def test_star_is_what_a_file_calls_its_models(tmp_path):
    (tmp_path / "a.py").write_text(MODELS)
    (tmp_path / "b.py").write_text("def build(): ...\n")
    names = ["listed", "annotated", "quoted", "Net", "Unknown", "late", "net"]
    assert matching("*.py:*", tmp_path) == [f"a.py:{name}" for name in names]
    assert silent("*.py:*", tmp_path) == ["b.py"]
    assert matching("a.py:c*", tmp_path) == ["a.py:conv3"]
    with pytest.raises(SpecError, match="matches nothing"):
        matching("b.py:*", tmp_path)


def test_star_is_the_whole_zoo(tmp_path):
    assert matching("*", tmp_path) == list(zoo.catalogue())


@pytest.mark.parametrize("model", ["alexnet", "nets/one.py:build,kernel=*", "timm:resnet50"])
def test_what_is_no_wildcard(model):
    assert not has_wildcard(model)


@pytest.mark.parametrize(
    "model",
    ["zzz*", "nets/one.py:Z*", "nets/none.py:*", "none.*:build", "../*.py:build", "/*.py:build",
     "timm:resnet*", "torchvision:*", "[:x", "**a:x", "a*\0:x", "*:"],
)  # fmt: skip
def test_nothing_to_stand_for_is_an_error(folder, model):
    with pytest.raises(SpecError):
        matching(model, folder)


@pytest.mark.parametrize("model", ["nets/*.py:*Net", "nets.*:*Net", "nets/bad.py:B*"])
@pytest.mark.parametrize(
    "kind", ["syntax", "nul", "deep", "deeper", "dead link", "fifo", "folder", "latin-1"]
)
def test_file_that_a_wildcard_reaches_and_cannot_read_is_an_error(folder, model, kind):
    path = folder / "nets" / "bad.py"
    contents = {
        "syntax": b"class BadNet(\n", "nul": b"class BadNet: ...\n\0", "deep": b"(" * 9000,
        "deeper": b"x = " + b"-" * 200_000 + b"1", "latin-1": b"class B\xe4dNet: ...",
    }  # fmt: skip
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "dead link":
        path.symlink_to("nowhere.py")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ArchstatError, match=r"nets/bad\.py"):
        matching(model, folder)


@pytest.mark.parametrize(
    "line",
    ['globals()["Wide" + "Net"] = SmallNet', "globals().update(Net=SmallNet)",
     "for n in '12': globals()[n] = SmallNet", "if True:\n    vars()['N'] = SmallNet",
     "exec('N = SmallNet')", "import sys; setattr(sys.modules[__name__], 'N', SmallNet)"],
)  # fmt: skip
def test_file_that_names_things_while_it_runs_is_refused(tmp_path, line):
    (tmp_path / "net.py").write_text(f"class SmallNet: ...\n{line}\n")
    with pytest.raises(ArchstatError, match=r"net\.py:[23] makes names while it runs"):
        matching("net.py:*Net", tmp_path)


def test_file_that_only_reads_its_names_is_no_worry(tmp_path):
    (tmp_path / "net.py").write_text(
        "class SmallNet: ...\n__all__ = [n for n in globals()]\ndef f():\n    globals()['x'] = 1\n"
    )
    assert matching("net.py:*Net", tmp_path) == ["net.py:SmallNet"]

"""Graphs of specs by way of a store: kept where that is safe, answered where nothing changed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import archstat
from archstat.errors import ArchstatError, CaptureError, InputError, UnknownModelError
from archstat.models.cache import Graphs, default_store
from archstat.models.cache import key as keys
from archstat.models.cache.store import Store
from archstat.models.pipeline import graph_of_spec
from archstat.models.sources import SHAPES_ALONE

NET = "from torch import nn\n\ndef net(width: int = 8):\n    return nn.Conv2d(3, width, 3)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model in it."""
    (tmp_path / "nets.py").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return tmp_path


@pytest.mark.parametrize(
    "asked", [("lenet5",), ("lenet5", None, 2), ("squeezenet1_0", ["3x64x64"])]
)
def test_second_time_is_answered_with_an_equal_graph(store, asked):
    first, second = Graphs(store), Graphs(store)
    captured, answered = first(*asked), second(*asked)
    assert (first.answered, second.answered) == (0, 1)
    assert answered == captured == graph_of_spec(*asked)


def test_without_a_store_everything_is_captured():
    graphs = Graphs(None)
    assert graphs("lenet5") == graphs("lenet5") == graph_of_spec("lenet5")
    assert graphs.answered == 0


def test_api_neither_reads_nor_writes_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHSTAT_CACHE", str(tmp_path / "kept"))
    archstat.analyze("lenet5")
    assert not (tmp_path / "kept").exists()
    Graphs(default_store())("lenet5")
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("the cache was read"))
    archstat.analyze("lenet5")
    archstat.compare(["lenet5"])


def test_damaged_graph_in_a_sound_entry_is_dropped_and_captured_again(store):
    key = Graphs(store)._key("lenet5", None, None)
    assert key is not None
    store.write(key, b"no graph")
    graphs = Graphs(store)
    assert graphs("lenet5") == graph_of_spec("lenet5")
    assert graphs.answered == 0
    assert Graphs(store).find("lenet5") is not None


@pytest.mark.parametrize("spec", ["nets.py:net", "nets:net"])
def test_model_of_a_users_file_is_captured_every_time(store, folder, spec):
    for _ in range(2):
        graphs = Graphs(store)
        graphs(spec, "3x8x8")
        assert graphs.answered == 0
    assert store.usage() == (0, 0)


def test_nothing_is_kept_after_code_of_the_users(store, folder):
    graphs = Graphs(store)
    graphs("lenet5")
    graphs("nets.py:net", "3x8x8")
    graphs("nin_cifar10")
    assert Graphs(store).find("lenet5") is not None
    assert Graphs(store).find("nin_cifar10") is None


def test_capture_while_archstats_sources_change_is_not_kept(store, monkeypatch):
    graphs = Graphs(store)
    assert graphs.is_known("lenet5")
    monkeypatch.setattr(keys, "_stamps", list)
    graphs("lenet5")
    assert store.usage() == (0, 0)


def test_variables_that_a_capture_sets_itself_do_not_change_later_keys(store, monkeypatch):
    def capture_that_sets(*asked: object, **options: object) -> object:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "somewhere")
        return graph_of_spec(*asked, **options)  # type: ignore[arg-type]

    # torch itself may have set it in this process
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr("archstat.models.pipeline.graph_of_spec", capture_that_sets)
    graphs = Graphs(store)
    graphs("lenet5")
    pickle.loads(pickle.dumps(graphs))("nin_cifar10")  # as in a process of `check`
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    assert Graphs(store).find("lenet5") is not None
    assert Graphs(store).find("nin_cifar10") is not None


def test_that_a_model_does_not_run_is_kept_for_whoever_asks_for_shapes_alone(store, monkeypatch):
    asked = [("lenet5", "1x8x8"), ("lenet5,depth=3",)]
    before = SHAPES_ALONE.set(True)
    try:
        for one in asked:
            with pytest.raises(ArchstatError):
                Graphs(store)(*one)
        assert store.usage()[0] == 2
        monkeypatch.setattr(Graphs, "capture", lambda *_: pytest.fail("it was captured"))
        for one in asked:
            with pytest.raises(CaptureError, match="does not run"):
                Graphs(store)(*one)
    finally:
        SHAPES_ALONE.reset(before)
    monkeypatch.undo()
    with pytest.raises(InputError, match="runs with"):
        Graphs(store)(*asked[0])


def test_error_is_the_same_with_a_store(store):
    with pytest.raises(UnknownModelError, match="vgg16"):
        Graphs(store)("vgg61")


@pytest.mark.parametrize("value", ["off", "OFF"])
def test_variable_turns_the_cache_off(monkeypatch, value):
    monkeypatch.setenv("ARCHSTAT_CACHE", value)
    assert default_store() is None


def test_variable_names_a_folder_and_by_default_it_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHSTAT_CACHE", str(tmp_path / "mine"))
    assert default_store() == Store(tmp_path / "mine")
    monkeypatch.setenv("ARCHSTAT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("archstat.files.sys", SimpleNamespace(platform="linux"))
    assert default_store() == Store(tmp_path / "archstat" / "graphs")


def test_without_a_home_there_is_no_cache(monkeypatch):
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("ARCHSTAT_CACHE", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert default_store() is None


@pytest.mark.slow
def test_edit_of_a_familys_file_is_seen_by_the_next_process(fresh_process, tmp_path):
    own = tmp_path / "own"
    pattern = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(archstat.__file__).parent, own / "archstat", ignore=pattern)
    ask = ("summary", "lenet5", "--format", "csv", "--columns", "own_params")
    first, second = fresh_process(*ask, package=own), fresh_process(*ask, package=own)
    assert first.returncode == 0, first.stderr
    assert second.stdout == first.stdout
    family = own / "archstat" / "zoo" / "lenet.py"
    text = family.read_text(encoding="utf-8")
    changed = text.replace("120", "121")
    assert changed != text
    family.write_text(changed, encoding="utf-8")
    third = fresh_process(*ask, package=own)
    assert third.returncode == 0, third.stderr
    assert third.stdout != first.stdout
    assert third.stdout == fresh_process(*ask, "--no-cache", package=own).stdout

"""The cache as commands use it: the same bytes, a line that says so, and ways without it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from archstat import zoo

LINE = "from the cache: the model; --no-cache captures afresh.\n"
# Every command that answers from Graphs, by what stands around the network.
COMMANDS = (
    ("compare", "{}", "{},batch=2"),
    ("summary", "{}"),
    ("summary", "{}", "--format", "json"),
    ("rf", "{}"),
    ("rf", "{}", "--format", "csv", "--every"),
    ("guidelines", "{}"),
    ("guidelines", "{}", "--format", "json"),
    ("roofline", "{}", "--device", "a100-40gb"),
    ("diff", "{}", "{},batch=2", "--format", "json"),
    ("compare", "{}", "--format", "json"),
)
SAMPLE = ("lenet5", "mobilenet_v2")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("ARCHSTAT_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def check_same_bytes(
    archstat: Callable[..., object], name: str, commands: Iterable[tuple[str, ...]] = COMMANDS
) -> None:
    """Each command prints the same fresh and from the cache; also where it fails."""
    for command in commands:
        words = [word.format(name) for word in command]
        fresh, second = archstat(*words, "--no-cache"), archstat("--verbose", *words)
        assert fresh[:2] == second[:2], words
        assert "from the cache" not in fresh[2]
        raw = "json" in words or "csv" in words
        assert ("from the cache" in second[2]) is (not raw and second[0] == 0), words


@pytest.mark.parametrize("name", SAMPLE)
def test_cached_output_is_that_of_a_fresh_capture(archstat, name):
    for command in COMMANDS:
        words = [word.format(name) for word in command]
        assert archstat(*words)[:2] == archstat(*words)[:2], words
    check_same_bytes(archstat, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(zoo.catalogue()))
def test_cached_output_of_every_network_is_that_of_a_fresh_capture(archstat, name):
    archstat("compare", name, f"{name},batch=2")  # all that the commands ask for
    # Each once, in its most exact form; the sample shows the others.
    check_same_bytes(archstat, name, {command[0]: command for command in COMMANDS}.values())


def test_verbose_tells_how_many_models_came_from_the_cache(archstat):
    assert archstat("compare", "lenet5", "nin_cifar10").err == ""
    both = archstat("--verbose", "compare", "lenet5", "nin_cifar10", "alexnet")
    assert both.err == "from the cache: 2 of 3 models; --no-cache captures afresh.\n"
    assert archstat("-v", "summary", "lenet5").err == LINE
    assert archstat("-v", "summary", "lenet5", "--format", "json").err == ""
    assert archstat("summary", "lenet5").err == ""


def test_no_cache_neither_reads_nor_writes(archstat, kept):
    assert archstat("summary", "lenet5", "--no-cache").code == 0
    assert not kept.exists()
    archstat("summary", "lenet5")
    assert archstat("-v", "summary", "lenet5", "--no-cache").err == ""


def test_variable_turns_it_off(archstat, kept, monkeypatch):
    archstat("summary", "lenet5")
    monkeypatch.setenv("ARCHSTAT_CACHE", "off")
    assert archstat("summary", "lenet5").err == ""
    told = archstat("cache", "info")
    assert told.code == 0
    assert "The cache is off" in told.out


def test_unusable_folder_costs_no_run(archstat, kept):
    kept.write_text("no folder")
    for _ in range(2):
        assert archstat("summary", "lenet5")[::2] == (0, "")


def test_info_and_clear_tell_what_there_is(archstat, kept):
    archstat("compare", "lenet5", "nin_cifar10")
    size = sum(path.stat().st_size for path in kept.iterdir())
    row = json.loads(archstat("cache", "info", "--format", "json").out)["rows"][0]
    assert (row["folder"], row["entries"], row["bytes"]) == (str(kept), 2, size)
    assert row["limit_bytes"] == 256_000_000
    cleared = json.loads(archstat("cache", "clear", "--format", "json").out)["rows"][0]
    assert (cleared["entries"], cleared["bytes"]) == (2, size)
    assert list(kept.iterdir()) == []


def test_unknown_action_is_told(archstat):
    ran = archstat("cache", "empty")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "archstat: cache empty: there is no such action; give info or clear.\n"


def test_error_is_the_same_with_the_cache(archstat):
    for words in (
        ["summary", "vgg61"],
        ["compare", "vgg16,width=2"],
        ["rf", "lenet5,resolution=1"],
    ):
        assert archstat(*words) == archstat(*words, "--no-cache")
        assert archstat(*words).code == 2


BUDGETS = '[[budget]]\nmodel = "{}"\nparams = "<= 1G"\n'


@pytest.mark.parametrize("workers", ["1", "4"])
def test_check_answers_what_it_knows_and_captures_the_rest(
    archstat, tmp_path, monkeypatch, workers
):
    names = ["lenet5", "nin_cifar10", "alexnet", "squeezenet1_0"]
    (tmp_path / "archstat.toml").write_text("".join(map(BUDGETS.format, names)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archstat.budgets.workers.useful_workers", lambda tasks: int(workers))
    archstat("summary", "alexnet")
    fresh, first, second = (
        archstat("check", "--no-cache"), archstat("-v", "check"), archstat("-v", "check")
    )  # fmt: skip
    assert fresh.code == 0, fresh.err
    assert fresh[:2] == first[:2] == second[:2]
    assert first.err == "from the cache: 1 of 4 models; --no-cache captures afresh.\n"
    assert second.err == "from the cache: 4 of 4 models; --no-cache captures afresh.\n"


# Run in one process, one after the other; then what it has imported of the heavy libraries.
_COMMANDS = """
import json, sys
from archstat.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["archstat", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, words
print([name for name in ("torch", "numpy", "pandas", "sympy") if name in sys.modules])
"""
_ANSWERED = (
    ("compare", "lenet5", "alexnet"),
    ("summary", "lenet5"),
    ("rf", "lenet5"),
    ("guidelines", "lenet5"),
    ("check",),
    ("roofline", "lenet5", "--device", "a100-40gb"),
    ("diff", "lenet5", "alexnet"),
)


def test_second_time_imports_no_torch(tmp_path, monkeypatch):
    (tmp_path / "archstat.toml").write_text(BUDGETS.format("lenet5"), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    command = [sys.executable, "-W", "error", "-c", _COMMANDS, json.dumps(_ANSWERED)]
    first, second = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert first.returncode == second.returncode == 0, second.stderr
    *printed, heavy = second.stdout.splitlines()
    assert heavy == "[]"
    assert first.stdout.splitlines()[:-1] == printed
    assert "torch" in first.stdout.splitlines()[-1]

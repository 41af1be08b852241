"""What must not be imported: start-up is fast because the heavy libraries wait until needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from archstat.cli.app import COMMANDS
from archstat.reporters.to_console import to_console
from archstat.tables.compare import compare

# Each step runs in the process of those before it: what is absent at a step was never imported.
_STEPS = """
import contextlib, io, json, sys
seen = {"python": sorted(sys.modules)}
def look(step):
    seen[step] = sorted(sys.modules)
import archstat
look("import archstat")
from archstat.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["archstat", *arguments]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
    assert not code, (arguments, code)
    look(" ".join(arguments))
    seen["printed"] = printed.getvalue()
print(json.dumps(seen))
"""


_LAYER_LIST = ["rf", "--layers", "3x3,3x3,3x3"]


def modules_after(*commands: list[str]) -> dict[str, list[str]]:
    """The modules of a fresh process, warnings being errors, after each command."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _STEPS, json.dumps(commands)],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def light():
    """Modules after what needs no torch, in one process."""
    return modules_after(["--help"], ["compare", "--help"], ["--version"], ["list"],
                         ["list", "vgg*", "--format", "json"], _LAYER_LIST,
                         [*_LAYER_LIST, "--advise", "--input", "64"],
                         ["roofline", "--list-devices"], ["bench", "--help"])  # fmt: skip


@pytest.fixture(scope="module")
def main_job():
    """Modules after the main job, and what it printed."""
    return modules_after(["compare", "vgg16", "mobilenet_v1"])


@pytest.mark.parametrize("library", ["torch", "pandas", "numpy", "fvcore", "sympy", "torchvision"])
@pytest.mark.parametrize(
    "step",
    ["import archstat", "--help", "compare --help", "--version", "list", "list vgg* --format json",
     " ".join(_LAYER_LIST), f"{' '.join(_LAYER_LIST)} --advise --input 64",
     "roofline --list-devices", "bench --help"],
)  # fmt: skip
def test_what_needs_no_torch_imports_no_heavy_library(light, step, library):
    assert library not in light[step]


def test_import_of_archstat_imports_the_standard_library_alone(light):
    imported = set(light["import archstat"]) - set(light["python"])
    packages = {name.partition(".")[0] for name in imported}
    assert packages - sys.stdlib_module_names == {"archstat"}


@pytest.mark.parametrize("library", ["torch._dynamo", "sympy", "pandas", "fvcore", "torchvision",
                                     "matplotlib"])  # fmt: skip
def test_main_job_imports_no_library_it_does_not_use(main_job, library):
    assert "torch" in main_job["compare vgg16 mobilenet_v1"]
    assert library not in main_job["compare vgg16 mobilenet_v1"]


def test_main_job_imports_no_source_that_it_does_not_read(main_job):
    loaded = set(main_job["compare vgg16 mobilenet_v1"])
    others = {"archstat.frontends.onnx_file.file", "archstat.frontends.state_dicts",
              "archstat.models.huggingface"}  # fmt: skip
    assert not loaded & others


def test_main_job_imports_no_room_or_command_it_does_not_use(main_job):
    loaded = set(main_job["compare vgg16 mobilenet_v1"])
    others = {f"archstat.cli.{entry.name}" for entries in COMMANDS.values() for entry in entries}
    # compare itself, what it knows of the cache, and the page that every command has
    others -= {f"archstat.cli.{name}" for name in ("compare", "cache", "help")}
    assert loaded & others == set()
    rooms = {"archstat.measure", "archstat.budgets", "archstat.differences",
             "archstat.analyses.conventions"}  # fmt: skip
    assert {name for name in loaded if any(name.startswith(room) for room in rooms)} == set()


def test_page_of_all_commands_imports_none_of_them():
    loaded = modules_after(["--help"])["--help"]
    assert {name for name in loaded if name.startswith("archstat.cli")} == {
        "archstat.cli", "archstat.cli.app", "archstat.cli.help"
    }  # fmt: skip


def test_fresh_process_prints_the_same_bytes_as_this_one(main_job):
    keys = ["params", "macs", "flops", "activations", "depth"]
    shown = ["model", "input", *keys, *(f"{key}_ratio" for key in keys)]
    table = compare(["vgg16", "mobilenet_v1"]).select(shown)
    assert main_job["printed"] == to_console(table, width=None, colour=False)

"""What torch may take away: each private name in turn, in a process that never had it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import archstat
from archstat.frontends.torch_private import NAMES

# One process imports torch and what of archstat asks it for nothing; a child for each lost name
# imports the rest.
_CHILDREN = """
import contextlib, io, json, operator, os, sys
import torch, torch.nn.functional
import archstat.cli.app, archstat.cli.compare, archstat.cli.memory, archstat.cli.rf
import archstat.tables.compare, pydantic, rich.console, typer._adapters
assert not [name for name in sys.modules if name == "archstat.frontends.torch_private"]
found = operator.attrgetter
for lost in ["", *json.loads(sys.argv[1])]:
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    def attrgetter(name, *more):
        if name == lost:
            raise AttributeError(name)
        return found(name, *more)
    operator.attrgetter = attrgetter
    import archstat.frontends.torch_private
    operator.attrgetter = found
    from archstat.cli import main
    for command in json.loads(sys.argv[2]):
        sys.argv = ["archstat", *command]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main()
            except SystemExit as stop:
                code = stop.code
        print(json.dumps([lost, command[0], code or 0, out.getvalue(), err.getvalue()]))
    sys.stdout.flush()
    os._exit(0)
"""
_ESSENTIAL = "utils._python_dispatch.TorchDispatchMode"
_MODEL = "mobilenet_v1,resolution=32"
_COMMANDS = [
    ["compare", _MODEL, "--format", "json"],
    ["memory", _MODEL, "--batch", "2", "--format", "json"],
    ["rf", _MODEL, "--format", "json"],
]


@pytest.fixture(scope="module")
def answers():
    return answers_without([_ESSENTIAL])


@pytest.fixture(scope="module")
def answers_without_each():
    return answers_without(NAMES)


def answers_without(names):
    """(lost name, command) -> exit code, stdout, stderr; "" is lost where all is there."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILDREN, json.dumps(list(names)),
         json.dumps([*_COMMANDS, ["list"], ["columns"]])],
        capture_output=True, check=True, encoding="utf-8", timeout=300,
        env={**os.environ, "ARCHSTAT_CACHE": "off"},
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(lost, command): tuple(answer) for lost, command, *answer in rows}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compare", "memory", "rf"])
@pytest.mark.parametrize("lost", [name for name in NAMES if name != _ESSENTIAL])
def test_a_lost_name_changes_no_figure(answers_without_each, lost, command):
    answers = answers_without_each
    (code, out, err), (_, whole, _) = answers[lost, command], answers["", command]
    if "module of an operation of the backward pass" in NAMES[lost]:
        whole = re.sub(r'("peak_module": )".*"', r'\1"-"', whole)
    assert (code, out, err) == (0, whole, "")


@pytest.mark.parametrize("command", ["compare", "memory", "rf"])
def test_without_dispatch_modes_a_module_is_refused_in_one_sentence(answers, command):
    code, out, err = answers[_ESSENTIAL, command]
    assert (code, out) == (2, "")
    assert "TorchDispatchMode" in err
    assert "Traceback" not in err
    assert "bug in archstat" not in err


@pytest.mark.parametrize("command", ["list", "columns"])
def test_without_dispatch_modes_other_commands_go_on(answers, command):
    assert answers[_ESSENTIAL, command] == answers["", command]


def test_no_other_file_uses_a_private_name_of_torchs():
    private = re.compile(
        r"torch\._[a-zA-Z]|torch\.[a-z]\w*\._|from torch\S* import _|_global_(forward|backward)"
        r"|_should_skip_dynamo|\"_call_impl\"|\._call_impl|_compiled_call_impl"
    )
    package = Path(archstat.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name != "torch_private.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if private.search(line)
    ]
    assert found == []

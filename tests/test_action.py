"""The action for GitHub: its workflow, its inputs, and its steps as a runner takes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/ci.md").read_text(), re.S | re.M)

NETS = """
from torch import nn

def net(width: int = 4):
    return nn.Conv2d(3, width, 3, bias=False)
"""
BUDGETS = '[[budget]]\nmodel = "nets.py:net"\ninput = "3x8x8"\nparams = "{rule}"\n'
# What a runner has: pip that notes what it is asked for, and the archstat that it "installs".
PYTHON = '#!/bin/sh\nfor word in "$@"; do echo "$word"; done > "{notes}"\n'
ARCHSTAT = '#!/bin/sh\nexec "{python}" -m archstat "$@"\n'


class Runner:
    """A repository with a budget, and the steps of the action run in it one after another."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temporary = folder / "work space", folder / "temporary"
        self.notes, self.output = folder / "installed", folder / "output"
        self.summary, self.action = folder / "summary.md", folder / "arch stat"
        programs = folder / "bin"
        for made in (self.workspace, self.temporary, programs, self.action):
            made.mkdir()
        (self.action / "pyproject.toml").touch()
        for name, text in (
            ("python", PYTHON.format(notes=self.notes)),
            ("archstat", ARCHSTAT.format(python=sys.executable)),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(self.temporary),
        }

    def write(self, rule: str, folder: str = ".", name: str = "archstat.toml") -> None:
        """A repository whose net has 108 parameters, with one rule on them."""
        path = self.workspace / folder
        path.mkdir(exist_ok=True)
        (path / "nets.py").write_text(NETS)
        (path / name).write_text(BUDGETS.format(rule=rule))

    def __call__(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """The last step that ran, up to the first that fails."""
        known = {name: str(about["default"]) for name, about in ACTION["inputs"].items()} | inputs
        values = {f"inputs.{name}": text for name, text in known.items()}
        values["github.action_path"] = str(self.action)
        done = None
        for step in ACTION["runs"]["steps"]:
            if "run" not in step:
                continue  # another action, which sets Python up
            done = self.step(step, values)
            if done.returncode:
                break
        assert done is not None
        return done

    def step(
        self, step: dict[str, Any], values: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """One step of a workflow or an action."""
        assert step.get("shell", "bash") == "bash"

        def evaluated(text: str) -> str:
            return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)

        own = {name: evaluated(text) for name, text in step.get("env", {}).items()}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace / evaluated(step["working-directory"]),
            env={**self.environment, **own}, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """A runner whose budget was kept, with what its last step said."""
    runner = Runner(tmp_path_factory.mktemp("passed"))
    runner.write("<= 108")
    return runner, runner(install='-r requirements.txt "timm==1.0"')


def test_workflow_of_the_guide_runs_as_it_stands(runner):
    workflow = yaml.safe_load(BLOCKS[0])
    runner.write("<= 100")
    (runner.workspace / "requirements.txt").touch()
    told = []
    for step in workflow["jobs"]["budgets"]["steps"]:
        assert not re.search(r"[A-Z]{5,}|<|\$\{", str(step))  # nothing to be filled in
        if "run" in step:
            told.append(runner.step({**step, "working-directory": "."}, {}))
    *installed, checked = told
    assert [done.returncode for done in installed] == [0, 0]
    assert runner.notes.read_text().splitlines() == [
        "-m",
        "pip",
        "install",
        "-r",
        "requirements.txt",
    ]
    assert checked.returncode == 1
    assert "::error file=archstat.toml,line=4," in checked.stdout


def test_steps_of_the_guide_use_the_copied_action():
    for block in BLOCKS[1:]:
        steps = [step for step in yaml.safe_load(block) if "archstat" in step.get("uses", "")]
        assert [step["uses"] for step in steps] == ["./.github/actions/archstat"]
        assert all(set(step.get("with", {})) <= set(ACTION["inputs"]) for step in steps)


@pytest.mark.slow
def test_copy_of_the_action_installs_archstat_by_name(runner):
    (runner.action / "pyproject.toml").unlink()
    runner.write("<= 108")
    assert runner().returncode == 0
    assert runner.notes.read_text().splitlines()[4:] == ["archstat"]
    assert runner(archstat="archstat==0.1.0").returncode == 0
    assert runner.notes.read_text().splitlines()[4:] == ["archstat==0.1.0"]


def test_inputs_reach_the_shell_through_the_environment_alone():
    steps = ACTION["runs"]["steps"]
    assert ACTION["runs"]["using"] == "composite"
    assert all("${{" not in step.get("run", "") for step in steps)
    given = {value for step in steps for value in step.get("env", {}).values()}
    used = {f"${{{{ inputs.{name} }}}}" for name in ("config", "install", "arguments")}
    assert used <= given


def test_every_step_is_one_that_a_composite_action_may_have():
    for step in ACTION["runs"]["steps"]:
        assert set(step) <= {"id", "if", "name", "uses", "with", "run", "shell", "env",
                             "working-directory"}  # fmt: skip
        assert ("run" in step) == ("shell" in step)
        assert ("run" in step) != ("uses" in step)


def test_kept_budget_passes_without_an_annotation(passed):
    runner, done = passed
    assert (done.returncode, done.stderr) == (0, "")
    assert "::" not in done.stdout
    assert "✅ kept" in runner.summary.read_text()


def test_output_is_the_path_of_the_report(passed):
    (output,) = ACTION["outputs"].values()
    ids = [step["id"] for step in ACTION["runs"]["steps"] if "id" in step]
    assert output["value"] == f"${{{{ steps.{ids[0]}.outputs.report }}}}"
    name, _, path = passed[0].output.read_text().rstrip("\n").partition("=")
    assert name == "report"
    assert Path(path).read_text().startswith("## archstat budgets\n")


def test_what_the_models_need_is_installed_beside_archstat(passed):
    words = passed[0].notes.read_text().splitlines()
    assert words[:5] == ["-m", "pip", "install", "--quiet", str(passed[0].action)]
    assert words[5:7] == ["-r", "requirements.txt"]


def test_broken_budget_fails_with_an_annotation_and_a_summary(runner):
    runner.write("<= 100")
    done = runner()
    assert done.returncode == 1
    assert "::error file=archstat.toml,line=4,title=params <= 100%3A broken::" in done.stdout
    assert "❌ broken" in runner.summary.read_text()
    # nothing else was asked for
    assert runner.notes.read_text().splitlines()[4:] == [str(runner.action)]


def test_mistake_in_the_budgets_fails_with_an_annotation(runner):
    runner.write("100")
    done = runner()
    assert done.returncode == 2
    assert "::error file=archstat.toml,line=4,title=budgets cannot be checked::" in done.stdout


@pytest.mark.slow
def test_folder_config_and_arguments_reach_the_check(runner):
    runner.write("<= 108", "models", "small one.toml")
    inputs = {"working-directory": "models", "config": "small one.toml", "arguments": "--locked"}
    done = runner(**inputs)
    assert done.returncode == 1
    assert "file=models/small one.toml" in done.stdout
    assert "--update" in done.stdout
    assert runner(**{**inputs, "arguments": "--update"}).returncode == 0
    assert (runner.workspace / "models" / "small one.lock").is_file()

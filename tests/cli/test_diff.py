"""``archstat diff``: its arguments, formats, messages and git revisions."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from archstat.differences.repository import repository_of
from archstat.models.pipeline import analyze

NETS = """
from torch import nn
from blocks import conv

class Net(nn.Sequential):
    def __init__(self, width: int = 8):
        super().__init__(conv(3, width), nn.ReLU(), conv(width, 4))

def refusing():
    raise RuntimeError("not today")
"""
BLOCKS = """
from torch import nn

def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, {kernel}, bias=False)
"""
INPUT = ("--input", "3x12x12")
CONVS = 3 * 8 + 8 * 4


def git(*arguments):
    done = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(folder, kernel):
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "blocks.py").write_text(BLOCKS.format(kernel=kernel), encoding="utf-8")


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """A folder of its own for temporary files, so that what stays behind is seen."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with nets of 1x1 kernels on `main`, 3x3 on `wide`, 5x5 in the working tree."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git("init", "--quiet", "--initial-branch=main")
    for branch, kernel in (("main", 1), ("wide", 3)):
        if branch != "main":
            git("checkout", "--quiet", "-b", branch)
        write(tmp_path, kernel)
        git("add", "--all")
        git("commit", "--quiet", "-m", branch)
    write(tmp_path, 5)
    return tmp_path


def total(ran, key="params"):
    """Before and after of one total in a json output."""
    assert ran.code == 0, ran.err
    row = json.loads(ran.out)["rows"][0]
    return row[f"{key}_before"], row[f"{key}_after"]


def nothing_stays(repository, temporary):
    worktrees = git("worktree", "list", "--porcelain").count("worktree ")
    return worktrees == 1 and list(temporary.iterdir()) == []


# Models and files


def test_console_shows_totals_and_the_layers_that_make_the_difference(archstat):
    ran = archstat("diff", "resnet18", "resnet34", "--top", "2")
    assert ran.code == 0
    assert "11.69 M" in ran.out
    assert "+10.11 M" in ran.out
    assert "+86.5%" in ran.out
    assert "conv5_x.2.conv1" in ran.out
    assert "smaller changes not shown" in ran.out


def test_json_and_csv_hold_the_same_rows(archstat):
    arguments = ("diff", "lenet5", "lenet5_modern", "--columns", "params,macs")
    rows = json.loads(archstat(*arguments, "--format", "json").out)["rows"]
    lines = list(csv.DictReader(io.StringIO(archstat(*arguments, "--format", "csv").out)))
    assert [list(row) for row in rows] == [list(line) for line in lines]
    assert [str(row["params_change"]) for row in rows] == [x["params_change"] for x in lines]


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        ("layer", ["total before after change relative", "layer"]),
        ("layer,params", ["total before after change relative",
                          "layer params_change params_share"]),
        ("macs_change", ["total before after change relative",
                         "status layer type structure macs_change macs_share"]),
        ("relative,macs", ["total relative", "status layer type structure macs_change macs_share"]),
    ],
)  # fmt: skip
def test_headings_are_taken_as_columns(archstat, columns, heads):
    out = archstat("diff", "lenet5", "lenet5_modern", "--columns", columns).out
    assert [" ".join(part.split("\n")[0].split()) for part in out.split("\n\n")[:2]] == heads


def test_csv_of_one_text_holds_it_beside_the_rows_names(archstat):
    out = archstat("diff", "lenet5", "lenet5_modern", "--columns", "layer", "-f", "csv").out
    assert out.split("\n")[0] == "model,row,layer"


@pytest.mark.parametrize("suffix", ["txt", "csv", "json", "md", "tex"])
def test_output_file_chooses_the_format(archstat, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    assert archstat("diff", "vgg11", "vgg13", "-o", str(path)).code == 0
    assert "params" in path.read_text(encoding="utf-8")


def test_same_command_gives_the_same_bytes(archstat):
    arguments = ("diff", "squeezenet1_0", "squeezenet1_1", "--format", "json")
    assert archstat(*arguments).out == archstat(*arguments).out


def test_saved_graphs_compare(archstat, tmp_path):
    for name in ("lenet5", "lenet5_modern"):
        analyze(name).graph.save(tmp_path / f"{name}.json")
    files = [str(tmp_path / f"{name}.json") for name in ("lenet5", "lenet5_modern")]
    from_files = archstat("diff", *files, "--format", "json").out
    assert from_files == archstat("diff", "lenet5", "lenet5_modern", "--format", "json").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vgg16"], "diff compares two models"),
        (["vgg16", "vgg19", "vgg11"], "diff compares two models"),
        (["vgg16", "vgg18"], "Did you mean"),
        (["vgg16", "vgg19", "--columns", "prams"], "Did you mean params"),
        (["vgg16", "vgg19", "--format", "jsn"], "Did you mean json"),
        (["a.csv", "b.csv"], "a.csv is a table, which has no layers"),
        (["vgg16", "none.json"], "There is no file none.json"),
        (["vgg16", "--head", "main"], "--head needs --base"),
        (["vgg16", "vgg19", "--base", "main"], "--base takes one model; 2 were given."),
    ],
)
def test_wrong_request_is_one_message_and_exit_code_2(archstat, arguments, said):
    ran = archstat("diff", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_strict_refuses_an_incomplete_count(archstat, unknown):
    assert archstat("diff", unknown, unknown).code == 0
    assert archstat("diff", unknown, unknown, "--strict").code == 3


# Revisions


def test_working_tree_is_compared_with_a_revision_of_all_its_modules(
    archstat, repository, temporary
):
    ran = archstat("diff", "nets.py:Net", "--base", "main", *INPUT, "--format", "json")
    assert total(ran) == (CONVS, 25 * CONVS)
    row = json.loads(ran.out)["rows"][0]
    assert (row["model"], row["model_before"]) == ("nets.py:Net", "nets.py:Net at main")
    assert nothing_stays(repository, temporary)


@pytest.mark.slow
def test_two_revisions_are_compared_without_the_working_tree(archstat, repository, temporary):
    (repository / "nets.py").write_text("raise RuntimeError", encoding="utf-8")
    ran = archstat("diff", "nets.py:Net", "--base", "main", "--head", "wide", *INPUT, "-f", "json")
    assert total(ran) == (CONVS, 9 * CONVS)
    assert nothing_stays(repository, temporary)


@pytest.mark.slow
def test_module_and_absolute_path_are_those_of_the_revision(archstat, repository):
    for spec in ("nets:Net", f"{repository}/nets.py:Net", "./nets.py:Net"):
        ran = archstat("diff", spec, "--base", "main", "--head", "wide", *INPUT, "-f", "json")
        assert total(ran) == (CONVS, 9 * CONVS)


@pytest.mark.slow
def test_options_and_input_of_the_spec_reach_the_revision(archstat, repository):
    spec = "nets.py:Net,width=16,input=3x9x9,batch=2"
    ran = archstat("diff", spec, "--base", "main", "--format", "json")
    assert total(ran) == (2 * CONVS, 50 * CONVS)
    assert json.loads(ran.out)["rows"][0]["input_before"] == "2x3x9x9"


@pytest.mark.slow
def test_subfolder_is_that_of_the_revision_even_where_it_had_none(
    archstat, repository, monkeypatch
):
    (repository / "new").mkdir()
    monkeypatch.chdir(repository / "new")
    ran = archstat("diff", "../nets.py:Net", "--base", "wide", *INPUT, "--format", "json")
    assert total(ran) == (9 * CONVS, 25 * CONVS)


@pytest.mark.slow
def test_package_on_the_path_is_that_of_the_revision(archstat, repository, monkeypatch):
    """As an editable installation of a `src` layout puts it there."""
    for branch in ("wide", "main"):
        git("checkout", "--quiet", "--force", branch)
        (repository / "src").mkdir(exist_ok=True)
        write(repository / "src", {"main": 1, "wide": 3}[branch])
        git("rm", "--quiet", "nets.py", "blocks.py")
        git("add", "--all")
        git("commit", "--quiet", "-m", "src")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(
        [str(repository / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]))  # fmt: skip
    ran = archstat("diff", "nets:Net", "--base", "main", "--head", "wide", *INPUT, "-f", "json")
    assert total(ran) == (CONVS, 9 * CONVS)


def test_module_of_the_working_tree_is_refused_in_place_of_the_revision(
    archstat, repository, temporary
):
    sneaking = f"import sys; sys.path.insert(0, {str(repository)!r})\n{NETS}"
    (repository / "sneaking.py").write_text(sneaking, encoding="utf-8")
    git("add", "--all")
    git("commit", "--quiet", "-m", "sneak")
    ran = archstat("diff", "sneaking.py:Net", "--base", "HEAD", *INPUT)
    assert ran.code == 2
    assert f"imports {repository}/blocks.py from the working tree" in ran.err
    assert nothing_stays(repository, temporary)


@pytest.mark.slow
def test_model_that_uses_nothing_of_the_repository_is_told(archstat, repository):
    ran = archstat("diff", "lenet5", "--base", "main")
    assert ran.code == 0
    assert "lenet5 uses no file of the repository, so main has no effect on it." in ran.out
    assert "No layer differs." in ran.out


def test_file_of_models_is_compared_with_its_own_revision(archstat, repository):
    for model in ("lenet5", "lenet5_modern"):
        analyze(model).graph.save("graph.json")
        git("add", "graph.json")
        git("commit", "--quiet", "-m", model)
    ran = archstat("diff", "graph.json", "--base", "HEAD~1", "--format", "json")
    assert total(ran) == tuple(analyze(m).totals["params"] for m in ("lenet5", "lenet5_modern"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nets.py:Net", "--base", "mian"], "There is no git revision 'mian'"),
        (["nets.py:Net", "--base", "mian"], "Did you mean main?"),
        (["nets.py:Net", "--base", ""], "There is no git revision ''"),
        (["nets.py:Net", "--base=--all"], "There is no git revision '--all'"),
        (["nets.py:Net", "--base", "main", "--head", "wid"], "Did you mean wide?"),
        (["nets.py:Nat", "--base", "main"], "nets.py:Nat at main: nets.py has no attribute 'Nat'"),
        (["nets.py:refusing", "--base", "main"], "not today"),
        (["gone.py:Net", "--base", "main"], "gone.py:Net at main: There is no file gone.py"),
        (["/usr/nets.py:Net", "--base", "main"], "lies outside"),
        (["none.json", "--base", "main"], "main has no file none.json"),
    ],
)
def test_failure_at_a_revision_is_one_message_and_leaves_nothing(
    archstat, repository, temporary, arguments, said
):
    ran = archstat("diff", *arguments, *INPUT)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert nothing_stays(repository, temporary)


def test_model_that_ends_its_process_is_one_message(archstat, repository, temporary):
    ending = "import os\ndef net():\n    os._exit(7)\n"
    (repository / "ending.py").write_text(ending, encoding="utf-8")
    git("add", "--all")
    git("commit", "--quiet", "-m", "ending")
    ran = archstat("diff", "ending.py:net", "--base", "HEAD", *INPUT)
    assert ran.code == 2
    assert "ending.py:net at HEAD: Python ended with code 7" in ran.err
    assert nothing_stays(repository, temporary)


def test_folder_without_repository_is_one_message(archstat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write(tmp_path, 1)
    ran = archstat("diff", "nets.py:Net", "--base", "main", *INPUT)
    assert ran.code == 2
    assert f"{tmp_path} is not in a git repository" in ran.err
    assert ran.err.count("\n") == 1


def test_absent_git_is_one_message(archstat, repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    ran = archstat("diff", "nets.py:Net", "--base", "main", *INPUT)
    assert (ran.code, ran.err) == (
        2,
        "archstat: git is not installed, and comparing revisions needs it.\n",
    )


def test_shallow_clone_says_how_to_fetch_more(archstat, repository, monkeypatch):
    git("clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    monkeypatch.chdir(repository / "shallow")
    ran = archstat("diff", "nets.py:Net", "--base", "HEAD~1", *INPUT)
    assert ran.code == 2
    assert "git fetch --unshallow" in ran.err


@pytest.mark.slow
def test_hook_of_git_may_run_it(archstat, repository, temporary, monkeypatch):
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    before = (repository / ".git" / "index").read_bytes()
    ran = archstat("diff", "nets.py:Net", "--base", "main", *INPUT, "--format", "json")
    assert total(ran) == (CONVS, 25 * CONVS)
    assert (repository / ".git" / "index").read_bytes() == before


@pytest.mark.slow
def test_hook_of_the_repository_does_not_run(archstat, repository):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {repository}/ran\n", encoding="utf-8")
    hook.chmod(0o755)
    assert archstat("diff", "nets.py:Net", "--base", "main", *INPUT).code == 0
    assert not (repository / "ran").exists()


@pytest.mark.slow
def test_worktrees_of_others_are_left_alone(archstat, repository, temporary):
    git("worktree", "add", "--quiet", "--detach", str(temporary / "unmounted"))
    (temporary / "unmounted").rename(temporary.parent / f"{temporary.name}-elsewhere")
    assert archstat("diff", "nets.py:Net", "--base", "main", *INPUT).code == 0
    assert "unmounted" in git("worktree", "list")


def test_worktree_that_vanishes_meanwhile_is_forgotten(repository, temporary):
    with repository_of(repository).checkout("main") as folder:
        shutil.rmtree(folder)
    assert nothing_stays(repository, temporary)


def waiting_diff(repository) -> subprocess.Popen[str]:
    """An ``archstat diff`` that has checked its revision out and waits for the model."""
    waiting = (
        "import pathlib, time\n"
        f"pathlib.Path({str(repository / 'started')!r}).touch()\n"
        "time.sleep(60)\n"
    )
    (repository / "waiting.py").write_text(waiting, encoding="utf-8")
    git("add", "--all")
    git("commit", "--quiet", "-m", "wait")
    process = subprocess.Popen(
        [sys.executable, "-m", "archstat", "diff", "waiting.py:net", "--base", "HEAD", *INPUT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(repository / "started", process)
    assert git("worktree", "list", "--porcelain").count("worktree ") == 2
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_stopping_it_in_the_middle_leaves_no_worktree(repository, temporary, sent):
    process = waiting_diff(repository)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does, to all of the group
    else:
        process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert out == ""
    assert "Traceback" not in err
    assert nothing_stays(repository, temporary)


def revisions_left(temporary) -> list[Path]:
    return list(temporary.glob("archstat-revision-*"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["there", "gone"])
def test_worktree_of_a_killed_run_goes_with_the_next(archstat, repository, temporary, folder):
    process = waiting_diff(repository)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    (left,) = revisions_left(temporary)
    if folder == "gone":
        shutil.rmtree(left)
    assert archstat("diff", "nets.py:Net", "--base", "main", *INPUT).code == 0
    assert git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert revisions_left(temporary) == []


@pytest.mark.slow
def test_worktree_of_a_run_that_goes_on_stays(archstat, repository, temporary):
    process = waiting_diff(repository)
    (held,) = revisions_left(temporary)
    assert archstat("diff", "nets.py:Net", "--base", "main", *INPUT).code == 0
    assert revisions_left(temporary) == [held]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)

"""Mistakes: one message on stderr, nothing on stdout, the agreed exit code, no traceback."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import archstat as package
from archstat import errors


def test_every_error_has_its_exit_code_and_stands_in_the_tree():
    found = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    assert errors.ArchstatError.exit_code == 2
    assert errors.IncompleteCountError.exit_code == 3
    for error in found:
        assert issubclass(error, errors.ArchstatError)
        assert re.search(rf"\b{error.__name__} +{error.exit_code} ", errors.__doc__)


TEXT = """
from torch import nn
def Text():
    return nn.Sequential(nn.Embedding(9, 4))
class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(8, 4), nn.Conv2d(3, 4, 3)
    def forward(self, a, b):
        return self.left(a).sum() + self.right(b)
"""

MISTAKES = [
    (["vgg17"], "Did you mean vgg"),
    (["resnet"], "Did you mean resnet18, 34, 50, 101, 152"),
    (["alexnet,tower=1"], "It takes num_classes=1000, in_channels=3, towers=2, layout=paper"),
    (["alexnet,layout=caffe"], "layout must be paper or torchvision, not caffe"),
    (["mobilenet_v1,width=wide"], "width must be a number, not"),
    (["mobilenet_v1,width=-1"], "width=-1.0 is impossible"),
    (["vgg16,"], "separate models by spaces"),
    (["figures.parquet"], "is a table, not a model"),
    (["net.py:Net(width=16)"], "write options after commas, such as FILE.py:NAME,width=16"),
    (["vgg16", "--format", "latex", "--label", "a{"], "LaTeX takes letters, digits"),
    (["@"], "names no file; write @models.txt"),
    (["vgg16", "--top", "0"], "--top takes a whole number of at least 1."),
    (["vgg16", "--top", "x"], "--top takes a whole number of at least 1."),
    (["vgg16", "--output", "."], ". is a folder; name a file."),
    (["vgg16", "--output", "out"], "out: a suffix is missing"),
    (["vgg16", "--plot", "x.pdf:huge"], "a width is a number with in, cm, mm or pt"),
    (["vgg16,dims=[1,2"], "close every bracket"),
    (["best.pt"], "best.pt cannot be read"),
    (["vgg16,batch"], "write KEY=VALUE"),
    (["vgg16,batch=2,batch=2"], "gives batch twice"),
    (["vgg16,batch=0"], "at least 1"),
    (["vgg16,resolution=0"], "between 1 and"),
    (["vgg16,resolution=1"], "input"),
    (["vgg16", "--input", "3x"], "write positive sizes joined by x"),
    (["vgg16", "--input", "3x224x224:floaty"], "is not a dtype"),
    (["vgg16", "--input", "1x224x224"], "This model runs with: --input 3x224x224"),
    (["vgg16", "--input", "1,3,32,32"], "Leave the batch out: --input 3x32x32"),
    (["vgg16", "--input", "64x32x3"], "channels last: did you mean --input 3x64x32?"),
    (["vgg16", "--input", "imge=3x64x32"], "has no argument 'imge'"),
    (["vit_b_16", "--resolution", "384"], "MODEL,image_size=384 builds it for this size"),
    (["text.py:Mixed", "--input", "8"], "Give a shape for each input, such as --input a=8"),
    (["nets.py"], "nets.py:Net"),
    (["nets.py:Nett"], "Did you mean Net"),
    (["nets.py:Pair", "--input", "3x8x8"], "--input left=3x8x8 --input right=3x8x8"),
    (["vgg16", "--reference", "vgg"], "is not one of the models: vgg16. Did you mean vgg16?"),
    (["text.py:Text", "--input", "40"], "This model runs with: --input 40:int64"),
    (["nets.py:raising"], "RuntimeError: no such table (nets.py:"),
    (["nets.py:leaving"], "nets.py:leaving does not build"),
    (["absent.py:Net"], "There is no file absent.py"),
    (["absent_module:Net"], "There is no module 'absent_module'"),
    (["broken.py:Net"], "No module named 'absent_dependency' (broken.py:3)"),
    (["vgg16", "--reference", "resnet50"], "'resnet50' is not one of the models: vgg16"),
    (["vgg16", "--format", "jsn"], "Did you mean json"),
    (["vgg16", "--format", "xml"], "Formats: console, csv, json"),
    (["mobilenet_v1,batch=100000000000000000000"], "batch"),
    (["vgg16,input=2147483647x2147483647x2147483647"], "2147483647"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES]
)
@pytest.mark.parametrize("good", [[], ["mobilenet_v1"]], ids=["alone", "after another"])
def test_mistake_is_one_message_and_nothing_on_stdout(archstat, nets, good, arguments, message):
    (nets / "text.py").write_text(TEXT, encoding="utf-8")
    (nets / "broken.py").write_text("\n\nimport absent_dependency\n", encoding="utf-8")
    if good and "not one of the models" in message:
        message = "is not one of the models"
    ran = archstat("compare", *good, *arguments)
    assert ran.code == 2
    said = ran.out if good and ran.out else ran.err
    assert message in said
    assert ran.err.startswith("archstat: ")
    lines = 3 if ran.err.startswith("archstat: all 2 models failed.\n") else 1
    assert ran.err.count("\n") == lines
    assert "Traceback" not in ran.err
    assert "bug in archstat" not in ran.err


@pytest.mark.parametrize(
    "arguments",
    [["compare"], ["nonsense"], ["compare", "vgg16", "--bacth", "2"], ["list", "a", "b"],
     ["compare", "vgg16", "--batch", "0"], ["compare", "vgg16", "--batch", "two"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_exits_with_2(archstat, arguments):
    ran = archstat(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert "help" in ran.err


def test_no_command_shows_the_help(archstat):
    ran = archstat()
    assert "compare" in ran.out + ran.err
    assert "list" in ran.out + ran.err


def test_version_is_printed(archstat):
    assert archstat("--version") == (0, f"archstat {package.__version__}\n", "")


def test_missing_extra_is_one_sentence_with_the_remedy(archstat, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    ran = archstat("compare", "timm:resnet18")
    assert (ran.code, ran.out) == (2, "")
    assert 'python -m pip install "archstat[timm]"' in ran.err
    assert ran.err.count("\n") == 1


def test_what_a_model_prints_stays_out_of_the_output(archstat, nets):
    ran = archstat("compare", "nets.py:Chatty", "--input", "3x8x8", "-f", "csv")
    assert ran.code == 0
    assert ran.out.startswith("model,input,params")


def test_mistake_of_our_own_is_one_message_that_says_so(archstat, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("archstat.models.pipeline.graph_of_spec", fails)
    ran = archstat("compare", "vgg16")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("archstat: this is a bug in archstat: ZeroDivisionError: oh")
    assert "--debug" in ran.err
    assert ran.err.count("\n") == 1


def test_interrupt_ends_without_a_traceback(archstat, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("archstat.models.pipeline.graph_of_spec", interrupted)
    ran = archstat("compare", "vgg16")
    assert ran.code == 130
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback_and_keeps_the_exit_code():
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "archstat", "list", "zzz", "--debug"],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert "Traceback (most recent call last)" in ran.stderr
    assert "No network of the zoo matches 'zzz'" in ran.stderr
    assert ran.stdout == ""
    assert ran.returncode == 2


def test_debug_changes_nothing_where_nothing_fails(archstat):
    assert archstat("list", "--debug") == archstat("list")


@pytest.mark.skipif(sys.platform == "win32", reason="closes streams in a shell")
@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        (">&-", 2, "standard output is closed"),
        *(pytest.param(closed, 1, "", marks=pytest.mark.slow) for closed in ("2>&-", "<&-")),
    ],
)
def test_stream_that_is_closed_from_the_start_is_no_bug(closed, code, said, tmp_path):
    command = [sys.executable, "-m", "archstat", "check", "lenet5", "params<=1"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert ("1 broken" in done.stdout) == (code == 1)

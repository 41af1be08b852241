"""`-o FILE`: the suffix chooses the format, and the file is written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from archstat.cli import output
from archstat.cli.output import Destination, page_or_print
from archstat.errors import OutputError
from archstat.result import Column, Table

TABLE = Table((Column("model", "text", ""), Column("macs", "count", "")), (("vgg16", 15470264320),))


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the working directory."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"),
    [("out.csv", "csv"), ("out.json", "json"), ("out.txt", "console"), ("OUT.CSV", "csv")],
)
def test_suffix_chooses_the_format(archstat, fresh, name, form):
    ran = archstat("compare", "alexnet", "mobilenet_v1", "-o", name)
    assert ran == (0, "", "")
    assert content(fresh) == {
        name: archstat("compare", "alexnet", "mobilenet_v1", "--format", form).out
    }


@pytest.mark.parametrize("name", ["out.csv", "out", "out.dat"])
def test_format_comes_before_the_suffix(archstat, fresh, name):
    assert archstat("list", "alexnet", "-f", "json", "-o", name).code == 0
    assert json.loads(content(fresh)[name])["rows"][0]["model"] == "alexnet"


@pytest.mark.parametrize("name", ["out.xyz", "out", ".csv"])
def test_suffix_that_chooses_nothing_is_refused_with_those_that_do(archstat, fresh, name):
    ran = archstat("compare", "no_such_network", "-o", name)
    assert (ran.code, ran.out) == (2, "")
    assert "use one of .txt, .csv, .json" in ran.err
    assert "--format" in ran.err
    assert content(fresh) == {}


def test_csv_opens_with_pandas_and_the_numbers_are_exact(archstat, fresh):
    archstat("compare", "vgg16", "mobilenet_v1", "-o", "out.csv")
    frame = pandas.read_csv("out.csv")
    assert frame["params"].tolist() == [138_357_544, 4_231_976]
    assert frame["macs_ratio"].tolist() == [1.0, 568_740_352 / 15_470_264_320]


@pytest.mark.parametrize("form", ["console", "csv", "json"])
def test_dash_is_standard_output(archstat, fresh, form):
    ran = archstat("list", "alexnet", "-f", form, "-o", "-")
    assert ran == archstat("list", "alexnet", "-f", form)
    assert "alexnet" in ran.out
    assert content(fresh) == {}


# -- files -----------------------------------------------------------------------------------------


def test_file_in_another_folder_is_written_there(archstat, fresh):
    (fresh / "results").mkdir()
    archstat("list", "alexnet", "-o", "results/out.csv")
    assert [path.name for path in (fresh / "results").iterdir()] == ["out.csv"]


def test_existing_file_is_replaced_and_keeps_its_mode(archstat, fresh):
    path = fresh / "out.csv"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o640)
    archstat("list", "alexnet", "-o", "out.csv")
    assert path.read_text(encoding="utf-8").startswith("model,")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_new_file_gets_the_mode_that_any_program_would_give_it(archstat, fresh):
    (fresh / "other").touch()
    archstat("list", "alexnet", "-o", "out.csv")
    assert (fresh / "out.csv").stat().st_mode == (fresh / "other").stat().st_mode


def test_link_stays_a_link_and_its_target_is_written(archstat, fresh, tmp_path):
    target = tmp_path / "elsewhere.csv"
    target.touch()
    (fresh / "out.csv").symlink_to(target)
    assert archstat("list", "alexnet", "-o", "out.csv").code == 0
    assert (fresh / "out.csv").is_symlink()
    assert target.read_text(encoding="utf-8").startswith("model,")
    assert [path.name for path in fresh.iterdir()] == ["out.csv"]


def test_draft_lies_where_the_file_will(archstat, fresh, tmp_path, monkeypatch):
    # A rename across file systems is no rename: the target of a link may lie on another one.
    (tmp_path / "elsewhere.csv").touch()
    (fresh / "out.csv").symlink_to(tmp_path / "elsewhere.csv")
    renamed = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append((a, b)), replace(a, b)))
    assert archstat("list", "alexnet", "-o", "out.csv").code == 0
    assert [(Path(a).resolve().parent, Path(b)) for a, b in renamed] == [
        (tmp_path.resolve(), tmp_path.resolve() / "elsewhere.csv")
    ]


def test_pipe_is_written_and_stays_a_pipe(archstat, fresh):
    os.mkfifo("pipe.csv")
    reader = os.open("pipe.csv", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert archstat("list", "alexnet", "-o", "pipe.csv").code == 0
        assert os.read(reader, 100_000).startswith(b"model,")
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe.csv").st_mode)


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("existing", ["before", None])
def test_model_that_fails_leaves_the_file_as_it_was(archstat, fresh, existing):
    if existing is not None:
        (fresh / "out.csv").write_text(existing, encoding="utf-8")
    before = content(fresh)
    ran = archstat("compare", "no_such_network", "-o", "out.csv")
    assert (ran.code, ran.out) == (2, "")
    assert content(fresh) == before


def test_folder_is_refused_before_any_model_is_built(archstat, fresh):
    (fresh / "out.csv").mkdir()
    ran = archstat("compare", "no_such_network", "-o", "out.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "out.csv is a folder; name a file" in ran.err


def test_missing_folder_is_refused_before_any_model_is_built(archstat, fresh):
    ran = archstat("compare", "no_such_network", "-o", "absent/out.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no folder absent" in ran.err
    assert content(fresh) == {}


def test_folder_without_permission_is_refused_before_any_model_is_built(
    archstat, fresh, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    ran = archstat("compare", "no_such_network", "-o", "out.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "out.csv cannot be written: permission denied" in ran.err


def no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "broken",
    [
        lambda patch: patch.setattr(os, "replace", no_space),
        lambda patch: patch.setattr(os, "chmod", no_space),
        lambda patch: patch.setattr(tempfile, "mkstemp", no_space),
    ],
    ids=["rename", "mode", "draft"],
)
@pytest.mark.parametrize("existing", ["before", None])
def test_write_that_fails_leaves_the_folder_as_it_was(
    archstat, fresh, monkeypatch, broken: Callable[[pytest.MonkeyPatch], None], existing
):
    if existing is not None:
        (fresh / "out.csv").write_text(existing, encoding="utf-8")
    before = content(fresh)
    with monkeypatch.context() as patch:
        broken(patch)
        ran = archstat("list", "alexnet", "-o", "out.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "out.csv cannot be written: No space left on device" in ran.err
    assert content(fresh) == before


# -- standard output -------------------------------------------------------------------------------


def test_console_goes_to_a_screen_of_any_encoding(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    Destination(None, None).write(TABLE)
    screen.seek(0)
    assert "15.47 G" in screen.read()


def test_bars_of_an_ascii_screen_have_no_question_marks(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    page_or_print("██▌ 28.2%\n█▎ 11.5%\n")
    screen.seek(0)
    assert screen.read() == "### 28.2%\n#  11.5%\n"


def test_full_disk_behind_standard_output_is_one_of_our_errors(monkeypatch):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OutputError, match="No space left on device"):
        Destination("csv", None).write(TABLE)


def closed_pipe(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose reader has gone before the first byte."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "archstat", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "arguments", [["list", "-f", "csv"], ["compare", "mobilenet_v1"]], ids=" ".join
)
def test_closed_pipe_ends_quietly(arguments):
    ran = closed_pipe(*arguments)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_closed_pipe_ends_the_help_quietly():
    assert closed_pipe("--help").stderr == b""


# -- paging ----------------------------------------------------------------------------------------


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "3")


def test_long_text_goes_through_the_pager(screen, monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    monkeypatch.setenv("PAGER", f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\")"
                                f".write(sys.stdin.read())' {seen}")  # fmt: skip
    output.page_or_print("1\n2\n3\n4\n")
    assert seen.read_text() == "1\n2\n3\n4\n"


def test_text_that_fits_is_printed(screen, monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "false")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    output.page_or_print("1\n2\n")
    assert capsys.readouterr().out == "1\n2\n"


@pytest.mark.parametrize("pager", ["", "no-such-pager-anywhere"])
def test_without_a_pager_long_text_is_printed(pager, monkeypatch, capsys):
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    output.page_or_print("1\n" * 500)
    assert capsys.readouterr().out == "1\n" * 500


def test_long_text_that_is_piped_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", "false")
    output.page_or_print("1\n" * 500)
    assert capsys.readouterr().out == "1\n" * 500


def test_file_whose_suffix_names_another_format_is_remarked(fresh, capsys):
    Destination("json", "x.csv").write(TABLE)
    assert capsys.readouterr().err == "archstat: x.csv holds json, as --format says.\n"
    assert json.loads((fresh / "x.csv").read_text())["rows"][0]["model"] == "vgg16"
    Destination("json", "x.out").write(TABLE)
    Destination("json", "x.json").write(TABLE)
    assert capsys.readouterr().err == ""

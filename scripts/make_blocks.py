"""Run the commands in README.md and docs/ and show what they print; ``--check`` only compares.

A page is a session in a folder of its own, a git repository. A block with a title is a file, whose
first version is committed; ``console`` holds commands and what they print, ``pycon`` and ``python``
run in one interpreter. What is measured differs from run to run and stays as it is, and so does
what needs transformers where it does not import.
"""

from __future__ import annotations

import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from generated import ROOT, finish

from archstat.cli import main as archstat

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"archstat (bench|experiment) |--measure\b|--latency\b|pytest")
GIT = ("git", "-c", "user.name=docs", "-c", "user.email=docs@localhost")


def main() -> int:
    """Write every page anew, or compare them."""
    return finish({page: replayed(page) for page in PAGES})


def replayed(page: Path) -> str:
    """The page with what its blocks print today."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    with session():
        return BLOCK.sub(lambda found: block(found, names), text)


@contextmanager
def session() -> Iterator[None]:
    """A folder of one's own, with a repository and a cache; afterwards all is as before."""
    kept = {name: os.environ.get(name) for name in ("ARCHSTAT_CACHE",)}
    argv, path = sys.argv, list(sys.path)
    with TemporaryDirectory() as folder, TemporaryDirectory() as cache, chdir(folder):
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
        os.environ["ARCHSTAT_CACHE"] = cache
        try:
            yield
        finally:
            sys.argv, sys.path[:] = argv, path
            for name, value in kept.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def block(found: re.Match[str], names: dict[str, Any]) -> str:
    """A block as it should stand on the page: a file is written, commands and Python are run."""
    language, title, body = found.groups()
    if title:
        save(Path(title), body)
    elif language == "console":
        body = "".join(f"$ {command}\n{output}" for command, output in run(body))
    elif language == "pycon":
        body = "".join(interpreted(body, names))
    elif language == "python":
        with redirect_stdout(io.StringIO()):
            exec(compile(body, "page", "exec"), names)
    head, _, _ = found[0].partition("\n")
    return f"{head}\n{body}```"


def save(path: Path, body: str) -> None:
    """Write a file, and commit it if it is new."""
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, encoding="utf-8")
    if is_new:
        subprocess.run(["git", "add", str(path)], check=True)
        subprocess.run([*GIT, "commit", "--quiet", "--message", str(path)], check=True)


def run(body: str) -> Iterator[tuple[str, str]]:
    """Every command of a block and what it prints, or printed where that is measured."""
    for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, shown = step.partition("\n")
        stays = MEASURED.search(command) or ("hf:" in command and not has_transformers())
        yield command, shown if stays else printed(command)


@cache
def has_transformers() -> bool:
    """Whether transformers imports, which a few commands need."""
    try:
        import_module("transformers.modeling_utils")
    except Exception:  # also with a torchvision that was made for another torch
        return False
    return True


def printed(command: str) -> str:
    """What a command prints, errors included; archstat runs in this process."""
    program, *arguments = shlex.split(command)
    if program != "archstat" or ">" in arguments:
        text = command.replace("archstat", f"{sys.executable} -m archstat", 1)
        done = subprocess.run(text, shell=True, capture_output=True, text=True)
        return done.stdout + done.stderr
    sys.argv = [program, *arguments]
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), suppress(SystemExit):
        archstat()
    return output.getvalue()


def interpreted(body: str, names: dict[str, Any]) -> Iterator[str]:
    """Every statement of a dialogue with Python, and what it prints."""
    for example in doctest.DocTestParser().get_examples(body):
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(example.source, "page", "single"), names)
        first, *more = example.source.splitlines()
        yield "".join([f">>> {first}\n", *(f"... {line}\n" for line in more), output.getvalue()])


if __name__ == "__main__":
    raise SystemExit(main())

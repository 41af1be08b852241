"""A claim with the command that recomputes it, and how to run that command."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache
from typing import Any, NamedTuple

Rows = list[Mapping[str, Any]]


class Claim(NamedTuple):
    """A claim: what is said, the figures said, and the command that recomputes them.

    `read` makes the measured figures, as text, from what the command gives: the rows of a
    comparison, or one row whose `output` is the text that a script printed. `fits` is what the
    text must be where the claim holds; it is `said` unless the two are worded differently.
    `reason` explains a difference, or a claim that has to wait for an analysis.
    """

    id: str
    claim: str
    said: str
    command: str = ""
    read: Callable[[Rows], str] = lambda rows: str(rows[0]["output"])
    fits: str = ""
    reason: str = ""


class Verdict(NamedTuple):
    """A claim with what was measured: ``agrees``, ``differs`` or ``pending``."""

    claim: Claim
    measured: str
    verdict: str


def judge(claim: Claim) -> Verdict:
    """The recomputation of one claim."""
    if not claim.command:
        return Verdict(claim, "", "pending")
    measured = claim.read(run(claim.command))
    agrees = measured == (claim.fits or claim.said)
    return Verdict(claim, measured, "agrees" if agrees else "differs")


@cache
def run(command: str) -> Rows:
    """What a command gives: `archstat compare ...` or `python -c "..."`, in this process.

    Raises:
        ValueError: neither of the two.
    """
    program, *arguments = shlex.split(command)
    if program == "archstat":
        return _compared(arguments)
    if program == "python" and arguments[0] == "-c":
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(arguments[1], "<claim>", "exec"), {})
        return [{"output": printed.getvalue().strip()}]
    raise ValueError(f"{command!r} is neither archstat nor python -c")


def _compared(arguments: list[str]) -> Rows:
    from archstat.cli.app import app

    printed = io.StringIO()
    with redirect_stdout(printed):
        app([*arguments, "--format", "json"], standalone_mode=False)
    rows: Rows = json.loads(printed.getvalue())["rows"]
    return rows

"""Every claim of reports/claims.csv, recomputed by the command that stands beside it."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from claims.commands import Claim, judge, run  # noqa: E402
from make_claims import CLAIMS, REPORTS, csv_text, markdown_text  # noqa: E402

DIFFER = {
    "first_dense_alexnet",
    "googlenet_ratio",
    "weights_vgg16",
    "weights_resnet152",
    "alexnet_dense_memory",
}


def _expected(claim: Claim) -> str:
    return "differs" if claim.id in DIFFER else "agrees"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claim_agrees_or_differs_as_expected(claim):
    verdict = judge(claim)
    assert verdict.verdict == _expected(claim), verdict.measured
    assert claim.reason or verdict.verdict == "agrees"


def test_claims_are_known_by_different_ids():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) == 35


def test_reports_are_fresh():
    verdicts = [judge(claim) for claim in CLAIMS]
    assert (REPORTS / "claims.csv").read_text(encoding="utf-8") == csv_text(verdicts)
    assert (REPORTS / "claims.md").read_text(encoding="utf-8") == markdown_text(verdicts)


def test_another_program_is_refused():
    with pytest.raises(ValueError, match="neither"):
        run("echo 27")


@pytest.mark.slow
@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.command], ids=lambda claim: claim.id)
def test_command_runs_as_a_person_would_type_it(claim, tmp_path):
    with (REPORTS / "claims.csv").open(encoding="utf-8", newline="") as file:
        shown = {row["id"]: row["command"] for row in csv.DictReader(file)}[claim.id]
    program, *arguments = shlex.split(shown)
    command = ["-m", "archstat", *arguments] if program == "archstat" else arguments
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

"""`archstat sweep`: what it shows and writes, what it goes on with, what it refuses."""

from __future__ import annotations

import csv
import io

import pytest

SPACE = "nets.py:Net,width=1..6"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def swept(archstat, *arguments):
    return archstat("sweep", *arguments, "--input", "3x8x8", "--jobs", "1")


def test_screen_shows_a_row_a_candidate(archstat, nets):
    ran = swept(archstat, SPACE)
    assert (ran.code, ran.err) == (0, "")
    assert sum(line.startswith("nets.py:Net,width=") for line in ran.out.splitlines()) == 6


def test_screen_shows_some_of_many(archstat, nets):
    out = swept(archstat, "nets.py:Net,width=1..30").out
    assert sum(line.startswith("nets.py:Net") for line in out.splitlines()) == 20
    assert "20 of 30 candidates" in out
    out = swept(archstat, "nets.py:Net,width=1..30", "--top", "2", "--sort=-macs").out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("nets")] == [
        "nets.py:Net,width=30", "nets.py:Net,width=29",
    ]  # fmt: skip


def test_conditions_keep_what_fits(archstat, nets):
    macs = 6 * 6 * 3 * 3 * 3
    ran = swept(archstat, SPACE, "--where", f"macs = {2 * macs}..{4 * macs}", "-f", "csv",
                "--columns", "macs")  # fmt: skip
    assert [row["macs"] for row in rows(ran.out)] == [str(w * macs) for w in (2, 3, 4)]


def test_rows_are_taken_back_by_compare(archstat, nets):
    found = rows(swept(archstat, SPACE, "-f", "csv").out)
    specs = [row["model"] for row in found]
    compared = rows(archstat("compare", *specs, "--input", "3x8x8", "-f", "csv").out)
    assert [row["macs"] for row in compared] == [row["macs"] for row in found]


def test_sample_is_the_same_for_the_same_seed(archstat, nets):
    drawn = [swept(archstat, "nets.py:Net,width=1..999", "--sample", "4", "--seed", seed, "-f",
                   "csv").out for seed in ("1", "1", "2")]  # fmt: skip
    assert len(rows(drawn[0])) == 4
    assert drawn[0] == drawn[1] != drawn[2]


def test_failed_candidates_are_counted_and_only_all_of_them_are_an_error(archstat, nets):
    ran = swept(archstat, "nets.py:Net,width=-1|4", "-f", "csv", "--columns", "macs")
    assert ran.code == 0
    assert [bool(row["failed"]) for row in rows(ran.out)] == [True, False]
    assert "1 of 2 candidates failed" in swept(archstat, "nets.py:Net,width=-1|4").out
    ran = swept(archstat, "nets.py:Net,width=-2|-1")
    assert (ran.code, ran.out) == (2, "")
    assert "all 2 candidates failed" in ran.err


def test_interrupted_sweep_is_gone_on_with_to_the_same_bytes(archstat, nets, monkeypatch):
    from archstat.tables import sweep

    assert swept(archstat, SPACE, "-o", "whole.csv").code == 0
    measured, begun = sweep.measured, []

    def cut_short(specs, settings):
        begun.append(len(specs))
        for number, one in enumerate(measured(specs, settings)):
            if number == 2 and len(begun) == 1:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(sweep, "measured", cut_short)
    ran = swept(archstat, SPACE, "-o", "cut.csv")
    assert ran.code == 130
    assert "2 candidates in cut.csv" in ran.err
    assert swept(archstat, SPACE, "-o", "cut.csv", "--summary").code == 0
    assert begun == [6, 5]
    assert (nets / "cut.csv").read_bytes() == (nets / "whole.csv").read_bytes()


def test_results_of_another_sweep_are_left_as_they_are(archstat, nets):
    swept(archstat, SPACE, "-o", "r.csv")
    before = (nets / "r.csv").read_bytes()
    ran = swept(archstat, "nets.py:Net,width=7..9", "-o", "r.csv")
    assert (ran.code, (nets / "r.csv").read_bytes()) == (2, before)


def test_saved_results_are_summarised_without_a_module(archstat, nets):
    swept(archstat, SPACE, "-o", "r.csv")
    (nets / "nets.py").unlink()
    found = {row["column"]: row for row in rows(archstat("sweep", "r.csv", "--summary", "-f",
                                                         "csv").out)}  # fmt: skip
    macs = 6 * 6 * 3 * 3 * 3
    assert (found["macs"]["least"], found["macs"]["most"]) == (str(macs), str(6 * macs))
    assert float(found["activations"]["exponent"]) == pytest.approx(1)
    ran = archstat("sweep", "r.csv", "--where", "macs = 1..2")
    assert ran.code == 2


def test_front_and_wants_are_of_saved_results(archstat, nets):
    (nets / "r.csv").write_text("model,macs,accuracy,receptive_field\na,1,3,7x7\nb,2,2,9x9\n"
                                "c,3,5,9x3\nd,4,4,20x20\n", encoding="utf-8")  # fmt: skip
    ran = archstat("sweep", "r.csv", "--pareto", "macs,+accuracy", "-f", "csv")
    assert [row["model"] for row in rows(ran.out)] == ["a", "c"]
    ran = archstat("sweep", "r.csv", "--want", "receptive_field >= 9", "--top", "1", "-f", "csv")
    assert [row["model"] for row in rows(ran.out)] == ["b"]
    ran = archstat("sweep", "r.csv", "--pareto", "macs,accuracy")
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize("arguments", [("--pareto", "macs,params"), ("--summary",), ()])
def test_picture_is_drawn(archstat, nets, arguments):
    pytest.importorskip("matplotlib")
    assert swept(archstat, SPACE, *arguments, "--plot", "p.svg").code == 0
    assert (nets / "p.svg").read_text(encoding="utf-8").count("<svg") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("nets.py:Net,width=1..",),
        ("nets.py:Net,width=1..2:0",),
        ("nets.py:Net,widht=1|2",),
        ("nets.py:Net,width=1..1000000000",),
        (SPACE, "--where", "macs<1"),
        (SPACE, "--where", "mac<1"),
        (SPACE, "--pareto", "macs"),
        (SPACE, "--pareto", "macs,receptive_field"),
        (SPACE, "--summary", "--pareto", "macs,params"),
        (SPACE, "--against", "nothing"),
        (SPACE, "--seed", "3"),
        (SPACE, "-o", "nowhere/r.csv"),
        ("none.toml",),
        ("none.csv",),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_message(archstat, nets, arguments):
    ran = archstat("sweep", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("archstat: ")
    assert ran.err.count("\n") == 1


def test_saved_results_take_no_option_of_a_sweep(archstat, nets):
    (nets / "r.csv").write_text("model,macs\na,1\n", encoding="utf-8")
    assert archstat("sweep", "r.csv", "--jobs", "1").code == 2


def test_parquet_needs_pyarrow_before_the_work(archstat, nets, monkeypatch):
    monkeypatch.setattr("archstat.cli.sweep.find_spec", lambda name: None)
    ran = swept(archstat, SPACE, "-o", "r.parquet")
    assert (ran.code, "pyarrow" in ran.err, list(nets.glob("r.*"))) == (2, True, [])


def test_page_has_every_candidate_and_the_command(archstat, nets):
    assert swept(archstat, SPACE, "--pareto", "macs,+params", "-o", "p.html").code == 0
    page = (nets / "p.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count('class="dot') == 6
    assert "archstat sweep nets.py:Net,width=1..6 --jobs 1 " in page


def test_schema_is_a_space(archstat, nets):
    (nets / "s.json").write_text(
        '{"properties": {"model": {"const": "nets.py:Net"}, "width": {"type": "integer", '
        '"minimum": 1, "maximum": 3}}}', encoding="utf-8")  # fmt: skip
    found = rows(swept(archstat, "s.json", "-f", "csv").out)
    assert [row["model"] for row in found] == [f"nets.py:Net,width={n}" for n in (1, 2, 3)]
    (nets / "s.json").write_text('{"properties": {"model": {"type": "string"}}}', encoding="utf-8")
    assert archstat("sweep", "s.json").code == 2


def test_resumed_sweep_with_another_input_is_refused(archstat, nets):
    swept(archstat, SPACE, "-o", "r.csv")
    before = (nets / "r.csv").read_bytes()
    ran = archstat("sweep", SPACE, "--input", "3x9x9", "--jobs", "1", "-o", "r.csv")
    assert (ran.code, (nets / "r.csv").read_bytes()) == (2, before)


@pytest.mark.slow
@pytest.mark.parametrize("rows_before", [0, 30])
def test_killed_client_is_gone_on_with_to_the_same_bytes(archstat, nets, rows_before):
    import subprocess
    import sys
    import time

    space = "nets.py:Net,width=1..120"
    assert swept(archstat, space, "-o", "whole.csv").code == 0
    line = [sys.executable, "-m", "archstat", "sweep", space, "--input", "3x8x8", "-o", "cut.csv"]
    with subprocess.Popen(line) as client:
        while client.poll() is None:
            path = nets / "cut.csv"
            if path.exists() and path.read_bytes().count(b"\n") > rows_before:
                client.kill()
            time.sleep(0.001)
    assert swept(archstat, space, "-o", "cut.csv").code == 0
    assert (nets / "cut.csv").read_bytes() == (nets / "whole.csv").read_bytes()

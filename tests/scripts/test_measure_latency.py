"""The reports of latency: every network once, resumed where cut off, shown in the docs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from measured import pages, rows
from measured.groups import BY_KIND, MOST, Group, groups

from archstat import zoo
from archstat.errors import ArchstatError
from archstat.measure.latency.experiments import EXPERIMENTS
from archstat.measure.latency.measurement import Interval, LatencyRun, Ratio

ROOT = Path(__file__).parents[2]
QUIET = Interval(0.99, 1.0, 1.01)


def ratios(specs):
    """Every model twice as slow as the first."""
    first, *others = specs
    return tuple(Ratio(one, first, Interval(1.9, 2.0, 2.1), "slower") for one in others)


@pytest.fixture
def script():
    """The script, by its path."""
    path = ROOT / "scripts" / "measure_latency.py"
    spec = importlib.util.spec_from_file_location("measure_latency", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def measured(script, monkeypatch, measurement, tmp_path):
    """Run the script on a machine that measures nothing; give the groups that it asked for."""
    asked: list[tuple[str, ...]] = []

    def measure(specs, conditions, *, budget_s, progress=None):
        asked.append(tuple(specs))
        found = tuple(measurement(s, 1.0 + n, machine=machine()) for n, s in enumerate(specs))
        return LatencyRun(found, ratios(specs), QUIET, ("a remark",))

    def machine():
        return script.this_machine(script.Conditions()).identity

    monkeypatch.setitem(script.run_experiment.__kwdefaults__, "measured", measure)
    monkeypatch.setattr(script, "measure", measure)

    def run(*arguments):
        asked.clear()
        monkeypatch.setattr(sys, "argv", ["measure_latency.py", "--folder", str(tmp_path),
                                          "--only", *arguments])  # fmt: skip
        return script.main(), list(asked)

    return run


def test_groups_hold_every_experiment_and_each_network_once():
    found = groups(on_cuda=False)
    assert [group.name for group in found[:5]] == list(EXPERIMENTS)
    names = [spec for group in found[5:] for spec in group.specs]
    assert len(set(names)) == len(names)
    assert {"lenet5", "vgg16", "resnet50", "densenet121", *BY_KIND} <= set(names)
    assert all(len(group.specs) <= MOST for group in found[5:])
    assert all(name in zoo.catalogue() for name in names)
    assert len({group.name for group in found}) == len(found)


def test_rows_carry_figures_and_the_machine(measured, tmp_path):
    code, _ = measured("g2")
    found = rows.read(tmp_path / "latency_cpu.csv")
    assert code == 0
    assert len(found) == 12
    assert list(found[0]) == list(rows.HEADER)
    assert {row["device_name"] for row in found} == {"Some CPU"}
    assert found[1]["reference"] == found[0]["model"]
    assert (found[1]["latency_ms_ratio"], found[1]["verdict"]) == ("2.0", "slower")
    assert (found[1]["speed_gtx1080ti"], found[1]["remarks"]) == ("1725", "a remark")


def test_second_run_measures_only_what_is_missing(measured):
    assert len(measured("g1", "g2")[1]) == 2
    assert measured("g1", "g2")[1] == []
    assert [len(specs) for specs in measured("g1", "g3")[1]] == [15]


def test_again_measures_everything_anew(measured):
    measured("g1")
    assert len(measured("g1", "--again")[1]) == 1


def test_finished_groups_are_kept_when_a_later_one_fails(measured, script, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "measure", fail)
    code, _ = measured("g1", "ghostnet")
    assert code == 130
    assert {row["group"] for row in rows.read(tmp_path / "latency_cpu.csv")} == {"g1"}


def test_report_of_another_machine_is_not_added_to(measured, tmp_path, capsys):
    measured("g1")
    path = tmp_path / "latency_cpu.csv"
    kept = [{**row, "machine": "another"} for row in rows.read(path)]
    rows.write(path, kept)
    code, asked = measured("g2")
    assert (code, asked) == (ArchstatError.exit_code, [])
    assert "another machine" in capsys.readouterr().err
    assert rows.read(path) == kept


def test_zoo_rows_refer_to_the_first_of_their_group(measurement):
    group = Group("pair", ("conv,in=4", "conv,in=8"))
    run = LatencyRun(tuple(map(measurement, group.specs)), ratios(group.specs), QUIET)
    found = rows.network_rows(group, run)
    assert [row["reference"] for row in found] == ["conv,in=4"] * 2
    assert found[1]["macs"] == str(56 * 56 * 9 * 8 * 8)
    assert rows.is_done(group, found)
    assert not rows.is_done(group, found[:1])


def test_page_changes_between_its_markers_alone(measured, tmp_path):
    measured("g1", "separable")
    text = f"before\n{pages.BEGIN}\nstale\n{pages.END}\nafter\n"
    page = pages.page(text, tmp_path)
    assert page.startswith(f"before\n{pages.BEGIN}\nMeasured on Some CPU, 2 cores, 2 threads")
    assert page.endswith(f"{pages.END}\nafter\n")
    assert "stale" not in page
    assert "G1 held here (unequal channel widths are slower): 9 of 9 slower" in page
    assert "| 64x56x56 | 7." in page
    assert pages.page(page, tmp_path) == page


def test_page_without_reports_shows_no_figure(tmp_path):
    text = f"{pages.BEGIN}\nstale\n{pages.END}"
    assert pages.page(text, tmp_path) == f"{pages.BEGIN}\n{pages.END}"

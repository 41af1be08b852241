"""`archstat list`: the catalogue, the part of it that a pattern chooses, and its formats."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat import zoo


def names(text: str) -> list[str]:
    return [row["model"] for row in csv.DictReader(io.StringIO(text))]


def test_every_network_is_listed_in_the_order_of_the_catalogue(archstat):
    ran = archstat("list", "--format", "csv")
    assert (ran.code, ran.err) == (0, "")
    assert names(ran.out) == list(zoo.catalogue())


def test_screen_shows_what_a_network_is_and_costs(archstat):
    line = next(line for line in archstat("list").out.splitlines() if line.startswith("vgg16 "))
    assert line.split()[:5] == ["vgg16", "VGG", "2014", "depth", "arXiv:1409.1556"]
    assert "138.36 M" in line
    assert "15.47 G" in line


def test_json_holds_exact_numbers_and_the_options(archstat):
    (row,) = json.loads(archstat("list", "mobilenet_v1", "-f", "json").out)["rows"]
    assert (row["params"], row["macs"]) == (4_231_976, 568_740_352)
    assert "width" in row["options"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("vgg*_bn", ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]),
        ("vgg1[16]", ["vgg11", "vgg16"]),
        ("vgg1?", ["vgg11", "vgg13", "vgg16", "vgg19"]),
        ("bilenet_v1", ["mobilenet_v1"]),
        ("VGG11", ["vgg11", "vgg11_bn"]),
        ("alexnet", ["alexnet"]),
    ],
)
def test_pattern_is_a_glob_or_a_part_of_the_name(archstat, pattern, expected):
    assert names(archstat("list", pattern, "-f", "csv").out) == expected


def test_pattern_that_matches_nothing_gets_the_nearest_name(archstat):
    ran = archstat("list", "mobilnet")
    assert (ran.code, ran.out) == (2, "")
    assert "'mobilnet'. Did you mean mobilenet_v2 or mobilenet_v1" in ran.err


def test_pattern_unlike_any_gets_the_command_that_lists_them(archstat):
    assert "`archstat list` shows them all" in archstat("list", "zzz").err


def test_columns_and_order_are_those_asked_for(archstat):
    ran = archstat("list", "vgg1?", "--columns", "params", "--sort", "-params", "-f", "csv")
    assert ran.out == (
        "model,params\nvgg19,143667240\nvgg16,138357544\nvgg13,133047848\nvgg11,132863336\n"
    )


@pytest.mark.parametrize("option", ["--columns", "--sort"])
def test_misspelt_column_gets_the_nearest(archstat, option):
    ran = archstat("list", option, "pramas")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean params" in ran.err


def test_list_goes_to_a_file(archstat, tmp_path):
    ran = archstat("list", "alexnet", "-o", str(tmp_path / "zoo.csv"))
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert names((tmp_path / "zoo.csv").read_text(encoding="utf-8")) == ["alexnet"]

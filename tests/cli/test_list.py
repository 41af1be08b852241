"""`archstat list`: the catalogue, the part of it that a pattern chooses, and its formats."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from archstat import zoo
from archstat.cli.list import _NEEDED
from archstat.errors import SpecError
from archstat.reporters.to_console import to_console
from archstat.tables.list import LIST_COLUMNS, Filters, networks


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


# -- filters ---------------------------------------------------------------------------------------


LIST_COLUMN_KEYS = {column.key for column in LIST_COLUMNS} - {"options"}


def left_names(**filters):
    return {entry.name for entry in Filters(**filters).left()}


def test_every_network_is_listed_by_year_with_blocks_last():
    entries = Filters().left()
    assert len(entries) == len(zoo.catalogue())
    blocks = [entry.category == "block" for entry in entries]
    assert blocks == sorted(blocks)
    years = [entry.year for entry in entries if entry.category != "block"]
    assert years == sorted(years)


@pytest.mark.parametrize(
    ("filters", "inside", "outside"),
    [
        ({"family": "resnet"}, {"resnet50", "resnet20_cifar10"}, {"preact_resnet50"}),
        ({"family": "shufflenet"}, {"shufflenet_v1", "shufflenet_v2_x1_0"}, {"mobilenet_v1"}),
        ({"category": "attention"}, {"cbam_resnet50"}, {"seresnet50"}),
        ({"year": "2012"}, {"alexnet"}, {"zfnet"}),
        ({"year": "2012-2013"}, {"alexnet", "zfnet"}, {"vgg16", "lenet5"}),
        ({"max_params": "1248424"}, {"squeezenet1_0"}, {"alexnet"}),
        ({"max_params": "1248423"}, {"lenet5"}, {"squeezenet1_0"}),
        ({"max_macs": "568.8M"}, {"mobilenet_v1"}, {"resnet18"}),
        ({"pattern": "vgg*_bn"}, {"vgg16_bn"}, {"vgg16"}),
        ({"pattern": "vgg", "max_macs": "8G"}, {"vgg11"}, {"vgg13"}),
    ],
)
def test_filter_keeps_what_it_says(filters, inside, outside):
    left = left_names(**filters)
    assert inside <= left
    assert not outside & left


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"year": "17"}, "year='17' is not a year"),
        ({"year": "2018-2015"}, "is not a year"),
        ({"max_params": "5X"}, "max_params='5X': '5X' is not a count"),
        ({"max_macs": "-1"}, "max_macs='-1': '-1' is not a count"),
        ({"family": "mobilnet"}, "Did you mean MobileNet"),
        ({"family": ""}, "Known families"),
        ({"category": "blok"}, "known: attention, block"),
        ({"pattern": "vgg", "year": "1999"}, "matches 'vgg' with year='1999'"),
        ({"pattern": "vgg61"}, "Did you mean vgg"),
    ],
)
def test_filter_that_cannot_be_is_refused(filters, said):
    with pytest.raises(SpecError, match=said):
        Filters(**filters).left()


def test_published_figures_stand_beside_the_measured():
    table = networks(Filters(pattern="vgg16"))
    row = next(table.records())
    assert row["params"] == row["published_params"] == 138_357_544
    assert row["published_macs"] == 15_470_000_000
    assert row["paper"] == "arXiv:1409.1556"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_list_fits_the_screen_and_names_what_it_leaves_out(width):
    text = to_console(replace(networks(Filters()), needed=_NEEDED), width, colour=False)
    table, _, note = text.partition("\n\n")
    assert max(map(len, text.splitlines())) <= width
    assert {"model", "year", "params", "macs", "paper"} <= set(table.split("\n")[0].split())
    assert all(key in table or key in note for key in LIST_COLUMN_KEYS)


def test_bad_value_is_one_message_and_exit_code_2():
    command = [sys.executable, "-m", "archstat", "list", "--max-params", "5X"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_list_with_filters_imports_no_torch():
    script = (
        "import sys; from archstat.cli import main; sys.argv = ['archstat', 'list', '--family', "
        "'vgg', '--max-macs', '8G']; main(); "
        "assert not {'torch', 'pandas', 'numpy'} & sys.modules.keys(), 'imported'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_names_of_a_package_are_listed_in_natural_order(archstat, torchvision):
    ran = archstat("list", "torchvision:ResNet1*")
    assert ran.code == 0
    assert [line.strip() for line in ran.out.splitlines()[2:]] == [
        "torchvision:resnet18", "torchvision:resnet101", "torchvision:resnet152"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["torchvision:resnet", "--year", "2015"], "options filter zoo networks only"),
     (["torchvision:resnte18?"], "no model like")],
)  # fmt: skip
def test_names_of_a_package_have_no_figures_to_filter_by(archstat, torchvision, arguments, said):
    ran = archstat("list", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("sort", ["macs", "-macs", "params", "model"])
def test_blocks_come_last_in_any_order(archstat, sort):
    ran = archstat("list", f"--sort={sort}", "-f", "csv", "--columns", "category")
    is_block = [line.endswith(",block") for line in ran.out.splitlines()[1:]]
    assert is_block == sorted(is_block)
    assert True in is_block


def test_published_figures_are_shown_without_zeros_behind(archstat):
    row = archstat("list", "mobilenet_v1").out.splitlines()[2]
    assert "4.2 M" in row
    assert "569 M" in row
    raw = archstat("list", "mobilenet_v1", "-f", "csv", "--columns", "published_params")
    assert raw.out == "model,published_params\nmobilenet_v1,4200000\n"


@pytest.mark.parametrize("pattern", ["VGG-16", "vgg 16", "Vgg16"])
def test_pattern_minds_neither_case_nor_separators(archstat, pattern):
    assert "vgg16_bn" in archstat("list", pattern).out


def test_category_minds_no_case(archstat):
    assert archstat("list", "--category", "Lightweight").code == 0

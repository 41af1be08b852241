"""``archstat list``: columns, filters, a narrow screen, and no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archstat import zoo
from archstat.cli.filters import Filters
from archstat.cli.list import _NEEDED, LIST_COLUMNS, networks
from archstat.cli.screen import on_screen
from archstat.errors import SpecError

LIST_COLUMN_KEYS = {column.key for column in LIST_COLUMNS} - {"options"}


def names(**filters):
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
    left = names(**filters)
    assert inside <= left
    assert not outside & left


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"year": "17"}, "--year '17' is no year"),
        ({"year": "2018-2015"}, "is no year"),
        ({"max_params": "5X"}, "--max-params: '5X' is not a count"),
        ({"max_macs": "-1"}, "--max-macs: '-1' is not a count"),
        ({"family": "mobilnet"}, "Did you mean MobileNet"),
        ({"family": ""}, "Known families"),
        ({"category": "blok"}, "known: attention, block"),
        ({"pattern": "vgg", "year": "1999"}, "matches 'vgg' with --year 1999"),
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
    table = on_screen(networks(Filters()), _NEEDED, width)
    lines = table.__repr__().splitlines()[: len(table) + 1]
    assert max(map(len, lines)) <= width
    assert {"model", "year", "params", "macs", "paper"} <= set(table.keys())
    (note,) = map(str, table.notes or ("",))
    assert all(key in table.keys() or key in note for key in LIST_COLUMN_KEYS)  # noqa: SIM118


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

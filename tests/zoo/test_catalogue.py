"""The catalogue: fresh, complete, in order, and true to the published numbers."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from archstat import zoo
from archstat.errors import OptionError, UnknownModelError
from archstat.models.options import spelled
from archstat.units import parse_input

ROOT = Path(__file__).parents[2]

# name, parameters, G multiply-accumulates: torchvision's figures where it has the network; the
# AlexNet of the paper has two towers, and MobileNet's paper gives 4.2 M and 569 M
PUBLISHED = [
    ("alexnet", 60_965_224, 0.724),
    ("vgg11", 132_863_336, 7.609),
    ("vgg13", 133_047_848, 11.308),
    ("vgg16", 138_357_544, 15.470),
    ("vgg19", 143_667_240, 19.632),
    ("vgg11_bn", 132_868_840, 7.609),
    ("vgg13_bn", 133_053_736, 11.308),
    ("vgg16_bn", 138_365_992, 15.470),
    ("vgg19_bn", 143_678_248, 19.632),
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("resnet101", 44_549_160, 7.801),
    ("resnet152", 60_192_808, 11.514),
    ("mobilenet_v1", 4_231_976, 0.569),
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes the catalogue, by its path."""
    path = ROOT / "scripts" / "make_catalogue.py"
    spec = importlib.util.spec_from_file_location("make_catalogue", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow  # scripts/reports says so, too
def test_catalogue_is_what_the_script_writes(script):
    text = script.CATALOGUE.read_text(encoding="utf-8")
    assert text == script.catalogue_text(), "stale: run python scripts/make_catalogue.py"


@pytest.mark.parametrize(("edit", "code"), [("", 0), ("\n", 1), (None, 1)],
                         ids=["fresh", "edited", "absent"])  # fmt: skip
def test_check_tells_a_stale_catalogue_and_writes_nothing(
    script, tmp_path, monkeypatch, edit, code
):
    path = tmp_path / "catalogue.json"
    if edit is not None:
        path.write_text("generated\n" + edit, encoding="utf-8")
    before = list(tmp_path.iterdir())
    monkeypatch.setattr(script, "CATALOGUE", path)
    monkeypatch.setattr(script, "catalogue_text", lambda: "generated\n")
    monkeypatch.setattr("sys.argv", ["make_catalogue.py", "--check"])
    assert script.main() == code
    assert list(tmp_path.iterdir()) == before


def test_every_family_file_is_in_the_catalogue(script):
    files = {module.__name__.rpartition(".")[2] for module in script.family_modules()}
    assert files == {entry.file for entry in zoo.catalogue().values()}


def test_names_stand_by_year_and_a_family_stays_together():
    # Blocks have the years of the networks they come from, and stand behind them all.
    entries = [entry for entry in zoo.catalogue().values() if entry.category != "block"]
    assert [entry.year for entry in entries] == sorted(entry.year for entry in entries)
    files = [entry.file for entry in entries]
    starts = [file for file, before in zip(files, ["", *files], strict=False) if file != before]
    assert len(starts) == len(set(starts))


def test_names_are_unique():
    text = (ROOT / "archstat" / "zoo" / "catalogue.json").read_text(encoding="utf-8")
    names = [row["name"] for row in json.loads(text)["networks"]]
    assert len(set(names)) == len(names)
    assert list(zoo.catalogue()) == names


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_catalogue_holds_the_published_numbers(name, params, giga_macs):
    entry = zoo.entry(name)
    assert entry.params == params
    assert round(entry.macs / 1e9, 3) == giga_macs


@pytest.mark.parametrize("name", list(zoo.catalogue()))
def test_entry_is_true_to_its_factory(name, on_meta, count_params):
    entry, factory = zoo.entry(name), zoo.factory(name)
    assert factory.__name__ == name
    assert inspect.getdoc(factory)
    assert entry.options == tuple(map(spelled, inspect.signature(factory).parameters))
    assert all(parse_input(shape).shape for shape in (entry.input, *entry.inputs.values()))
    network = on_meta(factory)
    assert isinstance(network, nn.Module)
    assert count_params(network) == entry.params


def test_build_gives_a_module_with_weights():
    network = zoo.build("mobilenet_v1", width=0.25, num_classes=10)
    assert isinstance(network, nn.Module)
    assert all(not parameter.is_meta for parameter in network.parameters())
    assert network.fc.out_features == 10


def test_build_refuses_an_impossible_value():
    with pytest.raises(OptionError, match="width"):
        zoo.build("mobilenet_v1", width=-1)


@pytest.mark.parametrize("function", [zoo.entry, zoo.factory, zoo.build])
@pytest.mark.parametrize(("name", "near"), [("vgg17", "vgg1"), ("mobilenet", "mobilenet_v1"),
                                            ("resnet-5O", "resnet50")])  # fmt: skip
def test_unknown_name_gets_the_nearest(function, name, near):
    with pytest.raises(UnknownModelError, match=f"Did you mean .*{near}"):
        function(name)


def test_name_unlike_any_gets_the_command_that_lists_them():
    with pytest.raises(UnknownModelError, match="`archstat list` shows them all"):
        zoo.entry("zzz")

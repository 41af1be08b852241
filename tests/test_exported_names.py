"""The public names: what they are, that they work more than once, and that nothing hides them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

import archstat

ROOT = Path(__file__).parents[1]


def test_public_names_are_in_order_and_each_has_its_home():
    assert archstat.__all__ == sorted(archstat.__all__)
    assert {*archstat.__all__} == {*archstat._HOMES, "__version__", "zoo"}


def test_list_is_there_but_hides_no_list_of_python():
    names: dict[str, object] = {}
    exec("from archstat import *", names)
    assert "list" not in names and "list" in dir(archstat)
    assert archstat.list("vgg16").column("model") == ("vgg16", "vgg16_bn")


def test_dir_lists_the_public_names():
    assert set(archstat.__all__) <= set(dir(archstat))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'archstat' has no attribute 'analyse'"):
        _ = archstat.analyse


CALLS = {
    "ArchstatError": lambda make: str(make("said")) == "said",
    "Graph": lambda make: make("empty", (), (), ()).ops == (),
    "Report": lambda make: (
        make("m", "1x3", (), (), (), archstat.Graph("m", (), (), ())).totals == {}
    ),
    "Table": lambda make: len(make((), ())) == 0,
    "analyze": lambda analyze: analyze(nn.Linear(6, 2), "6").totals["macs"] == 6 * 2,
    "capture": lambda capture: len(capture(nn.Linear(6, 2), torch.zeros(1, 6)).ops) > 0,
    "compare": lambda compare: len(compare([nn.Linear(6, 2)], "6")) == 1,
    "layers": lambda layers: len(layers("3x3,3x3").ops) == 2,
    "receptive_field": lambda receptive_field: (
        receptive_field(archstat.layers("3x3,3x3")).final.receptive_field == (5, 5)
    ),
    "audit": lambda audit: (
        audit(["Model,Params", "lenet5_modern,61706"]).column("verdict") == ("agrees",)
    ),
    "bench": lambda bench: callable(bench),  # tests/tables/test_functions.py measures
    "cache": lambda cache: cache().keys()[1] == "entries",
    "columns": lambda columns: "macs" in columns().column("column"),
    "experiment": lambda experiment: callable(experiment),  # as bench
    "reconcile": lambda reconcile: "yes" in reconcile("lenet5", params="60k").column("exact"),
    "register_op": lambda register_op: register_op("names::rotate", free="a view") is None,
    "check": lambda check: set(check(ROOT / "archstat.toml").column("verdict")) == {"kept"},
    "crosscheck": lambda crosscheck: "agrees" in crosscheck("lenet5_modern").column("verdict"),
    "diff": lambda diff: diff(nn.Linear(6, 2), nn.Linear(6, 4), "6").column("macs_change")[0] == 12,
    "explain": lambda explain: "params" in explain(nn.Linear(6, 2), input="6").column("figure"),
    "guidelines": lambda guidelines: len(guidelines(nn.Conv2d(3, 4, 3), "3x8x8")) == 4,
    "memory": lambda memory: memory("lenet5_modern").column("param_bytes") == (4 * 61_706,),
    "predict": lambda predict: len(predict("lenet5", "i9-10940x")) == 1,
    "report": lambda report: report(nn.Linear(6, 2), "6").startswith("<!doctype html>"),
    "roofline": lambda roofline: len(roofline(nn.Linear(6, 2), "a100-40gb", "6")) == 2,
    "scale": lambda scale: len(scale("mobilenet_v1", "resolution=32|64|96", jobs=1)) == 4,
    "summary": lambda summary: summary(nn.Linear(6, 2), "6").column("macs") == (6 * 2,),
    "sweep": lambda sweep: len(sweep("lenet5,num_classes=10|20")) == 2,
}


def test_every_callable_name_has_a_call_here():
    assert set(CALLS) == {name for name in archstat.__all__ if callable(getattr(archstat, name))}


@pytest.mark.slow
def test_every_callable_name_works_twice_with_every_submodule_imported():
    for _ in range(2):
        for name, works in CALLS.items():
            assert works(getattr(archstat, name)), name
        for info in pkgutil.walk_packages(archstat.__path__, "archstat."):
            if not info.name.endswith("__main__"):
                importlib.import_module(info.name)


def test_no_public_name_but_zoo_is_a_submodule():
    submodules = {info.name for info in pkgutil.iter_modules(archstat.__path__)}
    assert submodules & set(archstat.__all__) == {"zoo"}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_callable_name_has_a_docstring_of_its_own(name):
    public = getattr(archstat, name)
    assert inspect.getdoc(public)
    assert not inspect.getdoc(public).startswith(f"{name}(")


@pytest.mark.parametrize(
    "name",
    ["analyze", "compare", "capture", "summary", "receptive_field", "memory", "roofline", "bench",
     "diff", "check", "crosscheck", "audit", "list", "columns", "cache", "reconcile",
     "experiment", "report", "sweep", "scale"],
)  # fmt: skip
def test_docstring_of_a_function_names_the_errors_it_raises(name):
    assert "Raises:" in inspect.getdoc(getattr(archstat, name))


def test_zoo_builds_networks_by_name():
    assert isinstance(archstat.zoo.build("mobilenet_v1", width=0.25), nn.Module)

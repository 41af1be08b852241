"""The pytest plugin: its marker, its fixture, its messages, and that nobody notices it unused."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path

import pytest

# Imported here, so that a run in this process finds them and does not drop them again.
import torch._dynamo  # noqa: F401

import archstat.budgets
import archstat.models.pipeline  # noqa: F401
from archstat import pytest_plugin

pytest_plugins = ["pytester"]

INSTALLED = any(
    entry.value == "archstat.pytest_plugin"
    for entry in importlib.metadata.entry_points(group="pytest11")
)
NAMED = () if INSTALLED else ("-p", "archstat.pytest_plugin")
NET = """
import pytest
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 16, 3, bias=False))
"""
FIRST, SECOND = 3 * 8 * 9, 8 * 16 * 9


@pytest.fixture
def run(pytester):
    """Run pytest on one file in this process, with the plugin, warnings being errors."""

    def run(source, *arguments, subprocess=False):
        pytester.makepyfile(test_net=NET + source)
        usual = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider")
        if subprocess:
            return pytester.runpytest_subprocess(*NAMED, *usual, *arguments)
        # pytest refuses to import by name what it has imported already
        plugins = [] if INSTALLED else [pytest_plugin]
        return pytester.runpytest_inprocess(*usual, *arguments, plugins=plugins)

    return run


def test_marked_test_passes_with_a_model_that_keeps_its_rules(run):
    result = run(f"""
@pytest.mark.archstat(params="== {FIRST + SECOND}", macs="> 0", input="3x8x8")
def test_net():
    return Net()
""")
    result.assert_outcomes(passed=1)


def test_broken_rule_fails_with_the_layers_that_weigh_most_and_no_traceback(run):
    result = run("""
@pytest.mark.archstat(params="<= 1k", depth="<= 1", receptive_field=">= 5", input="3x8x8")
def test_net():
    return Net()
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "Net (1x3x8x8): params is 1,368, the budget says <= 1,000: 368 (36.8%) too much.",
        f"  2  {SECOND:,} (84.2%)  Conv2d",
        f"  0  {FIRST} (15.8%)  Conv2d",
        "depth is 2, the budget says <= 1: 1 (100.0%) too much.",
        "FAILED test_net.py::test_net - Failed: Net (1x3x8x8): params is*",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*receptive_field*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_too_little_names_no_layers(run):
    result = run("""
@pytest.mark.archstat(params=">= 1M", input="3x8x8")
def test_net():
    return Net()
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*params is 1,368, the budget says >= 1,000,000:*too little."])
    result.stdout.no_fnmatch_line("*Conv2d*")


def test_fixture_fails_as_an_assertion_at_the_line_of_the_test(run):
    result = run("""
def test_net(archstat_check):
    archstat_check(Net(), input="3x8x8", params="<= 1k")
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        '>       archstat_check(Net(), input="3x8x8", params="<= 1k")',
        "E       AssertionError: Net (1x3x8x8): params is 1,368, the budget says <= 1,000:*",
        f"E         2  {SECOND:,} (84.2%)  Conv2d",
        "test_net.py:*: AssertionError",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_fixture_gives_the_report_and_takes_specs_and_graphs(run):
    result = run("""
import archstat

def test_net(archstat_check):
    report = archstat_check("lenet5", params="== 60000", receptive_field=">= 32")
    assert report.totals["depth"] == 4
    assert archstat_check(report.graph, macs="< 1M").totals == report.totals
    assert archstat_check(Net(), input=(3, 8, 8), batch=2, depth="== 2").input == "2x3x8x8"
""")
    result.assert_outcomes(passed=1)


def test_rules_may_be_about_some_modules_and_about_training(run):
    result = run(f"""
@pytest.mark.archstat(params="== {SECOND}", module="2", input="3x8x8")
def test_module():
    return Net()

@pytest.mark.archstat(params="<= 1", module="neck.*", input="3x8x8")
def test_no_module():
    return Net()

@pytest.mark.archstat(training_memory_bytes="<= 1GiB", largest_batch=">= 1", fits="1GiB")
def test_training():
    return "lenet5"

@pytest.mark.archstat(training_memory_bytes="<= 1GiB", input="3x8x8")
def test_module_in_training():
    return Net()
""")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["no module of Net is like 'neck.[*]'; it has 0, 1, 2."])
    result.stdout.fnmatch_lines(["training_memory_bytes needs a spec such as 'nets.py:Net', *"])


def test_guide_shows_what_its_suite_prints(pytester, monkeypatch):
    for name in ("CI", "BUILD_NUMBER"):  # there pytest repeats whole messages in its summary
        monkeypatch.delenv(name, raising=False)
    page = (Path(__file__).parents[1] / "docs" / "pytest.md").read_text(encoding="utf-8")
    files = dict(re.findall(r'^```python title="(.+?)"\n(.*?)^```', page, re.M | re.S))
    for name, text in files.items():
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    ran = pytester.runpytest_subprocess(*NAMED, "-q", "-p", "no:cacheprovider", "test_nets.py")
    # What differs from run to run: the address of a function, the seconds, the width of lines.
    told = [line for line in page.splitlines() if re.match(r"Net |E  |  \d ", line)]
    assert len(told) == 10
    assert [line for line in ran.outlines if re.match(r"Net |E  |  \d ", line)] == told


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('prams="<= 5M"', "there is no prams=. Did you mean params or param_bytes?"),
        ('params="5M"', "params: '5M' is not a rule; write params = *"),
        ('param_bytes="<= 5M"', "param_bytes: '5M' is not a size with a byte unit*"),
        ("params=5", "params: 5 is not text; write *"),
        ('params="<= 1M", batch=0', "batch = 0 is not a whole number from 1."),
        ('params="<= 1M", fits="1GiB"', "fits is for largest_batch*"),
        ('input="3x8x8"', "there is no rule; write one, such as params=*"),
        ('global_from="== 2"', "global_from: global_from is text, which no rule can limit*"),
    ],
)
def test_wrongly_written_rule_says_so_at_the_marker_and_at_the_fixture(run, rules, said):
    result = run(f"""
@pytest.mark.archstat({rules})
def test_marked():
    raise AssertionError("never runs")

def test_fixture(archstat_check):
    archstat_check(Net(), {rules})
""")
    result.assert_outcomes(errors=1, failed=1)
    escaped = said.replace("[", "[[]")
    result.stdout.fnmatch_lines([
        "The marker archstat has a mistake:",
        f"  {escaped}",
        "E       pytest.UsageError: archstat_check was called with a mistake:",
        f"E         {escaped}",
    ])  # fmt: skip


def test_all_mistakes_of_a_marker_are_told_together(run):
    result = run("""
@pytest.mark.archstat("<= 5M", prams="<= 5M", macs="many")
def test_net():
    return Net()
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*its arguments need names*", "*there is no prams=*", "*'many' is not a rule*"]
    )


def test_marker_of_a_test_goes_before_that_of_its_class(run):
    result = run("""
@pytest.mark.archstat(params="<= 1k", input="3x8x8")
class TestNets:
    def test_small(self):
        return nn.Conv2d(3, 1, 1)

    @pytest.mark.archstat(params="<= 2k")
    def test_larger(self):
        return Net()

    @pytest.mark.archstat(depth="<= 9")
    def test_both_hold(self):
        return Net()
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_both_hold*"])


def test_parameters_and_fixtures_reach_a_marked_test(run):
    result = run("""
@pytest.fixture
def channels():
    return 3

@pytest.mark.archstat(params="<= 30", input="3x8x8")
@pytest.mark.parametrize("width", [4, 8])
def test_net(width, channels):
    return nn.Conv2d(channels, width, 1)
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_net?8?*"])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("def test_net():\n    Net()", "*returns the model to check, and this one returned None."),
        ("async def test_net():\n    return Net()", "*so it cannot be async."),
        (
            "def test_net():\n    return 5",
            "Something of type int is not a model: give a module, a spec or a Graph.",
        ),
        ("def test_net():\n    return 'lenet9'", "*'lenet9'*Did you mean*"),
        ("def test_net():\n    raise KeyError('own')", "E*KeyError: 'own'"),
    ],
)
def test_what_is_no_model_fails_with_a_sentence(run, test, said):
    result = run(f'\n@pytest.mark.archstat(params="<= 5M")\n{test}\n')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])


def test_missing_input_is_suggested_as_python_writes_it(run):
    result = run("""
@pytest.mark.archstat(params="<= 5M")
def test_marked():
    return Net()

def test_fixture(archstat_check):
    archstat_check(Net(), params="<= 5M")
""")
    result.assert_outcomes(failed=2)
    said = "Net has no default input; this model runs with: input=(3, 224, 224)"
    result.stdout.fnmatch_lines([said, f"E       archstat.errors.InputError: {said}"])
    result.stdout.no_fnmatch_line("*another exception*")


def test_skip_in_a_marked_test_skips(run):
    result = run("""
@pytest.mark.archstat(params="<= 5M")
def test_net():
    pytest.skip("not here")
""")
    result.assert_outcomes(skipped=1)


def test_method_of_a_unittest_is_refused_since_its_result_is_lost(run):
    result = run("""
import unittest

class TestNet(unittest.TestCase):
    @pytest.mark.archstat(params="<= 1")
    def test_net(self):
        pass
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a method of unittest.TestCase returns nothing*"])


def test_unknown_operations_leave_a_rule_incomplete(run):
    result = run("""
import torch

library = torch.library.Library("tests_plugin", "FRAGMENT")
library.define("swirl(Tensor x) -> Tensor")
library.impl("swirl", torch.empty_like, "Meta")

class Swirl(nn.Module):
    def forward(self, x):
        return torch.ops.tests_plugin.swirl(x)

@pytest.mark.archstat(macs="<= 1G", input="3x8x8")
def test_net():
    return Swirl()
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*leaves out unknown operations*", "*swirl*"])


@pytest.mark.slow
def test_several_workers_give_the_same_verdicts(run):
    pytest.importorskip("xdist")
    result = run(
        """
@pytest.mark.archstat(params="<= 1k", input="3x8x8")
@pytest.mark.parametrize("width", [1, 50])
def test_net(width):
    return nn.Conv2d(3, width, 3)

def test_fixture(archstat_check):
    archstat_check(Net(), prams="<= 5M")
""",
        "-n",
        "2",
        subprocess=True,
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random([
        "Conv2d (1x3x8x8): params is 1,400, the budget says <= 1,000: 400 (40.0%) too much.",
        "*there is no prams=*",
    ])  # fmt: skip


def test_plugin_is_invisible_where_nothing_uses_it(pytester):
    pytester.makepyfile(
        test_plain="""
import sys

def test_plain():
    assert 1 + 1 == 2
    names = {"torch", "numpy", "archstat.budgets", "archstat.models.pipeline", "archstat.result"}
    assert names & set(sys.modules) == set()
"""
    )
    with_it = pytester.runpytest_subprocess(*NAMED, "-W", "error", "-p", "no:hypothesispytest")
    off = ("-p", "no:archstat") if INSTALLED else ()
    without = pytester.runpytest_subprocess(*off, "-W", "error", "-p", "no:hypothesispytest")
    with_it.assert_outcomes(passed=1)

    def lines(result):
        return [line for line in result.outlines if not line.startswith(("plugins:", "=="))]

    assert lines(with_it) == lines(without)
    assert not any("archstat" in line for line in lines(with_it))


def test_marker_is_explained_by_pytest(run):
    result = run("", "--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.archstat(input=None, layout=None, example=None, batch=None, *rules): *"]
    )
    run("", "--fixtures").stdout.fnmatch_lines(["*archstat_check*"])


def test_entry_point_names_the_plugin():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(root, "pyproject.toml"), encoding="utf-8") as file:
        text = file.read()
    assert f'[project.entry-points.pytest11]\narchstat = "{pytest_plugin.__name__}"\n' in text

"""Figures that no Report holds: sums over modules, training memory, the largest batch, time."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from torch import nn

import archstat
from archstat.budgets import gate
from archstat.budgets.figures import of_modules
from archstat.errors import LatencyError, SpecError
from archstat.measure.latency.measurement import Interval, LatencyRun
from archstat.measure.training.rows import Plan, memory_row


@pytest.fixture(scope="module")
def report():
    """Report on a backbone of two convolutions, 3x3 without bias, and a head of one."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(
                nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 8, 3, bias=False)
            )
            self.back = nn.Identity()
            self.head = nn.Conv2d(8, 2, 1, bias=False)

        def forward(self, x):
            return self.head(self.back(self.backbone(x)))

    return archstat.analyze(Net(), "3x8x8")


FIRST, SECOND, HEAD = 3 * 4 * 9, 4 * 8 * 9, 8 * 2


@pytest.mark.parametrize(
    ("pattern", "params"),
    [
        ("backbone", FIRST + SECOND),
        ("backbone.*", FIRST + SECOND),
        ("backbone.1", SECOND),
        ("*.0", FIRST),
        ("head", HEAD),
        ("back", 0),
        ("*", FIRST + SECOND + HEAD),
    ],
)
def test_modules_and_all_below_them_are_added_up_once(report, pattern, params):
    found = of_modules(report, pattern)
    assert found.totals["params"] == params
    assert sum(found.layers.column("params")) == params
    assert found.totals["macs"] == sum(found.layers.column("macs"))


def test_figures_of_the_whole_model_are_gone(report):
    found = of_modules(report, "head")
    assert found.totals.keys() == set(report.layers.keys()[2:])
    assert "depth" not in found.totals


def test_pattern_without_a_module_names_some(report):
    with pytest.raises(SpecError, match="backbone"):
        of_modules(report, "neck.*")


# -- the gate --------------------------------------------------------------------------------------


def states(config_of, rules: str, **more: object) -> list[tuple[str, str]]:
    text = f'[[budget]]\nmodel = "lenet5"\n{rules}\n'
    outcome = gate.check(config_of(text), None, **more)
    return [(v.rule.key, v.state) for v in outcome.judged[0].verdicts]


def test_module_is_judged_locked_and_must_exist(config_of):
    whole = archstat.analyze("lenet5")
    first = next(str(p) for p in whole.layers.column("module") if p)
    text = f'[[budget]]\nmodel = "lenet5"\nmodule = "{first}"\nparams = "<= 1k"\n'
    outcome = gate.check(config_of(text), None)
    assert outcome.exit_code() == 0
    (judged,) = outcome.judged
    assert judged.entry is not None
    assert judged.entry.totals["params"] == judged.verdicts[0].value < whole.totals["params"]
    missing = gate.check(config_of(text.replace(first, "backbone.*")), None)
    assert (missing.exit_code(), missing.counts()) == (2, {"failed": 1})
    assert missing.new_lock() is None


def test_training_is_that_of_memory_at_the_same_settings(config_of):
    settings = Plan("adam").settings()
    peak = memory_row("lenet5", settings, batch=8).step.training_memory_bytes
    fit = memory_row("lenet5", settings, budget=8 * 2**20).fit
    assert fit is not None
    setup = 'optimizer = "adam"\nbatch = 8\nfits = "8MiB"\n'
    rules = f'training_memory_bytes = "== {peak}B"\nlargest_batch = "== {fit.batch}"'
    assert states(config_of, setup + rules) == [
        ("training_memory_bytes", "kept"), ("largest_batch", "kept"),
    ]  # fmt: skip
    below = f'optimizer = "adam"\nbatch = 8\ntraining_memory_bytes = "< {peak}B"'
    assert states(config_of, below) == [("training_memory_bytes", "broken")]


THREADED = """
import threading
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 5)
    def forward(self, x):
        thread = threading.Thread(target=self.layer, args=(x,))
        thread.start()
        thread.join()
        return self.layer(x)
"""


def test_memory_that_other_threads_may_take_keeps_no_budget(config_of, tmp_path):
    path = tmp_path / "threaded.py"
    path.write_text(THREADED, encoding="utf-8")
    rules = {"peak_memory_bytes": "<= 1MiB", "training_memory_bytes": "<= 1MiB",
             "largest_batch": ">= 1"}  # fmt: skip
    lines = "\n".join(f'{key} = "{rule}"' for key, rule in rules.items())
    text = f'[[budget]]\nmodel = "{path.as_posix()}:Net"\ninput = "4"\nfits = "1MiB"\n{lines}\n'
    outcome = gate.check(config_of(text), None)
    assert {v.rule.key: v.state for v in outcome.judged[0].verdicts} == dict.fromkeys(
        rules, "incomplete")  # fmt: skip
    assert outcome.exit_code() == 3


def test_figure_that_cannot_be_had_fails_its_rule_alone(config_of):
    rules = 'optimizer = "adm"\nparams = "<= 1M"\ntraining_memory_bytes = "<= 1GiB"'
    assert states(config_of, rules) == [("params", "kept"), ("training_memory_bytes", "failed")]


@pytest.fixture
def takes(monkeypatch, measurement):
    """Let every measurement take 10 ms, within a part of it either way, or die."""

    def put(width: float | None) -> list[tuple[object, ...]]:
        calls: list[tuple[object, ...]] = []

        def measure(models, conditions, *, budget_s, input, progress):
            calls.append((models, conditions.batch, conditions.threads, budget_s, input))
            if width is None:
                raise LatencyError("a measuring process died.")
            one = measurement(models[0], 10.0, width=width)
            return LatencyRun((one,), (), Interval(0.9, 1.0, 1.1), ("A remark.",))

        monkeypatch.setattr("archstat.measure.latency.runs.measure", measure)
        return calls

    return put


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("<= 12", "kept"),
        ("<= 11", "kept"),
        ("< 11", "can't tell"),
        ("<= 10.5", "can't tell"),
        ("<= 9.5ms", "can't tell"),
        ("<= 8", "broken"),
        (">= 12", "broken"),
        (">= 0.0085s", "kept"),
    ],
)
def test_latency_is_broken_only_where_its_interval_is_beyond_the_limit(
    config_of, takes, rule, state
):
    takes(0.1)
    text = f'[[budget]]\nmodel = "lenet5"\nlatency_ms = "{rule}"\nparams = "<= 1M"\n'
    outcome = gate.check(config_of(text), None)
    assert [v.state for v in outcome.judged[0].verdicts] == [state, "kept"]
    assert outcome.exit_code() == (1 if state == "broken" else 0)
    watched = gate.check(config_of(f"{text}informational = true\n"), None)
    assert watched.exit_code() == 0


def test_latency_is_measured_as_the_budget_says_and_never_locked(config_of, takes):
    calls = takes(0.1)
    setup = 'batch = 4\nthreads = 2\ninput = "1x32x32"\nmeasure_for = "1min"\n'
    text = f'[[budget]]\nmodel = "lenet5"\n{setup}latency_ms = "<= 20"\n'
    outcome = gate.check(
        config_of(text), None, bar=lambda models, runs: nullcontext(lambda n: None)
    )
    assert calls == [(["lenet5"], 4, 2, 60.0, ("1x32x32",))]
    lock = outcome.new_lock()
    assert lock is not None
    assert lock.entries["lenet5"].totals.keys() == {"params", "macs"}


def test_latency_that_cannot_be_measured_fails(config_of, takes):
    takes(None)
    assert states(config_of, 'latency_ms = "<= 20"') == [("latency_ms", "failed")]

"""Every published figure beside what archstat measures, and whether the two agree."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import archstat
from archstat.analyses.conventions.measures import BY_KEY
from archstat.analyses.conventions.sources import SCALES, in_band, rule_of
from archstat.result import Report
from archstat.zoo import catalogue
from published.figures import Figure, exception_of, network_of


class Verdict(NamedTuple):
    """A published figure with its recomputation; `measured` is in elements or operations."""

    figure: Figure
    convention: str
    spec: str
    measured: int | None
    verdict: str
    reason: str

    @property
    def difference(self) -> float | None:
        """Per cent by which the measure is above the published figure."""
        published = float(self.figure.value) * SCALES.get(self.figure.unit, 1)
        if self.measured is None or not published:
            return None
        return 100 * (self.measured - published) / published


def status_of(figure: Figure) -> tuple[str, str]:
    """Why a figure is not measured: ``("no network", reason)``, or two empty texts."""
    network = network_of(figure)
    if not network.spec:
        return "no network", network.reason
    return "", ""


def judge(figure: Figure) -> Verdict:
    """The recomputation of one figure."""
    status, reason = status_of(figure)
    if status:
        return Verdict(figure, "", spec_of(figure), None, status, reason)
    rule, spec = rule_of(figure), spec_of(figure)
    report = measured(spec)
    excepted = exception_of(figure)
    if rule.prints(report, figure):
        verdict = "agrees"
    else:
        verdict = "in a band" if in_band(report, figure) and not excepted else "differs"
    reason = excepted.reason if excepted else ""
    exact = BY_KEY[rule.convention].count(report)
    return Verdict(figure, rule.said, spec, exact, verdict, reason)


def spec_of(figure: Figure) -> str:
    """The spec of the network that a figure is of, at the figure's own input; empty for none."""
    spec = network_of(figure).spec
    if not spec or not figure.input or "resolution=" in spec:
        return spec
    name, _, options = spec.partition(",")
    entry = catalogue()[name]
    usual = next((shape for key, shape in entry.inputs.items() if key in options), entry.input)
    if figure.input == usual:
        return spec
    return f"{spec},resolution={figure.input.rpartition('x')[2]}"


@cache
def measured(spec: str) -> Report:
    """The report of one network; a network is captured once."""
    return archstat.analyze(spec)

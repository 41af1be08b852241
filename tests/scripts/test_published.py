"""Every published figure, recomputed from the network of the zoo that it is of.

The ids of the tests name the source, the network, the quantity and the source's convention. A row
that does not fit stands in reports/published_exceptions.csv with the reason.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from published import figures as data  # noqa: E402
from published.figures import Figure  # noqa: E402
from published.tables import HEADER, csv_text, markdown_text  # noqa: E402
from published.verdicts import Verdict, judge, spec_of, status_of  # noqa: E402

from archstat.analyses.conventions.sources import RULES, rule_of  # noqa: E402

# networks whose capture takes a large part of a second or more
_LARGE = re.compile(r"1202|1001|pyramidnet|_k40|250_k24|cbam_resnet1|efficientnet_b[78]")


def _compared() -> list[Figure]:
    return [figure for figure in data.figures() if not status_of(figure)[0]]


def _parameter(figure: Figure) -> object:
    large = _LARGE.search(spec_of(figure)) is not None
    name = f"{figure.id}: {rule_of(figure).said}"
    return pytest.param(figure, id=name, marks=[pytest.mark.slow] if large else [])


@pytest.fixture(scope="session")
def reported() -> dict[Figure, list[dict[str, str]]]:
    """The rows of reports/published.csv by figure."""
    with (data.REPORTS / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # the report keeps the order of the figures
    found: dict[Figure, list[dict[str, str]]] = {}
    for figure, row in zip(data.figures(), rows, strict=True):
        found.setdefault(figure, []).append(row)
    return found


@pytest.mark.parametrize("figure", [_parameter(figure) for figure in _compared()])
def test_published_figure_is_recomputed(figure, reported):
    verdict = judge(figure)
    if data.exception_of(figure) is None:
        fits = verdict.verdict in ("agrees", "in a band")
        assert fits, f"measured {verdict.measured:,} of {verdict.spec}"
    else:
        assert verdict.verdict == "differs", "this exception is no longer needed"
    line = csv_text([verdict]).splitlines()[1]
    for row in reported[figure]:
        assert next(csv.reader([line])) == [row[key] for key in HEADER], "the report is stale"


def test_every_figure_belongs_to_a_line_of_the_table_and_every_line_has_a_figure():
    used = {data.network_of(figure) for figure in data.figures()}
    assert [line for line in data.mapped() if line not in used] == []
    places = Counter(line[:3] for line in data.mapped())
    assert [place for place, count in places.items() if count > 1] == []


def test_zoo_key_without_a_network_has_its_reason():
    for line in data.mapped():
        assert bool(line.spec) != bool(line.reason), line
    keyed = {line.zoo_key for line in data.mapped() if line.zoo_key and not line.spec}
    assert keyed == {"highway32_cifar10", "fitnet19_cifar10", "se_inception_resnet_v2"}


def test_only_what_has_no_network_is_not_measured():
    assert {status_of(f)[0] for f in data.figures()} == {"", "no network"}


def test_every_exception_names_as_many_figures_as_it_says():
    for line in data.exceptions():
        named = [figure for figure in _compared() if line.names(figure)]
        assert len(named) == int(line.rows), line
        assert line.reason


def test_every_rule_is_used():
    first = {next((rule for rule in RULES if rule.holds(f)), None) for f in _compared()}
    assert [rule for rule in RULES if rule not in first] == []


def test_at_most_forty_figures_stay_in_a_band(reported):
    verdicts = Counter(row["verdict"] for rows in reported.values() for row in rows)
    assert verdicts["in a band"] <= 40


def test_report_says_what_is_not_compared_and_why(reported):
    for figure in data.figures():
        status, reason = status_of(figure)
        if status:
            assert reason
            shown = {(row["verdict"], row["reason"], row["spec"]) for row in reported[figure]}
            assert shown == {(status, reason, spec_of(figure))}


def test_markdown_holds_what_the_csv_holds(reported):
    rows = {figure: iter(lines) for figure, lines in reported.items()}
    verdicts = [_verdict(figure, next(rows[figure])) for figure in data.figures()]
    assert (data.REPORTS / "published.md").read_text(encoding="utf-8") == markdown_text(verdicts)


def _verdict(figure: Figure, row: dict[str, str]) -> Verdict:
    measured = int(row["measured"]) if row["measured"] else None
    return Verdict(figure, row["convention"], row["spec"], measured, row["verdict"], row["reason"])

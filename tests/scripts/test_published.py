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

from archstat.analyses.conventions.sources import CONVENTIONS, RULES, convention_of  # noqa: E402

# networks whose capture takes a large part of a second or more
_LARGE = re.compile(r"1202|1001|pyramidnet|_k40|250_k24|cbam_resnet1|efficientnet_b[78]")


def _compared() -> list[Figure]:
    return [figure for figure in data.figures() if not status_of(figure)[0]]


def _parameter(figure: Figure) -> object:
    large = _LARGE.search(spec_of(figure)) is not None
    name = f"{figure.id}: {convention_of(figure)}"
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
        assert verdict.verdict == "agrees", f"measured {verdict.measured:,} of {verdict.spec}"
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


def test_every_convention_and_every_rule_is_used():
    figures = _compared()
    assert {convention_of(figure) for figure in figures} == set(CONVENTIONS)
    first = {next((rule for rule in RULES if rule.holds(figure)), None) for figure in figures}
    assert [rule for rule in RULES if rule not in first] == []


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


_VGG11_MAPS = (
    *(64 * 224**2, 64 * 112**2, 128 * 112**2, 128 * 56**2, 2 * 256 * 56**2, 256 * 28**2),
    *(2 * 512 * 28**2, 512 * 14**2, 2 * 512 * 14**2, 512 * 7**2),
)
_VGG11_OUTPUTS = str(4 * (sum(_VGG11_MAPS) + 2 * 4096 + 2 * 1000))

# -- the conventions, on figures that are known ------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "convention", "value", "unit"),
    [
        ("resnet50", "Keras, conv with bias", "25636712", "count"),
        ("xception", "Keras", "22910480", "count"),
        ("inception_v3", "Keras, norm without scale", "23851784", "count"),
        ("vgg16", "Keras, without top", "14714688", "count"),
        ("mobilenet_v2", "params without norm", "3470760", "count"),
        ("wide_resnet50_2", "params with folded norm", "68849128", "count"),
        ("lenet5", "connections", "340908", "count"),
        ("vgg11", "layer outputs", _VGG11_OUTPUTS, "count"),
    ],
)
def test_convention_gives_the_exact_count(spec, convention, value, unit):
    from published.verdicts import measured

    assert CONVENTIONS[convention].agrees(measured(spec), value, unit)
    assert not CONVENTIONS[convention].agrees(measured(spec), str(int(value) + 1), unit)


@pytest.mark.parametrize(
    ("convention", "value", "fits"),
    [
        ("macs", "15.47", True),
        ("macs", "15.48", False),
        ("macs", "15.4", False),
        ("macs, cut off", "15.4", True),
        ("macs, cut off", "15.5", False),
        ("FLOPs/2", "15.46", False),
        ("FLOPs/2", "15.50", True),
        ("FLOPs/2", "15.52", False),
        ("macs of convolutions", "15.35", True),
    ],
)
def test_printed_digits_are_rounded_cut_off_or_inside_a_band(convention, value, fits):
    from published.verdicts import measured

    assert CONVENTIONS[convention].agrees(measured("vgg16"), value, "G") == fits

"""Budgets in a test suite: a marker for a test that returns a model, and a fixture.

    @pytest.mark.archstat(params="<= 5M", macs="<= 600M", input="3x224x224")
    def test_net_stays_small():
        return Net()

Registered with pytest on installation; nothing of archstat but this file is imported before a
test asks for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from archstat.budgets import Verdict
    from archstat.result import Report

    Judgement = tuple[Report, Sequence[Verdict]]

_MARKER = "archstat"
_HELP = (
    "archstat(input=None, layout=None, example=None, batch=None, module=None, **rules): the model "
    'that the test returns must keep the rules, such as params="<= 5M", macs="<= 600M", '
    'receptive_field=">= 224"'
)
_MOST_LAYERS = 5


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for ``--strict-markers`` and ``--markers``."""
    config.addinivalue_line("markers", _HELP)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that is wrongly written before its test runs."""
    if item.get_closest_marker(_MARKER) is None:
        return
    mistakes = list(_mistakes(_demands(item)))
    if any(marker.args for marker in item.iter_markers(_MARKER)):
        mistakes.insert(0, 'its arguments need names; write params="<= 5M".')
    unittest, cls = sys.modules.get("unittest"), getattr(item, "cls", None)
    if unittest is not None and isinstance(cls, type) and issubclass(cls, unittest.TestCase):
        mistakes.append(
            "a method of unittest.TestCase returns nothing; use a function, or the fixture."
        )
    if mistakes:
        _fail(_listed("The marker archstat has a mistake:", mistakes))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Hold what a marked test returns against the marker's rules."""
    if pyfuncitem.get_closest_marker(_MARKER) is None:
        return (yield)
    returned: list[Any] = []
    function = pyfuncitem.obj

    def returning_nothing(*args: Any, **kwargs: Any) -> None:
        # pytest warns of a test that returns something
        returned.append(function(*args, **kwargs))

    pyfuncitem.obj = returning_nothing
    try:
        outcome = yield
    finally:
        pyfuncitem.obj = function
    for model in returned:
        _check_returned(model, _demands(pyfuncitem))
    return outcome


@pytest.fixture
def archstat_check() -> Callable[..., Report]:
    """Hold a model against rules: ``archstat_check(model, input="3x32x32", params="<= 5M")``.

    The model is a module, a spec or a Graph. Returns its Report; fails as an assertion does, with
    the layers that weigh most.
    """
    return _checked


def _checked(model: Any, **demands: Any) -> Report:
    __tracebackhide__ = True
    mistakes = list(_mistakes(demands))
    if mistakes:
        raise pytest.UsageError(_listed("archstat_check was called with a mistake:", mistakes))
    from archstat.errors import ArchstatError

    try:
        report, verdicts = _judged(model, demands)
    except ArchstatError as error:
        # with a traceback of its own, which ends at the line of the test
        refusal: ArchstatError = type(error)(str(error))
    else:
        message = _broken(report, verdicts)
        if message:
            raise AssertionError(message)
        return report
    raise refusal


def _check_returned(model: Any, demands: Mapping[str, Any]) -> None:
    __tracebackhide__ = True
    if model is None:
        _fail("A test marked archstat returns the model to check, and this one returned None.")
    if inspect.isawaitable(model):
        if inspect.iscoroutine(model):
            model.close()
        _fail("A test marked archstat returns the model to check, so it cannot be async.")
    from archstat.errors import ArchstatError

    try:
        report, verdicts = _judged(model, demands)
    except ArchstatError as error:
        message = str(error)
    else:
        message = _broken(report, verdicts)
    if message:
        _fail(message)


def _judged(model: Any, demands: Mapping[str, Any]) -> Judgement:
    from archstat.budgets.in_python import held

    report, found = held(model, demands)
    return report, found.verdicts


def _demands(item: pytest.Item) -> dict[str, Any]:
    """The arguments of all markers of a test; one on the test itself goes before its class's."""
    demands: dict[str, Any] = {}
    for marker in item.iter_markers(_MARKER):
        demands = {**marker.kwargs, **demands}
    return demands


def _mistakes(demands: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the rules, each on a line."""
    from archstat.budgets.in_python import mistakes

    return mistakes(demands)


def _broken(report: Report, verdicts: Sequence[Verdict]) -> str:
    """The message on the rules that are not kept, with the layers that weigh most."""
    from archstat.budgets.verdicts import CANT_TELL

    lines: list[str] = []
    for verdict in verdicts:
        if verdict.state not in ("kept", CANT_TELL):
            lines += [verdict.message, *_heaviest(report, verdict)]
    if not lines:
        return ""
    notes = [f"  {finding}" for finding in report.findings]
    return "\n".join([f"{report.model} ({report.input}): {lines[0]}", *lines[1:], *notes])


def _heaviest(report: Report, verdict: Verdict) -> Generator[str]:
    key, total = verdict.rule.key, verdict.value
    too_little = verdict.limit is not None and total is not None and total < verdict.limit
    layers = report.layers
    known = layers.keys()
    if key not in known or not total or too_little:
        return
    figures = zip(layers.column(key), layers.column("module"), layers.column("type"), strict=True)
    rows = [(n, str(path), kind) for n, path, kind in figures if isinstance(n, (int, float)) and n]
    heaviest = sorted(rows, key=lambda row: -row[0])[:_MOST_LAYERS]
    width = max(len(path) for _, path, _ in heaviest)
    for own, path, kind in heaviest:
        yield f"  {(path or '(root)').ljust(width)}  {own:,} ({100 * own / total:.1f}%)  {kind}"


def _listed(title: str, lines: list[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)

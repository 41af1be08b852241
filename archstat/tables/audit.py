"""`audit`: somebody's table of models, each figure held against what the model really costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from functools import partial
from typing import get_args

from archstat.analyses.conventions import Convention, Printable
from archstat.analyses.conventions.measures import CONVENTIONS
from archstat.analyses.conventions.printed import Printed
from archstat.errors import ArchstatError
from archstat.models.naming import specs_named
from archstat.models.pipeline import GraphOf, report
from archstat.result import Cell, Column, Mark, Table, Tone, notes_of
from archstat.tables.printed_table import Entry, PrintedTable, Row
from archstat.tables.ways import Asked, Way, are_apart, reconcile
from archstat.units import format_count

COLUMNS = (
    Column("line", "number", "its line in the table"),
    Column("model", "text", "the model as printed"),
    Column("spec", "text", "the spec that the model was taken for"),
    Column("column", "text", "the column of the table"),
    Column("figure", "text", "the figure as printed"),
    Column("verdict", "text", "agrees, agrees otherwise, cannot be or not known"),
    Column("remark", "text", "which convention gives it, or what the figure looks like"),
    Column("source", "text", "who counts so"),
    Column("input", "text", "shape of each input, batch first"),
    Column("value", "figure", "what the convention gives"),
    Column("difference_percent", "number", "value over figure, in percent"),
)
_LEAST_DIGITS = 3
_MOST = 5
# What is nearer is more likely another way of counting than a slip of the hand.
_LEAST_OFF_PERCENT = 1.0
_WHOLE = 10**6
_UNITS = {1: "ones", 10**3: "thousands", 10**6: "millions", 10**9: "billions"}


class Verdict(Enum):
    """What a printed figure is found to be, and whether that is good news."""

    AGREES = "agrees"
    OTHERWISE = "agrees otherwise"
    CANNOT_BE = "cannot be"
    NOT_KNOWN = "not known"

    @property
    def tone(self) -> Tone:
        """How a screen shows it."""
        tones: Mapping[Verdict, Tone] = {Verdict.AGREES: "good", Verdict.CANNOT_BE: "bad"}
        return tones.get(self, "open")


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure with its verdict; `value` is what the named convention gives, None for none."""

    row: Row
    entry: Entry
    verdict: Verdict
    remark: str
    spec: str = ""
    convention: Convention | None = None
    input: str = ""
    value: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings in the order of the table, and what holds for the table as a whole."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def has_impossible(self) -> bool:
        """Whether a figure cannot be."""
        return any(found.verdict is Verdict.CANNOT_BE for found in self.findings)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A network that a row may be of, with what every convention counts of it."""

    spec: str
    input: str
    values: Mapping[str, int]


def audit(table: PrintedTable, graphs: GraphOf) -> Audit:
    """Find the convention that most rows of a column follow, then judge each figure."""
    networks = _Networks(graphs)
    rows, said = _with_units(table.rows, networks)
    columns = dict.fromkeys((row.source, entry.column) for row in rows for entry in row.entries)
    notes = [*said]
    usual: dict[tuple[str, str], Convention | None] = {}
    for source, column in columns:
        pairs = list(_of(rows, source, column))
        convention, count = _usual(pairs, networks, source)
        usual[source, column] = convention
        if convention is not None:
            whose = f"{source}, {column}" if source else column
            by = f" ({', '.join(convention.sources)})" if convention.sources else ""
            notes.append(f"{whose}: {count} of {len(pairs)} figures are {convention.key}{by}.")
    judge = _Judge(networks, rows, usual)
    findings = [found for row in rows for found in judge.findings(row)]
    more = f" and {len(table.unread) - _MOST} more" if len(table.unread) > _MOST else ""
    if table.unread:
        notes.append(f"Not read as figures: {', '.join(table.unread[:_MOST])}{more}.")
    tally = Counter(found.verdict for found in findings)
    summed = ", ".join(f"{tally[verdict]} {verdict.value}" for verdict in Verdict)
    if table.unread:
        summed += f", {len(table.unread)} not read"
    return Audit(tuple(findings), (*notes, f"{summed}."))


class _Networks:
    """The networks of rows, counted once each."""

    def __init__(self, graphs: GraphOf) -> None:
        self.graphs = graphs
        self._counted: dict[tuple[str, str], _Counted | None] = {}
        self.refused: dict[str, str] = {}

    def of(self, row: Row) -> list[_Counted]:
        """What a row may be of."""
        found = (self._of(spec, row.input) for spec in specs_of(row))
        return [one for one in found if one is not None]

    def _of(self, spec: str, input: str) -> _Counted | None:
        if (spec, input) not in self._counted:
            try:
                counted = report(self.graphs(spec, input or None, None), spec)
            except ArchstatError as error:
                self.refused[spec] = str(error)
                self._counted[spec, input] = None
            else:
                values = {one.key: one.count(counted) for one in _PLAIN}
                self._counted[spec, input] = _Counted(spec, counted.input, values)
        return self._counted[spec, input]


_PLAIN = tuple(
    one for one in CONVENTIONS if one.quantity in get_args(Printable) and one.square is None
)


def specs_of(row: Row) -> tuple[str, ...]:
    """The specs that a row may be of: its own column's, else those that its model's name means."""
    return (row.spec,) if row.spec else specs_named(row.model)


def _held(counted: Iterable[_Counted], entry: Entry) -> Iterator[tuple[Convention, _Counted]]:
    """The conventions that give every digit of a figure, with the network that they are of."""
    for one in counted:
        for convention in _PLAIN:
            value = one.values[convention.key]
            fits = value and not are_apart(convention.quantity, entry.quantity)
            if fits and entry.printed.shows(value):
                yield convention, one


def _usual(
    pairs: Iterable[tuple[Row, Entry]], networks: _Networks, source: str = ""
) -> tuple[Convention | None, int]:
    """The convention that most figures of a column follow, the source's own first, and how many."""
    votes: Counter[str] = Counter()
    for row, entry in pairs:
        votes.update({convention.key for convention, _ in _held(networks.of(row), entry)})
    best = max(_PLAIN, key=lambda one: (votes[one.key], source in one.sources))
    return (best, votes[best.key]) if votes[best.key] else (None, 0)


def _of(rows: Iterable[Row], source: str, column: str) -> Iterator[tuple[Row, Entry]]:
    """The figures of a source's column, each with its row."""
    for row in rows:
        if row.source == source:
            yield from ((row, entry) for entry in row.entries if entry.column == column)


def _with_units(rows: Sequence[Row], networks: _Networks) -> tuple[list[Row], list[str]]:
    """The rows, those figures that name no unit read in the one in which most of them agree."""
    bare = dict.fromkeys(
        (row.source, entry.column) for row in rows for entry in row.entries if not entry.has_unit
    )
    scales, said = {}, []
    for source, column in bare:
        pairs = [(row, entry) for row, entry in _of(rows, source, column) if not entry.has_unit]
        votes = {scale: _usual([(r, _scaled(e, scale)) for r, e in pairs], networks)[1]
                 for scale in _UNITS}  # fmt: skip
        best = max(votes, key=lambda scale: votes[scale])
        scales[source, column] = best if votes[best] else 1
        if best > 1 and votes[best]:
            said.append(f"{column} names no unit: read as {_UNITS[best]}.")
    return [
        replace(row, entries=tuple(
            entry if entry.has_unit else _scaled(entry, scales[row.source, entry.column])
            for entry in row.entries))
        for row in rows
    ], said  # fmt: skip


def _scaled(entry: Entry, scale: int) -> Entry:
    """A figure in a unit; a full count is in ones whatever the others are."""
    is_whole = entry.printed.value >= _WHOLE
    return entry if is_whole else replace(entry, printed=entry.printed.times(scale))


# -- verdicts --------------------------------------------------------------------------------------


class _Judge:
    """Judges figures by the convention of their column, then by all others, then as misprints."""

    def __init__(
        self, networks: _Networks, rows: Sequence[Row],
        usual: Mapping[tuple[str, str], Convention | None],
    ) -> None:  # fmt: skip
        self._networks, self._rows, self._usual = networks, rows, usual

    def findings(self, row: Row) -> list[Finding]:
        """The verdicts on the figures of a row: two columns are swapped, never one."""
        found = [self._finding(row, entry) for entry in row.entries]
        is_swapped = any(map(_is_swapped, found))
        return [self._swapped(one) if is_swapped else one for one in found]

    def _swapped(self, found: Finding) -> Finding:
        """What nobody knows, if it is near what belongs into the other column of its row."""
        if found.verdict is not Verdict.NOT_KNOWN:
            return found
        printed, quantity = found.entry.printed, found.entry.quantity
        for network in self._networks.of(found.row):
            for one in _PLAIN:
                value = Fraction(network.values[one.key])
                for shift in (1, 1000, Fraction(1, 1000)) if value else ():
                    near = abs(printed.off_percent(value * shift)) <= _LEAST_OFF_PERCENT
                    if near and are_apart(one.quantity, quantity):
                        said = f"near {one.key}: {format_count(float(value))}"
                        return replace(found, verdict=Verdict.CANNOT_BE, convention=one,
                                       value=value * shift,
                                       remark=f"{said}: the columns are swapped")  # fmt: skip
        return found

    def _finding(self, row: Row, entry: Entry) -> Finding:
        counted, usual = self._networks.of(row), self._usual[row.source, entry.column]
        if not counted:
            return Finding(row, entry, Verdict.NOT_KNOWN, self._why_unknown(row))
        held = list(_held(counted, entry))
        for convention, network in sorted(held, key=lambda pair: pair[0] is not usual):
            agrees = convention is usual
            verdict = Verdict.AGREES if agrees else Verdict.OTHERWISE
            value = Fraction(network.values[convention.key])
            return Finding(row, entry, verdict, convention.key, network.spec, convention,
                           network.input, value)  # fmt: skip
        return self._otherwise(row, entry, counted, usual)

    def _why_unknown(self, row: Row) -> str:
        specs = specs_of(row)
        if not specs:
            return "no network of that name in the zoo, torchvision or timm; name it by a spec"
        return next((self._networks.refused[s] for s in specs if s in self._networks.refused), "")

    def _otherwise(
        self, row: Row, entry: Entry, counted: Sequence[_Counted], usual: Convention | None
    ) -> Finding:
        ways = self._ways(counted, entry, row.input)
        for way in sorted(ways, key=lambda way: way.assumptions):
            verdict = Verdict.CANNOT_BE if way.is_misprint else Verdict.OTHERWISE
            return _found(row, entry, verdict, way)
        # Of two digits, some size and convention give nearly any: then it is the column's alone.
        enough = len(entry.printed.digits) >= _LEAST_DIGITS
        for way in self._ways(counted, entry, "") if row.input else ():
            if not way.is_misprint and (enough or way.measure is usual):
                return _found(row, entry, Verdict.CANNOT_BE, way,
                              f" at {way.input}, not at {counted[0].input}")  # fmt: skip
        return self._misprint(row, entry, counted, usual)

    def _ways(self, counted: Sequence[_Counted], entry: Entry, input: str) -> list[Way]:
        """The ways to a figure, of the first network that has one without a misprint."""
        asked, found = [Asked(entry.printed, entry.quantity)], list[Way]()
        for network in counted:
            graphs = self._networks.graphs
            found += reconcile(network.spec, asked, input or None, None, graphs).ways
            if any(not way.is_misprint for way in found):
                break
        return found

    def _misprint(
        self, row: Row, entry: Entry, counted: Sequence[_Counted], usual: Convention | None
    ) -> Finding:
        nearest = min(
            ((one, network) for network in counted for one in _PLAIN
             if not are_apart(one.quantity, entry.quantity) and network.values[one.key]),
            key=lambda pair: abs(entry.printed.off_percent(pair[1].values[pair[0].key])),
        )  # fmt: skip
        made = partial(Finding, row, entry, spec=nearest[1].spec, convention=nearest[0],
                       input=nearest[1].input,
                       value=Fraction(nearest[1].values[nearest[0].key]))  # fmt: skip
        for network in counted if usual is not None else ():
            exact = network.values[usual.key] if usual else 0
            typo = typed_for(entry.printed, exact)
            if typo:
                return replace(made(Verdict.CANNOT_BE, f"{typo} with a digit wrong"),
                               convention=usual, value=Fraction(exact))  # fmt: skip
        other = self._other_network(row, entry, usual)
        if other:
            return made(Verdict.CANNOT_BE, f"the figure of {other}")
        value = nearest[1].values[nearest[0].key]
        return made(Verdict.NOT_KNOWN, f"nearest is {nearest[0].key}: {format_count(value)}")

    def _other_network(self, row: Row, entry: Entry, usual: Convention | None) -> str:
        """The model of another row whose figure stands here, where enough digits say so."""
        if usual is None or len(entry.printed.digits) < _LEAST_DIGITS:
            return ""
        mine = set(specs_of(row))
        for other in self._rows:
            for network in self._networks.of(other) if not mine & {*specs_of(other)} else ():
                if entry.printed.shows(network.values[usual.key]) == "rounded":
                    return other.model
        return ""


def _is_swapped(found: Finding) -> bool:
    if found.convention is None or found.verdict is not Verdict.CANNOT_BE:
        return False
    return are_apart(found.convention.quantity, found.entry.quantity)


def _found(row: Row, entry: Entry, verdict: Verdict, way: Way, where: str = "") -> Finding:
    form = f" ({way.form})" if way.form else ""
    return Finding(row, entry, verdict, f"{way.arithmetic}{form}{where}", way.model, way.measure,
                   way.input, way.value)  # fmt: skip


def typed_for(printed: Printed, exact: int) -> str:
    """What a number prints as, where the figure differs from that in one digit but the last."""
    shown, digits = str(round(exact / printed.step)), printed.digits
    wrong = [n for n, pair in enumerate(zip(shown, digits, strict=False)) if pair[0] != pair[1]]
    is_one = len(wrong) == 1 and wrong[0] < len(digits) - 1
    is_turned = len(wrong) == 2 and sorted(shown) == sorted(digits) and wrong[1] == wrong[0] + 1
    enough = len(digits) == len(shown) and len(digits) >= _LEAST_DIGITS
    enough &= abs(printed.off_percent(exact)) > _LEAST_OFF_PERCENT
    return format_count(float(round(exact / printed.step) * printed.step)) if (
        enough and (is_one or is_turned)
    ) else ""  # fmt: skip


# -- the table -------------------------------------------------------------------------------------


def audit_table(found: Audit) -> Table:
    """A row a figure, in the order of the table that was audited."""
    return Table(COLUMNS, tuple(map(_cells, found.findings)), notes=notes_of(found.notes))


def _cells(found: Finding) -> tuple[Cell, ...]:
    value = found.value
    exact = None if value is None else int(value) if value.denominator == 1 else float(value)
    off = None if value is None else round(found.entry.printed.off_percent(value), 4)
    sources = ", ".join(found.convention.sources) if found.convention else ""
    return (found.row.line, found.row.model, found.spec, found.entry.column,
            found.entry.printed.text, Mark(found.verdict.value, found.verdict.tone), found.remark,
            sources, found.input, exact, off)  # fmt: skip

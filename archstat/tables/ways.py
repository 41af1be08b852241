"""The ways to a printed figure: which network, input and way of counting give its digits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any, NamedTuple, get_args

from archstat.analyses.conventions import Convention, Printable
from archstat.analyses.conventions.measures import CONVENTIONS
from archstat.analyses.conventions.printed import Printed
from archstat.errors import ArchstatError, SpecError
from archstat.graph import Graph
from archstat.models.forms import common_stride, forms_of, image_size, reparameterised
from archstat.models.pipeline import GraphOf, report
from archstat.models.sources import SHAPES_ALONE, SIZE_OPTIONS
from archstat.units import format_count, format_shape

# The sides at which tables are made, height and width; 227 is what Caffe crops to.
SIDES = ((224, 224), (256, 256), (227, 227), (299, 299), (384, 384), (512, 512), (640, 640),
         (800, 1280), (512, 2048))  # fmt: skip
_OTHER_QUANTITY, _OTHER_INPUT, _OTHER_FORM, _CUT_OFF, _MISPRINT = 1, 1, 1, 1, 3
_NEAREST = 3
_COUNTED = frozenset({"params", "macs", "flops", "activations"})  # what all measures start from
_MISPRINTS = (
    (Fraction(2), "twice"), (Fraction(1, 2), "half of"), (Fraction(10), "ten times"),
    (Fraction(1, 10), "a tenth of"), (Fraction(1000), "1000 times"), (Fraction(1, 1000),
    "a thousandth of"),
)  # fmt: skip
# Between units first: 15.3 M in a column of G.
_POWERS = (0, -3, 3, -1, 1, -2, 2, -4, 4)


@dataclass(frozen=True, slots=True)
class Asked:
    """A printed figure and the quantity that its reader takes it for; None where nobody knows."""

    printed: Printed
    quantity: Printable | None


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a figure; `assumptions` counts what it takes beside the network as it is."""

    asked: Asked
    measure: Convention
    input: str
    form: str
    value: Fraction
    is_exact: bool
    arithmetic: str
    assumptions: int
    model: str = ""

    @property
    def is_misprint(self) -> bool:
        """Whether somebody's mistake is assumed."""
        return self.assumptions >= _MISPRINT

    @property
    def off(self) -> float:
        """Per cent by which it misses the figure."""
        return self.asked.printed.off_percent(self.value)


@dataclass(frozen=True, slots=True)
class Found:
    """The ways that give the figures, the nearest that do not, and whether all are explained.

    `shared` are the sources of which each explains all of several figures; at the sizes of
    `refused` the network does not run.
    """

    ways: tuple[Way, ...]
    misses: tuple[Way, ...]
    is_explained: bool
    shared: frozenset[str]
    refused: tuple[str, ...] = ()


def reconcile(
    model: str, figures: Sequence[Asked], input: Any, source: str | None, graphs: GraphOf
) -> Found:
    """Search what a printed figure depends on, the likeliest first, until each is explained.

    Raises:
        SpecError: no figure, or a source that nobody knows; see also `analyze`.
        CaptureError: a figure of a forward pass, of weights alone.
    """
    every = [one for one in CONVENTIONS if one.quantity in get_args(Printable)]
    measures = [one for one in every if _is_of(one, source)]
    if not measures:
        known = sorted({name for one in every for name in one.sources})
        raise SpecError(f"there is no source {source!r}; known sources: {', '.join(known)}.")
    own = graphs(model, input, None)
    if any(asked.quantity != "params" for asked in figures):
        own.need_forward()
    if not own.has_forward:
        measures = [one for one in measures if one.quantity == "params"]
    search = _Search(model, own, input, measures, figures, graphs)
    ways: list[Way] = []
    tried: list[Way] = []
    for stage in (_as_it_is, _in_other_forms, _at_other_inputs, _misprinted):
        for way in stage(search):
            (ways if way.is_exact else tried).append(way)
        shared = _shared(ways, figures)
        if _explained(ways, figures, shared):
            break
    if shared:
        ways = [way for way in ways if shared & {*way.measure.sources}]
    ways.sort(key=lambda way: (way.assumptions, figures.index(way.asked)))
    tried.sort(key=lambda way: abs(way.off))
    misses = [miss for asked in figures for miss in _nearest(asked, tried, ways)]
    is_explained = _explained(ways, figures, shared)
    return Found(tuple(ways), tuple(misses), is_explained, shared, tuple(search.refused))


def _is_of(one: Convention, source: str | None) -> bool:
    return source is None or any(source.lower() == name.lower() for name in one.sources)


def _shared(ways: Iterable[Way], figures: Sequence[Asked]) -> frozenset[str]:
    """The sources that explain every figure, where there are several, in one form at one input."""
    if len(figures) < 2:
        return frozenset()
    found: dict[tuple[str, str, str], set[Asked]] = {}
    for way in ways:
        # A network has the same parameters at every input.
        input = "" if way.measure.quantity == "params" else way.input
        for source in way.measure.sources:
            found.setdefault((source, input, _network(way.form)), set()).add(way.asked)
    whole = {*figures}
    return frozenset(
        source
        for (source, _, form), asked in found.items()
        if asked | found.get((source, "", form), set()) == whole
    )


def _network(form: str) -> str:
    return form if "=" in form else ""


def _explained(ways: Iterable[Way], figures: Sequence[Asked], shared: frozenset[str]) -> bool:
    if len(figures) > 1 and not shared:
        return False
    return {way.asked for way in ways} == {*figures}


def _nearest(asked: Asked, tried: Sequence[Way], ways: Sequence[Way]) -> list[Way]:
    if any(way.asked == asked for way in ways):
        return []
    found: dict[Fraction, Way] = {}
    for way in tried:
        if way.asked == asked:
            found.setdefault(way.value, way)
    return list(found.values())[:_NEAREST]


# -- the stages ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Law:
    """Figures at two areas of an image, on whose line they lie where sides share a stride."""

    stride: int
    area: int
    other: int
    measured: tuple[tuple[Convention, Fraction, Fraction], ...]

    def holds(self, size: tuple[int, int]) -> bool:
        """Whether the figures at a size are on the line."""
        return self.stride > 0 and not any(side % self.stride for side in size)

    def at(self, size: tuple[int, int]) -> Iterator[tuple[Convention, Fraction]]:
        """The figures at a size."""
        share = Fraction(prod(size) - self.area, self.other - self.area)
        for measure, here, there in self.measured:
            yield measure, here + share * (there - here)


@dataclass(frozen=True, slots=True)
class _Search:
    """What the stages work on, and the sizes at which the network turned out not to run."""

    model: str
    own: Graph
    input: Any
    measures: Sequence[Convention]
    figures: Sequence[Asked]
    graphs: GraphOf
    refused: list[str] = field(default_factory=list)

    def ways(self, graph: Graph, form: str = "", assumed: int = 0) -> Iterator[Way]:
        """Every measure of a Graph at its own input against every figure."""
        for measure in self.measures:
            wanted = any(not are_apart(measure.quantity, one.quantity) for one in self.figures)
            if measure.square is None and wanted:
                value = self.value(measure, graph)
                said = f"{measure.name}: {format_count(float(value))}"
                yield from self._held(measure, graph, form, assumed, value, said)

    def value(self, measure: Convention, graph: Graph) -> Fraction:
        """What a measure gives for a Graph, which is counted once."""
        of = graph.once("printable", lambda: report(graph, self.model, keys=_COUNTED))
        # Conventions have names such as "params", which analyses may have, too.
        return graph.once(f"measure {measure.key}", lambda: Fraction(measure.count(of)))

    def scaled(self) -> Iterator[Way]:
        """The measures of sources that count at a small square and scale to the input's size."""
        size = image_size(self.own)
        for measure in self.measures:
            if measure.square is None or size is None:
                continue
            side = measure.square
            small = _at(self, (side, side))
            if small is not None and not small.option:
                factor = Fraction(prod(size), side * side)
                value = self.value(measure, small.graph) * factor
                said = (f"{measure.name} by {format_count(float(factor))}: "
                        f"{format_count(float(value))}")  # fmt: skip
                yield from self._held(measure, self.own, "", 0, value, said)

    def computed(self, law: _Law, size: tuple[int, int]) -> Iterator[Way]:
        """The ways at a size whose figures follow from those at two others."""
        channels = self.own.values[self.own.inputs[0]].shape[:2]
        for measure, value in law.at(size):
            said = f"{measure.name}: {format_count(float(value))}"
            for way in self._held(measure, self.own, "", _OTHER_INPUT, value, said):
                yield replace(way, input=format_shape((*channels, *size)))

    def law(self, other: Graph) -> _Law:
        """What two sizes say of others."""
        measured = tuple(
            (one, self.value(one, self.own), self.value(one, other))
            for one in self.measures if one.square is None and one.quantity != "params"
        )  # fmt: skip
        areas = [prod(image_size(graph) or ()) for graph in (self.own, other)]
        return _Law(common_stride(self.own, other), areas[0], areas[1], measured)

    def _held(
        self, measure: Convention, graph: Graph, form: str, assumed: int, value: Fraction, said: str
    ) -> Iterator[Way]:
        forms = [text for text in (form, measure.form) if text]
        assumed += _OTHER_FORM * bool(measure.form)
        for asked in self.figures:
            if not value or are_apart(measure.quantity, asked.quantity):
                continue
            other = _OTHER_QUANTITY * (asked.quantity not in (None, measure.quantity))
            shown = asked.printed.shows(value)
            cut = _CUT_OFF * (shown == "truncated")
            ending = f", prints as {asked.printed.text}" + " (cut off)" * bool(cut) if shown else ""
            yield Way(asked, measure, graph.input_text, ", ".join(forms), value,
                      bool(shown), said + ending, assumed + other + cut, self.model)  # fmt: skip


def are_apart(counted: str, asked: str | None) -> bool:
    """Whether nobody mistakes the one for the other; macs are often taken for FLOPs."""
    return asked not in (None, counted) and not {"params", "activations"}.isdisjoint(
        (counted, asked)
    )


def _as_it_is(search: _Search) -> Iterator[Way]:
    yield from search.ways(search.own)


def _in_other_forms(search: _Search) -> Iterator[Way]:
    yield from search.scaled()
    for form, spec in forms_of(search.model):
        graph = _attempted(partial(search.graphs, spec, search.input, None))
        if graph is not None and graph.input_text == search.own.input_text:
            yield from search.ways(graph, form, _OTHER_FORM)
    graph = _attempted(partial(reparameterised, search.model, search.input))
    if graph is not None:
        yield from search.ways(graph, "reparameterised", _OTHER_FORM)


def _at_other_inputs(search: _Search) -> Iterator[Way]:
    if search.input is not None:
        return
    law: _Law | None = None
    for size in SIDES:
        if size == image_size(search.own):
            continue
        if law is not None and law.holds(size):
            yield from search.computed(law, size)
            continue
        sized = _at(search, size)
        if sized is None:
            search.refused.append(format_shape(size))
        elif sized.option:
            yield from search.ways(sized.graph, sized.option, _OTHER_INPUT)
        else:
            law = law or search.law(sized.graph)
            yield from _but_params(search.ways(sized.graph, "", _OTHER_INPUT))
    batches = _attempted(partial(search.graphs, search.model, None, 2))
    if batches is not None:  # a batch of two, or an image and its mirror
        yield from _but_params(search.ways(batches, "", _OTHER_INPUT))


def _but_params(ways: Iterable[Way]) -> Iterator[Way]:
    """The ways to what depends on the input."""
    return (way for way in ways if way.measure.quantity != "params")


def _misprinted(search: _Search) -> Iterator[Way]:
    for measure in search.measures:
        if measure.square is not None or measure.form:
            continue
        value = search.value(measure, search.own)
        for factor, words in _MISPRINTS:
            said = f"{words} {measure.name}: {format_count(float(value * factor))}"
            for way in search._held(measure, search.own, "", _MISPRINT, value * factor, said):
                if way.is_exact and not way.assumptions - _MISPRINT:
                    yield way
        yield from _swapped(search, measure, value)


def _swapped(search: _Search, measure: Convention, value: Fraction) -> Iterator[Way]:
    """A column of parameters among those of operations, or the other way round."""
    for asked in search.figures:
        if value and are_apart(measure.quantity, asked.quantity):
            for power in _POWERS if len(asked.printed.digits) > 2 else _POWERS[:3]:
                shifted = value * Fraction(10) ** power
                if asked.printed.shows(shifted) == "rounded":
                    slip = "" if power in _POWERS[:3] else ", and the point is elsewhere"
                    said = (f"{measure.name}: {format_count(float(value))}: the columns "
                            f"are swapped{slip}")  # fmt: skip
                    yield Way(asked, measure, search.own.input_text, "", shifted, True, said,
                              _MISPRINT + bool(slip), search.model)  # fmt: skip


class _Sized(NamedTuple):
    """A network at a size, and the option that builds it for that; "" where it takes any."""

    graph: Graph
    option: str = ""


def _at(search: _Search, size: tuple[int, int]) -> _Sized | None:
    if image_size(search.own) is None:
        return None
    channels = search.own.values[search.own.inputs[0]].shape[1]
    shape = format_shape((channels, *size))
    graph = _attempted(partial(search.graphs, search.model, shape, None))
    if graph is not None:
        return _Sized(graph)
    for name in SIZE_OPTIONS if size[0] == size[1] else ():
        option = f"{name}={size[0]}"
        graph = _attempted(partial(search.graphs, f"{search.model},{option}", None, None))
        if graph is not None and image_size(graph) == size:
            return _Sized(graph, option)
    return None


def _attempted(capture: Callable[[], Graph | None]) -> Graph | None:
    """A Graph, None where the network does not run so on shapes alone."""
    before = SHAPES_ALONE.set(True)
    try:
        return capture()
    except ArchstatError:
        return None
    finally:
        SHAPES_ALONE.reset(before)

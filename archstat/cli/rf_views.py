"""What ``archstat rf`` shows of its networks: layers, one position, advice, a measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archstat.analyses.field import FieldRow, Fields, receptive_field
from archstat.cli.output import Destination, page_or_print
from archstat.cli.screen import chosen_columns, on_screen, screen_width
from archstat.errors import DisagreementError, InputError, SpecError
from archstat.result import Table
from archstat.tables.rf import (
    for_screen,
    layer_table,
    network_table,
    one_layer_table,
    position_table,
    row_of,
)
from archstat.units import format_shape

if TYPE_CHECKING:
    from archstat.models.pipeline import GraphOf

_LIST_NEEDS = ("layer", "type", "receptive_field", "effective_stride", "output", "weights", "macs",
               "effective_padding", "kernel", "stride", "padding", "dilation", "lost")  # fmt: skip
_MODEL_NEEDS = ("layer", "receptive_field", "effective_stride", "output", "kernel", "stride",
                "effective_padding", "padding", "type", "global_from", "weights", "macs",
                "dilation", "lost")  # fmt: skip
_ADVICE_NEEDS = ("rule", "verdict", "figure", "layers")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of ``archstat rf``."""

    models: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    channels: int | None = None
    at: str | None = None
    position: str | None = None
    every: bool = False
    advise: bool = False
    check: bool = False
    effective: bool = False
    weights: str | None = None
    plot: str | None = None
    columns: str | None = None
    no_cache: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """A network to show; `sized` and `costed` tell whether sizes and channels were given."""

    title: str
    fields: Fields
    is_list: bool
    sized: bool = True
    costed: bool = True

    @property
    def input_text(self) -> str:
        """Its input as far as it was given, "" where it was not."""
        if not self.sized:
            return ""
        return self.fields.graph.input_text if self.costed else format_shape(
            self.fields.input_sizes)  # fmt: skip


def view(request: Request, destination: Destination) -> None:
    """Read the networks and write what was asked for.

    Raises:
        ArchstatError: whatever cannot be carried out.
    """
    _refuse_what_clashes(request)
    if request.plot is not None:
        from archstat.reporters.plots import check_plot_path

        check_plot_path(request.plot)
    networks = [_of_list(text, request) for text in request.layers]
    if not request.models:
        _show(networks, request, destination)
        return
    from archstat.cli.cached import graphs_for, tell_of_cache

    graphs = graphs_for(request.no_cache)
    networks += [_of_model(spec, request, graphs) for spec in request.models]
    _show(networks, request, destination)
    tell_of_cache(graphs, len(request.models), destination.is_raw)


def _show(networks: list[Network], request: Request, destination: Destination) -> None:
    if request.check:
        _check(networks[0], request, destination)
        return
    if request.effective:
        _effective(networks[0], request, destination)
        return
    shown = _several(networks) if len(networks) > 1 else _single(networks[0], request, destination)
    _write(shown, request, destination, networks[0].is_list)
    if request.plot is not None:
        _draw(request.plot, networks, request)


def _write(shown: Table, request: Request, destination: Destination, is_list: bool) -> None:
    chosen = chosen_columns(request.columns, shown.columns, shown.columns[0].key)
    if chosen is not None:
        shown = shown.select(chosen)
    elif not destination.is_raw:
        shown = _fitted(for_screen(shown), is_list, destination)
    destination.write(shown)


def _check(network: Network, request: Request, destination: Destination) -> None:
    from archstat.measure.field.measured import measured_field

    fields = network.fields
    found = measured_field(network.title, fields, _row(fields, request))
    _write(_stamped(found.table(), fields), request, destination, False)
    if not found.agrees:
        raise DisagreementError(found.lines()[0])


def _effective(network: Network, request: Request, destination: Destination) -> None:
    from archstat.measure.field.effective import effective_field

    fields = network.fields
    found = effective_field(network.title, fields, _row(fields, request), weights=request.weights)
    _write(_stamped(found.table(), fields), request, destination, False)
    if destination.format.name == "console" and destination.path is None:
        from archstat.reporters.to_heatmap import to_heatmap

        page_or_print(to_heatmap(found.density))
    if request.plot is not None:
        from archstat.cli.rf_pictures import draw_effective

        draw_effective(request.plot, found)


def _stamped(table: Table, fields: Fields) -> Table:
    return replace(table, torch_version=fields.graph.torch_version)


def _draw(path: str, networks: list[Network], request: Request) -> None:
    from archstat.cli.rf_pictures import draw_by_depth, draw_on_input

    first = networks[0]
    if request.at is None and request.position is None:
        draw_by_depth(path, [(n.title, n.fields, n.sized) for n in networks])
        return
    if not first.sized:
        raise SpecError("a picture of what a position sees needs the input's size: give --input.")
    row = _row(first.fields, request)
    draw_on_input(path, first.title, first.fields, row, _position(request.position))


def _row(fields: Fields, request: Request) -> FieldRow:
    return fields.final if request.at is None else row_of(fields, request.at)


def _refuse_what_clashes(request: Request) -> None:
    count = len(request.models) + len(request.layers)
    if not count:
        raise SpecError("rf needs a MODEL or --layers LIST, such as --layers 3x3,3x3/2,3x3d2.")
    views = {"--advise": request.advise, "--check": request.check, "--effective": request.effective}
    views["--every"] = request.every
    wanted = [option for option, given in views.items() if given]
    if len(wanted) > 1:
        raise SpecError(f"{' and '.join(wanted)} show different tables: give one of them.")
    if request.advise and request.plot is not None:
        raise SpecError("--advise has no picture: leave --plot out.")
    if request.check and request.plot is not None:
        raise SpecError("--check has no picture: leave --plot out.")
    looks = {"--at": request.at, "--position": request.position}
    wanted += [option for option, given in looks.items() if given is not None]
    if count > 1 and wanted:
        raise SpecError(f"{wanted[0]} is of one network, and {count} are given.")
    if request.layers and (request.check or request.effective):
        raise SpecError(f"{wanted[0]} runs a real module, and a layer list has none: give a MODEL.")
    if request.channels is not None and not request.layers:
        raise SpecError("--channels is of a layer list; a model knows its own.")
    if request.weights is not None and not request.effective:
        raise SpecError("--weights is of --effective: no other figure depends on weights.")
    if request.layers and len(request.input) > 1:
        raise SpecError("a layer list has one input: give --input once.")


def _of_list(text: str, request: Request) -> Network:
    from archstat.frontends.layers import layers

    given = request.input[0] if request.input else None
    graph = layers(text, given, request.channels)
    axes = len(graph.values[graph.inputs[0]].shape) - 2
    named = given is not None and given.count("x") == axes
    costed = request.channels is not None or named
    return Network(graph.name, receptive_field(graph), True, given is not None, costed)


def _of_model(spec: str, request: Request, graph_of: GraphOf) -> Network:
    graph = graph_of(spec, list(request.input) or None, None)
    return Network(spec, receptive_field(graph), False)


def _several(networks: list[Network]) -> Table:
    return network_table([(n.title, n.input_text, n.fields) for n in networks])


def _single(network: Network, request: Request, destination: Destination) -> Table:
    fields = network.fields
    if request.advise:
        from archstat.tables.rf import advice_table

        return advice_table(fields, network.sized, None if destination.is_raw else _MOST_NAMED)
    if request.at is not None or request.position is not None:
        row = _row(fields, request)
        if not network.sized and request.position is None:
            return one_layer_table(fields, row, network.costed)
        if not network.sized:
            raise SpecError("what a position sees depends on the input's size: give --input.")
        return position_table(fields, row, _position(request.position), network.costed)
    return layer_table(fields, request.every, network.sized, network.costed)


def _position(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(?:[,x][0-9]{1,9})*", text):
        raise InputError(f"--position {text!r}: give an index for each axis, such as 3,4.")
    return tuple(int(index) for index in re.split("[,x]", text))


def _fitted(table: Table, is_list: bool, destination: Destination) -> Table:
    known = table.keys()
    if destination.format.name != "console" or not {"kernel", "rule"} & set(known):
        return table
    needs: tuple[str, ...] = _LIST_NEEDS if is_list else _MODEL_NEEDS
    if "rule" in known:
        needs = _ADVICE_NEEDS
    # What was asked for by name, such as a position, comes first.
    further = [key for key in known if key not in needs]
    width = screen_width(destination.path)
    return on_screen(table, [key for key in (*further, *needs) if key in known], width)

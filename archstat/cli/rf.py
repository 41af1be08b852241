"""``archstat rf``: what every layer of a layer list or of a model sees of the input."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.help import INPUT
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination, check_plot, draw, page_or_print
from archstat.cli.progress import working
from archstat.cli.screen import View, arranged, refuse_incomplete, show
from archstat.errors import DisagreementError, InputError, SpecError
from archstat.result import Table, notes_of
from archstat.units import format_shape, parse_shape

if TYPE_CHECKING:
    from archstat.analyses.field import FieldRow, Fields
    from archstat.graph import Graph

_LIST_NEEDS = ("layer", "type", "receptive_field", "effective_stride", "output", "weights", "macs",
               "effective_padding", "kernel", "stride", "padding", "dilation", "lost")  # fmt: skip
_MODEL_NEEDS = ("layer", "receptive_field", "effective_stride", "output", "kernel", "stride",
                "effective_padding", "padding", "type", "global_from", "weights", "macs",
                "dilation", "lost")  # fmt: skip
_NETWORK_NEEDS = ("model", "receptive_field", "effective_stride", "output", "global_from", "layer",
                  "effective_padding", "input")  # fmt: skip
_ADVICE_NEEDS = ("rule", "verdict", "figure", "layers")
_MOST_NAMED = 3
_NO_MODULE = "a layer list has no module to run; give a MODEL"
_RULES = (
    Rule("--advise", excludes=("--check", "--effective", "--every", "--plot"),
         takes_one_model=True),
    Rule("--check", excludes=("--effective", "--every", "--plot"), takes_one_model=True),
    Rule("--effective", excludes=("--every",), takes_one_model=True),
    *(Rule(option, takes_one_model=True) for option in ("--every", "--at", "--position")),
    Rule("--layers", excludes=("--check", "--effective"), hint=_NO_MODULE),
    Rule("--layers", excludes=("--batch", "--resolution"), hint="--input gives its size"),
    Rule("--channels", needs="--layers", hint="a model knows its own channels"),
    Rule("--weights", needs="--effective", hint="no other figure depends on weights"),
)  # fmt: skip

Layers = Annotated[
    list[str] | None,
    typer.Option("--layers", metavar="LIST", help="Such as 7x7/2,max3x3/2,(3x3,3x3|id)*2: "
                 "/2 stride, p1 padding (default same), d2 dilation, g4 or dw groups, -64 output "
                 "channels, t4/2 transposed, up2, *3 repeated."),
]  # fmt: skip
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="SHAPE", help="Input without the batch, such as 3x224x224; for "
                 "a layer list also 224 or 224x160.", rich_help_panel=INPUT),
]  # fmt: skip
Channels = Annotated[
    int | None,
    typer.Option(metavar="N", help="Input channels of a layer list; adds weights and macs."),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE", help="Show only this layer, and what its centre or --position sees."
    ),
]
Position = Annotated[
    str | None,
    typer.Option(metavar="I,J", help="Show exactly which input pixels this output position sees."),
]
Advise = Annotated[bool, typer.Option("--advise", help="Check the textbook's sizing rules.")]
Check = Annotated[
    bool,
    typer.Option("--check", help="Verify by running the module (slow); exit 1 on a difference."),
]
Effective = Annotated[
    bool,
    typer.Option("--effective", help="Show the effective field: where the gradient's mass lies."),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="With --effective: a state_dict, instead of random weights."),
]


@dataclass(frozen=True, slots=True)
class Network:
    """A network to show; `sized` and `costed` tell whether sizes and channels were given."""

    title: str
    fields: Fields
    is_list: bool
    sized: bool = True
    costed: bool = True
    slips: Sequence[str] = ()

    @property
    def input_text(self) -> str:
        """Its input as far as it was given, "" where it was not."""
        if not self.sized:
            return ""
        sizes = self.fields.input_sizes
        return self.fields.graph.input_text if self.costed else format_shape(sizes)

    def row(self, at: str | None) -> FieldRow:
        """The row that ``--at`` names; by default the final one."""
        from archstat.tables.rf import row_of

        return self.fields.final if at is None else row_of(self.fields, at)


def rf(
    context: typer.Context,
    models: options.ModelsIfAny = None,
    layers: Layers = None,
    input: Input = None,
    channels: Channels = None,
    at: At = None,
    position: Position = None,
    every: options.Every = False,
    advise: Advise = False,
    check: Check = False,
    effective: Effective = False,
    weights: Weights = None,
    plot: options.Plot = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    top: options.Top = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show the receptive field, effective stride and effective padding of every layer.

    Takes models, or layer lists (--layers), which need no torch. Several networks get one row
    each. Fields are in input pixels; csv and json hold every column.
    """
    from archstat.tables.rf import for_screen

    check_options(context, *_RULES)
    if not models and not layers:
        raise SpecError("rf needs a MODEL or --layers LIST, such as --layers 3x3,3x3/2,3x3d2.")
    destination, place = Destination(format, output), _position(position)
    check_plot(plot)
    graphs = graphs_for(no_cache)
    networks = [_of_list(text, input or [], channels) for text in layers or ()]
    attempts = Attempts(models or ())
    shapes = options.shapes(input, resolution)
    networks += attempts(lambda spec: _of_model(spec, graphs(spec, shapes, batch)))
    if check:
        table, finish = _checked(networks[0], at)
    elif effective:
        table, finish = _effective(networks[0], at, weights, plot, destination)
    else:
        several = len(networks) + len(attempts.failed) > 1
        table = _table(networks, several, at, place, advise, every, destination.is_raw)
        finish = partial(_draw, plot, networks, at, place)
    view = View(destination, table.columns, columns, sort, top=top, largest="receptive_field")
    table = arranged(table, view)
    slips = [slip for network in networks for slip in network.slips]
    table = replace(table, notes=(*table.notes, *notes_of(slips)))
    table = attempts.told(for_screen(table) if view.leaves_choice else table, view)
    needs = _needs(table, networks[0].is_list)
    show(table, view, attempts.keys(table.keys()), attempts.keys(needs))
    finish()
    attempts.refuse()
    tell_of_cache(graphs, len(models or ()), view.is_raw)
    unknown = sum(not row.known for network in networks for row in network.fields.rows)
    refuse_incomplete(unknown, strict, destination, table.notes)


def _of_list(text: str, input: Sequence[str], channels: int | None) -> Network:
    from archstat.analyses.field import receptive_field
    from archstat.frontends.layers import layers
    from archstat.frontends.layers.slips import slips

    if len(input) > 1:
        raise SpecError("a layer list has one input: give --input once.")
    given = input[0] if input else None
    graph = layers(text, given, channels)
    axes = len(graph.values[graph.inputs[0]].shape) - 2
    named = given is not None and len(parse_shape(given)) == axes + 1
    return Network(graph.name, receptive_field(graph), True, given is not None,
                   channels is not None or named, slips(text, given))  # fmt: skip


def _of_model(spec: str, graph: Graph) -> Network:
    from archstat.analyses.field import receptive_field

    return Network(spec, receptive_field(graph), False)


def _position(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(?:[,x][0-9]{1,9})*", text):
        raise InputError(f"--position {text!r}: give an index for each axis, such as 3,4.")
    return tuple(int(index) for index in re.split("[,x]", text))


def _table(
    networks: Sequence[Network], several: bool, at: str | None, place: tuple[int, ...] | None,
    advise: bool, every: bool, raw: bool,
) -> Table:  # fmt: skip
    """A row a network or, of one, a row a layer, a rule or a position."""
    from archstat.tables import rf as tables

    network = networks[0]
    fields, sized, costed = network.fields, network.sized, network.costed
    if several:
        return tables.network_table([(n.title, n.input_text, n.fields) for n in networks])
    if advise:
        return tables.advice_table(fields, sized, None if raw else _MOST_NAMED)
    if at is None and place is None:
        return tables.layer_table(fields, every, sized, costed)
    if sized:
        return tables.position_table(fields, network.row(at), place, costed)
    if place is not None:
        raise SpecError("what a position sees depends on the input's size: give --input.")
    return tables.one_layer_table(fields, network.row(at), costed)


def _needs(table: Table, is_list: bool) -> Sequence[str]:
    """The columns, the most needed first."""
    known = table.keys()
    if "rule" in known:
        return [key for key in _ADVICE_NEEDS if key in known]
    if "kernel" not in known:
        return _NETWORK_NEEDS
    needs = _LIST_NEEDS if is_list else _MODEL_NEEDS
    # What was asked for by name, such as a position, comes first.
    return [*(key for key in known if key not in needs), *(key for key in needs if key in known)]


def _checked(network: Network, at: str | None) -> tuple[Table, Callable[[], None]]:
    """The field measured on the real module, and what is left to do once that is shown."""
    with working(f"checking {network.title}", 1.0) as tell:
        from archstat.measure.field.measured import measured_field
        from archstat.tables.rf_measured import check_table

        found = measured_field(network.title, network.fields, network.row(at), tell)

    def finish() -> None:
        if not found.agrees:
            raise DisagreementError(found.lines()[0])

    return check_table(found, network.fields), finish


def _effective(
    network: Network, at: str | None, weights: str | None, plot: str | None,
    destination: Destination,
) -> tuple[Table, Callable[[], None]]:  # fmt: skip
    """The effective field, and what is left to do once that is shown."""
    row = network.row(at)
    with working(f"differentiating {network.title}", 1.0) as tell:
        from archstat.measure.field.effective import effective_field
        from archstat.tables.rf_measured import effective_table

        found = effective_field(network.title, network.fields, row, weights=weights, watch=tell)

    def finish() -> None:
        if destination.is_screen and destination.path is None:
            from archstat.reporters.to_heatmap import to_heatmap

            page_or_print(to_heatmap(found.density))
        if plot is not None:
            from archstat.tables.rf_pictures import draw_effective

            draw(plot, partial(draw_effective, found))

    return effective_table(found, network.fields), finish


def _draw(
    plot: str | None, networks: Sequence[Network], at: str | None, place: tuple[int, ...] | None
) -> None:
    if plot is None:
        return
    from archstat.tables.rf_pictures import draw_by_depth, draw_on_input

    first = networks[0]
    if at is None and place is None:
        draw(plot, partial(draw_by_depth, [(n.title, n.fields, n.sized) for n in networks]))
        return
    if not first.sized:
        raise SpecError("a picture of what a position sees needs the input's size: give --input.")
    draw(plot, partial(draw_on_input, first.title, first.fields, first.row(at), place))

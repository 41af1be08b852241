"""``archstat rf``: what every layer of a layer list or of a model sees of the input."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.options import Columns, Debug, FormatName, ModelsIfAny, NoCache, Output

Layers = Annotated[
    list[str] | None,
    typer.Option("--layers", metavar="LIST", help="Such as 7x7/2,max3x3/2,(3x3,3x3|id)*2: "
                 "/2 stride, p1 padding (default same), d2 dilation, g4 or dw groups, -64 output "
                 "channels, t4/2 transposed, up2, *3 repeated."),
]  # fmt: skip
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="SHAPE", help="Input without the batch, such as 3x224x224; for "
                 "a layer list also 224 or 224x160."),
]  # fmt: skip
Channels = Annotated[
    int | None, typer.Option(help="Channels that enter a layer list: shows weights and macs.")
]
At = Annotated[
    str | None, typer.Option(metavar="MODULE", help="Just this layer, and what a position sees.")
]
Position = Annotated[
    str | None,
    typer.Option(metavar="I,J", help="Which input pixels this output position sees, exactly."),
]
Every = Annotated[bool, typer.Option("--every", help="A row for every operation.")]
Advise = Annotated[
    bool, typer.Option("--advise", help="The textbook sizing rules, each kept or broken.")
]
Check = Annotated[
    bool, typer.Option("--check", help="Measure it on the real module; 1 if it disagrees.")
]
Effective = Annotated[
    bool, typer.Option("--effective", help="The effective field: where the gradient's mass lies.")
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="With --effective: a state_dict; else random weights."),
]
Plot = Annotated[str | None, typer.Option(metavar="FILE", help="Draw it, too: .pdf, .svg or .png.")]


def rf(
    models: ModelsIfAny = None,
    layers: Layers = None,
    input: Input = None,
    channels: Channels = None,
    at: At = None,
    position: Position = None,
    every: Every = False,
    advise: Advise = False,
    check: Check = False,
    effective: Effective = False,
    weights: Weights = None,
    plot: Plot = None,
    columns: Columns = None,
    no_cache: NoCache = False,
    format: FormatName = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """Show the receptive field, effective stride and effective padding of every layer.

    Of a model, or of a layer list (--layers), which needs no torch. Several networks get a row
    each. Fields are in input pixels; csv and json hold every column.
    """
    from archstat.cli.output import Destination
    from archstat.cli.rf_views import Request, view

    request = Request(
        models=tuple(models or ()),
        layers=tuple(layers or ()),
        input=tuple(input or ()),
        channels=channels,
        at=at,
        position=position,
        every=every,
        advise=advise,
        check=check,
        effective=effective,
        weights=weights,
        plot=plot,
        columns=columns,
        no_cache=no_cache,
    )
    view(request, Destination(format, output))

"""``archstat reconcile MODEL --macs 4.12G``: how somebody came by a printed figure."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.output import Destination
from archstat.cli.progress import working
from archstat.cli.screen import View, show
from archstat.errors import DisagreementError

_ON_SCREEN = ("figure", "arithmetic", "source", "form", "input", "difference_percent")
_MOST = 8
_NEEDED = ("figure", "arithmetic", "form", "source", "input", "difference_percent")


def _figure(name: str, what: str) -> object:
    return typer.Option(f"--{name}", metavar="FIGURE", help=f"{what} as printed; repeat for "
                        "several.")  # fmt: skip


Macs = Annotated[list[str] | None, _figure("macs", "Multiply-accumulates, such as 4.12G,")]
Flops = Annotated[list[str] | None, _figure("flops", "FLOPs, such as 8.5G,")]
Params = Annotated[list[str] | None, _figure("params", "Parameters, such as 25.6M,")]
Activations = Annotated[list[str] | None, _figure("activations", "Activations, such as 11.1M,")]
AnyFigure = Annotated[list[str] | None, _figure("figure", "A figure of any kind,")]
Source = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only the ways this source counts, such as timm."),
]


def reconcile(
    model: options.Model,
    macs: Macs = None,
    flops: Flops = None,
    params: Params = None,
    activations: Activations = None,
    figure: AnyFigure = None,
    source: Source = None,
    input: options.Input = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Explain a printed figure: which convention, input and form give exactly its digits.

    The ways with the fewest assumptions come first, then the nearest misses. Several figures of
    one table are explained by one source. Exit code 1 if nothing fits.
    """
    from archstat.tables.functions_of_specs import asked_figures
    from archstat.tables.reconcile import COLUMNS, reconcile_table
    from archstat.tables.ways import reconcile as search

    asked = asked_figures({"macs": macs, "flops": flops, "params": params,
                           "activations": activations, None: figure})  # fmt: skip
    view, graphs = View(Destination(format, output), COLUMNS, columns), graphs_for(no_cache)
    with working(f"counting {model} by every convention"):
        found = search(model, asked, options.shapes(input, resolution), source, graphs)
    most = _MOST if view.leaves_choice else None
    show(reconcile_table(found, most), view, _ON_SCREEN, _NEEDED)
    tell_of_cache(graphs, 1, view.is_raw)
    if not found.is_explained:
        raise DisagreementError("not every figure is explained.")
    from archstat.tables.functions_of_specs import asked_figures
    from archstat.tables.reconcile import COLUMNS, reconcile_table
    from archstat.tables.ways import reconcile as search

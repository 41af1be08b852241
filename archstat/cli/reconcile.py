"""``archstat reconcile MODEL --macs 4.12G``: how somebody came by a printed figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.errors import DisagreementError, SpecError

if TYPE_CHECKING:
    from archstat.analyses.conventions import Printable
    from archstat.tables.ways import Asked

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
AnyFigure = Annotated[list[str] | None, _figure("figure", "A figure of whatever it is")]
Source = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only ways in which this source counts, such as timm."),
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
    from archstat.tables.reconcile import COLUMNS, reconcile_table
    from archstat.tables.ways import reconcile as search

    asked = [*_asked("macs", macs), *_asked("flops", flops), *_asked("params", params),
             *_asked("activations", activations), *_asked(None, figure)]  # fmt: skip
    if not asked:
        raise SpecError("there is no figure to explain: give one, such as --macs 4.12G.")
    view, graphs = View(Destination(format, output), COLUMNS, columns), graphs_for(no_cache)
    found = search(model, asked, options.shapes(input, resolution), source, graphs)
    most = _MOST if view.leaves_choice else None
    show(reconcile_table(found, most), view, _ON_SCREEN, _NEEDED)
    tell_of_cache(graphs, 1, view.is_raw)
    if not found.is_explained:
        raise DisagreementError("not every figure is explained.")


def _asked(quantity: Printable | None, texts: Sequence[str] | None) -> list[Asked]:
    from archstat.analyses.conventions.printed import parse_printed
    from archstat.tables.ways import Asked

    return [Asked(parse_printed(text), quantity) for text in texts or ()]

"""``archstat experiment NAME``: the measurements behind ShuffleNet V2's guidelines, made here."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.completion import complete_experiment
from archstat.cli.options import Columns, Debug, FormatName, Output

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="g1, g2, g3, g4 or separable.",
                   autocompletion=complete_experiment),
]  # fmt: skip
DeviceName = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu (the default), cuda or cuda:NUMBER.")
]
Budget = Annotated[
    str,
    typer.Option(metavar="TIME", help="For the whole measurement; a minimum of samples is taken in "
                 "any case."),
]  # fmt: skip
Batch = Annotated[
    int | None, typer.Option(help="Batch size; by default 8 on a GPU, 1 on a cpu.", min=1)
]
Threads = Annotated[
    int | None, typer.Option(help="Threads on the cpu; by default torch's own number.", min=1)
]
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Draw the relative speeds: .pdf, .svg or .png."),
]


def experiment(
    name: Name,
    device: DeviceName = "cpu",
    budget: Budget = "60s",
    batch: Batch = None,
    threads: Threads = None,
    plot: Plot = None,
    columns: Columns = None,
    format: FormatName = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """Run an experiment of ShuffleNet V2 here: do the guidelines hold on this machine?

    g1 channel widths, g2 groups, g3 fragments, g4 element-wise operations: the paper's networks of
    equal macs (Tables 1 to 4), with its speeds beside those measured. separable sets standard
    against depthwise-separable convolution.
    """
    from archstat.cli.experiment_views import Request, view
    from archstat.cli.output import Destination

    request = Request(name, device, budget, batch, threads, plot, columns)
    view(request, Destination(format, output))

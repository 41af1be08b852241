"""``archstat bench MODEL...``: how long models take on this machine, and how sure that is."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.completion import (
    complete_measured_device,
    complete_measured_dtype,
)
from archstat.cli.options import (
    Columns,
    Debug,
    FormatName,
    Input,
    ModelsIfAny,
    Output,
    Reference,
    Sort,
)

DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="cpu (the default), cuda or cuda:NUMBER.",
                 autocompletion=complete_measured_device),
]  # fmt: skip
Batches = Annotated[
    list[str] | None,
    typer.Option("--batch", metavar="N,N...", help="Batch sizes, measured one after the other; by "
                 "default the model's own, else 1."),
]  # fmt: skip
DType = Annotated[
    str | None,
    typer.Option("--dtype", metavar="NAME", help="fp32 (the default), fp16, bf16 or amp: fp32 "
                 "weights under autocast.", autocompletion=complete_measured_dtype),
]  # fmt: skip
ChannelsLast = Annotated[
    bool, typer.Option("--channels-last", help="Images and weights in channels-last layout.")
]
Compile = Annotated[bool, typer.Option("--compile", help="Through torch.compile.")]
Threads = Annotated[
    list[str] | None,
    typer.Option("--threads", metavar="N,N...", help="Threads of torch on the cpu, measured one "
                 "after the other; by default torch's own number."),
]  # fmt: skip
Backward = Annotated[
    bool,
    typer.Option("--backward", help="A training step: forward, backward, optimizer and the whole."),
]
Budget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="For the whole command, such as 30s (the default) or 2min; "
                 "a minimum of samples is taken in any case."),
]  # fmt: skip
CudaGraph = Annotated[
    bool,
    typer.Option("--cuda-graph", help="On cuda, beside it the replay of a captured graph: without "
                 "launches from Python."),
]  # fmt: skip
Cold = Annotated[bool, typer.Option("--cold", help="On cuda: flush the cache before each call.")]
History = Annotated[
    bool,
    typer.Option("--history", help="Measure nothing: of what this machine measured before, the "
                 "newest day against the month before it; other options filter."),
]  # fmt: skip
NoStore = Annotated[bool, typer.Option("--no-store", help="Leave the store as it is.")]
PerLayer = Annotated[
    bool,
    typer.Option("--per-layer", help="Of one model, a row a layer from a profiler pass: time "
                 "beside macs, memory access and the roofline floor."),
]  # fmt: skip
ByKind = Annotated[bool, typer.Option("--by-kind", help="The same with a row a kind of operation.")]


def bench(
    models: ModelsIfAny = None,
    device: DeviceName = None,
    batch: Batches = None,
    dtype: DType = None,
    channels_last: ChannelsLast = False,
    compile: Compile = False,
    threads: Threads = None,
    backward: Backward = False,
    budget: Budget = None,
    cuda_graph: CudaGraph = False,
    cold: Cold = False,
    reference: Reference = None,
    history: History = False,
    no_store: NoStore = False,
    per_layer: PerLayer = False,
    by_kind: ByKind = False,
    input: Input = None,
    columns: Columns = None,
    sort: Sort = None,
    format: FormatName = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """Measure how long models take here: median, 95 % interval, and a verdict that may be doubt.

    Models take turns, in at least three fresh processes; intervals are over these. What is measured
    is kept in a store on this machine, for --history. Ctrl-C prints what is finished.
    """
    from archstat.cli.bench_request import Request
    from archstat.cli.output import Destination

    request = Request(
        models=tuple(models or ()),
        device=device,
        batches=tuple(batch or ()),
        dtype=dtype,
        channels_last=channels_last,
        compile=compile,
        threads=tuple(threads or ()),
        backward=backward,
        budget=budget,
        cuda_graph=cuda_graph,
        cold=cold,
        reference=reference,
        no_store=no_store,
        input=tuple(input or ()),
        columns=columns,
        sort=sort,
    )
    destination = Destination(format, output)
    if history:
        from archstat.cli.bench_history import view_history

        view_history(request, destination)
    elif per_layer or by_kind:
        from archstat.cli.bench_layers import view_layers

        view_layers(request, destination, per_layer, by_kind)
    else:
        from archstat.cli.bench_views import view

        view(request, destination)

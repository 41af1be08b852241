"""The commands that measure, train or rebuild a model, as functions: they take specs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archstat.errors import Option, SpecError
from archstat.models.asked import typed, with_words
from archstat.models.pipeline import graph_of_spec
from archstat.result import Table
from archstat.tables.compare import Models, latency_run, specs_of
from archstat.units import parse_seconds, short_dtype

if TYPE_CHECKING:
    from archstat.analyses.conventions import Printable
    from archstat.tables.ways import Asked

    Printed = str | int | Sequence[str | int] | None

_BENCH = ("model", "latency_ms", "latency_ms_low", "latency_ms_high", "latency_ms_ratio", "verdict",
          "throughput")  # fmt: skip
_EXPERIMENT = ("size", "variant", "macs_ratio", "latency_ms_ratio", "relative_speed", "verdict",
               "batches_per_second")  # fmt: skip
_RECONCILE = ("figure", "arithmetic", "source", "form", "input", "difference_percent")


def memory(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    optimizer: str = "sgd",
    dtype: Any = None,
    amp: bool = False,
    kernels: str = "cpu",
    fits: str | int | None = None,
    measure: bool = False,
    device: str | None = None,
    checkpoint: str | Sequence[str] = (),
    accumulate: int = 1,
    zero: tuple[int, int] | None = None,
    fsdp: int | None = None,
    wrap: str | Sequence[str] = (),
    steps: str | Sequence[int] = (),
    by: str = "model",
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """Bytes of a training step and of inference, a row a model; nothing is run on data.

    Args:
        models, input, batch, layout, example: specs, as `compare` takes them.
        optimizer: sgd, momentum, adam or adamw; ``"adamw,fused=true"`` or ``foreach=`` as torch's.
        dtype: fp32, fp16, bf16, fp64 or torch's own; the model's by default.
        amp: fp32 weights under autocast.
        kernels: ``"cpu"`` or ``"cuda"``: whose to assume; ``":explicit"`` behind it: attention
            written out, by no fused kernel.
        fits: look for the largest batch that trains in such a size, as ``"24GiB"`` or in bytes.
        measure: also run the step on cpu, and give the allocator's peaks.
        device: with kernels of cuda, a GPU as `roofline` takes it: what is left of its memory.
        checkpoint: patterns of modules that keep only their inputs and run once more in backward,
            such as ``"layer*"``.
        accumulate: micro-batches a step; the last one is counted.
        zero: ZeRO's stage (arXiv 1910.02054) and the number of devices: what one of them needs.
        steps: with `fits`, batches of which the largest that fits is looked for.
        fsdp: the number of devices that share all by FSDP; `wrap` are patterns of the paths of
            its units, by default the elements of the model's outermost lists of modules.
        by: ``"model"``, ``"module"`` (a row each, with what is alive at the peak) or ``"op"``, the
            timeline; the latter two also without what is checkpointed.

    Raises:
        SpecError: a model that is no spec, or settings that do not go together.
        CaptureError: the step raised, or the model has no backward pass.
    """
    from archstat.tables.memory import Step

    step = Step(optimizer, dtype, amp, kernels, fits, measure, device, checkpoint,
                accumulate=accumulate, zero=zero, fsdp=fsdp, wrap=wrap,
                steps=steps, by=by)  # fmt: skip
    shapes = typed(with_words(input, layout, example))
    return step.table([step.row(spec, shapes, batch) for spec in specs_of(models)])


def bench(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    device: Any = "cpu",
    dtype: Any = "fp32",
    threads: int | None = None,
    channels_last: bool = False,
    compile: bool = False,
    backward: bool = False,
    budget: str | float = "30s",
    reference: int | str = 0,
    cuda_graph: bool = False,
    cold: bool = False,
    per_layer: bool = False,
    by_kind: bool = False,
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """Latency in ms on this machine, with 95 % intervals over processes and a verdict.

    Nothing is added to this machine's store. A script that calls it needs the usual
    ``if __name__ == "__main__":``.

    Args:
        models, input, batch, layout, example: specs, as `compare` takes them.
        device: cpu, cuda or cuda:NUMBER.
        dtype: fp32, fp16, bf16 or amp.
        threads: of torch on the cpu.
        backward: a training step, not inference.
        budget: time for all of it, such as ``"30s"``, or seconds.
        reference: the model that ratios are to, by number or by name.
        cuda_graph, cold: on cuda, also time a captured graph; flush the cache before each call.
        per_layer, by_kind: of one model, a row a layer or a kind of operation, from a profiler.

    Raises:
        SpecError: a model that is no spec, no time, or layers of several models.
        LatencyError, DeviceError: conditions that cannot be met here.
    """
    from archstat.measure.latency.conditions import Conditions
    from archstat.tables.bench import latency_table

    specs, size = specs_of(models), None if batch is None else int(batch)
    shapes = typed(with_words(input, layout, example)) or []
    conditions = Conditions(
        str(device), short_dtype(str(dtype)), size, threads=threads, channels_last=channels_last,
        compile=compile, backward=backward, cuda_graph=cuda_graph, cold=cold,
    ).checked()  # fmt: skip
    if per_layer or by_kind:
        if len(specs) > 1 or (per_layer and by_kind):
            raise SpecError("per_layer= or by_kind= takes one model: give one of them, and one.")
        from archstat.tables.bench_layers import layer_table

        return layer_table(specs[0], conditions, shapes, by_kind)
    run = latency_run(specs, conditions, parse_seconds(budget), shapes, reference)
    table = latency_table([run])
    return replace(table, shown=tuple(key for key in _BENCH if any(table.column(key))))


def audit(table: str | Path | Sequence[str], map: Mapping[str, str] | None = None) -> Table:
    """Somebody's table of models: a row a figure, with its `verdict` and the convention it follows.

    Args:
        table: a file in csv or markdown, or the lines of one.
        map: what columns hold, where their heads do not say so: ``{"flops": "Cost (G)"}``.

    Raises:
        SpecError: a table that cannot be read, or without models or figures.
    """
    from archstat.tables.audit import audit as judged
    from archstat.tables.audit import audit_table
    from archstat.tables.printed_table import printed_table, text_of

    text = text_of(str(table)) if isinstance(table, (str, Path)) else "\n".join(table)
    return audit_table(judged(printed_table(text, map), graph_of_spec))


def crosscheck(
    models: Models, input: Any = None, batch: int | None = None, *, deep: bool = False,
    layout: str | None = None, example: Any = None,
) -> Table:  # fmt: skip
    """Multiply-accumulates beside fvcore's and FlopCounterMode's, by kind or, `deep`, by module.

    Args:
        models, input, batch, layout, example: specs, as `compare` takes them; they run for real
            on cpu.

    Raises:
        CaptureError: a tool's process failed as a whole; see also `analyze`.
    """
    from archstat.tables.crosscheck import crosscheck as parts
    from archstat.tables.crosscheck import crosscheck_table

    asked = with_words(input, layout, example)
    return crosscheck_table(parts(specs_of(models), asked, batch, deep=deep))


def reconcile(
    model: str,
    *,
    macs: Printed = None,
    flops: Printed = None,
    params: Printed = None,
    activations: Printed = None,
    figure: Printed = None,
    source: str | None = None,
    input: Any = None,
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """Whose number is that: the conventions, inputs and forms that give exactly a printed figure.

    Args:
        model, input, layout, example: a spec, as `analyze` takes it.
        macs, flops, params, activations: figures as printed, such as ``"4.12G"``, one or several.
        figure: one of whatever it is.
        source: only ways in which this source counts, such as ``"timm"``.

    Returns:
        A row a way, those with the fewest assumptions first, then the nearest misses, whose
        `exact` is ``"no"``.

    Raises:
        SpecError: a model that is no spec, no figure, or an unknown source; see also `analyze`.
    """
    from archstat.tables.reconcile import reconcile_table
    from archstat.tables.ways import reconcile as search

    asked = asked_figures({"macs": macs, "flops": flops, "params": params,
                           "activations": activations, None: figure})  # fmt: skip
    (spec,) = specs_of([model])
    shapes = typed(with_words(input, layout, example))
    found = search(spec, asked, shapes, source, graph_of_spec)
    return replace(reconcile_table(found), shown=_RECONCILE)


def experiment(
    name: str,
    *,
    device: Any = "cpu",
    budget: str | float = "60s",
    batch: int | None = None,
    threads: int | None = None,
) -> Table:
    """An experiment of ShuffleNet V2 on this machine: speeds, verdicts, and the published ones.

    Args:
        name: g1 channel widths, g2 groups, g3 fragments, g4 element-wise operations, or separable.
        device, budget, threads: as `bench` takes them.
        batch: by default 8 on a GPU and 1 on a cpu.

    Raises:
        SpecError: no such experiment, or no time.
        LatencyError, DeviceError: conditions that cannot be met here.
    """
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.experiment_runs import run_experiment, with_batch
    from archstat.measure.latency.experiments import experiment_named
    from archstat.tables.experiment import experiment_table

    asked, seconds = experiment_named(name), parse_seconds(budget)
    conditions = with_batch(Conditions(str(device), batch=batch, threads=threads))
    table = experiment_table(run_experiment(asked, conditions, seconds))
    return replace(table, shown=tuple(key for key in _EXPERIMENT if any(table.column(key))))


def asked_figures(
    given: Mapping[Printable | None, Printed],
) -> list[Asked]:
    """The printed figures of each quantity, one or several; None is of an unknown one.

    Raises:
        SpecError: none, or one that is no figure.
    """
    from archstat.analyses.conventions.printed import parse_printed
    from archstat.tables.ways import Asked

    asked = []
    for quantity, figures in given.items():
        several = [figures] if isinstance(figures, (str, int)) else figures or ()
        asked += [Asked(parse_printed(str(figure)), quantity) for figure in several]
    if not asked:
        example = Option("macs", "4.12G")
        raise SpecError(f"there is no figure to explain: give one, such as {example}.")
    return asked

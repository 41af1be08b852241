"""The commands that measure, train or rebuild a model, as functions: they take specs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archstat.errors import Option, SpecError
from archstat.models.asked import asked_of
from archstat.models.pipeline import graph_of_spec
from archstat.result import Table
from archstat.tables.compare import Models, named, reference_row
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
) -> Table:
    """Bytes of a training step and of inference, a row a model; nothing is run on data.

    Args:
        models, input, batch: specs, as `compare` takes them.
        optimizer: sgd, momentum, adam or adamw.
        dtype: fp32, fp16, bf16, fp64 or torch's own; the model's by default.
        amp: fp32 weights under autocast.
        kernels: ``"cpu"`` or ``"cuda"``: whose to assume.
        fits: look for the largest batch that trains in such a size, as ``"24GiB"`` or in bytes.
        measure: also run the step on cpu, and give the allocator's peaks.
        device: with kernels of cuda, a GPU as `roofline` takes it: what is left of its memory.
        checkpoint: patterns of modules that keep only their inputs and run once more in backward,
            such as ``"layer*"``.

    Raises:
        SpecError: a model that is no spec, or settings that do not go together.
        CaptureError: the step raised, or the model has no backward pass.
    """
    from archstat.tables.memory import Step

    step = Step(optimizer, dtype, amp, kernels, fits, measure, device, checkpoint)
    return step.table([step.row(spec, typed(input), batch) for spec in specs_of(models)])


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
) -> Table:
    """Latency in ms on this machine, with 95 % intervals over processes and a verdict.

    Nothing is added to this machine's store. A script that calls it needs the usual
    ``if __name__ == "__main__":``.

    Args:
        models, input, batch: specs, as `compare` takes them.
        device: cpu, cuda or cuda:NUMBER.
        dtype: fp32, fp16, bf16 or amp.
        threads: of torch on the cpu.
        backward: a training step, not inference.
        budget: time for all of it, such as ``"30s"``, or seconds.
        reference: the model that ratios are to, by number or by name.

    Raises:
        SpecError: a model that is no spec, or no time.
        LatencyError, DeviceError: conditions that cannot be met here.
    """
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.runs import measure
    from archstat.tables.bench import latency_table

    specs, size = specs_of(models), None if batch is None else int(batch)
    conditions = Conditions(
        str(device), short_dtype(str(dtype)), size, threads=threads, channels_last=channels_last,
        compile=compile, backward=backward,
    )  # fmt: skip
    run = measure(specs, conditions.checked(), budget_s=_seconds(budget),
                  input=typed(input) or (), reference=reference_row(specs, reference))  # fmt: skip
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
    models: Models, input: Any = None, batch: int | None = None, *, deep: bool = False
) -> Table:
    """Multiply-accumulates beside fvcore's and FlopCounterMode's, by kind or, `deep`, by module.

    Args:
        models, input, batch: specs, as `compare` takes them; they run for real on cpu.

    Raises:
        CaptureError: a tool's process failed as a whole; see also `analyze`.
    """
    from archstat.tables.crosscheck import crosscheck as parts
    from archstat.tables.crosscheck import crosscheck_table

    return crosscheck_table(parts(specs_of(models), input, batch, deep=deep))


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
) -> Table:
    """Whose number is that: the conventions, inputs and forms that give exactly a printed figure.

    Args:
        model, input: a spec, as `analyze` takes it.
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
    found = search(spec, asked, typed(input), source, graph_of_spec)
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

    asked, seconds = experiment_named(name), _seconds(budget)
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


def specs_of(models: Models) -> list[str]:
    """The models, all of them specs.

    Raises:
        SpecError: one is a module or a Graph.
    """
    given = [model for _, model in named(models)]
    for model in given:
        if not isinstance(model, str):
            raise SpecError(
                f"a {type(model).__name__} was given where the model is built anew: give a spec, "
                "such as 'net.py:Net' or 'resnet50'."
            )
    return [str(model) for model in given]


def typed(input: Any) -> list[str] | None:
    """Shapes as they would be typed."""
    from archstat.frontends.inputs import input_specs

    asked = asked_of(input)
    shapes = [] if asked.shapes is None else [str(spec) for spec in input_specs(asked.shapes)]
    return [*shapes, *asked.words()] or None


def _seconds(budget: str | float) -> float:
    return parse_seconds(budget) if isinstance(budget, str) else float(budget)

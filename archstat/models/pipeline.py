"""`analyze`: the one place where front ends meet analyses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archstat.analyses import COLUMNS, analyses_with, analyzed
from archstat.analyses.fusion import Fusion
from archstat.analyses.memory_access import checked_fusion
from archstat.errors import BuildError, CaptureError, InputError, Option, SpecError
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph
from archstat.models.asked import asked_of, at_resolution, graph_at, laid_out, told, with_words
from archstat.models.sources import Source, find
from archstat.models.specs import Resolution, parse_batch, parse_spec
from archstat.result import Note, Report
from archstat.units import InputSpec

if TYPE_CHECKING:
    from torch import nn

    from archstat.models.variants import Variation

# The Graph of a spec at an input (None: its own) and a batch, as `graph_of_spec` gives it.
GraphOf = Callable[[str, Any, int | None], Graph]


def analyze(
    model: nn.Module | Graph | str,
    input: Any = None,
    batch: int | None = None,
    *,
    fusion: str = "none",
    layout: str | None = None,
    example: Any = None,
) -> Report:
    """Everything archstat counts of one model at one input.

    Args:
        model: a module, a spec such as ``"vgg16"`` or ``"nets/mine.py:Net,depth=50"``, or a Graph.
        input: shapes without the batch: ``"3x224x224"``, ``(3, 224, 224)``, a dict of them by
            argument name, or a list for several; ``{"batch": {"mask": "8x8:bool"}, "steps": 4}``
            is nested. By default the spec's, the network's own, or a guess that works, with a note.
        batch: put before every shape; 1 by default.
        fusion: ``"inference"`` counts memory access as after the fusion of an inference engine,
            ``"none"`` as of each op by itself.
        layout: a letter an axis of the input, such as ``"NHWC"`` or ``"BTF"``: which are batch (N
            or B), channels (C or F), time (T) and space (D, H, W, L).
        example: in place of `input`, a function that returns the inputs, or ``"FILE.py:NAME"``.

    Returns:
        A Report; `Report.totals` maps column keys to plain numbers, in elements, operations and
        bytes as each key says.

    Raises:
        SpecError, LookupFailedError, BuildError: the spec, or what it names, is wrong; or there is
            no such fusion.
        InputError: the model refuses the input, or none is known for it and no guess works.
        CaptureError: forward raised for another reason.
    """
    chosen = checked_fusion(fusion)
    with collection_paused():
        graph = graph_of(model, with_words(input, layout, example), batch)
        return report(graph, model if isinstance(model, str) else graph.name, chosen)


def graph_of(
    model: nn.Module | Graph | str,
    input: Any = None,
    batch: int | None = None,
    *,
    guesses: bool = True,
) -> Graph:
    """The Graph of whatever `analyze` takes, with its errors.

    With `guesses`, a model without any input runs with one that works, which its notes tell.
    """
    if batch is not None:
        batch = parse_batch(str(batch))
    if isinstance(model, Graph):
        asked = asked_of(input)
        return replace(told(model, asked, (), 1), call=model.call) if asked.layout else model
    if isinstance(model, str):
        return graph_of_spec(model, input, batch, guesses=guesses)
    from archstat.frontends.exported import is_exported
    from archstat.frontends.module import unwrapped

    root = unwrapped(model if is_exported(model) else _module(model))
    return _graph_of_module(root, type(root).__name__, input, batch or 1, guesses)


def _module(model: object) -> nn.Module:
    from torch import nn

    if isinstance(model, nn.Module):
        return model
    name = model.__name__ if isinstance(model, type) else type(model).__name__
    kind = f"The class {name}" if isinstance(model, type) else f"Something of type {name}"
    raise SpecError(f"{kind} is not a model: give a module, a spec or a Graph.")


def _graph_of_module(
    root: nn.Module, title: str, input: Any, batch: int, guesses: bool = True
) -> Graph:
    from archstat.frontends.inputs import own_inputs

    asked = asked_of(input).checked()
    specs = _given(asked.shapes) or own_inputs(root)
    return graph_at(root, title, specs, batch, None, guesses, asked)


def analyze_variants(
    model: nn.Module | Graph | str,
    input: Any = None,
    batch: int | None = None,
    *,
    fusion: str = "none",
) -> tuple[Report, ...]:
    """The Report of a model, then those of its variants: cheaper convolutions, learned pooling.

    A variant that would change nothing, or that the model's forward cannot run, has no Report;
    the model's own findings say so.

    Raises:
        SpecError: the model is a saved Graph, which has no modules; see also `analyze`.
    """
    if isinstance(model, Graph):
        raise SpecError(f"{model.name} is a Graph and has no modules: give the model itself.")
    from archstat.models.variants import VARIANTS, Variation

    own = analyze(model, input, batch, fusion=fusion)
    reports, notes = [], []
    for variant in VARIANTS:
        variation = Variation(variant, own.graph)
        title = f"{own.model} ({variant.name})"
        try:
            graph = _graph_of_variation(model, input, batch, variation, title)
        except (BuildError, CaptureError, InputError) as error:
            notes.append(f"{title} has no row, since it does not run: {error}")
            continue
        if variation.changed:
            reports.append(report(graph, title, checked_fusion(fusion)))
        else:
            notes.append(f"{title} has no row: there is no {variant.changes} to change.")
    findings = (Note("note", "", note) for note in notes)
    return (replace(own, findings=(*own.findings, *findings)), *reports)


def _graph_of_variation(
    model: nn.Module | str, input: Any, batch: int | None, variation: Variation, title: str
) -> Graph:
    if isinstance(model, str):
        return graph_of_spec(model, input, batch, variation, title)
    from archstat.frontends.building import build_for_real
    from archstat.frontends.module import unwrapped

    module = build_for_real(lambda: variation(unwrapped(model)))
    return _graph_of_module(module, title, input, batch or 1)


def graph_of_spec(
    text: str,
    input: Any = None,
    batch: int | None = None,
    variation: Callable[[nn.Module], nn.Module] | None = None,
    title: str | None = None,
    guesses: bool = True,
) -> Graph:
    """The Graph of the model that a spec names; `input` and `batch` yield to the spec's own.

    A `variation` changes the model before it is captured, and then goes by its own `title`;
    `input` may also be a Resolution.
    """
    # What a model prints while it is built and run must not get among the figures.
    with redirect_stdout(sys.stderr):
        source = find(parse_spec(text))
        if variation is not None:
            source = source.changed(variation)
        asked = asked_of(input)
        if source.spec.scheme != "python" and not (asked.example or source.spec.example):
            return _graph_of_source(source, input, batch, title or text, guesses)
        from archstat.frontends.process import process_kept

        # What one model's constructor sets must not change the figures of the next.
        with process_kept():
            return _graph_of_source(source, input, batch, title or text, guesses)


def _graph_of_source(
    source: Source, input: Any, batch: int | None, title: str, guesses: bool
) -> Graph:
    spec, asked = source.spec, asked_of(input)
    input, sizes = asked.shapes, spec.resolution
    asked = asked.of(spec)
    if isinstance(input, Resolution):
        if input.overrides or not (spec.input or spec.resolution):
            sizes = input.sizes
        input = None
    specs = (spec.input,) if spec.input is not None else _given(input)
    batch = spec.batch or (1 if batch is None else parse_batch(str(batch)))
    if spec.train_mode and (source.graph is not None or spec.scheme == "file"):
        raise SpecError(f"{spec.text}: a file has no training mode; leave train_mode= out.")
    if source.graph is not None:
        if sizes:
            raise InputError(f"{spec.text}: give the sizes of a file as a whole shape.")
        if asked.example and spec.scheme != "hf":
            instead = Option("input")
            raise InputError(f"{spec.text} takes no {Option('example')}; give shapes by {instead}.")
        if not asked.example:
            specs = laid_out(specs, asked.layout)
            return told(source.graph(specs, batch), asked, specs, batch)
    module = source.build()
    specs = specs or source.default_inputs(module)
    if sizes:
        specs = at_resolution(spec.text, specs, sizes, asked.layout)
    from archstat.frontends.guard import in_training

    ours = spec.scheme in ("zoo", "file") and not asked.example
    with in_training(spec.train_mode, ours):
        graph = graph_at(module, title, specs, batch, source, guesses, asked)
    return replace(graph, notes=(*graph.notes, _TRAINING)) if spec.train_mode else graph


_TRAINING = "counted in training mode: batch norm uses the batch's statistics, dropout drops"


def _given(input: Any) -> tuple[InputSpec, ...]:
    if input is None:
        return ()
    from archstat.frontends.inputs import input_specs

    return input_specs(input)


def report(
    graph: Graph, model: str, fusion: Fusion = "none", keys: Collection[str] | None = None
) -> Report:
    """The Report of a Graph: every analysis in order, or those alone that give some of the keys."""
    columns = [column for column in COLUMNS if keys is None or column.key in keys]
    wanted = {key for column in columns for key in (column.key, *(column.quotient or ()))}
    chosen = [one for one in analyses_with(fusion) if any(c.key in wanted for c in one.columns)]
    analyses = tuple(analyzed(analyzer, graph) for analyzer in chosen)
    notes = [Note("note", "", f"{model}: {note}") for note in graph.notes]
    unknown = [f for analysis in analyses for f in analysis.findings]
    return Report(model, graph.input_text, COLUMNS, analyses, (*unknown, *notes), graph)

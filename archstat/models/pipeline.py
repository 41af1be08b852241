"""`analyze`: the one place where front ends meet analyses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archstat.analyses import COLUMNS, analyses_with, analyzed
from archstat.analyses.fusion import Fusion
from archstat.analyses.memory_access import checked_fusion
from archstat.errors import ArchstatError, BuildError, CaptureError, InputError, SpecError
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.models.sources import Source, find
from archstat.models.specs import Resolution, parse_batch, parse_spec
from archstat.result import Note, Report
from archstat.units import InputSpec, format_bytes, format_shape

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
        graph = graph_of(model, input, batch)
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
        return model
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
    from archstat.frontends.inputs import input_specs, own_inputs

    specs = input_specs(input) if input is not None else own_inputs(root)
    if not specs:
        return _guessed(root, title, batch, None, guesses)
    return _captured(root, title, specs, batch, None)


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
        raise SpecError(f"{model.name} is a Graph, whose modules are gone: give the model itself.")
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
        if source.spec.scheme != "python":
            return _graph_of_source(source, input, batch, title or text, guesses)
        from archstat.frontends.process import process_kept

        # What one model's constructor sets must not change the figures of the next.
        with process_kept():
            return _graph_of_source(source, input, batch, title or text, guesses)


def _graph_of_source(
    source: Source, input: Any, batch: int | None, title: str, guesses: bool
) -> Graph:
    spec = source.spec
    sizes = spec.resolution
    if isinstance(input, Resolution):
        if input.overrides or not (spec.input or spec.resolution):
            sizes = input.sizes
        input = None
    specs = (spec.input,) if spec.input is not None else _given(input)
    batch = spec.batch or (1 if batch is None else parse_batch(str(batch)))
    if source.graph is not None:
        if spec.train_mode:
            raise SpecError(f"{spec.text}: a file has no training mode; leave train_mode= out.")
        if sizes:
            raise InputError(f"{spec.text}: the sizes of a file are given as a whole shape.")
        return source.graph(specs, batch)
    module = source.build()
    specs = specs or source.default_inputs(module)
    if sizes:
        specs = _at_resolution(spec.text, specs, sizes)
    from archstat.frontends.guard import in_training

    with in_training(spec.train_mode):
        if not specs:
            graph = _guessed(module, title, batch, source, guesses)
        else:
            graph = _captured(module, title, specs, batch, source)
    return replace(graph, notes=(*graph.notes, _TRAINING)) if spec.train_mode else graph


_TRAINING = "counted in training mode: batch norm uses the batch's statistics, dropout drops"


def _given(input: Any) -> tuple[InputSpec, ...]:
    if input is None:
        return ()
    from archstat.frontends.inputs import input_specs

    return input_specs(input)


def _captured(
    module: nn.Module, title: str, specs: tuple[InputSpec, ...], batch: int, source: Source | None
) -> Graph:
    from archstat.frontends.inputs import Call, one_each, tensors_for, working_inputs
    from archstat.frontends.module import capture_call, unwrapped

    root = unwrapped(module)
    args, kwargs = tensors_for(specs, batch, root)
    try:
        return capture_call(root, args, kwargs, title)
    except CaptureError as error:
        cause: BaseException = error.__cause__ or error
        refused: ArchstatError = error
        if source is not None and source.spec.scheme != "zoo":
            # Whether it is for want of numbers or because of the input, a real run tells; the
            # zoo's networks never want numbers.
            try:
                return _for_real(root, args, kwargs, title, source, shortened(cause))
            except ArchstatError as failed:
                refused = error if isinstance(failed, BuildError) else failed
        working = working_inputs(root, batch, specs)
        several = one_each(root, specs) if working is None else None
        if several is not None:
            told = f"{error}. Give a shape for each input, such as {Call(several)}"
            raise InputError(told) from cause
        if working is None or working == specs:
            raise refused from cause
        own = source is not None and (source.spec.input or source.spec.resolution)
        option = None if source is None else source.size_option(root)
        meaning = _meant(specs[0], working, bool(own), option)
        raise InputError(f"{error}. {meaning}") from cause


def _for_real(
    root: nn.Module, args: Any, kwargs: Any, title: str, source: Source, reason: str
) -> Graph:
    """The Graph of a model built with real weights, where there is memory for them.

    Raises:
        InputError: there is not.
        CaptureError: forward raises here, too.
    """
    from archstat.frontends.building import free_bytes
    from archstat.frontends.module import capture_call, unwrapped

    own = {id(t): t for t in (*root.parameters(), *root.buffers())}
    needed, free = sum(t.numel() * t.element_size() for t in own.values()), free_bytes()
    if needed > free:
        raise InputError(
            f"{title} cannot run on shapes alone ({reason}), and to run it for real takes "
            f"{format_bytes(needed)} for its weights; {format_bytes(free)} are free. "
            "Give a smaller variant of it."
        )
    return capture_call(unwrapped(source.build_for_real()), args, kwargs, title)


def _guessed(
    module: nn.Module, title: str, batch: int, source: Source | None, guesses: bool
) -> Graph:
    """The Graph at an input that was guessed and works.

    Raises:
        InputError: none does, or somebody wants an input that is given.
    """
    from archstat.frontends.inputs import Call, one_each, working_inputs

    working = working_inputs(module, batch)
    if working is None:
        usual = (InputSpec((3, 224, 224)),)
        several = one_each(module, usual)
        wanted = "its shape" if several is None else "a shape for each input"
        call = Call(several or usual)
        raise InputError(f"{title} has no default input; give {wanted}, such as {call}")
    if not guesses:
        raise InputError(f"{title} has no default input; this model runs with: {Call(working)}")
    graph = _captured(module, title, working, batch, source)
    note = f"no input was given, so it ran with a guess that works: {Call(working)}"
    return replace(graph, notes=(*graph.notes, note))


def _meant(
    given: InputSpec, working: tuple[InputSpec, ...], is_specs_own: bool, option: str | None
) -> str:
    """A sentence on what works, and on what was probably meant by an input.

    `option` is what builds the network for another size of images.
    """
    from archstat.frontends.inputs import Call

    first = working[0]
    has_batch = given.shape[1:] == first.shape
    call: object = Call(working, given.shape[0] if has_batch else 1)
    if is_specs_own:
        call = " ".join(f"input={spec}" for spec in working) + " in place of the spec's own"
    if option and given.shape[:1] == first.shape[:1] and len(set(given.shape[1:])) == 1:
        built = f"MODEL,{option}={given.shape[-1]} builds it for this size"
        return f"{built}; as it is, it runs with: {call}"
    if has_batch:
        return f"Leave the batch out: {call}"
    if given.shape != first.shape and given.shape == (*first.shape[1:], *first.shape[:1]):
        return f"{format_shape(given.shape)} looks like channels last: did you mean {call}?"
    return f"This model runs with: {call}"


def _at_resolution(
    text: str, specs: tuple[InputSpec, ...], resolution: tuple[int, ...]
) -> tuple[InputSpec, ...]:
    axes = len(specs[0].shape) - 1 if specs else 0
    if len(resolution) not in (1, axes) or axes < 1:
        raise InputError(f"{text}: resolution= needs one size or one for each of {axes} axes.")
    sizes = resolution * axes if len(resolution) == 1 else resolution
    first = replace(specs[0], shape=(specs[0].shape[0], *sizes))
    return (first, *specs[1:])


def report(graph: Graph, model: str, fusion: Fusion = "none") -> Report:
    """The Report of a Graph: every analysis in order."""
    analyses = tuple(analyzed(analyzer, graph) for analyzer in analyses_with(fusion))
    notes = [Note("note", "", f"{model}: {note}") for note in graph.notes]
    unknown = [f for analysis in analyses for f in analysis.findings]
    return Report(model, graph.input_text, COLUMNS, analyses, (*unknown, *notes), graph)

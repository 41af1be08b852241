"""One model at what is asked of its inputs, and what to do where it refuses that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archstat.errors import ArchstatError, BuildError, CaptureError, InputError, Option
from archstat.graph import Graph, is_batch, positions
from archstat.hints import shortened
from archstat.models.asked import Asked, arguments_of, laid_out, told
from archstat.models.sources import Source
from archstat.units import InputSpec, format_bytes, format_shape

if TYPE_CHECKING:
    from torch import nn


def graph_at(
    root: nn.Module, title: str, specs: tuple[InputSpec, ...], batch: int, source: Source | None,
    guesses: bool, asked: Asked,
) -> Graph:  # fmt: skip
    """The Graph at the example, at inputs or, without either, at a guess."""
    specs = laid_out(specs, asked.layout)
    if asked.example:
        specs, graph = (), _of_example(root, title, asked.example, batch, source)
    elif specs:
        graph = _captured(root, title, specs, batch, source, asked.layout)
    else:
        graph = _guessed(root, title, batch, source, guesses, asked.layout)
    return told(graph, asked, specs, batch)


def _of_example(
    root: nn.Module, title: str, example: Any, batch: int, source: Source | None
) -> Graph:
    from archstat.frontends.module import capture_call, unwrapped

    if batch > 1:
        raise InputError(f"{Option('example')} says the batch itself: leave {Option('batch')} out.")
    call = arguments_of(example)
    try:
        return capture_call(unwrapped(root), *call, title)
    except CaptureError as error:
        if source is None or source.spec.scheme == "zoo":
            raise
        try:
            return _for_real(root, *call, title, source, shortened(error.__cause__ or error))
        except BuildError:
            raise error from error.__cause__


def _captured(
    module: nn.Module, title: str, specs: tuple[InputSpec, ...], batch: int, source: Source | None,
    layout: str,
) -> Graph:  # fmt: skip
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
        working = working_inputs(root, batch, specs, layout)
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
    module: nn.Module, title: str, batch: int, source: Source | None, guesses: bool, layout: str
) -> Graph:
    """The Graph at an input that was guessed and works.

    Raises:
        InputError: none does, or somebody wants an input that is given.
    """
    from archstat.frontends.inputs import Call, one_each, working_inputs

    working = working_inputs(module, batch, (), layout)
    if working is None:
        usual = (InputSpec((3, 224, 224)),)
        several = one_each(module, usual)
        wanted = "its shape" if several is None else "a shape for each input"
        call = Call(several or usual)
        raise InputError(f"{title} has no default input; give {wanted}, such as {call}")
    if not guesses:
        raise InputError(f"{title} has no default input; this model runs with: {Call(working)}")
    graph = _captured(module, title, working, batch, source, layout)
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


def at_resolution(
    text: str, specs: tuple[InputSpec, ...], resolution: tuple[int, ...], layout: str
) -> tuple[InputSpec, ...]:
    shape = list(specs[0].shape) if specs else []
    places: Sequence[int] = range(1, len(shape))
    if layout:
        places = positions("".join(letter for letter in layout if not is_batch(letter)))
    axes = len(places)
    if len(resolution) not in (1, axes) or axes < 1 or max(places) >= len(shape):
        raise InputError(f"{text}: resolution= needs one size or one for each of {axes} axes.")
    for place, size in zip(places, resolution * (axes if len(resolution) == 1 else 1), strict=True):
        shape[place] = size
    return (replace(specs[0], shape=tuple(shape)), *specs[1:])

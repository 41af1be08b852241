"""What is asked of a model's inputs (shapes, their layout, an example), and the model at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

from archstat.analyses.kernels import samples
from archstat.errors import ArchstatError, BuildError, CaptureError, InputError, Option, SpecError
from archstat.graph import Graph, is_batch, parse_layout, positions
from archstat.hints import shortened
from archstat.models.sources import SHAPES_ALONE, Source, find
from archstat.models.specs import Resolution, Spec, parse_spec
from archstat.units import InputSpec, format_bytes, format_shape

if TYPE_CHECKING:
    from torch import nn

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_WORDS = ("layout", "example")
_NO_FUNCTION = "{} names no function; write FILE.py:NAME or MODULE:NAME."


@dataclass(frozen=True, slots=True)
class Asked:
    """`shapes` (None: the model's own), a `layout` as `parse_layout` gives it, and an `example`.

    An example is FILE.py:NAME or MODULE:NAME of what makes the inputs, or that function itself.
    """

    shapes: Any = None
    layout: str = ""
    example: Any = ""

    def words(self) -> Iterator[str]:
        """The layout and the example as texts, which may stand among those of shapes."""
        values = (self.layout, self.example)
        return (f"{word}:{value}" for word, value in zip(_WORDS, values, strict=True) if value)

    def of(self, spec: Spec) -> Asked:
        """With what a spec says itself, to which anything else yields.

        Raises:
            InputError: shapes and an example.
        """
        asked = replace(self, layout=spec.layout or self.layout)
        if spec.example:
            return replace(asked, shapes=None, example=spec.example)
        if spec.input is not None or spec.resolution:
            asked = replace(asked, example="")
        return asked.checked()

    def checked(self) -> Asked:
        """Itself.

        Raises:
            InputError: shapes and an example.
        """
        if self.example and self.shapes is not None:
            raise InputError(
                f"{Option('example')} makes the inputs: leave {Option('input')} and "
                f"{Option('resolution')} out."
            )
        return self


def asked_of(given: Any) -> Asked:
    """What `analyze(input=)` takes: shapes, among which ``layout:NHWC`` and such may stand.

    Raises:
        InputError: no such layout.
    """
    if isinstance(given, Asked):
        return given
    several = given if isinstance(given, (list, tuple)) else [given]
    texts = [one for one in several if _is_word(one)]
    if not texts:
        return Asked(given)
    shapes = [one for one in several if one not in texts]
    said = dict(text.split(":", 1) for text in texts)
    layout = parse_layout(said["layout"]) if "layout" in said else ""
    lone = len(shapes) == 1 and not isinstance(shapes[0], str)
    return Asked(shapes[0] if lone else shapes or None, layout, said.get("example", ""))


def with_words(input: Any, layout: str | None, example: Any) -> Any:
    """An input with a layout and an example beside it.

    Raises:
        InputError: no such layout, or an example without a name.
    """
    if layout is None and example is None:
        return input
    base = asked_of(input)
    if isinstance(example, str) and not example:
        raise InputError(_NO_FUNCTION.format(Option("example", "''")))
    return Asked(base.shapes, base.layout if layout is None else parse_layout(layout),
                 example or base.example)  # fmt: skip


def sized(input: Any, size: Resolution) -> Any:
    """Spatial sizes in place of those of a model's own input, with the words of an input.

    Raises:
        SpecError, InputError: the input has shapes, too, or an example.
    """
    asked = asked_of(input or None)
    if asked.shapes:
        raise SpecError(f"{Option('resolution')} takes no {Option('input')}: give one of them.")
    return replace(asked, shapes=size).checked() if input else size


def typed(input: Any) -> list[str] | None:
    """Shapes as they would be typed."""
    from archstat.frontends.inputs import input_specs

    asked = asked_of(input)
    shapes = [] if asked.shapes is None else [str(spec) for spec in input_specs(asked.shapes)]
    return [*shapes, *asked.words()] or None


def _is_word(one: Any) -> bool:
    return isinstance(one, str) and one.partition(":")[0] in _WORDS and ":" in one


# -- a layout -----------------------------------------------------------------------------------


def laid_out(specs: Sequence[InputSpec], layout: str) -> tuple[InputSpec, ...]:
    """Inputs of as many axes as a layout names, with the batch where it has it, or none."""
    own = [axis for axis, letter in enumerate(layout) if not is_batch(letter)]
    batch = next((axis for axis, letter in enumerate(layout) if is_batch(letter)), None)
    return tuple(
        replace(spec, batched=batch is not None, batch_axis=batch or 0)
        if layout and spec.batched and not spec.plain and len(spec.shape) == len(own)
        else spec
        for spec in specs
    )


def told(graph: Graph, asked: Asked, specs: Sequence[InputSpec], batch: int) -> Graph:
    """The Graph with its layout and batch, and how forward is called where shapes do not tell.

    Raises:
        InputError: no input has as many axes as the layout.
    """
    shapes = [graph.values[value].shape for value in graph.inputs]
    if asked.layout and len(asked.layout) not in map(len, shapes):
        raise InputError(
            f"{Option('layout', asked.layout)} names {len(asked.layout)} axes, batch included; "
            f"{graph.name} takes {', '.join(map(format_shape, shapes)) or 'no input'}."
        )
    call = tuple(Asked(example=asked.example).words()) if isinstance(asked.example, str) else ()
    if any(spec.plain or spec.numbers for spec in specs):
        call = tuple(str(replace(spec, shape=spec.with_batch(batch), batched=False))
                     for spec in specs)  # fmt: skip
    held = batch if any(one.batched and not one.plain for one in specs) else graph.batch
    return replace(graph, layout=asked.layout, call=call, batch=held)


# -- an example ---------------------------------------------------------------------------------


def arguments_of(example: Any) -> Arguments:
    """Positional and named arguments: what an example is or, called, returns.

    A tensor is the one input, a tuple or list has the positional ones, a dict those by name; a
    tuple and a dict in a pair are both.

    Raises:
        InputError: it raised, or what it returns is no input.
        LookupFailedError, SpecError, OptionError: the name leads to nothing that can be called.
    """
    name = example if isinstance(example, str) else getattr(example, "__name__", repr(example))
    try:
        made = _made(example)
        args, kwargs = _as_call(made)
        holds = _holds_tensors((args, kwargs))
    except ArchstatError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{Option('example', name)} raised {shortened(error)}.") from error
    if not holds:
        raise InputError(
            f"{Option('example', name)} returned {type(made).__name__}, which holds no tensor; "
            "return what forward takes: a tensor, a tuple of arguments or a dict of them by name."
        )
    return args, kwargs


def _made(example: Any) -> Any:
    if not isinstance(example, str):
        return example() if callable(example) else example
    spec = parse_spec(example)
    if spec.scheme != "python":
        raise InputError(_NO_FUNCTION.format(Option("example", example)))
    return find(spec).factory()


def _as_call(made: Any) -> Arguments:
    if isinstance(made, Mapping):
        return (), {str(name): value for name, value in made.items()}
    if not isinstance(made, (tuple, list)):
        return (made,), {}
    if len(made) == 2 and isinstance(made[0], (tuple, list)) and isinstance(made[1], dict):
        return tuple(made[0]), {str(name): value for name, value in made[1].items()}
    return tuple(made), {}


def _holds_tensors(tree: Any) -> bool:
    from archstat.frontends.trees import tensors

    return any(True for _ in tensors(tree))


# -- a model at what is asked -------------------------------------------------------------------


def graph_at(
    root: nn.Module, title: str, specs: tuple[InputSpec, ...], batch: int, source: Source | None,
    guesses: bool, asked: Asked,
) -> Graph:  # fmt: skip
    """The Graph at the example, at inputs or, without either, at a guess."""
    from archstat.frontends.inputs import own_inputs

    specs = laid_out(specs, asked.layout)
    if asked.example:
        specs, graph = (), _of_example(root, title, asked.example, batch, source)
    elif specs:
        graph = _captured(root, title, specs, batch, source, asked.layout)
    else:
        specs, graph = _guessed(root, title, batch, source, guesses, asked.layout)
    graph = told(graph, asked, specs, batch)
    # Without a batch by somebody's word; a program's own sizes are nobody's.
    has_none = specs and graph.batch is None and not own_inputs(root)
    return replace(graph, batch=samples(graph) or 1) if has_none else graph


def _of_example(
    root: nn.Module, title: str, example: Any, batch: int, source: Source | None
) -> Graph:
    from archstat.frontends.module import capture_call, unwrapped

    if batch > 1:
        raise InputError(f"{Option('example')} sets the batch itself: leave {Option('batch')} out.")
    call = arguments_of(example)
    try:
        return capture_call(unwrapped(root), *call, title)
    except CaptureError as error:
        if not _may_want_numbers(source):
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
        if _may_want_numbers(source):
            # Whether it is for want of numbers or because of the input, a real run tells.
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


def _may_want_numbers(source: Source | None) -> TypeGuard[Source]:
    """Whether a model that fails on shapes alone is to be run for real; the zoo's never want it."""
    return source is not None and source.spec.scheme != "zoo" and not SHAPES_ALONE.get()


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
) -> tuple[tuple[InputSpec, ...], Graph]:
    """An input that was guessed and works, and the Graph at it.

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
    note = f"no input was given; it ran with a guess that works: {Call(working)}"
    return working, replace(graph, notes=(*graph.notes, note))


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

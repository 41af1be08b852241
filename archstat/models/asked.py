"""What is asked of a model's inputs: shapes, the layout of their axes, an example of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archstat.errors import ArchstatError, InputError, Option
from archstat.graph import Graph, is_batch, parse_layout
from archstat.hints import shortened
from archstat.models.specs import Spec, parse_spec
from archstat.units import InputSpec, format_shape

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
    """The Graph with its layout, and with how forward is called where shapes do not tell that.

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
    return replace(graph, layout=asked.layout, call=call)


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
            f"{Option('example', name)} gives a {type(made).__name__} without any tensor; it must "
            "return what forward takes: a tensor, a tuple of arguments or a dict of them by name."
        )
    return args, kwargs


def _made(example: Any) -> Any:
    if not isinstance(example, str):
        return example() if callable(example) else example
    from archstat.models.sources import find

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

"""The tensors a model is run on: from input specs, and guesses for a model that has none."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from archstat.errors import AT_COMMAND_LINE, InputError, Option
from archstat.frontends.exported.program import ProgramModule
from archstat.frontends.module import capture_on
from archstat.graph import is_batch
from archstat.hints import did_you_mean
from archstat.units import InputSpec, Step, is_path, parse_input

Inputs = tuple[InputSpec, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Inputs, and a batch above 1, as somebody gives them who runs a model.

    As a text they are options of a command or arguments of a function, according to who reads.
    """

    inputs: tuple[InputSpec, ...]
    batch: int = 1

    def __str__(self) -> str:
        batch = [Option("batch", self.batch)] if self.batch > 1 else []
        if AT_COMMAND_LINE.get():
            return " ".join(map(str, (*(Option("input", spec) for spec in self.inputs), *batch)))
        values = [spec.shape if spec.batched and spec.dtype is None
                  else str(replace(spec, name=None)) for spec in self.inputs]  # fmt: skip
        named = {spec.name: value for spec, value in zip(self.inputs, values, strict=True)}
        several = named if None not in named else values
        shown = values[0] if len(values) == 1 and None in named else several
        return ", ".join(map(str, (Option("input", shown), *batch)))


def tensors_for(
    specs: Sequence[InputSpec], batch: int, root: nn.Module
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments: meta tensors, the batch in front, nested as paths say.

    An input without a dtype takes that of the model's first floating-point parameter; one whose
    numbers are told is a real tensor on cpu.

    Raises:
        InputError: a name that forward does not take, a shape larger than any tensor, or paths
            that contradict each other.
    """
    parameters = _parameters_of(root)
    _check_names(specs, root, parameters)
    default = next(
        (p.dtype for p in root.parameters() if p.is_floating_point()), torch.get_default_dtype()
    )
    made = [_made(_as_taken(spec, parameters), batch, default) for spec in specs]
    return arguments([spec.name for spec in specs], made)


def arguments(
    names: Sequence[str | None], values: Sequence[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of values by name; a path leads into a dict, list or tuple.

    Raises:
        InputError: paths that contradict each other, or leave places out.
    """
    positional: list[Any] = []
    parts: dict[str, list[_Part]] = {}
    for name, value in zip(names, values, strict=True):
        if name is None:
            positional.append(value)
        else:
            spec = InputSpec((), name=name)
            parts.setdefault(str(spec.argument), []).append((spec.steps, value))
    return tuple(positional), {name: _nested(name, found) for name, found in parts.items()}


_Part = tuple[tuple[Step, ...], Any]


def _nested(path: str, parts: Sequence[_Part]) -> Any:
    """The container that values at steps below a path make; a lone value at no step is itself."""
    if len(parts) == 1 and not parts[0][0]:
        return parts[0][1]
    kinds = {steps[0][0] if steps else None for steps, _ in parts}
    if len(kinds) > 1 or None in kinds:
        raise InputError(
            f"{path} is given twice, or in two ways: give it once, or in parts that are all keys "
            f"({path}.KEY), all places of a list ({path}[0]) or all of a tuple ({path}(0))."
        )
    below: dict[Any, list[_Part]] = {}
    for ((_, key), *steps), value in parts:
        below.setdefault(key, []).append((tuple(steps), value))
    kind: Any = parts[0][0][0][0]
    if kind is dict:
        return {key: _nested(f"{path}.{key}", found) for key, found in below.items()}
    if sorted(below) != list(range(len(below))):
        missing = min(set(range(len(below))) - below.keys())
        raise InputError(f"{path}: place {missing} is missing; give every place from 0.")
    return kind(_nested(f"{path}[{place}]", below[place]) for place in range(len(below)))


def _parameters_of(root: nn.Module) -> Mapping[str, inspect.Parameter]:
    """What forward takes by name; nothing where that cannot be told or it takes any name."""
    try:
        parameters = inspect.signature(root.forward).parameters
    except (TypeError, ValueError):
        return {}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {} if takes_any else parameters


def _check_names(
    specs: Sequence[InputSpec], root: nn.Module, parameters: Mapping[str, inspect.Parameter]
) -> None:
    for name in (spec.argument for spec in specs if parameters):
        if name is not None and name not in parameters:
            spec = next(spec for spec in specs if spec.argument == name)
            raise InputError(
                f"{spec}: forward of {type(root).__name__} has no argument {name!r}."
                f"{did_you_mean(name, parameters)} It takes {', '.join(parameters) or 'none'}."
            )


_NUMBERS = {"int", "float", "bool"}


def _as_taken(spec: InputSpec, parameters: Mapping[str, inspect.Parameter]) -> InputSpec:
    """A whole number by itself is a number where forward says that it takes one, else a shape."""
    taken = parameters.get(spec.name or "")
    if taken is None or spec != InputSpec(spec.shape, name=spec.name) or len(spec.shape) != 1:
        return spec
    words = set(re.findall(r"\w+", inspect.formatannotation(taken.annotation)))
    is_annotated = words & _NUMBERS and words <= _NUMBERS | {"None", "Optional", "Union", "typing"}
    if is_annotated or isinstance(taken.default, (int, float)):
        return InputSpec((), None, spec.name, False, (), spec.shape)
    return spec


def _made(spec: InputSpec, batch: int, default: torch.dtype) -> Any:
    if spec.plain:
        return spec.plain[0]
    shape = spec.with_batch(batch)
    usual = torch.int64 if len(spec.numbers) > 1 else default
    dtype = getattr(torch, spec.dtype) if spec.dtype else usual
    try:
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        return _filled(tensor, *spec.numbers) if spec.numbers else tensor
    except (RuntimeError, TypeError, OverflowError) as error:
        raise InputError(
            f"{spec} at batch={batch} is too large for any tensor, or for its dtype; give smaller "
            "sizes or numbers."
        ) from error


_MOST_NUMBERS = 2**26


def _filled(tensor: torch.Tensor, low: float, high: float | None = None) -> torch.Tensor:
    if tensor.numel() > _MOST_NUMBERS:
        raise OverflowError(f"{tensor.numel()} numbers")
    real = torch.full(tensor.shape, low, dtype=tensor.dtype)
    if high is None:
        return real
    torch.full((), high - 1, dtype=tensor.dtype)  # the highest must fit as well
    steps = torch.arange(tensor.numel()).remainder(int(high - low))
    return (steps + int(low)).to(tensor.dtype).reshape(tensor.shape)


def input_specs(given: Any) -> Inputs:
    """What `analyze(input=)` takes, as specs: a string, a tuple of sizes, a dict, or several.

    Raises:
        InputError: anything else.
    """
    if isinstance(given, InputSpec):
        return (given,)
    if isinstance(given, str):
        return (parse_input(given),)
    if isinstance(given, torch.Tensor):
        raise InputError(
            "input= takes a shape without the batch, such as (3, 224, 224); for tensors use "
            "archstat.capture(model, tensor) and analyze the Graph it returns."
        )
    if isinstance(given, Mapping):
        return tuple(spec for name, item in given.items() for spec in _named(name, item))
    if isinstance(given, (tuple, list)) and given != [] and all(map(_is_size, given)):
        if any(size < 1 for size in given):
            raise InputError(f"input={given!r}: every size must be at least 1.")
        return (InputSpec(tuple(map(int, given))),)
    if isinstance(given, (tuple, list)) and not any(map(_is_size, given)):
        return tuple(spec for item in given for spec in input_specs(item))
    raise InputError(f"input={given!r} is neither a shape such as '3x224x224' nor a tuple or dict.")


def _is_size(size: object) -> bool:
    """Whether it is a whole number, of Python or of numpy."""
    return hasattr(size, "__index__") and not isinstance(size, (bool, torch.Tensor))


def own_inputs(root: nn.Module) -> Inputs:
    """The inputs that a program was exported for; none of any other module."""
    return root.own_inputs() if isinstance(root, ProgramModule) else ()


def _named(name: str, item: Any) -> Iterator[InputSpec]:
    """The specs of what a name stands for, nested as it may be."""
    if not (isinstance(name, str) and is_path(name)):
        raise InputError(f"input={{{name!r}: ...}}: give a name of an argument of forward.")
    if isinstance(item, str):
        yield parse_input(f"{name}={item}")
    elif item is None or isinstance(item, (bool, int, float)):
        yield InputSpec((), None, name, False, (), (item,))
    elif isinstance(item, Mapping):
        for key, inner in item.items():
            yield from _named(f"{name}.{key}", inner)
    elif isinstance(item, (list, tuple)) and not all(map(_is_size, item)):
        for place, inner in enumerate(item):
            path = f"{name}[{place}]" if isinstance(item, list) else f"{name}({place})"
            yield from _named(path, inner)
    else:
        yield from (replace(spec, name=name) for spec in input_specs(item))


def working_inputs(
    root: nn.Module, batch: int, refused: Inputs = (), layout: str = ""
) -> Inputs | None:
    """Inputs that the model's forward really accepts, guessed from its first layer and tried.

    Those like the `refused` ones come first: with the batch left out, the channels in front or
    the right number of them, at the same spatial sizes. With a `layout`, all are of its axes.
    """
    names, only_by_name = _required_arguments(root)
    first = _first_layer(root)
    near = (*_near(first, refused), *_candidates(root))
    for shape in _of_layout(first, layout) if layout else near:
        by_name = len(names) > 1 or only_by_name
        specs = tuple(
            replace(shape, name=name if by_name else None)
            for name in (names if by_name else names[:1])
        )
        args, kwargs = tensors_for(specs, batch, root)
        try:
            capture_on(torch.device("meta"), root, args, kwargs, "trial")
        except Exception:  # a guess that forward refuses, in whatever way it likes
            continue
        return specs
    return None


def one_each(root: nn.Module, given: Inputs) -> Inputs | None:
    """An input for each argument of a forward that takes more than were given; None of others."""
    names, _ = _required_arguments(root)
    named = {spec.argument for spec in given if spec.name is not None}
    bare = [spec for spec in given if spec.name is None]
    like = [spec for spec in given if not spec.plain][-1:]
    if not like or len(names) <= max(1, len(named) + len(bare)):
        return None
    rest = [name for name in names if name not in named]
    shapes = [*bare, *like * (len(rest) - len(bare))]
    added = (replace(one, name=name) for one, name in zip(shapes, rest, strict=True))
    return (*(spec for spec in given if spec.name is not None), *added)


def _required_arguments(root: nn.Module) -> tuple[list[str], bool]:
    """Arguments without a default, and whether any of them is taken by keyword alone."""
    try:
        parameters = inspect.signature(root.forward).parameters.values()
    except (TypeError, ValueError):
        return ["x"], False
    kinds = {
        p.name: p.kind
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    return list(kinds) or ["x"], inspect.Parameter.KEYWORD_ONLY in kinds.values()


def _first_layer(root: nn.Module) -> nn.Module | None:
    return next((m for m in root.modules() if type(m) in _SHAPES), None)


_AXES = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


def _near(first: Any, refused: Inputs) -> Iterator[InputSpec]:
    """Shapes for this first layer that somebody may have meant by the refused one."""
    if first is None or not refused or not refused[0].shape:
        return
    sizes, dtype = refused[0].shape, refused[0].dtype
    if isinstance(first, nn.Embedding):
        yield from (InputSpec(sizes, "int64"), InputSpec(sizes[1:] or sizes, "int64"))
        return
    axes = _AXES.get(type(first))
    if axes is None:
        width = first.in_features if isinstance(first, nn.Linear) else first.input_size
        yield InputSpec((*sizes[:-1], width), dtype)
        return
    if len(sizes) == axes + 2:
        sizes = sizes[1:]
        yield InputSpec(sizes, dtype)
    if len(sizes) == axes + 1 and sizes[-1] == first.in_channels:
        yield InputSpec((sizes[-1], *sizes[:-1]), dtype)
    if len(sizes) in (axes, axes + 1):
        yield InputSpec((first.in_channels, *sizes[-axes:]), dtype)


def _of_layout(first: Any, layout: str) -> Iterator[InputSpec]:
    """Shapes of a layout's axes for this first layer."""
    widths = (getattr(first, name, None) for name in ("in_channels", "in_features", "input_size"))
    channels = next((width for width in widths if isinstance(width, int)), 3)
    batch = [axis for axis, letter in enumerate(layout) if is_batch(letter)]
    dtype = "int64" if isinstance(first, nn.Embedding) else None
    for side in (224, 32, 28, 64, 299, 16):
        sizes = {"C": channels, "F": channels, "T": 16 if "W" in layout else 128}
        shape = tuple(sizes.get(letter, side) for letter in layout if not is_batch(letter))
        yield InputSpec(shape, dtype, batched=bool(batch), batch_axis=sum(batch))


def _candidates(root: nn.Module) -> Iterator[InputSpec]:
    first = _first_layer(root)
    for shape in _SHAPES[type(first)](first) if first is not None else ():
        yield InputSpec(shape)
    if first is None or isinstance(first, nn.Embedding):
        for length in (128, 16):
            yield InputSpec((length,), "int64")
    for side in (224, 32):
        yield InputSpec((3, side, side))
    yield InputSpec((1, 28, 28))


_SHAPES: Mapping[type | None, Any] = {
    nn.Conv1d: lambda m: [(m.in_channels, n) for n in (1000, 16000)],
    nn.Conv2d: lambda m: [(m.in_channels, n, n) for n in (224, 32, 28, 227, 299, 64, 512)],
    nn.Conv3d: lambda m: [(m.in_channels, 16, 112, 112), (m.in_channels, 8, 32, 32)],
    nn.Linear: lambda m: [
        (m.in_features,),
        (128, m.in_features),
        *((c, n, n) for c in (1, 3) for n in (28, 32, 224) if c * n * n == m.in_features),
    ],
    nn.LSTM: lambda m: [(128, m.input_size)],
    nn.GRU: lambda m: [(128, m.input_size)],
    nn.RNN: lambda m: [(128, m.input_size)],
    nn.Embedding: lambda m: [],
}

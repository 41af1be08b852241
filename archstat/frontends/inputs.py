"""The tensors a model is run on: from input specs, and guesses for a model that has none."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from archstat.errors import InputError
from archstat.frontends.exported.program import ProgramModule
from archstat.frontends.module import capture_on
from archstat.hints import did_you_mean
from archstat.units import InputSpec, parse_input

Inputs = tuple[InputSpec, ...]


def tensors_for(
    specs: Sequence[InputSpec], batch: int, root: nn.Module
) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
    """Meta tensors for positional and for named inputs, the batch in front.

    An input without a dtype takes that of the model's first floating-point parameter.

    Raises:
        InputError: a name that forward does not take, or a shape larger than any tensor.
    """
    _check_names(specs, root)
    default = next(
        (p.dtype for p in root.parameters() if p.is_floating_point()), torch.get_default_dtype()
    )
    made = [_made(spec, batch, default) for spec in specs]
    positional = tuple(t for t, spec in zip(made, specs, strict=True) if spec.name is None)
    named = {spec.name: t for t, spec in zip(made, specs, strict=True) if spec.name is not None}
    return positional, named


def _check_names(specs: Sequence[InputSpec], root: nn.Module) -> None:
    try:
        parameters = inspect.signature(root.forward).parameters
    except (TypeError, ValueError):
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for spec in specs:
        if spec.name is not None and spec.name not in parameters:
            hint = did_you_mean(spec.name, parameters)
            raise InputError(
                f"{spec}: forward of {type(root).__name__} has no argument {spec.name!r}.{hint} "
                f"It takes {', '.join(parameters) or 'none'}."
            )


def _made(spec: InputSpec, batch: int, default: torch.dtype) -> torch.Tensor:
    shape = spec.with_batch(batch)
    dtype = getattr(torch, spec.dtype) if spec.dtype else default
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except (RuntimeError, TypeError, OverflowError) as error:
        raise InputError(
            f"{spec} at batch={batch} is larger than any tensor; give smaller sizes."
        ) from error


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
        return tuple(_named(name, item) for name, item in given.items())
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


def _named(name: str, item: Any) -> InputSpec:
    specs = input_specs(item)
    if len(specs) != 1:
        raise InputError(f"input={{{name!r}: {item!r}}}: give one shape a name.")
    (spec,) = specs
    return InputSpec(spec.shape, spec.dtype, name, spec.batched)


def working_inputs(root: nn.Module, batch: int, refused: Inputs = ()) -> Inputs | None:
    """Inputs that the model's forward really accepts, guessed from its first layer and tried.

    Those like the `refused` ones come first: with the batch left out, the channels in front or
    the right number of them, at the same spatial sizes.
    """
    names, only_by_name = _required_arguments(root)
    for shape in (*_near(_first_layer(root), refused), *_candidates(root)):
        by_name = len(names) > 1 or only_by_name
        specs = tuple(
            InputSpec(shape.shape, shape.dtype, name if by_name else None, shape.batched)
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
    if len(names) <= max(1, len(given)):
        return None
    shapes = [*given, *given[-1:] * (len(names) - len(given))]
    return tuple(replace(one, name=name) for one, name in zip(shapes, names, strict=True))


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

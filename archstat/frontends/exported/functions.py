"""What the steps of a program call: torch's operators, and Python's functions of sizes.

Nothing else is called, whatever a file says.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.frontends.recurrent import MODES

_META = torch.device("meta")
_Settings = dict[str, Any]
# Of Python's own functions, those that programs compute sizes with.
_OF_SIZES = frozenset({
    "eq", "ne", "le", "ge", "lt", "gt", "neg", "pos", "mul", "add", "sub", "floordiv", "mod", "pow",
    "truediv", "and_", "or_", "lshift", "rshift", "getitem",
})  # fmt: skip
_OF_NUMBERS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "math.trunc": math.trunc, "math.ceil": math.ceil, "math.floor": math.floor, "round": round,
    "torch.sym_float": float, "torch.sym_int": int, "torch.sym_not": operator.not_,
    "torch.sym_max": max, "torch.sym_min": min, "torch.sym_sqrt": math.sqrt,
})  # fmt: skip
# They ask for the numbers of a tensor, or hold nothing that anybody counts.
_CHECKS = (["_assert_tensor_metadata"], ["_assert_scalar"], ["_assert_async"],
           ["sym_constrain_range"], ["sym_constrain_range_for_size"])  # fmt: skip


def function_named(target: str) -> Callable[..., Any] | None:
    """What a node of a program calls; None for checks, which compute nothing.

    Raises:
        ValueError: not an operator that makes tensors or computes sizes; none other is called.
    """
    if target in _OF_NUMBERS:
        return _OF_NUMBERS[target]
    library, _, name = target.rpartition(".")
    if library == "_operator" and name in _OF_SIZES:
        of_sizes: Callable[..., Any] = getattr(operator, name)
        return of_sizes
    parts = target.removeprefix("torch.ops.").split(".")
    if len(parts) == 2 and parts[0] == "higher_order":
        return region_named(parts[1])
    if len(parts) != 3 or parts[0] not in _LIBRARIES:
        raise ValueError(f"it calls {target}, which archstat does not")
    if is_check(target):
        return None
    function: Callable[..., Any] = seen_as(".".join(parts), _overload(*parts))
    return function


def is_check(target: str) -> bool:
    """Whether an operator, by its name, only checks what it is given."""
    return target.removeprefix("torch.ops.").split(".")[1:2] in _CHECKS


def needs_functions(function: Any) -> bool:
    """Whether the capture knows what a function does by the function alone."""
    return function in _SEEN_FUNCTIONS


def seen_as(name: str, operator: Any) -> Any:
    """An operator, or Python's function for it where the capture looks at functions."""
    return _FUNCTIONS.get(name, operator)


def _overload(library: str, name: str, overload: str) -> Any:
    found = getattr(getattr(getattr(torch.ops, library), name, None), overload, None)
    schema = getattr(found, "_schema", None)
    if schema is None:
        raise ValueError(f"torch has no operator {library}.{name}.{overload}")
    makes = any("Tensor" in str(made.type) for made in schema.returns)
    if any(a.name == "filename" for a in schema.arguments) or not (
        makes or name.startswith("sym_") or name in ("item", "_local_scalar_dense")
    ):
        raise ValueError(f"it calls {library}.{name}, which makes no tensor")
    takes = any("Tensor" in str(a.type) for a in schema.arguments)
    return found if takes else _bounded(found)


# Tensors that programs make of numbers are real while they are small, as they are in eager Python.
_SMALL = 1 << 20


def _bounded(factory: Any) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        if _largest(args) > _SMALL:
            kwargs["device"] = _META
        return factory(*args, **kwargs)

    return make


def _largest(args: Any) -> float:
    numbers = [math.prod(a) if isinstance(a, list) else a for a in args
               if isinstance(a, (int, float)) or (isinstance(a, list) and a)]  # fmt: skip
    return max(map(abs, numbers), default=0)


def _region(*args: Any) -> Any:
    """What a region returns that runs under another setting: its function, called in place."""
    at = next(place for place, item in enumerate(args) if callable(item))
    return args[at](*args[at + 1 :])


def _autocast(device: str, dtype: Any, enabled: bool, cached: Any, inside: Any, *args: Any) -> Any:
    with torch.autocast(device, dtype, enabled):
        return inside(*args)


def region_named(name: str) -> Callable[..., Any]:
    """A higher-order operator by its name.

    Raises:
        ValueError: one that the capture has no rule for.
    """
    if name in _REGIONS:
        return _REGIONS[name]
    if name not in ("cond", "while_loop", "map_impl", "scan", "flex_attention"):
        raise ValueError(f"it calls the higher-order operator {name}, which archstat does not")
    found: Callable[..., Any] = getattr(torch.ops.higher_order, name)
    return found


_LIBRARIES = frozenset({"aten", "prims", "quantized", "quantized_decomposed", "torchvision"})
_REGIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"wrap_with_set_grad_enabled": _region, "wrap_with_autocast": _autocast}
)
_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "aten.scaled_dot_product_attention.default": torch.nn.functional.scaled_dot_product_attention,
    **{f"aten.{name}.input": getattr(torch, name) for name in MODES},
})  # fmt: skip
_SEEN_FUNCTIONS = frozenset(_FUNCTIONS.values())


def clean_path(path: str) -> str:
    """The path of a module; a further call of it carries a number behind ``@``."""
    return path.partition("@")[0].removeprefix("L['self']").lstrip(".")


def as_layer(
    step: Callable[..., Any], args: tuple[Any, ...], type_name: str, own: Mapping[str, str]
) -> tuple[type[nn.Module], _Settings] | None:
    """The layer of torch.nn that does what a step does, and its settings; None where none does.

    `type_name` is that of the module that takes the step, and `own` has what this calls its
    tensors, by the names of their values.
    """
    kind, settings_of = _LAYERS.get((type_name, step), (None, None))
    if kind is None or settings_of is None:
        return None
    held = [own.get(getattr(argument, "name", "")) for argument in args[1:]]
    settings = settings_of(args, held)
    return None if settings is None else (kind, settings)


def _of_convolution(args: tuple[Any, ...], held: list[str | None], axes: int) -> _Settings | None:
    bare = held[:1] == ["weight"] and (len(args) == 2 or args[2] is None)
    if not bare and held[:2] != ["weight", "bias"]:
        return None
    defaults: tuple[Any, ...] = ([1] * axes, [0] * axes, [1] * axes, 1)
    stride, padding, dilation, groups = (*args[3:], *defaults[max(len(args) - 3, 0) :])
    if not len(stride) == len(padding) == len(dilation) == axes:
        return None
    stride, padding, dilation = tuple(stride), tuple(padding), tuple(dilation)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
            "padding_mode": "zeros"}  # fmt: skip


def _of_norm(args: tuple[Any, ...], held: list[str | None]) -> _Settings | None:
    if held[:4] != ["weight", "bias", "running_mean", "running_var"] or args[5] is not False:
        return None
    return {"momentum": args[6], "eps": args[7]}


def _of_activation(
    args: tuple[Any, ...], held: list[str | None], in_place: bool, further: tuple[float, ...] = ()
) -> _Settings | None:
    return {"inplace": in_place} if args[1:] == further else None


def _layers() -> Iterator[tuple[type[nn.Module], Any, Any]]:
    """Types of layers, each with its operator and what reads its settings."""
    aten = torch.ops.aten
    yield nn.Conv1d, aten.conv1d, partial(_of_convolution, axes=1)
    yield nn.Conv2d, aten.conv2d, partial(_of_convolution, axes=2)
    yield nn.Conv3d, aten.conv3d, partial(_of_convolution, axes=3)
    yield nn.BatchNorm2d, aten.batch_norm, _of_norm
    yield nn.BatchNorm3d, aten.batch_norm, _of_norm
    for in_place, end in ((False, ""), (True, "_")):
        plain = partial(_of_activation, in_place=in_place)
        yield nn.ReLU, getattr(aten, f"relu{end}"), plain
        yield nn.SiLU, getattr(aten, f"silu{end}"), plain
        yield nn.ReLU6, getattr(aten, f"hardtanh{end}"), partial(plain, further=(0.0, 6.0))
    yield nn.Sigmoid, aten.sigmoid, partial(_of_activation, in_place=False)


_LAYERS: Mapping[tuple[str, Any], tuple[type[nn.Module], Any]] = MappingProxyType({
    (f"{kind.__module__}.{kind.__qualname__}", packet.default): (kind, settings_of)
    for kind, packet, settings_of in _layers()
})  # fmt: skip

"""Formulas of one's own for operators of a library, and those given to torch's flop counter.

They hold in this process. What they say of an op becomes attributes of it, so that a saved Graph
keeps the figures where nobody registers anything.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from archstat.errors import CaptureError, SpecError
from archstat.graph import REGISTERED, REGISTERED_FREE, REGISTERED_MACS
from archstat.hints import shortened

Formula = Callable[..., int]


class _Own(NamedTuple):
    macs: Formula | None
    flops: Formula | None
    free: str


_OWN: dict[str, _Own] = {}
# Libraries whose ops have formulas in archstat, or none that anybody would register.
TORCHS_OWN = frozenset({"aten", "prim", "prims", "quantized", "torchvision", "profiler"})


def register_op(
    name: str,
    *,
    macs: Formula | None = None,
    flops: Formula | None = None,
    free: str = "",
) -> None:
    """Say what an operator costs in the captures that follow in this process.

    A formula is called as the operator is, with tensors that may be on meta, and returns a whole
    number. The latest registration of a name holds.

    Args:
        name: as in ``torch.library``: ``"mine::rotate"``.
        macs: multiply-accumulates of one call; without it there are none.
        flops: operations of one call, twice the macs by default.
        free: in place of formulas, why it costs nothing.

    Raises:
        SpecError: a name of another form or of torch's own, or not formulas or else a reason.
    """
    if not re.fullmatch(r"\w+::\w+", name):
        raise SpecError(f"{name!r} names no operator; write LIBRARY::NAME, such as mine::rotate.")
    library = name.partition("::")[0]
    if library in TORCHS_OWN:
        raise SpecError(
            f"{name}: archstat counts {library}'s operators itself; give one of your own."
        )
    if bool(free) == bool(macs or flops):
        raise SpecError(f"{name}: give macs= or flops= as functions, or free= with the reason.")
    _OWN[name] = _Own(macs, flops, free)


@contextmanager
def registering(ops: Sequence[Mapping[str, str]]) -> Iterator[None]:
    """Registrations for the time of a block, formulas as texts of a small arithmetic.

    Args:
        ops: what `register_op` takes: ``{"name": "mine::mix", "macs": "numel(x) * weight[0]"}``.

    Raises:
        SpecError: as `register_op`, or no formula.
    """
    before = dict(_OWN)
    try:
        for op in ops:
            name = op["name"]
            macs, flops = (formula_of(name, op[key]) if key in op else None
                           for key in ("macs", "flops"))  # fmt: skip
            register_op(name, macs=macs, flops=flops, free=op.get("free", ""))
        yield
    finally:
        _OWN.clear()
        _OWN.update(before)


def formula_of(name: str, text: str) -> Formula:
    """What computes a text from the arguments of an operator, by their names in its schema.

    Raises:
        SpecError: it is no formula.
    """
    tree, (library, _, operation) = _tree(name, text), name.partition("::")

    def formula(*args: Any, **kwargs: Any) -> int:
        import torch

        from archstat.frontends.torch_private import schema_of

        packet = getattr(getattr(torch.ops, library), operation)
        taken = schema_of(getattr(packet, packet.overloads()[0])).arguments
        given = {one.name: one.default_value for one in taken}
        named = given | dict(zip(given, args, strict=False)) | kwargs
        return int(_value(tree, named))

    return formula


_LONGEST = 500
_SIGNS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., int]] = {
    "numel": lambda tensor: int(tensor.numel()), "len": len, "min": min, "max": max,
}  # fmt: skip


def _tree(name: str, text: str) -> ast.expr:
    """A text of the small arithmetic, parsed; nothing else is in it.

    Raises:
        SpecError: something else is.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError(text)
        tree = ast.parse(text.strip(), mode="eval").body
        if not all(map(_is_known, ast.walk(tree))):
            raise ValueError(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SpecError(
            f"{name}: {text[:60]!r} is not a formula; write whole numbers, the operator's "
            "arguments by name (x[0] is a size of tensor x, numel(x) its elements), + - * // %, "
            "min, max and len, such as '2 * numel(x) * weight[0]'."
        ) from error
    return tree


def _is_known(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value):
            return type(value) is int
        case ast.Call(ast.Name(function), [_, *_], []):
            return function in _FUNCTIONS
        case ast.Name() | ast.Subscript(ast.Name()) | ast.BinOp() | ast.Load():
            return True
        case ast.UnaryOp(ast.USub(), ast.Constant()):
            return True
    return type(node) in (*_SIGNS, ast.USub)


def _value(node: ast.expr, given: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            if name not in given:
                raise ValueError(f"it has no argument {name}, but {', '.join(given)}")
            return given[name]
        case ast.UnaryOp(_, operand):
            return -_value(operand, given)
        case ast.Subscript(held, place):
            sizes = _value(held, given)
            return int(getattr(sizes, "shape", sizes)[_value(place, given)])
        case ast.Call(ast.Name(function), arguments):
            return _FUNCTIONS[function](*(_value(one, given) for one in arguments))
        case ast.BinOp(left, sign, right):
            numbers = _value(left, given), _value(right, given)
            if not all(type(number) is int for number in numbers):
                raise ValueError("it computes with whole numbers; x[0] is a size, numel(x) all")
            return _SIGNS[type(sign)](*numbers)
    raise ValueError(ast.unparse(node))


def name_of(packet: Any) -> str:
    """``mine::rotate`` for the operator ``torch.ops.mine.rotate``."""
    return str(packet).replace(".", "::", 1)


def has_formula(packet: Any) -> bool:
    """Whether anything is registered for an operator."""
    from torch.utils.flop_counter import flop_registry

    return packet in flop_registry or name_of(packet) in _OWN


def registered(packet: Any, args: Any, kwargs: Any, result: Any) -> dict[str, Any]:
    """What formulas say of a call of an op, as its attributes; nothing without a formula.

    Raises:
        CaptureError: a formula of one's own raised, or returned no number.
    """
    name = name_of(packet)
    own = _OWN.get(name)
    if own is None:
        from torch.utils.flop_counter import flop_registry

        formula = flop_registry.get(packet)
        flops = None if formula is None else int(formula(*args, **kwargs, out_val=result))
        return {} if flops is None else {REGISTERED: flops}
    if own.free:
        return {REGISTERED: 0, REGISTERED_FREE: own.free}
    macs = _number(name, own.macs, args, kwargs)
    flops = 2 * macs if own.flops is None else _number(name, own.flops, args, kwargs)
    return {REGISTERED: flops, REGISTERED_MACS: macs}


def _number(name: str, formula: Formula | None, args: Any, kwargs: Any) -> int:
    try:
        number = 0 if formula is None else formula(*args, **kwargs)
    except Exception as error:
        raise CaptureError(
            f"the formula registered for {name} raised {shortened(error)}; it is called as the "
            "operator is."
        ) from error
    if not isinstance(number, int) or number < 0:
        raise CaptureError(
            f"the formula registered for {name} returned {number!r}; it must return a whole number "
            "of operations."
        )
    return number

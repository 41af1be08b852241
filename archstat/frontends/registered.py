"""Formulas of one's own for operators of a library, and those given to torch's flop counter.

They hold in this process. What they say of an op becomes attributes of it, so that a saved Graph
keeps the figures where nobody registers anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
        raise SpecError(f"{name}: archstat counts {library}'s own; give an operator of yours.")
    if bool(free) == bool(macs or flops):
        raise SpecError(f"{name}: give macs= or flops=, which are functions, or else free=, why.")
    _OWN[name] = _Own(macs, flops, free)


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

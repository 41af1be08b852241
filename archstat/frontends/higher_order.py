"""Operators that take functions: branches, loops and flexible attention.

The functions of a branch or a loop run under the capture like any forward. On meta nobody has the
number that chooses a branch or ends a loop: there torch raises, and the capture runs for real.
"""

from __future__ import annotations

from typing import Any

from archstat.frontends.aten import Signature

FLEX_ATTENTION = Signature(
    target="flex_attention", kind="attention", names=("query", "key", "value", "score_mod"),
    defaults=(), rule=None, in_place=False, writes=frozenset(), window_axes=None, moves=False,
    detaches=False, reads_data=False, makes_empty=False, takes_tensors=True, composite=False,
    indexed=None,
)  # fmt: skip


def run_in_place(operator: Any, args: tuple[Any, ...]) -> Any:
    """The result of a branch or a loop, whose functions are called as they are written.

    Raises:
        NotImplementedError: no rule knows the operator.
    """
    name = str(operator)
    if name == "cond":
        chosen, true, false, operands = args[:4]
        return (true if bool(chosen) else false)(*operands)
    if name == "while_loop":
        goes_on, body, carried, constants = args[:4]
        while bool(goes_on(*carried, *constants)):
            carried = tuple(body(*carried, *constants))
        return carried
    raise NotImplementedError(f"the higher-order operator {name} has no rule")


def of_attention(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Query, key and value of flexible attention, and the function of its scores, if it has one."""
    changes = getattr(args[3], "__name__", "") != "_identity"
    return (*args[:3], changes)

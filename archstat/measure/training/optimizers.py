"""What torch's optimizers keep and allocate in a step, op by op.

The steps are written out, since calling torch.optim imports the compiler (0.7 s); a test holds
states and peak of each against the real optimizer. Of torch's ways to update the parameters,
`foreach` takes all of them at once, with temporaries for all, as it does on a GPU unless told
otherwise; `each` one after the other, as on cpu; and `fused` in one kernel, without temporaries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch

from archstat.errors import OptionError
from archstat.hints import did_you_mean

_Tensors = Sequence[torch.Tensor]
Way = Literal["each", "foreach", "fused"]
_Step = Callable[[_Tensors, _Tensors, Sequence[_Tensors], Way], None]
# What torch's own argument says: foreach=False alone is one parameter after the other.
_WAYS: Mapping[str, Way] = MappingProxyType(
    {"fused=true": "fused", "foreach=true": "foreach", "foreach=false": "each"}
)


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A name, how many tensors it keeps for each parameter, its step, and the way if chosen."""

    name: str
    states: int
    step: _Step
    way: Way | None = None

    def new_states(self, parameters: _Tensors) -> tuple[list[torch.Tensor], ...]:
        """The tensors it keeps, as they are after its first step."""
        return tuple([zeros(p) for p in parameters] for _ in range(self.states))


def optimizer_named(name: str) -> Optimizer:
    """The optimizer of that name, such as ``adamw`` or ``adamw,fused=true``.

    Raises:
        OptionError: none of sgd, momentum, adam and adamw, or no argument of torch's for the way.
    """
    kind, _, argument = name.partition(",")
    for given, known, what in (
        (kind, OPTIMIZERS, "optimizer"),
        (argument or None, _WAYS, "argument"),
    ):
        if given is not None and given not in known:
            raise OptionError(f"There is no {what} {given!r}.{did_you_mean(given, known)} Known: "
                              f"{', '.join(known)}.")  # fmt: skip
    return replace(OPTIMIZERS[kind], way=_WAYS[argument]) if argument else OPTIMIZERS[kind]


def zeros(x: torch.Tensor) -> torch.Tensor:
    """A tensor like it that holds zeros, or on meta nothing."""
    made = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
    return made if made.is_meta else made.zero_()


def _sgd(parameters: _Tensors, grads: _Tensors, states: Sequence[_Tensors], way: Way) -> None:
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.add_(grad, alpha=-0.1)


def _momentum(parameters: _Tensors, grads: _Tensors, states: Sequence[_Tensors], way: Way) -> None:
    for parameter, grad, velocity in zip(parameters, grads, states[0], strict=True):
        velocity.mul_(0.9).add_(grad)
        parameter.add_(velocity, alpha=-0.1)


def _adam(parameters: _Tensors, grads: _Tensors, states: Sequence[_Tensors], way: Way) -> None:
    means, squares = states
    for grad, mean, square in zip(grads, means, squares, strict=True):
        mean.lerp_(grad, 0.1)
        square.mul_(0.999).addcmul_(grad, grad, value=0.001)
    if way == "fused":
        for parameter, mean, square in zip(parameters, means, squares, strict=True):
            parameter.addcdiv_(mean, square, value=-0.1)  # the root stays in the kernel
        return
    if way == "foreach":
        roots = [square.sqrt() for square in squares]
        for parameter, mean, root in zip(parameters, means, roots, strict=True):
            parameter.addcdiv_(mean, root.div_(0.1).add_(1e-8), value=-0.1)
        return
    for parameter, mean, square in zip(parameters, means, squares, strict=True):
        # As in torch, the last parameter's stays alive until this one's stands in its place.
        denominator = (square.sqrt() / 0.1).add_(1e-8)
        parameter.addcdiv_(mean, denominator, value=-0.1)


# AdamW's decay is in place, so that its memory is Adam's.
OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType(
    {
        "sgd": Optimizer("sgd", 0, _sgd),
        "momentum": Optimizer("momentum", 1, _momentum),
        "adam": Optimizer("adam", 2, _adam),
        "adamw": Optimizer("adamw", 2, _adam),
    }
)

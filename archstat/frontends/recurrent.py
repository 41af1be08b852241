"""Recurrent layers on meta, by the kernels that a device runs them by.

On meta torch unrolls every layer and multiplies step by step. Cpu has a oneDNN kernel for each
layer and direction of an LSTM; what that does not take it unrolls, but multiplies the inputs of
all steps at once. A GPU runs all layers by one cuDNN kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch.nn.functional import dropout, linear

# By the name of the function; the numbers are those of the kernels' `mode`.
MODES: Mapping[str, int] = MappingProxyType(
    {"rnn_relu": 0, "rnn_tanh": 1, "lstm": 2, "gru": 3},
)
_States = tuple[torch.Tensor, ...]
_Weights = tuple[torch.Tensor, ...]


class _Call(NamedTuple):
    """The arguments of `torch.lstm` and its like: x (t, b, i) or, `batch_first`, (b, t, i)."""

    x: torch.Tensor
    states: Any
    weights: Sequence[torch.Tensor]
    biases: bool
    layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def of_cells(self) -> list[_Weights]:
        """The weights of each layer and direction."""
        each = len(self.weights) // (self.layers * self.directions)
        flat = tuple(self.weights)
        return [flat[first : first + each] for first in range(0, len(flat), each)]

    def dropped(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        """What the next layer reads of the output of one."""
        drops = self.dropout and self.train and layer < self.layers - 1
        return dropout(x, self.dropout) if drops else x


def recurrence_on_meta(kernels: str, name: str, args: tuple[Any, ...]) -> tuple[Any, str]:
    """What a function of `MODES` returns, and the name of the kernel.

    None for packed sequences, whose lengths meta lacks, and for what is not on meta.
    """
    if len(args) != len(_Call._fields) or not isinstance(args[3], bool) or not args[0].is_meta:
        return None, "the device's own"
    call = _Call(*args)
    states: _States = tuple(call.states) if name == "lstm" else (call.states,)
    projected = name == "lstm" and len(call.of_cells()[0]) % 2 == 1
    if kernels == "cuda":
        return _by_cudnn(MODES[name], call, states, projected), "cuDNN"
    if name == "lstm" and not projected and call.x.dtype in (torch.float32, torch.bfloat16):
        return _by_onednn(call, *states), "oneDNN"
    y, *last = _unrolled(_CELLS[name], call, states)
    if call.batch_first:
        y = y.transpose(0, 1) if name == "lstm" else y.transpose_(0, 1)
    return (y, *last), "unrolled"


def _by_cudnn(mode: int, call: _Call, states: _States, projected: bool) -> tuple[Any, ...]:
    hidden, cell = states[0], states[1] if len(states) > 1 else None
    cells = call.of_cells()
    size = (hidden if cell is None else cell).shape[-1]
    flat = call.weights[0].detach()  # stands for the one block that a GPU keeps all weights in
    made = torch.ops.aten._cudnn_rnn(
        call.x, list(call.weights), len(cells[0]), flat, hidden, cell, mode, size,
        hidden.shape[-1] if projected else 0, call.layers, call.batch_first, call.dropout,
        call.train, call.bidirectional, [], None,
    )  # fmt: skip
    return tuple(made[: 1 + len(states)])


def _by_onednn(call: _Call, hidden: torch.Tensor, cell: torch.Tensor) -> tuple[Any, ...]:
    # As in C++, the copy of the input and the states of each layer stay until it returns.
    _given = x = (call.x.transpose(0, 1) if call.batch_first else call.x).contiguous()
    hidden, cell = hidden.contiguous(), cell.contiguous()
    cells, ends = call.of_cells(), []
    made = [x] * call.directions
    for layer in range(call.layers):
        for direction in range(call.directions):
            number = layer * call.directions + direction
            weights, begin = cells[number], (hidden[number], cell[number])
            if not call.biases:
                weights += _nothing(weights)
            y, *end = torch.ops.aten.mkldnn_rnn_layer(
                x, *weights, *begin, direction > 0, [], MODES["lstm"], hidden.shape[-1],
                call.layers, call.biases, call.bidirectional, call.batch_first, call.train,
            )[:3]  # fmt: skip
            made[direction] = y
            ends.append(end)
            del weights, begin, y, end
        x = call.dropped(made[0] if len(made) == 1 else torch.cat(made, -1), layer)
    last = [torch.stack(states, 0) for states in zip(*ends, strict=True)]
    return (x.transpose(0, 1) if call.batch_first else x, *last)


def _nothing(weights: _Weights) -> _Weights:
    """What oneDNN is given for biases: zeros, as many as there are weights."""
    made = [torch.zeros(w.shape, dtype=w.dtype, device=w.device) for w in reversed(weights)]
    return tuple(made[::-1])


def _unrolled(cell: Callable[..., _States], call: _Call, states: _States) -> tuple[Any, ...]:
    x = call.x.transpose(0, 1) if call.batch_first else call.x
    begins = list(zip(*(state.unbind(0) for state in states), strict=True))
    cells, ends = call.of_cells(), []
    for layer in range(call.layers):
        first = layer * call.directions
        x, last = _layer(cell, x, begins[first:], cells[first:], call)
        ends += last
        x = call.dropped(x, layer)
        del last
    stacks = [torch.stack(every, 0) for every in reversed(list(zip(*ends, strict=True)))]
    return (x, *stacks[::-1])


def _layer(
    cell: Callable[..., _States], x: torch.Tensor, begins: Any, cells: list[_Weights], call: _Call
) -> tuple[torch.Tensor, list[_States]]:
    """The states of all steps, those of both directions side by side, and the last of each."""
    made, ends = [], []
    every: list[Any] = []  # as in C++, what one direction made stays until the other is through
    for direction in range(call.directions):
        of_input, of_state, *more = cells[direction]
        biases, more = (more[:2], more[2:]) if call.biases else ([None, None], more)
        gates = linear(x, of_input, biases[0])
        steps, states, state = gates.unbind(0), [], begins[direction]
        for step in reversed(steps) if direction else steps:
            state = cell(step, state, of_state, biases[1], *more)
            states.append(state[0])
        every.append(states)
        del step
        made.append(torch.stack(states[::-1] if direction else states, 0))
        ends.append(state)
    return made[0] if len(made) == 1 else torch.cat(made, made[0].dim() - 1), ends


def _lstm(gates: Any, state: Any, weight: Any, bias: Any, projection: Any = None) -> _States:
    hidden, cell = state
    all_gates = linear(hidden, weight, bias).add_(gates)
    into, forget, new, out = all_gates.unsafe_chunk(4, 1)
    into, forget, new, out = into.sigmoid_(), forget.sigmoid_(), new.tanh_(), out.sigmoid_()
    cell = (forget * cell).add_(into * new)
    hidden = out * cell.tanh()
    return hidden if projection is None else linear(hidden, projection), cell


def _gru(gates: Any, state: Any, weight: Any, bias: Any) -> _States:
    of_input = gates.unsafe_chunk(3, 1)
    of_state = linear(state[0], weight, bias).unsafe_chunk(3, 1)
    reset = of_state[0].add_(of_input[0]).sigmoid_()
    update = of_state[1].add_(of_input[1]).sigmoid_()
    new = of_input[2].add(of_state[2].mul_(reset)).tanh_()
    return ((state[0] - new).mul_(update).add_(new),)


def _rnn(activation: Callable[[Any], torch.Tensor]) -> Callable[..., _States]:
    def cell(gates: Any, state: Any, weight: Any, bias: Any) -> _States:
        return (activation(linear(state[0], weight, bias).add_(gates)),)

    return cell


_CELLS: Mapping[str, Callable[..., _States]] = MappingProxyType({
    "rnn_relu": _rnn(torch.relu), "rnn_tanh": _rnn(torch.tanh), "lstm": _lstm, "gru": _gru,
})  # fmt: skip

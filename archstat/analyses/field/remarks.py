"""What receptive fields say of a design, one sentence each.

The layers that add nothing, the first whose field exceeds the input, the share of the input that
the centre output sees, and the single kernel that would see as much as a chain of convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from archstat.analyses.field import FieldRow, Fields
from archstat.analyses.field.steps import LayerStep, layer_steps, row_label, some
from archstat.units import format_shape, format_share

Interval = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class OneKernel:
    """A chain of convolutions beside one convolution of the same field, stride and padding.

    `formula` and `own_formula` are their weights as multiples of C^2, where every layer has C
    channels in and out and a single group; "" otherwise.
    """

    layers: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    own_weights: int
    weights: int
    own_macs: int
    macs: int
    own_formula: str
    formula: str

    @property
    def sentence(self) -> str:
        """The comparison in words; with formulas where channels do not matter."""
        shape = format_shape(self.kernel)
        own = self.own_formula or f"{self.own_weights:,}"
        one = self.formula or f"{self.weights:,}"
        return (
            f"These {self.layers} layers hold {own} weights; a single {shape} with the same "
            f"field holds {one}, {self.weights / self.own_weights:.2f} times as many."
        )


def one_kernel(fields: Fields) -> OneKernel | None:
    """The single convolution with the field of a chain; None where there is no such chain."""
    steps, final = layer_steps(fields), fields.final
    values = fields.graph.values
    chain = len(steps) > 1 and all(step.is_conv for step in steps)
    if not chain or steps[-1].row.value != final.value:
        return None
    kernel, stride, padding = (
        _whole(sizes)
        for sizes in (final.receptive_field, final.effective_stride, final.effective_padding)
    )
    if kernel is None or stride is None or padding is None or final.smallest != kernel:
        return None
    ops = [step.op for step in steps if step.op is not None]
    weights = [values[op.inputs[1]].shape for op in ops]
    entering, leaving = values[ops[0].inputs[0]].shape[1], values[final.value].shape[1]
    sizes = [prod(values[op.outputs[0]].shape[2:]) for op in ops]
    own = [prod(shape) for shape in weights]
    dense = all(shape[:2] == (entering, entering) for shape in weights)
    one = entering * leaving * prod(kernel)
    return OneKernel(
        layers=len(steps),
        kernel=kernel,
        stride=stride,
        padding=padding,
        own_weights=sum(own),
        weights=one,
        own_macs=sum(a * b for a, b in zip(own, sizes, strict=True)),
        macs=one * sizes[-1],
        own_formula=f"{sum(prod(s[2:]) for s in weights)} C^2" if dense else "",
        formula=f"{prod(kernel)} C^2" if dense else "",
    )


def _whole(sizes: Sequence[int | float | None]) -> tuple[int, ...] | None:
    if any(size is None or size != int(size) for size in sizes):
        return None
    return tuple(int(size) for size in sizes if size is not None)


def remarks(fields: Fields, sized: bool = True) -> Iterator[str]:
    """The sentences below a table of layers; `sized` is whether the input size was given."""
    steps = layer_steps(fields)
    yield from _final(fields)
    if sized:
        yield from _seen(fields)
        yield from _exceeds(fields, steps)
        yield from _lost(steps)
    yield from _adds_nothing(steps)
    yield from _global(fields)
    yield from dict.fromkeys(finding.text for finding in fields.findings)


def field_text(row: FieldRow) -> str:
    """The field as ``7x7``, or ``3..4x3..4`` where it differs from position to position."""
    sides = []
    for least, most in zip(row.smallest, row.receptive_field, strict=True):
        if most is None:
            sides.append("all")
        else:
            sides.append(str(most) if least in (most, None) else f"{least}..{most}")
    return "x".join(sides)


def interval_text(intervals: Sequence[Interval], sizes: Sequence[int]) -> str:
    """What a position sees, per axis: ``rows 0..5 and columns 3..9``."""
    names = {1: ("positions",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}
    parts = [
        f"{name} {interval[0]}..{interval[1]} of {size}" if interval else f"no {name}"
        for name, interval, size in zip(names[len(sizes)], intervals, sizes, strict=True)
    ]
    return ", ".join(parts)


def _final(fields: Fields) -> Iterator[str]:
    final = fields.final
    if not final.known or None in final.receptive_field:
        return
    unit = "positions" if fields.axes == 1 else "pixels"
    yield f"The last map, of {row_label(final)}, sees {field_text(final)} {unit} of the input."


def _seen(fields: Fields) -> Iterator[str]:
    final, sizes = fields.final, fields.input_sizes
    if not final.known:
        yield f"What the last map, of {row_label(final)}, sees is unknown."
        return
    centre = tuple(size // 2 for size in final.size)
    seen = final.interval(centre)
    whole = prod(sizes)
    pixels = prod(last - first + 1 for first, last in filter(None, seen)) if all(seen) else 0
    if pixels == whole:
        yield f"Its centre output sees all of the {format_shape(sizes)} input."
    else:
        share = format_share(pixels / whole)
        yield f"Its centre output sees {share} of the {format_shape(sizes)} input."


def _exceeds(fields: Fields, steps: Sequence[LayerStep]) -> Iterator[str]:
    for step in steps:
        sides = zip(step.row.receptive_field, fields.input_sizes, strict=True)
        if any(side is not None and side > size for side, size in sides):
            yield (
                f"{step.label} is the first layer whose field, {field_text(step.row)}, "
                f"exceeds the {format_shape(fields.input_sizes)} input."
            )
            return


def _lost(steps: Sequence[LayerStep]) -> Iterator[str]:
    losing = [step for step in steps if any(step.lost or ())]
    if losing:
        first = losing[0]
        who = f"Layer {first.label} does not tile its input"
        if len(losing) > 1:
            names = some([step.label for step in losing])
            who = f"{len(losing)} layers do not tile their input ({names}): in {first.label}"
        yield f"{who}: {first.lost_text}, so the end of the padded input is never read."


def _adds_nothing(steps: Sequence[LayerStep]) -> Iterator[str]:
    windows = [step for step in steps if _is_local(step)]
    idle = [step for step in windows if step.reached == step.row.receptive_field]
    points = [step for step in idle if max(step.row.kernel or (1,)) == 1]
    others = [step.label for step in idle if step not in points]
    if idle:
        reasons = [f"{len(points)} with 1x1 kernels" if len(points) > 3 else
                   some([step.label for step in points], None), some(others)]  # fmt: skip
        names = ", ".join(filter(None, reasons))
        yield f"{len(idle)} of {len(windows)} layers add nothing to the field: {names}."


def _is_local(step: LayerStep) -> bool:
    return (step.is_conv or step.is_pool) and None not in step.row.receptive_field


def _global(fields: Fields) -> Iterator[str]:
    name = fields.global_from
    if name is not None and fields.final.global_from and None not in fields.final.receptive_field:
        yield f"From {name} on, gates see the whole input; the fields leave gates out."
    elif name is not None:
        yield f"From {name} on, every output sees the whole input."

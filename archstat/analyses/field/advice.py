"""The textbook rules of sizing a convolutional network, each kept or broken, with the layers.

They are those of the CS231n notes (Stanford, "Layer Sizing Patterns"): an input divisible by 2 as
often as it is halved, odd kernels F with padding (F-1)/2, large kernels only first, pooling windows
of at most 3, no border lost by a stride. Habits, not laws: a good network may break one on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from archstat.analyses.field import Fields
from archstat.analyses.field.steps import LayerStep, layer_steps, some
from archstat.units import format_shape

Verdict = Literal["kept", "broken", "needs input", "no layer"]

LARGEST_LATER_KERNEL = 5
LARGEST_POOL = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """One rule: whether it is kept, the layers that break it, and the figure that says so."""

    rule: str
    verdict: Verdict
    layers: tuple[str, ...] = ()
    figure: str = ""


def advice(fields: Fields, sized: bool = True) -> tuple[Advice, ...]:
    """Every rule applied to a network; `sized` is whether its input size was really given."""
    steps = layer_steps(fields)
    return (
        _divisible(fields, steps, sized),
        _same_padding(steps),
        _large_first(steps),
        _small_pools(steps),
        _whole_strides(steps, sized),
    )


def _divisible(fields: Fields, steps: Sequence[LayerStep], sized: bool) -> Advice:
    rule = "input halves evenly"
    strides = _whole(fields)
    if max(strides) < 2:
        return Advice(rule, "no layer", figure="nothing is halved")
    needed = format_shape(strides) if len(set(strides)) > 1 else str(strides[0])
    if not sized:
        return Advice(rule, "needs input", figure=f"it must be a multiple of {needed}")
    sizes = format_shape(fields.input_sizes)
    if all(size % stride == 0 for size, stride in zip(fields.input_sizes, strides, strict=True)):
        return Advice(rule, "kept", figure=f"{sizes} is a multiple of {needed}")
    odd = next((step for step in steps if _halves_unevenly(step)), None)
    where = () if odd is None else (_before(odd),)
    return Advice(rule, "broken", where, f"{sizes} is not a multiple of {needed}")


def _whole(fields: Fields) -> tuple[int, ...]:
    """The effective stride of the final value, 1 where it is none or below one."""
    return tuple(
        int(step) if step is not None and step >= 1 and step == int(step) else 1
        for step in fields.final.effective_stride
    )


def _halves_unevenly(step: LayerStep) -> bool:
    if not (step.is_conv or step.is_pool) or step.before is None or step.row.stride is None:
        return False
    return any(size % s for size, s in zip(step.before, step.row.stride, strict=True))


def _before(step: LayerStep) -> str:
    return f"{step.label} (halves {format_shape(step.before or ())})"


def _same_padding(steps: Sequence[LayerStep]) -> Advice:
    rule = "odd kernels, padding (F-1)/2"
    convs = [step for step in steps if step.is_conv]
    broken = [step for step in convs if not _is_same(step)]
    if not broken:
        found = _kernels(convs)
        return Advice(rule, "kept" if convs else "no layer", figure=found)
    step = broken[0]
    pads = format_shape(step.row.padding or ())
    figure = f"{step.label}: kernel {step.kernel_text}, padding {pads}"
    return Advice(rule, "broken", _labels(broken), figure)


def _is_same(step: LayerStep) -> bool:
    pads = step.row.padding or (0,) * len(step.span)
    kernel = step.row.kernel or ()
    return all(
        size % 2 == 1 and 2 * pad == span - 1
        for size, span, pad in zip(kernel, step.span, pads, strict=True)
    )


def _large_first(steps: Sequence[LayerStep]) -> Advice:
    rule = f"kernels above {LARGEST_LATER_KERNEL} only first"
    convs = [step for step in steps if step.is_conv]
    broken = [s for s in convs[1:] if max(s.row.kernel or (0,)) > LARGEST_LATER_KERNEL]
    if not convs:
        return Advice(rule, "no layer")
    if not broken:
        return Advice(rule, "kept", figure=f"first {convs[0].kernel_text}")
    return Advice(rule, "broken", _labels(broken), f"kernels {_kernels(broken)}")


def _small_pools(steps: Sequence[LayerStep]) -> Advice:
    rule = f"pooling windows at most {LARGEST_POOL}"
    pools = [step for step in steps if step.is_pool]
    broken = [s for s in pools if max(s.row.kernel or (0,)) > LARGEST_POOL]
    if not pools:
        return Advice(rule, "no layer")
    verdict: Verdict = "broken" if broken else "kept"
    return Advice(rule, verdict, _labels(broken), f"windows {_kernels(broken or pools)}")


def _whole_strides(steps: Sequence[LayerStep], sized: bool) -> Advice:
    rule = "(W-F+2P)/S is whole"
    strided = [s for s in steps if (s.is_conv or s.is_pool) and max(s.row.stride or (1,)) > 1]
    if not strided:
        return Advice(rule, "no layer", figure="no strides")
    if not sized:
        return Advice(rule, "needs input")
    broken = [step for step in strided if any(step.lost or ())]
    if not broken:
        return Advice(rule, "kept", figure=f"{len(strided)} strided layers")
    figure = f"{broken[0].label}: {broken[0].lost_text}"
    return Advice(rule, "broken", _labels(broken), figure)


def _labels(steps: Sequence[LayerStep]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.label for step in steps))


def _kernels(steps: Sequence[LayerStep]) -> str:
    return some(list(dict.fromkeys(step.kernel_text for step in steps)), 4)

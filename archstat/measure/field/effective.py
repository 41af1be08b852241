"""The effective receptive field (Luo et al., NeurIPS 2016): where the gradient's mass lies.

The gradient of one output position, averaged over its channels, is taken back to the input; its
absolute value, summed over the input's channels, is averaged over random inputs. Of the pixels in
the theoretical field most matter little: the density falls off like a Gaussian.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import nn

from archstat.analyses.field import Fields
from archstat.analyses.field.rows import FieldRow, Interval
from archstat.analyses.field.steps import row_label
from archstat.errors import CaptureError, InputError, Option
from archstat.frontends.probing import followed
from archstat.hints import shortened
from archstat.measure.field.poisoning import Watch, ignored
from archstat.measure.field.real_runs import as_it_runs, positions_on, refuse_unknown
from archstat.models.real import (
    given_tensors,
    load_weights,
    ordinary,
    read_weights,
    real_module,
)

SHARES = (0.2, 0.3, 0.5, 0.99)
# Two standard deviations of a Gaussian hold this much of it; the rest is the paper's threshold.
_TWO_SIGMA = 0.9545

Density = tuple[tuple[float, ...], ...]


def _reach(shape: torch.Size, middle: Sequence[float]) -> torch.Tensor:
    """For each pixel, the side of the smallest square around the middle that holds it."""
    reach = torch.ones(shape)
    for axis, centre in enumerate(middle):
        away = 2 * (torch.arange(shape[axis]) - centre).abs() + 1
        view = [-1 if other == axis else 1 for other in range(len(shape))]
        reach = torch.maximum(reach, away.view(view))
    return reach


def sides_of(density: torch.Tensor, middle: Sequence[float]) -> dict[float, int]:
    """For each share, the side of the smallest square around the middle that holds it, pixels."""
    order = _reach(density.shape, middle).flatten()
    ascending, places = order.sort()
    mass = density.flatten()[places].cumsum(0)
    # Rounding may keep the last sum below the whole of it.
    wanted = [min(share * float(mass[-1]) * (1 - 1e-9), float(mass[-1])) for share in SHARES]
    return {
        share: round(float(ascending[int(torch.searchsorted(mass, amount))]))
        for share, amount in zip(SHARES, wanted, strict=True)
    }


def two_sigma_of(density: torch.Tensor, middle: Sequence[float]) -> float:
    """The paper's size: a square of as many pixels as exceed 1 - 95.45 % of the centre's."""
    reach = _reach(density.shape, middle)
    centre = float(density[reach == reach.min()].mean())
    # A stride may leave a gap in the very middle.
    centre = centre or float(density.max())
    count = int((density > (1 - _TWO_SIGMA) * centre).sum())
    return float(count ** (1 / density.dim()))


def rows_of_pixels(density: torch.Tensor) -> Density:
    """Rows of pixels, the largest 1; one row for one axis."""
    if density.dim() == 1:
        density = density.unsqueeze(0)
    while density.dim() > 2:
        density = density.sum(0)
    return tuple(tuple(row) for row in (density / density.max()).tolist())


@dataclass(frozen=True, slots=True)
class EffectiveField:
    """Where the gradient of the centre output lies, in input pixels.

    `sides` maps a share of the mass to the side of the smallest square (interval, cube) around
    the middle of the field that holds it. `two_sigma` is the side of a square of as many pixels as
    have more than 4.55 % of the centre's density, and `ratio` is that over the side of the
    `theoretical` field (the input's size on an axis that sees everything), of which the input
    holds `intervals` around `middle`. `density` holds rows of pixels, 1 the largest; further axes
    before the last two are summed away.
    """

    model: str
    at: str
    sizes: tuple[int, ...]
    position: tuple[int, ...]
    theoretical: tuple[int, ...]
    sides: Mapping[float, int]
    two_sigma: float
    ratio: float
    middle: tuple[float, ...]
    intervals: tuple[Interval, ...]
    density: Density
    samples: int
    weights: str


def effective_field(
    model: nn.Module | str,
    fields: Fields,
    row: FieldRow | None = None,
    *,
    weights: str | Path | None = None,
    samples: int = 16,
    seed: int = 0,
    watch: Watch = ignored,
) -> EffectiveField:
    """The effective field of the centre position of one value, on cpu.

    Args:
        model: the module, which is left untouched, or the spec that it is built from, initialised
            from `seed`.
        fields: the receptive fields of its Graph, whose input shapes are used.
        row: the value to differentiate; by default the final one of the fields.
        weights: a file with a state_dict for a spec's module.
        samples: how many random inputs to average over.
        watch: is told which share is done.

    Raises:
        BuildError: the spec does not build for real.
        InputError: the weights cannot be read or do not fit.
        CaptureError: forward raised on cpu, or no finite gradient reaches the input.
    """
    row = row or fields.final
    refuse_unknown(fields, row)
    if row.joined:
        raise InputError(
            f"{row_label(row)} joins values of several scales; measure one of them: give its layer "
            f"with {Option('at')}."
        )
    if weights is not None and not isinstance(model, str):
        raise InputError("weights= is for a model named by a spec: load them into your module.")
    state = None if weights is None else read_weights(Path(weights))
    root = real_module(model, seed)
    if state is not None:
        load_weights(root, state, str(weights))
    density = _density(root, *as_it_runs(root, fields, row), samples, seed, watch)
    centre = _centre(row)
    intervals = row.interval(centre)
    known = [
        pair or (0, size - 1) for pair, size in zip(intervals, fields.input_sizes, strict=True)
    ]
    middle = [(first + last) / 2 for first, last in known]
    pairs = zip(row.receptive_field, fields.input_sizes, strict=True)
    theoretical = tuple(size if field is None else field for field, size in pairs)
    two_sigma = two_sigma_of(density, middle)
    return EffectiveField(
        model=model if isinstance(model, str) else fields.graph.name,
        at=row.module or row.name,
        sizes=fields.input_sizes,
        position=centre,
        theoretical=theoretical,
        sides=sides_of(density, middle),
        two_sigma=round(two_sigma, 1),
        ratio=two_sigma / prod(theoretical) ** (1 / len(theoretical)),
        middle=tuple(middle),
        intervals=tuple(known),
        density=rows_of_pixels(density),
        samples=samples,
        weights=_described(model, weights, seed),
    )


def _described(model: nn.Module | str, weights: str | Path | None, seed: int) -> str:
    if weights is not None:
        return f"weights of {weights}"
    return f"random weights of seed {seed}" if isinstance(model, str) else "its own weights"


def _centre(row: FieldRow) -> tuple[int, ...]:
    return tuple(size // 2 for size in row.size)


def _density(
    root: nn.Module, fields: Fields, row: FieldRow, samples: int, seed: int, watch: Watch
) -> torch.Tensor:
    """The mean absolute gradient at each pixel, summed over channels, as float64."""
    number = fields.graph.inputs.index(fields.root)
    generator, whole = torch.Generator().manual_seed(seed), ordinary(root)
    total = torch.zeros(fields.input_sizes, dtype=torch.float64)

    def make(position: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if not dtype.is_floating_point:
            return whole(position, shape, dtype)
        made = torch.randn(shape, generator=generator).to(dtype)
        return made.requires_grad_(position == number)

    for sample in range(samples):
        args, kwargs = given_tensors(fields.graph, root, make)
        image = [*args, *kwargs.values()][number]
        found = _gradient(root, args, kwargs, image, fields, row).abs()
        total += found.sum([dim for dim in range(found.dim()) if dim not in fields.dims])
        watch((sample + 1) / samples)
    if not (total.isfinite().all() and total.sum() > 0):
        raise CaptureError(
            f"{fields.graph.name}: no finite gradient other than zero reaches the input from "
            f"{row.module or row.name}; give trained weights with {Option('weights')}."
        )
    return total / samples


def _gradient(
    root: nn.Module,
    args: tuple[torch.Tensor, ...],
    kwargs: dict[str, torch.Tensor],
    image: torch.Tensor,
    fields: Fields,
    row: FieldRow,
) -> torch.Tensor:
    title = fields.graph.name
    try:
        value = image if row.op is None else followed(root, args, kwargs, *_place(fields, row))
    except Exception as error:
        raise CaptureError(f"{title} does not run on cpu: {shortened(error)}") from error
    if value is None:
        raise CaptureError(
            f"{title}: {row.module or row.name} passes on no value that autograd can follow; "
            "measure another layer."
        )
    chosen = torch.ones(value.shape, dtype=torch.bool)
    for axis, index in enumerate(_centre(row)):
        chosen &= positions_on(row.layout, axis, value.shape) == index
    signal = chosen.to(value.dtype) / chosen.sum()
    (gradient,) = torch.autograd.grad(value, image, signal, allow_unused=True)
    found = torch.zeros_like(image) if gradient is None else gradient
    return found.detach().double()


def _place(fields: Fields, row: FieldRow) -> tuple[int, int]:
    assert row.op is not None
    return row.op, fields.graph.ops[row.op].outputs.index(row.value)

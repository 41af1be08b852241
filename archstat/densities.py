"""How a map of densities is summed up: sides that hold a share of the mass, and its width."""

from __future__ import annotations

from collections.abc import Sequence

import torch

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

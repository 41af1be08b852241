"""What the bytes alive in a training step are for, moment by moment, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator

from archstat.measure.training.live_bytes import Held, TrainingStep

# `held` categories of a trace, then what a kernel takes while it runs, and what is temporary.
CATEGORIES = ("parameters", "gathered", "gradients", "optimizer", "saved", "input", "buffers",
              "workspace", "other")  # fmt: skip
NO_MODULE = "(no module)"
_PLACES = {category: place for place, category in enumerate(CATEGORIES)}
Live = tuple[int, ...]  # bytes by category


def live_by_category(step: TrainingStep) -> Iterator[Live]:
    """The bytes alive at each moment of a step, in the order of `CATEGORIES`."""
    held = {one.number: _PLACES[one.category] for one in step.trace.held}
    other, workspace = _PLACES["other"], _PLACES["workspace"]
    live, place = [0] * len(CATEGORIES), 0
    for moment in step.moments:
        for number, nbytes in step.trace.events[place : moment.events]:
            live[held.get(number, other)] += nbytes
        place = moment.events
        live[workspace] = 0
        live[workspace] = moment.live_bytes - sum(live)
        yield tuple(live)


def makers(step: TrainingStep) -> dict[int, str]:
    """For each storage the module it belongs to, or else the one whose op made it."""
    found = {number: "" for number, _ in step.trace.events[: step.trace.given]}
    found |= {storage: step.moments[number].module for number, storage in step.made()}
    return {**found, **{one.number: one.module for one in step.trace.held if _is_owned(one)}}


def peak_by_module(step: TrainingStep) -> dict[str, Live]:
    """What is alive at the peak by module and category, the most first; "" has the rest."""
    peak, owners = step.peak, makers(step)
    held = {one.number: _PLACES[one.category] for one in step.trace.held}
    found: dict[str, list[int]] = {}
    for number, nbytes in step.trace.events[: peak.events]:
        of_module = found.setdefault(owners.get(number, ""), [0] * len(CATEGORIES))
        of_module[held.get(number, _PLACES["other"])] += nbytes
    taken = peak.live_bytes - sum(map(sum, found.values()))
    found.setdefault(peak.module, [0] * len(CATEGORIES))[_PLACES["workspace"]] += taken
    alive = {module: tuple(live) for module, live in found.items() if any(live)}
    return dict(sorted(alive.items(), key=lambda pair: -sum(pair[1])))


def _is_owned(held: Held) -> bool:
    return held.category in ("parameters", "gathered", "gradients", "optimizer")

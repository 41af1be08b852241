"""A training step of one of several devices that share weights, gradients and states.

ZeRO (arXiv 1910.02054) shares the optimizer's states (stage 1), gradients too (2), parameters too
(3). FSDP is stage 3, cut along the first axis of each parameter, for units that someone chooses. A
unit's parameters are whole while it runs, its gradients until its backward has ended; nothing is
fetched ahead. Activations are each device's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from torch import nn

from archstat.analyses.cuda_allocator import Event
from archstat.errors import Option, OptionError
from archstat.measure.training.live_bytes import Held, Moment, Trace, TrainingStep

_LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)
_STAGES = {"optimizer": 1, "gradients": 2, "parameters": 3}


@dataclass(frozen=True, slots=True)
class Sharding:
    """ZeRO's stage over so many devices; with `wrap`, FSDP, whose units these patterns name.

    FSDP without a pattern takes the elements of the model's outermost lists of modules.
    """

    stage: int
    devices: int
    wrap: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        name = "zero" if self.wrap is None else "fsdp"
        if self.stage not in (1, 2, 3):
            raise OptionError(f"There is no stage {self.stage} of {Option(name)}: give 1, 2 or 3.")
        if not isinstance(self.devices, int) or self.devices < 1:
            raise OptionError(f"{Option(name)} over {self.devices} devices: give a whole number "
                              "of at least 1.")  # fmt: skip


def units_of(
    modules: Sequence[tuple[nn.Module, Sequence[str]]], wrapped: Sequence[str] | None
) -> frozenset[str]:
    """The paths of the modules that FSDP gathers one by one, given those that were chosen."""
    if wrapped is not None:
        return frozenset(wrapped)
    found: list[str] = []
    for module, (path, *_) in modules:
        inside = any(path.startswith(f"{unit}.") for unit in found)
        if isinstance(module, _LISTS) and not inside and path not in found:
            found += [f"{path}.{name}" if path else name for name in module._modules]
    return frozenset(found)


def sharded(step: TrainingStep, sharding: Sharding, units: frozenset[str],
            accumulated: bool = False) -> TrainingStep:  # fmt: skip
    """What a device that has its share of the step needs.

    Args:
        step: the step of a device that has everything.
        sharding: what is shared by how many.
        units: of FSDP, by path; ZeRO's are the modules that hold parameters.
        accumulated: whether the gradients of earlier micro-batches are there already.
    """
    device = _Device(step, sharding, units, accumulated)
    moments = tuple(device.moments(step.moments))
    shares = {kind: sum(device.sizes[held.number] for held in step.trace.held
                        if held.category == kind) for kind in _STAGES
              if sharding.stage >= _STAGES[kind]}  # fmt: skip
    return replace(
        step,
        param_bytes=shares.get("parameters", step.param_bytes),
        gradient_bytes=shares.get("gradients", step.gradient_bytes),
        optimizer_bytes=shares["optimizer"],
        gathered_bytes=device.most_gathered,
        steady_bytes=sum(nbytes for _, nbytes in device.events[: device.given]),
        moments=moments,
        trace=Trace(tuple(device.events), device.given, step.trace.states, device.optimizer,
                    tuple(device.held)),
    )  # fmt: skip


def _shares(held: Sequence[Held], sharding: Sharding) -> Iterator[tuple[int, int]]:
    """For each storage its number, and the bytes of it on the device that has the most.

    FSDP cuts each tensor into whole rows. ZeRO cuts all elements, in a row, into equal parts.
    """
    most = sharding.devices
    ends = [0, *(-(-end // most) for end in accumulate(one.elements for one in held))]
    for n, one in enumerate(held):
        elements = ends[n + 1] - ends[n]
        if sharding.wrap is not None:
            elements = -(-one.rows // most) * (one.elements // max(1, one.rows))
        yield one.number, elements * one.itemsize


class _Device:
    """Goes through a step again, and makes the events of a device that has its share."""

    def __init__(self, step: TrainingStep, sharding: Sharding, units: frozenset[str],
                 accumulated: bool) -> None:  # fmt: skip
        self.trace, self.sharding = step.trace, sharding
        self.events: list[Event] = []
        self.optimizer = self.most_gathered = 0
        self.sizes: dict[int, int] = {}
        for kind, stage in _STAGES.items():
            if sharding.stage >= stage:
                found = [held for held in step.trace.held if held.category == kind]
                self.sizes.update(_shares(found, sharding))
        self._fsdp, self._accumulated = sharding.wrap is not None, accumulated
        self._called = {moment.module for moment in step.moments if moment.phase == "forward"}
        self._units, self._known = units, {"(root)": "", "": ""}
        self._next = step.trace.storages
        self._whole: dict[str, list[Held]] = {}
        self._gradients: dict[int, Held] = {}
        for held in step.trace.held:
            if held.category == "parameters" and sharding.stage == 3:
                self._whole.setdefault(self._unit(held.module), []).append(held)
            elif held.category == "gradients" and sharding.stage > 1:
                self._gradients[held.number] = held
        self._open: dict[str, list[Event]] = {}
        self._waiting: dict[str, list[Held]] = {}
        self._instead: dict[int, int] = {}
        self.held = [replace(one, nbytes=self.sizes.get(one.number, one.nbytes))
                     for one in step.trace.held if one.number not in self._gradients]  # fmt: skip
        self.held += self._gradients.values()
        for event in step.trace.events[: step.trace.given]:
            self._pass(event)
        if accumulated:
            for held in self._gradients.values():
                self._new(held, "gradients", self.sizes[held.number])
        self.given = len(self.events)

    def moments(self, before: Sequence[Moment]) -> Iterator[Moment]:
        """The moments, with the bytes that are alive on the device."""
        events, place = self.trace.events, self.trace.given
        whole = sum(nbytes for _, nbytes in events[:place])
        live, counted, unit, phase = 0, 0, None, ""
        if self._fsdp:
            self._gather("")
        for moment in before:
            start = place
            # What the op before was the last to use goes before anything is gathered.
            while place < moment.events and events[place][1] < 0:
                self._pass(events[place])
                place += 1
            if phase != moment.phase == "optimizer":
                self._close(*dict.fromkeys([*self._open, *self._waiting]))
                self.optimizer, unit = len(self.events), None
            elif moment.phase != "optimizer":
                now = self._unit(moment.module) if moment.module or unit is None else unit
                if now != unit:
                    if unit is not None and not (self._fsdp and unit == ""):
                        self._close(unit)
                    unit = now
                    self._gather(now)
            phase = moment.phase
            for event in events[place : moment.events]:
                self._pass(event)
            place = moment.events
            whole += sum(nbytes for _, nbytes in events[start:place])
            live += sum(nbytes for _, nbytes in self.events[counted:])
            counted = len(self.events)
            taken = moment.live_bytes - whole
            yield replace(moment, live_bytes=live + taken, events=counted)
        for event in events[place:]:
            self._pass(event)

    def _unit(self, module: str) -> str:
        """The unit that a module belongs to: the next above; of ZeRO, that is called itself."""
        if module not in self._known:
            own = module in (self._units if self._fsdp else self._called)
            self._known[module] = module if own else self._unit(module.rpartition(".")[0])
        return self._known[module]

    def _new(self, held: Held, category: str, nbytes: int) -> int:
        number, self._next = self._next, self._next + 1
        self.held.append(replace(held, number=number, category=category, nbytes=nbytes))
        self.events.append((number, nbytes))
        return number

    def _gather(self, unit: str) -> None:
        if unit in self._open or self.sharding.stage < 3:
            return
        whole = self._whole.get(unit, [])
        self._open[unit] = [(self._new(one, "gathered", one.nbytes), one.nbytes) for one in whole]
        gathered = sum(nbytes for opened in self._open.values() for _, nbytes in opened)
        self.most_gathered = max(self.most_gathered, gathered)

    def _close(self, *units: str) -> None:
        """What was gathered goes; of gradients that the unit has made, the share remains."""
        for unit in units:
            for held in self._waiting.pop(unit, []):
                size = self.sizes[held.number]
                share = self._new(held, "gradients", size)
                self.events.append((held.number, -held.nbytes))
                if self._accumulated:
                    self.events.append((share, -size))
                else:
                    self._instead[held.number] = share
            self.events += [(number, -nbytes) for number, nbytes in self._open.pop(unit, [])]

    def _pass(self, event: Event) -> None:
        number, nbytes = event
        if number in self._gradients:
            if nbytes > 0:
                held = self._gradients[number]
                self._waiting.setdefault(self._unit(held.module), []).append(held)
                self.events.append(event)
            elif (instead := self._instead.get(number)) is not None:
                self.events.append((instead, -self.sizes[number]))
            return
        if self.optimizer and number not in self.sizes and nbytes > 0:
            # A temporary of an optimizer that has its share of everything.
            self.sizes[number] = -(-nbytes // self.sharding.devices)
        size = self.sizes.get(number, abs(nbytes))
        self.events.append((number, size if nbytes > 0 else -size))

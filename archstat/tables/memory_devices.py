"""What `memory` says of several devices and of micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.errors import Option, SpecError
from archstat.frontends.trees import patterns_of
from archstat.measure.training.sharding import Sharding
from archstat.measure.training.step import Settings
from archstat.result import Column

SHARED_COLUMNS = (
    Column("gathered_bytes", "bytes", "the most of shared parameters that is whole at once",
           "lower"),
)  # fmt: skip


def sharding_of(
    zero: tuple[int, int] | None, fsdp: int | None, wrap: str | Sequence[str]
) -> Sharding | None:
    """What was asked for: `zero` is a stage and the number of devices, `fsdp` such a number.

    Raises:
        SpecError: settings that do not go together.
    """
    if zero is not None and fsdp is not None:
        raise SpecError(f"{Option('fsdp')} is stage 3 of {Option('zero')} with units of its own: "
                        "give one of the two.")  # fmt: skip
    if wrap and fsdp is None:
        raise SpecError(f"{Option('wrap')} names the units of {Option('fsdp')}: give it, too.")
    if fsdp is not None:
        return Sharding(3, fsdp, patterns_of("wrap", wrap))
    if zero is None:
        return None
    try:
        stage, devices = zero
    except (TypeError, ValueError) as error:
        raise SpecError(f"{Option('zero', zero)} is no stage and number of devices, such as "
                        f"{Option('zero', (2, 8))}.") from error  # fmt: skip
    return Sharding(stage, devices)


def gathers(settings: Settings) -> bool:
    """Whether parameters that lie in shares are whole for a while."""
    return settings.sharding is not None and settings.sharding.stage == 3


def _shared(sharding: Sharding) -> str:
    fsdp, stage = sharding.wrap is not None, sharding.stage
    parts = ("the optimizer's states", "gradients and states",
             "parameters, gradients and states")[stage - 1]  # fmt: skip
    name = "FSDP" if fsdp else f"ZeRO stage {stage}"
    whole = (
        "",
        " A module's gradients are whole until its backward has ended.",
        f" Each {'unit' if fsdp else 'module'}'s own parameters are whole while it runs, its "
        "gradients until its backward has ended.",
    )[stage - 1]
    one = f"one of {sharding.devices} devices" if sharding.devices > 1 else "the only device"
    return (f"{name}: {one}, which holds its share of {parts}; the batch "
            f"is the device's own, inference is of the whole model.{whole} Buffers for "
            "communication and what is fetched ahead are not included.")  # fmt: skip


def notes_of_devices(settings: Settings) -> list[str]:
    """The sentences about micro-batches and about what lies on each device."""
    yes: list[str] = []
    if settings.accumulate > 1:
        yes.append(f"{settings.accumulate} micro-batches of that size a step: the last one is "
                   "shown, with the gradients of those before; training_macs are of all."
                   )  # fmt: skip
    if settings.sharding is not None:
        yes.append(_shared(settings.sharding))
    return yes


def convention_of_devices(settings: Settings) -> dict[str, str]:
    """The settings, for csv and json."""
    sharding = settings.sharding
    found = {"accumulate": str(settings.accumulate)} if settings.accumulate > 1 else {}
    if sharding is None:
        return found
    kind = "fsdp" if sharding.wrap is not None else f"zero {sharding.stage}"
    return {**found, "sharding": f"{kind} over {sharding.devices} devices"}

"""What the measuring processes are told and tell, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.measurement import Machine
from archstat.measure.latency.rounds import Round
from archstat.measure.latency.sampling import Plan

Message = Mapping[str, Any]
# The argument of a process that works for a command, whose messages name options.
TYPED = "typed"


@dataclass(frozen=True, slots=True)
class Request:
    """What a process is to build: models by spec, their inputs, the conditions."""

    specs: tuple[str, ...]
    input: tuple[str, ...]
    conditions: Conditions

    def message(self) -> Message:
        """The command."""
        return {"do": "build", **asdict(self)}

    @classmethod
    def of(cls, message: Message) -> Request:
        """The request of a command."""
        conditions = Conditions.from_record(message["conditions"])
        return cls(tuple(message["specs"]), tuple(message["input"]), conditions)


@dataclass(frozen=True, slots=True)
class Built:
    """A process that has built its models: the machine, its switches, torch's threads."""

    machine: Machine
    switches: Mapping[str, Any]
    threads: int
    asked_batches: tuple[int, ...]

    @classmethod
    def of(cls, message: Message) -> Built:
        """The answer to a request."""
        machine, batches = Machine(**message["machine"]), tuple(message["asked_batches"])
        return cls(machine, message["switches"], message["threads"], batches)


@dataclass(frozen=True, slots=True)
class Warmed:
    """A model that is warm: its input and batch as they run, its first and its fastest call."""

    input: str
    batch: int
    first_call_ms: float
    call_ns: float


def warm_command(least_ns: float, batches: Sequence[int] | None) -> Message:
    """Warm all models up, for at least so long each, at these batches (None: those asked for)."""
    return {"do": "warm up", "least_ns": least_ns, "batches": batches}


def warmed_models(message: Message) -> tuple[Warmed, ...]:
    """The answer to a warm-up."""
    return tuple(Warmed(**model) for model in message["models"])


def turn_command(slots: Sequence[int], plans: Sequence[Plan], rounds: int) -> Message:
    """Take a turn: rounds over the slots, a model and a plan each."""
    return {"do": "turn", "slots": slots, "plans": list(map(asdict, plans)), "rounds": rounds}


def rounds_message(rounds: Sequence[Round]) -> Message:
    """The finished rounds of a turn."""
    return {"rounds": [[dict(slot) for slot in entry.slots] for entry in rounds]}


def rounds_of(message: Message) -> tuple[Round, ...]:
    """The rounds of the answer to a turn."""
    return tuple(Round(tuple(slots)) for slots in message["rounds"])

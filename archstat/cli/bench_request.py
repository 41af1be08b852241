"""The command line of ``archstat bench``, and the conditions that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from archstat import zoo
from archstat.errors import SpecError
from archstat.measure.latency.conditions import Conditions
from archstat.models.specs import parse_spec
from archstat.units import parse_seconds

BUDGET = "30s"


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed; None and empty where nothing was."""

    models: tuple[str, ...] = ()
    device: str | None = None
    batches: tuple[str, ...] = ()
    dtype: str | None = None
    channels_last: bool = False
    compile: bool = False
    threads: tuple[str, ...] = ()
    backward: bool = False
    budget: str | None = None
    cuda_graph: bool = False
    cold: bool = False
    reference: str | None = None
    no_store: bool = False
    input: tuple[str, ...] = ()
    columns: str | None = None
    sort: str | None = None

    def grid(self) -> tuple[Conditions, ...]:
        """Every combination of the batch sizes and threads asked for, threads outermost.

        Raises:
            SpecError: no positive whole number, or the same one twice.
            LatencyError, DeviceError: conditions that cannot be.
        """
        base = Conditions(
            device=self.device or "cpu",
            dtype=self.dtype or "fp32",
            batch=None,
            channels_last=self.channels_last,
            compile=self.compile,
            backward=self.backward,
            cuda_graph=self.cuda_graph,
            cold=self.cold,
        )
        batches = numbers("--batch", self.batches) or (None,)
        threads = numbers("--threads", self.threads) or (None,)
        return tuple(
            replace(base, batch=batch, threads=count).checked()
            for count, batch in product(threads, batches)
        )

    def budget_s(self) -> float:
        """The seconds that the whole command may take.

        Raises:
            SpecError: not a time above zero.
        """
        return budget_of(self.budget or BUDGET, BUDGET)


def budget_of(text: str, usual: str) -> float:
    """The seconds of ``--budget``.

    Raises:
        SpecError: not a time above zero; the message has the usual one.
    """
    seconds = parse_seconds(text)
    if seconds <= 0:
        raise SpecError(f"--budget {text}: give a time above zero, such as {usual}.")
    return seconds


def check_named(models: Sequence[str]) -> None:
    """Whether specs are well written and name networks of the zoo, before processes start for it.

    Raises:
        SpecError, InputError: a spec that does not parse.
        UnknownModelError: no network of that name.
    """
    for spec in map(parse_spec, models):
        if spec.scheme == "zoo":
            zoo.entry(spec.target)


def numbers(option: str, texts: Sequence[str]) -> tuple[int, ...]:
    """The numbers of ``1,8`` or of an option that is given several times.

    Raises:
        SpecError: not a positive whole number, or one that is there twice.
    """
    found: dict[int, None] = {}
    for text in (item.strip() for typed in texts for item in typed.split(",")):
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
            raise SpecError(
                f"{option} {text or repr(text)} is impossible: give whole numbers of at least 1, "
                f"such as {option} 1,8."
            )
        if int(text) in found:
            raise SpecError(f"{option} gives {text} twice; give it once.")
        found[int(text)] = None
    return tuple(found)

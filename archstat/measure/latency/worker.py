"""A measuring process: builds models, then, turn by turn, takes samples of them.

Run as ``python -m archstat.measure.latency.worker`` by `runs`, which it talks with in JSON
lines: commands on standard input, one answer each on standard output. Between commands it waits
and uses no processor. SIGINT ends a turn after the round that runs, whose samples are kept.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from archstat.errors import AT_COMMAND_LINE, ArchstatError, LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.messages import TYPED, Message, Request, Warmed, rounds_message
from archstat.measure.latency.rounds import Round
from archstat.measure.latency.sampling import (
    MILLISECOND,
    TURN_NS,
    Clock,
    Plan,
    WallClock,
    settle,
    take_round,
    timed_ns,
    warm_up,
)

if TYPE_CHECKING:
    from archstat.measure.latency.models import TimedModel


class Bench:
    """The models of one process.

    Args:
        clock: that samples are read from.
        note: a file that holds the number of the model that runs, for when the process dies of it.
    """

    def __init__(self, clock: Clock, note: int | None = None) -> None:
        self.clock = clock
        self.note = note
        self.interrupted = False
        self.models: list[TimedModel] = []
        self.conditions = Conditions()
        self.busy_with: int | None = None  # the number of a model

    def answer(self, message: Message) -> Message:
        """Carry out one command."""
        commands: dict[str, Callable[[Message], Message]] = {
            "build": self.build,
            "warm up": self.warm_up,
            "turn": self.turn,
        }
        self.busy_with = None
        try:
            return commands[message["do"]](message)
        finally:
            if self.note is not None:
                os.truncate(self.note, 0)

    def _begin(self, model: int) -> None:
        """Note which model runs from now on."""
        self.busy_with = model
        if self.note is not None:
            os.pwrite(self.note, f"{model:9}".encode(), 0)

    def build(self, message: Message) -> Message:
        """Build all models; none of them runs yet, since other processes build at this time."""
        request = Request.of(message)
        self.conditions = request.conditions
        import torch

        from archstat.measure.latency.machine import (
            number,
            one_thread,
            prepared,
            switches,
            this_machine,
        )
        from archstat.measure.latency.models import load
        from archstat.measure.latency.subject import check_here

        check_here(self.conditions)
        if self.conditions.on_cuda:
            torch.cuda.set_device(number(self.conditions.device))
        with one_thread():
            for place, spec in enumerate(request.specs):
                self._begin(place)
                self.models.append(load(spec, request.input, self.conditions))
        with prepared(self.conditions):
            threads = torch.get_num_threads()
        return {
            "machine": asdict(this_machine(self.conditions)),
            "switches": dict(switches()),
            "threads": threads,
            "asked_batches": [model.asked_batch for model in self.models],
        }

    def warm_up(self, message: Message) -> Message:
        """The first call of each model, and more until it is warm; memory may halve batches."""
        from archstat.measure.latency.machine import prepared

        if message["batches"]:
            pairs = zip(self.models, message["batches"], strict=True)
            self.models = [m if m.batch == b else m.at_batch(b) for m, b in pairs]
        with prepared(self.conditions):
            warmed = self._all_warm(message["least_ns"])
        return {"models": [asdict(model) for model in warmed]}

    def _all_warm(self, least_ns: float) -> list[Warmed]:
        from archstat.measure.latency.models import out_of_memory

        while True:
            warmed, too_large = [], None
            for place, model in enumerate(self.models):
                self._begin(place)
                try:
                    warmed.append(self._warm(model, least_ns))
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                    too_large = model
                    break
            if too_large is None:
                return warmed
            # Not before the error is gone, whose frames hold what filled the memory.
            self._halve(too_large)

    def _warm(self, model: TimedModel, least_ns: float) -> Warmed:
        first_ns = timed_ns(self.clock, model.first_call)
        fastest_ns = warm_up(model.subject, self.clock, least_ns)
        return Warmed(model.input, model.batch, first_ns / MILLISECOND, fastest_ns)

    def _halve(self, model: TimedModel) -> None:
        """Half the batch for this model, and for those that are to be compared at the same."""
        import torch

        if model.batch == 1:
            raise LatencyError(
                f"{model.spec} does not fit into the memory of {self.conditions.device}, "
                "not even at a batch of 1; give a smaller input."
            )
        batch = model.batch
        self.models = [m.at_batch(batch // 2) if m.batch == batch else m for m in self.models]
        if self.conditions.on_cuda:
            torch.cuda.empty_cache()

    def turn(self, message: Message) -> Message:
        """Rounds over the slots, until there are enough, it takes too long or SIGINT came."""
        from archstat.measure.latency.machine import prepared

        subjects = [self.models[model].subject for model in message["slots"]]
        plans = [Plan(**plan) for plan in message["plans"]]
        rounds: list[Round] = []

        def begin(slot: int) -> None:
            self._begin(message["slots"][slot])

        begin(0)
        with prepared(self.conditions):
            settle(subjects[0], plans[0])
            # What was planned in a calm moment may take many times as long in another.
            until_ns = self.clock.now_ns() + 2 * TURN_NS
            for number in range(message["rounds"]):
                if self.interrupted or (number and self.clock.now_ns() > until_ns):
                    break
                rounds.append(take_round(subjects, plans, self.clock, begin))
        if self.conditions.on_cuda:
            import torch

            # The next process may need what this one only keeps for itself.
            torch.cuda.empty_cache()
        return rounds_message(rounds)


def serve(bench: Bench, commands: Iterable[str], answers: TextIO) -> None:
    """Answer commands, a line each, until there are no more or one cannot be carried out."""
    for line in commands:
        try:
            answer = bench.answer(json.loads(line))
        except ArchstatError as error:
            answer = {"error": type(error).__name__, "message": str(error),
                      "model": bench.busy_with}  # fmt: skip
        except Exception as error:  # of archstat or of torch; a word is better than a dead process
            from archstat.hints import shortened

            answer = {"error": "LatencyError", "message": f"a measuring process failed: "
                      f"{shortened(error)}.", "model": bench.busy_with}  # fmt: skip
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _own_channel() -> tuple[TextIO, TextIO]:
    """Standard input and output, out of the reach of what models read and print."""
    commands, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    with open(os.devnull, encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return commands, answers


def main(arguments: Sequence[str] = ()) -> None:
    """Serve until the other end closes.

    Args:
        arguments: the descriptor of the note of `Bench`, and `TYPED` where a command asks.
    """
    AT_COMMAND_LINE.set(TYPED in arguments)
    bench = Bench(WallClock(), *map(int, arguments[:1]))

    def interrupt(number: int, frame: Any) -> None:
        bench.interrupted = True

    signal.signal(signal.SIGINT, interrupt)
    commands, answers = _own_channel()
    try:
        serve(bench, commands, answers)
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more


if __name__ == "__main__":
    main(sys.argv[1:])

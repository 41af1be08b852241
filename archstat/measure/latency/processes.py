"""Fresh processes that measure, seen from the one that asks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from archstat import errors
from archstat.errors import ArchstatError, LatencyError
from archstat.measure.latency.messages import TYPED, Message

_GRACE_S = 5.0


class Process(Protocol):
    """A measuring process: it answers each command once, in order."""

    @property
    def pid(self) -> int:
        """Its id."""

    def send(self, message: Message) -> None:
        """Give a command; the answer is not waited for."""

    def receive(self) -> Message:
        """The answer to the oldest command that has none yet."""

    def interrupt(self) -> None:
        """Let a turn end after the round that runs."""

    def close(self) -> None:
        """End the process."""


class WorkerProcess:
    """`worker` in a Python of its own, with this one's import path and environment."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._busy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "archstat.measure.latency.worker",
             str(self._busy.fileno()), *([TYPED] if errors.AT_COMMAND_LINE.get() else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            pass_fds=(self._busy.fileno(),),
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        self._unread = b""

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Give a command; the answer is not waited for.

        Raises:
            LatencyError: the process died.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def receive(self) -> Message:
        """The answer to the oldest command that has none yet.

        Raises:
            LatencyError: the process died.
            ArchstatError: the error that it answered with.
        """
        answer: Mapping[str, Any] = json.loads(self._line())
        if "error" in answer:
            raise _raised(answer)
        return answer

    def _line(self) -> bytes:
        """The next line; what was read before a KeyboardInterrupt is not lost."""
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            chunk = os.read(self._process.stdout.fileno(), 2**16)
            if not chunk:
                raise self._death()
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def interrupt(self) -> None:
        """Let a turn end after the round that runs."""
        self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the process: at once, since between commands it has nothing to lose."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._said.close()
        self._busy.close()

    def said(self) -> str:
        """What the models and their libraries have printed so far."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace")

    def _death(self) -> LatencyError:
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return LatencyError("a measuring process closed its output; the model may do that.")
        last = self.said().strip().splitlines()[-1:]
        words = f" Its last words: {last[0][:200]}" if last else ""
        if code == -signal.SIGKILL:
            words += " The system kills what takes too much memory: try a smaller batch."
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        self._busy.seek(0)
        model = self._busy.read().strip()
        when = "while it ran a model" if model else "between two models"
        error = LatencyError(f"a measuring process ended {how} {when}.{words}")
        error.model = int(model) if model else None
        return error


def _raised(answer: Message) -> ArchstatError:
    kind = getattr(errors, answer["error"], LatencyError)
    known = isinstance(kind, type) and issubclass(kind, ArchstatError)
    error: ArchstatError = (kind if known else LatencyError)(answer["message"])
    error.model = answer["model"]
    return error

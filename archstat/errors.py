"""The errors a user can meet, and the exit code each one carries.

    ArchstatError                   2   the request cannot be carried out
    ├── SpecError                   2   a model spec that does not parse or names nothing
    │   ├── UnknownModelError       2   no network of that name
    │   └── OptionError             2   an option or value the factory does not take
    ├── LookupFailedError           2   a file, module or attribute that cannot be loaded
    │   └── MissingExtraError       2   an optional package that is absent or does not import
    ├── BuildError                  2   the factory itself raised
    ├── FailedModelsError           2   models of several that failed; the others were shown
    ├── InputError                  2   an input that does not parse or that forward refuses
    ├── LayerListError              2   a layer list that does not parse or fit together
    ├── CaptureError                2   the forward pass raised
    ├── SpatialAxesError            2   receptive fields of a model without spatial axes
    ├── ColumnError                 2   a column key that does not exist
    ├── OutputError                 2   a file that cannot be written or a format nobody knows
    ├── GraphFileError              2   a saved graph that cannot be read
    ├── DeviceError                 2   an unknown device, or a device file that is none
    ├── SchedulerError              2   a cluster that is not there, or cannot do the work
    ├── LatencyStoreError           2   a store of latencies that cannot be read or written
    ├── LatencyError                2   conditions that latency cannot be measured under
    ├── RevisionError               2   a git revision that does not exist
    ├── ConfigError                 2   budgets that are missing or wrongly written
    ├── LockFileError               2   a lock file that cannot be read or written
    ├── UnjudgedBudgetError         2   a budget's model cannot be measured
    ├── BrokenBudgetError           1   a model does not keep its budget, or a lock file is stale
    ├── DisagreementError           1   another tool's count differs without a known reason
    └── IncompleteCountError        3   unknown operations where a complete count was asked for

A message says what was given, what was expected and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

EXIT_DONE = 0
EXIT_DISAGREES = 1
EXIT_FAILED = 2
EXIT_INCOMPLETE = 3


# Whether this process answers a command line, whose reader is told of options, not of arguments.
AT_COMMAND_LINE: ContextVar[bool] = ContextVar("at_command_line", default=False)


class Option(NamedTuple):
    """What a command calls ``--dtype`` and a function ``dtype=``, with the value to give it.

    A message holds its text, which is the one or the other, according to who reads.
    """

    name: str
    value: object = None

    def __str__(self) -> str:
        if not AT_COMMAND_LINE.get():
            return f"{self.name}={'' if self.value is None else repr(self.value)}"
        flag = f"--{self.name.replace('_', '-')}"
        return flag if self.value in (None, True) else f"{flag} {self.value}"


class ArchstatError(Exception):
    """Base of every error archstat raises on purpose; ``str()`` is the whole message.

    `brief` says in a few words, for a cell of a table, what is wrong with a model; `model` is the
    number, among those that are measured together, of the one that failed.
    """

    exit_code: int = EXIT_FAILED
    brief: str = "failed"
    model: int | None = None


class SpecError(ArchstatError):
    """A model spec does not follow ``[scheme:]target[,key=value]*``."""

    brief = "wrong spec"


class UnknownModelError(SpecError):
    """No network carries this name; the message holds the nearest names."""

    brief = "no such network"


class OptionError(SpecError):
    """A factory does not take this option, or not with this value."""

    brief = "wrong option"


class LookupFailedError(ArchstatError):
    """A file, a module or an attribute of it cannot be loaded."""

    brief = "does not load"


class MissingExtraError(LookupFailedError):
    """An optional package is absent, or does not import with the installed torch."""


class BuildError(ArchstatError):
    """The user's factory raised while it built the model."""

    brief = "does not build"


class FailedModelsError(ArchstatError):
    """Some of several models failed, and the others were shown; or all of them did."""


class InputError(ArchstatError):
    """An input does not parse, or the model refuses its shape or type."""

    brief = "wrong input"


class LayerListError(ArchstatError):
    """A layer list does not follow its grammar, or its layers do not fit together."""


class CaptureError(ArchstatError):
    """The forward pass raised, on the meta device and on cpu."""

    brief = "does not run"


class SpatialAxesError(ArchstatError):
    """A model has no input with spatial axes, so nothing in it has a receptive field."""

    brief = "no spatial axes"


class ColumnError(ArchstatError):
    """A column key does not exist."""


class OutputError(ArchstatError):
    """An output file cannot be written, or its format is unknown."""


class GraphFileError(ArchstatError):
    """A file is not a saved Graph of a schema that this version reads."""


class DeviceError(ArchstatError):
    """No device has this name or this figure, or a device file is not one."""


class SchedulerError(ArchstatError):
    """There is no cluster at an address, or it cannot do the work."""


class LatencyStoreError(ArchstatError):
    """The store of latencies cannot be read or written; what stood in it still stands."""


class LatencyError(ArchstatError):
    """Latency cannot be measured under these conditions, or a measuring process died."""


class RevisionError(ArchstatError):
    """A git revision that does not exist, or no git repository to look for it in."""


class Mistake(NamedTuple):
    """One mistake in a file that somebody wrote, at a line from 1."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class ConfigError(ArchstatError):
    """No budgets are found, or they hold `mistakes`, each named with its file and line."""

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)


class LockFileError(ArchstatError):
    """A lock file cannot be read or written; what stood in it still stands."""


class UnjudgedBudgetError(ArchstatError):
    """A rule could not be asked: its model does not import or run, or has no such figure."""


class BrokenBudgetError(ArchstatError):
    """A rule of a budget is broken, or the lock file is not what the models are."""

    exit_code = EXIT_DISAGREES


class DisagreementError(ArchstatError):
    """Another tool counts something else, and no known reason explains it."""

    exit_code = EXIT_DISAGREES


class IncompleteCountError(ArchstatError):
    """Some operations are neither counted nor free, and ``--strict`` was given."""

    exit_code = EXIT_INCOMPLETE

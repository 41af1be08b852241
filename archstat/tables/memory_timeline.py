"""`memory --by module|op` and its picture: what is alive at the peak, and op by op."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from archstat.errors import Option, OptionError
from archstat.hints import did_you_mean
from archstat.measure.training.live_bytes import TrainingStep
from archstat.measure.training.rows import MemoryRow
from archstat.measure.training.timeline import (
    CATEGORIES,
    NO_MODULE,
    Live,
    live_by_category,
    peak_by_module,
)
from archstat.reporters.plots import MemoryTimeline, plot_memory_timeline
from archstat.result import Cell, Column, Picture

_MEANINGS = {
    "parameters": ("live_param_bytes", "parameters, or a device's share"),
    "gathered": ("live_gathered_bytes", "shared parameters that are whole"),
    "gradients": ("live_gradient_bytes", "gradients of the parameters"),
    "optimizer": ("live_optimizer_bytes", "the optimizer's states"),
    "saved": ("live_saved_bytes", "what autograd saves"),
    "input": ("live_input_bytes", "the model's inputs"),
    "buffers": ("live_buffer_bytes", "buffers and constants"),
    "workspace": ("live_workspace_bytes", "what the kernel takes while it runs"),
    "other": ("live_other_bytes", "temporaries, output and loss, gradients of activations"),
}
_CATEGORIES = tuple(
    Column(key, "bytes", f"of the bytes alive: {meaning}", "lower")
    for key, meaning in (_MEANINGS[category] for category in CATEGORIES)
)
_STEP = (
    Column("model", "text", "the spec as typed"),
    Column("checkpoint", "text", "the modules that run once more in backward; none: without"),
)
_LIVE = Column("live_bytes", "bytes", "bytes alive", "lower")
PEAK_COLUMNS = (
    *_STEP,
    Column("module", "text", "whose op made them, or whose parameters they belong to"),
    _LIVE,
    *_CATEGORIES,
)
OP_COLUMNS = (
    *_STEP,
    Column("op", "number", "number of the operation in the step"),
    Column("phase", "text", "forward, loss, backward or optimizer"),
    Column("module", "text", "module whose operation it is"),
    Column("target", "text", "what torch calls the operation"),
    _LIVE,
    *_CATEGORIES,
)
WAYS = {"model": (), "module": PEAK_COLUMNS, "op": OP_COLUMNS}
ALL, NONE = "(all)", "none"
_MOST_NAMED = 60  # characters of the title of a picture


def checked_way(by: str) -> str:
    """What a row is of: model, module or op.

    Raises:
        OptionError: none of them.
    """
    if by not in WAYS:
        raise OptionError(f"There is no {Option('by', by)}.{did_you_mean(by, WAYS)} Known: "
                          f"{', '.join(WAYS)}.")  # fmt: skip
    return by


def cells_by(rows: Sequence[MemoryRow], by: str) -> list[tuple[Cell, ...]]:
    """The rows' steps under the columns of a way, each before what is checkpointed and after."""
    cells_of = _peak if by == "module" else _ops
    return [(row.model, patterns, *cells) for row in rows
            for patterns, step in _steps(row) for cells in cells_of(step)]  # fmt: skip


def _steps(row: MemoryRow) -> list[tuple[str, TrainingStep]]:
    before = [] if row.before is None else [(NONE, row.before)]
    return [*before, (" ".join(row.checkpoint) or NONE, row.step)]


def _peak(step: TrainingStep) -> Iterator[tuple[Cell, ...]]:
    found = peak_by_module(step)
    whole = tuple(map(sum, zip(*found.values(), strict=True)))
    yield ALL, sum(whole), *whole
    for module, live in found.items():
        yield module or NO_MODULE, sum(live), *live


def _ops(step: TrainingStep) -> Iterator[tuple[Cell, ...]]:
    for number, (one, live) in enumerate(zip(step.moments, live_by_category(step), strict=True)):
        yield number, one.phase, one.module or "-", one.target, one.live_bytes, *live


def timelines(rows: Sequence[MemoryRow]) -> Picture:
    """What draws the rows' steps below each other, before what is checkpointed and after."""
    return partial(plot_memory_timeline, [
        _timeline(f"{row.model}, {row.input}", patterns if row.before else "", step)
        for row in rows for patterns, step in _steps(row)])  # fmt: skip


def _timeline(name: str, patterns: str, step: TrainingStep) -> MemoryTimeline:
    peak, live = step.peak, list(live_by_category(step))
    used = {category: place for place, category in enumerate(CATEGORIES)
            if any(alive[place] for alive in live)}  # fmt: skip
    if patterns:
        many = len(patterns) > _MOST_NAMED
        which = f"{len(patterns.split())} modules" if many else patterns
        name += ", not checkpointed" if patterns == NONE else f", checkpointed: {which}"
    return MemoryTimeline(
        name,
        {category: tuple(alive[place] for alive in live) for category, place in used.items()},
        tuple(moment.phase for moment in step.moments),
        f"{peak.module} ({peak.phase})" if peak.module else peak.phase,
        {module: {category: of_module[place] for category, place in used.items()}
         for module, of_module in _few(peak_by_module(step)).items()},
    )  # fmt: skip


_MOST_BARS = 11


def _few(modules: Mapping[str, Live]) -> dict[str, Live]:
    """The modules added up as deep in the tree as there are few, or one has most of the bytes.

    The least of them stand together.
    """
    chosen = _added(modules, 1)
    for depth in range(2, 2 + max(module.count(".") for module in modules)):
        deeper = _added(modules, depth)
        half = sum(map(sum, chosen.values())) / 2
        if len(deeper) > _MOST_BARS and max(map(sum, chosen.values())) < half:
            break
        chosen = deeper
    most = sorted(chosen.items(), key=lambda pair: -sum(pair[1]))
    if len(most) <= _MOST_BARS:
        return dict(most)
    rest = [live for _, live in most[_MOST_BARS - 1 :]]
    together = tuple(map(sum, zip(*rest, strict=True)))
    return {**dict(most[: _MOST_BARS - 1]), f"{len(rest)} others": together}


def _added(modules: Mapping[str, Live], depth: int) -> dict[str, Live]:
    found: dict[str, Live] = {}
    for module, live in modules.items():
        above = ".".join(module.split(".")[:depth]) or NO_MODULE
        before = found.get(above, (0,) * len(live))
        found[above] = tuple(a + b for a, b in zip(before, live, strict=True))
    return found

"""`report`: one page that shows a model, or several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archstat.analyses import CONVENTION
from archstat.errors import DeviceError, InputError, OutputError
from archstat.files import write_whole
from archstat.models.asked import typed, with_words
from archstat.models.pipeline import graph_of
from archstat.reporters.page.document import (
    Section,
    document,
    facts,
    switch,
    table_element,
    tiles,
)
from archstat.reporters.page.strip import told_kinds
from archstat.reporters.page.svg import broken, tag, text
from archstat.result import Report, Table, notes_of
from archstat.tables.compare import Models, measured, named, specs_of, table_of, with_further
from archstat.tables.guidelines import for_screen, guideline_table, side_by_side
from archstat.tables.report_charts import (
    USUAL,
    fields_section,
    memory_section,
    name_of,
    pareto,
    roofline_section,
    training_section,
)
from archstat.tables.report_data import Portrait, numbered, portrait
from archstat.tables.roofs import Roof
from archstat.version import __version__

if TYPE_CHECKING:
    from archstat.tables.memory import Step

_TILES = ("params", "macs", "flops", "activations", "memory_access_bytes", "peak_memory_bytes",
          "depth", "receptive_field")  # fmt: skip
_COMPARED = ("model", "input", "params", "params_ratio", "macs", "macs_ratio", "flops",
             "activations", "memory_access_bytes", "peak_memory_bytes", "depth",
             "receptive_field")  # fmt: skip
_TREE = ("tree", "output", "kernel", "params", "macs", "memory_access_bytes", "activations")
_LARGE = (1100.0, 420.0)
_SMALL = (540.0, 300.0)


def page(portraits: Sequence[Portrait], command: str, comparison: Table | None = None) -> str:
    """The page as text.

    Args:
        portraits: the models, at least one.
        command: what makes the page again, as it is typed.
        comparison: of several models, their rows; by default those of `compare`.
    """
    several = len(portraits) > 1
    rows = comparison or table_of([one.report for one in portraits], 0)
    tables: dict[str, Table] = {"comparison" if several else "totals": rows}
    for place, one in enumerate(portraits):
        tables.update(numbered(list(_tables(one)), place, len(portraits)))
    verdicts = _verdicts(portraits)
    tables["guidelines"] = verdicts
    shapes = [_strips(portraits), _treemaps(portraits)]
    charts = [pareto(rows) if several else None, fields_section(portraits),
              memory_section(portraits), training_section(portraits),
              roofline_section(portraits)]  # fmt: skip
    # Beside the last of an odd number of charts there is room.
    charts.append(_guidelines(verdicts, half=sum(map(bool, charts)) % 2 > 0))
    made = (
        [_compared(rows), *charts, *shapes]
        if several
        else [*shapes, *charts, _modules(portraits[0])]
    )
    made.append(_findings(portraits))
    title = " against ".join(one.report.model for one in portraits)
    title = title if len(portraits) < 4 else f"{len(portraits)} models"
    head = _head(portraits, command, rows)
    return document(title, head, [section for section in made if section is not None], tables)


def report(
    models: Models,
    input: Any = None,
    batch: int | None = None,
    *,
    output: str | Path | None = None,
    join: str | Path | None = None,
    device: str | None = None,
    dtype: str = "fp32",
    join_on: str | None = None,
    accuracy: str | None = None,
    as_: str | None = None,
    latency: bool = False,
    training: bool = False,
    layout: str | None = None,
    example: Any = None,
) -> str:
    """One HTML page of a model, or of several side by side, that loads nothing from elsewhere.

    Args:
        models, input, batch, layout, example, join, join_on, accuracy, as_, latency: as `compare`
            takes them.
        output: also write the page to this file.
        device, dtype: also the roofline, as `roofline` takes them, and a predicted latency.
        training: also the live memory of a training step, with SGD, of models that are specs.

    Returns:
        The page.

    Raises:
        SpecError: a module or a Graph where a model is built anew; see also `compare`.
        DeviceError, OutputError: no such device, or a file that cannot be written.
    """
    roof = None if device is None else Roof(device, dtype, "none")
    together, asked = named(models), with_words(input, layout, example)
    made, specs = [], specs_of(models) if training else []
    trained = usual_step() if training else None
    for number, (name, model) in enumerate(together):
        graph = graph_of(model, asked, batch)
        step = trained.row(specs[number], typed(asked), batch) if trained else None
        made.append(portrait(name, graph, roof.over(graph, name) if roof else None, step))
    given = {"input": input, "batch": batch, "join": join and str(join), "join_on": join_on,
             "accuracy": accuracy, "as_": as_, "latency": latency or None, "device": device,
             "dtype": dtype if device else None, "training": training or None, "layout": layout,
             "example": example}  # fmt: skip
    words = [repr([name for name, _ in together])]
    words += [f"{key}={value!r}" for key, value in given.items() if value is not None]
    rows = table_of([one.report for one in made], 0)
    if device is not None:
        rows = with_prediction(rows, device, [one.report for one in made])
    run = partial(measured, models, asked, batch, "cpu", "30s", 0) if latency else None
    rows = with_further(rows, [(one.report,) for one in made], together, as_, None, None, run, join,
                        join_on, accuracy)  # fmt: skip
    text = page(made, f"archstat.report({', '.join(words)})", rows)
    if output is not None:
        try:
            write_whole(Path(output), text)
        except OSError as error:
            raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error
    return text


def beside(rows: Table, more: Table, keys: Sequence[str]) -> Table:
    """The comparison with columns of another table of the same models, and its notes."""
    chosen = more.select(keys)
    return replace(rows, columns=(*rows.columns, *chosen.columns),
                   rows=tuple((*a, *b) for a, b in zip(rows.rows, chosen.rows, strict=True)),
                   notes=tuple(dict.fromkeys((*rows.notes, *chosen.notes))))  # fmt: skip


def usual_step() -> Step:
    """The training step whose memory a page shows: plain SGD, as on a cpu."""
    from archstat.tables.memory import Step

    return Step("sgd", None, False, "cpu", None, False)


def with_prediction(rows: Table, device: str, reports: Sequence[Report]) -> Table:
    """The comparison with a predicted latency, or with a note that says why there is none."""
    from archstat.tables.predict import fit_named, predict_table, predicted

    try:
        fit = fit_named(device)
        found = [predicted(one.model, one.graph, fit) for one in reports]
    except (DeviceError, InputError) as error:
        note = notes_of([f"No latency is predicted: {error}"])
        return replace(rows, notes=(*rows.notes, *note))
    return beside(rows, predict_table(found, fit), ("predicted_ms", "predicted_throughput"))


def _tables(one: Portrait) -> Iterator[tuple[str, Table]]:
    yield "modules", one.modules
    yield "strip", one.strip.table
    yield "memory", one.live
    if one.step is not None:
        yield "training", one.step
    if one.fields is not None:
        yield "field", one.layers
    if one.floors is not None:
        yield "roofline", one.floors


def _head(portraits: Sequence[Portrait], command: str, rows: Table) -> str:
    first = portraits[0].report
    known = [key for key in _TILES if first.totals[key] is not None or key in first.unknown]
    shown = tiles([*(_tile(portraits[0], key) for key in known), *_more_tiles(rows)]) \
        if len(portraits) == 1 else ""  # fmt: skip
    found = {finding.text for one in portraits for finding in one.report.findings}
    notes = (tag("p", text(note), class_="small-print") for note in rows.notes
             if note.text not in found)  # fmt: skip
    inputs = "; ".join(dict.fromkeys(one.report.input for one in portraits))
    conventions = [f"{key}: {told}" for key, told in CONVENTION.items()]
    conventions += [f"{key}: {first.conventions[key]}" for key in ("memory_access",
                    "peak_memory_bytes") if key in first.conventions]  # fmt: skip
    versions = f"archstat {__version__}" + (
        f", torch {first.graph.torch_version}" if first.graph.torch_version else "")  # fmt: skip
    told = facts([("input", inputs), ("made by", versions)])
    again = tag("p", "Made again by ", tag("code", broken(command)))
    counted = tag("details", tag("summary", "How figures are counted"),
                  tag("ul", *(tag("li", text(one)) for one in conventions)))  # fmt: skip
    return shown + told + again + "".join(notes) + counted


def _tile(one: Portrait, key: str) -> tuple[str, str, str]:
    column = next(column for column in one.report.columns if column.key == key)
    figure = column.format(one.report.totals[key], key in one.report.lower_bounds)
    name = key.removesuffix("_bytes").replace("_", " ")
    return name, figure, column.meaning


def _more_tiles(rows: Table) -> Iterator[tuple[str, str, str]]:
    """What was joined to one model."""
    for place, column in enumerate(rows.columns):
        cell = rows.rows[0][place]
        if column.key not in USUAL and column.unit != "text" and cell is not None:
            yield column.key.replace("_", " "), column.format(cell), column.meaning


def _compared(rows: Table) -> Section:
    known = rows.keys()
    usual = [key for key in _COMPARED if key in known and any(
        cell is not None for cell in rows.column(key))]  # fmt: skip
    # Notes name weights and resolution of an accuracy, and the machine of a measurement.
    told = set()
    if "latency_ms" in known:
        from archstat.tables.bench import CIRCUMSTANCES

        told = {column.key for column in CIRCUMSTANCES}
    own = [column.key for column in rows.columns if column.key not in USUAL | told
           and not column.key.startswith("top1_")]  # fmt: skip
    if len(set(rows.column("input"))) == 1:
        usual.remove("input")
    keys = [usual[0], *own, *usual[1:]]
    about = "One row per model; ratios are to the first. A full bar is a column's largest figure."
    return Section("Comparison", about, table_element("comparison", rows, keys), "comparison")


def _strips(portraits: Sequence[Portrait]) -> Section | None:
    drawn, kinds = "", set()
    for place, one in enumerate(portraits):
        if not one.strip.blocks:
            continue
        kinds |= {block.kind for block in one.strip.blocks}
        drawn += _named(one, portraits)
        shown = one.drawn_strip(name_of("strip", place, portraits))
        drawn += tag("div", shown, class_="chart")
    about = ("From the input (left) to the output (right): height is resolution, width is "
             "channels, xN are equal blocks in a row. An arc above a block is a shortcut around "
             "its layers; a dashed one leads to a later block.")  # fmt: skip
    table = "strip" if len(portraits) == 1 else ""
    body = _kinds_legend(kinds) + drawn
    return Section("Architecture", about, body, table) if drawn else None


def _kinds_legend(kinds: set[str]) -> str:
    items = (tag("span", tag("i", class_=kind), text(told)) for kind, told in told_kinds(kinds))
    return tag("p", *items, class_="legend")


def _named(one: Portrait, portraits: Sequence[Portrait]) -> str:
    return tag("h3", broken(one.report.model)) if len(portraits) > 1 else ""


def _treemaps(portraits: Sequence[Portrait]) -> Section | None:
    measures = list(dict.fromkeys(c.key for one in portraits for c in one.measures))
    if not measures:
        return None
    several, choices = len(portraits) > 1, {}
    for key in measures:
        drawn = ""
        for place, one in enumerate(portraits):
            figure = one.figure(key)
            shown = one.treemap(key, name_of("modules", place, portraits),
                                _SMALL if several else _LARGE)  # fmt: skip
            caption = tag("h3", broken(f"{one.report.model}: {figure}")) if several else ""
            drawn += tag("div", caption, shown) if several else shown
        said = key.removesuffix("_bytes").replace("_", " ")
        choices[said] = tag("div", drawn, class_="grid2 small") if several else drawn
    about = ("Each area is a module's share of the model, drawn inside its parent's; equal "
             "neighbours are one area.")  # fmt: skip
    table = "" if several else "modules"
    return Section("Where it goes", about, switch("measure", choices), table)


def _verdicts(portraits: Sequence[Portrait]) -> Table:
    found = [one.judged for one in portraits]
    if len(found) > 1:
        return side_by_side(found, "inference")
    return for_screen(guideline_table(found, "inference", 1), several=False)


def _guidelines(verdicts: Table, *, half: bool) -> Section:
    known = verdicts.keys()
    wanted = ("guideline", "module", "figure", "limit", "verdict", *(() if half else ("found",)))
    keys = [key for key in wanted if key in known] if "verdict" in known else list(known)
    return Section("Guidelines of ShuffleNet V2", "How the design affects memory access, with the "
                   "worst module for each.", table_element("guidelines", verdicts, keys),
                   "guidelines", half=half)  # fmt: skip


def _modules(one: Portrait) -> Section:
    keys = [key for key in _TREE if any(cell not in (None, "") for cell in one.modules.column(key))]
    levels = [node.level for node in one.rows]
    body = table_element("modules", one.modules, keys, levels=levels)
    return Section("Modules", "Figures include everything below a module; xN are equal neighbours, "
                              "added up.",
                   body, "modules")  # fmt: skip


def _findings(portraits: Sequence[Portrait]) -> Section | None:
    several = len(portraits) > 1
    said = dict.fromkeys(
        f"{one.report.model}: {note}" if several and one.report.model not in str(note)
        else str(note) for one in portraits for note in one.notes)  # fmt: skip
    items = [tag("li", text(note)) for note in said]
    return Section("Findings", "", tag("ul", *items)) if items else None

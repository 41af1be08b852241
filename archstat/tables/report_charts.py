"""The charts of a report: receptive field, memory, roofline, and one column against another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log10

from archstat.analyses.roofline import Roofline
from archstat.reporters.page.charts import (
    Axes,
    Point,
    Scale,
    Series,
    front,
    legend,
    lines,
    scales,
    scatter,
)
from archstat.reporters.page.document import Section
from archstat.reporters.page.svg import path, tag, text
from archstat.result import Column, Table
from archstat.tables.compare import COMPARISON_COLUMNS
from archstat.tables.report_data import Portrait, peak_of
from archstat.tables.roofline import remarks as of_roof
from archstat.units import format_bytes, format_count, format_share

USUAL = frozenset(column.key for column in COMPARISON_COLUMNS)
_LEAST, _MOST = 3.0, 13.0  # radius of a layer by its share of the time


def pareto(rows: Table) -> Section | None:
    """Two columns against each other: macs and what was joined first, or else parameters."""
    positive = [column for column in rows.columns if _drawable(rows, column)]
    keys = [column.key for column in positive]
    # Of a joined figure, accuracy say, more is taken to be better.
    more = [n for n, column in enumerate(rows.columns)
            if column.better == "higher" or not (column.better or column.key in USUAL)]  # fmt: skip
    usual = {*USUAL}
    if "latency_ms" in keys:  # how it was measured is not to be drawn first
        from archstat.tables.bench import COMPARED

        usual |= {column.key for column in COMPARED if column.better != "higher"}
    # An accuracy has no unit.
    further = sorted((column for column in positive if column.key not in usual),
                     key=lambda column: (rows.index(column.key) not in more,
                                         column.unit != "number"))  # fmt: skip
    if len(keys) < 2:
        return None
    x = "macs" if "macs" in keys else keys[0]
    preferred = (*(column.key for column in further), "params", *keys)
    y = next(key for key in preferred if key in keys and key != x)
    points = [
        Point(n, str(record["model"]), float(record[x]), float(record[y]), 6.0, 0, named=True)  # type: ignore[arg-type]
        for n, record in enumerate(rows.records()) if _positive(record[x]) and
        _positive(record[y])
    ]  # fmt: skip
    across, up = scales(points)
    corners = front([(point.x, point.y) for point in points],
                    rows.index(x) in more, rows.index(y) in more)  # fmt: skip
    line = tag("path", d=path([(across.place(a), up.place(b)) for a, b in corners]), class_="front")
    drawn = scatter(f"{y} against {x}", points, across, up, (x, y), _short, "comparison", line,
                    data_axes="comparison", data_x=rows.index(x), data_y=rows.index(y),
                    data_more=" ".join(map(str, more)))  # fmt: skip
    about = ("Choose the columns; both axes are logarithmic, and the line is the Pareto "
             "front.")  # fmt: skip
    body = tag("div", drawn, class_="chart")
    return Section("One column against another", about, body, "comparison", half=True)


def _drawable(rows: Table, column: Column) -> bool:
    return column.unit not in ("text", "pixels", "ratio") and any(
        _positive(cell) for cell in rows.column(column.key))  # fmt: skip


def _positive(cell: object) -> bool:
    return isinstance(cell, (int, float)) and cell > 0


def fields_section(portraits: Sequence[Portrait]) -> Section | None:
    """The largest receptive field so far, by depth."""
    seen = [(n, one) for n, one in enumerate(portraits) if one.fields and len(one.layers)]
    if not seen:
        return None
    several = len(portraits) > 1
    series = [Series(one.report.model, _seen(one)) for _, one in seen]
    sizes = {max(one.fields.input_sizes) for _, one in seen if one.fields}
    level = (float(max(sizes)), f"input: {max(sizes)}") if len(sizes) == 1 else None
    axes = Axes("depth, from the first layer to the last", "input pixels", format_count,
                level=level)  # fmt: skip
    names = [name_of("field", n, portraits) for n, _ in seen]
    ends = [f"{one.report.model} sees everything from {one.fields.global_from}"
            if several else f"From {one.fields.global_from} on, everything is seen"
            for _, one in seen if one.fields and one.fields.global_from]  # fmt: skip
    about = ". ".join(["The largest receptive field so far, in input pixels", *ends]) + "."
    drawn = lines("receptive field by depth", series, axes, names)
    return _chart("Receptive field", about, drawn, series, "" if several else "field")


def _seen(one: Portrait) -> tuple[float, ...]:
    """The fields for a drawing, in which what sees everything sees the input at least."""
    whole, most, found = max(one.fields.input_sizes) if one.fields else 0, 0.0, []
    for size in one.reach:
        most = max(most, whole if size is None else size)
        found.append(most)
    return tuple(found)


def _chart(title: str, about: str, drawn: str, series: Sequence[Series], table: str) -> Section:
    names = legend([one.name for one in series]) if len(series) > 1 else ""
    return Section(title, about, names + tag("div", drawn, class_="chart"), table, half=True)


def memory_section(portraits: Sequence[Portrait]) -> Section:
    """The bytes of activations alive, by operation."""
    series = [Series(one.report.model, tuple(float(str(n)) - one.resident
                                             for n in one.live.column("live_bytes")))
              for one in portraits]  # fmt: skip
    several, first = len(portraits) > 1, portraits[0]
    place, module = peak_of(first.live)
    axes = Axes("operations, in order", "bytes of activations", _tick, binary=True)
    names = [name_of("memory", n, portraits) for n in range(len(portraits))]
    peak = format_bytes(series[0].heights[place] or 0)
    drawn = lines("live memory over the forward pass", series, axes, names, filled=True,
                  mark=None if several else (place, f"{peak} at {module}"))  # fmt: skip
    about = "Activations alive during inference, the input included"
    about += (
        ", over the forward pass of each; weights come on top."
        if several
        else f"; {format_bytes(first.resident)} of weights and buffers come on top."
    )
    return _chart("Live memory", about, drawn, series, "" if several else "memory")


def training_section(portraits: Sequence[Portrait]) -> Section | None:
    """The bytes alive over a training step, weights and states among them; None without one."""
    held = [(n, one, one.step, one.training) for n, one in enumerate(portraits)]
    found = [(n, one, step, row) for n, one, step, row in held if step is not None and row]
    if not found:
        return None
    series = [Series(one.report.model, tuple(float(str(n)) for n in step.column("live_bytes")))
              for _, one, step, _ in found]  # fmt: skip
    several, (_, _, first, row) = len(portraits) > 1, found[0]
    place, module = peak_of(first)
    axes = Axes("operations of forward, loss, backward and optimizer", "bytes", _tick, binary=True)
    names = [name_of("training", n, portraits) for n, *_ in found]
    phase, most = row.step.peak.phase, format_bytes(series[0].heights[place] or 0)
    drawn = lines("live memory over a training step", series, axes, names, filled=True,
                  mark=None if several else (place, f"{most} at {module}"))  # fmt: skip
    about = "Everything alive during a training step with SGD, weights and gradients included"
    about += "." if several else f"; the peak is in the {phase} pass."
    return _chart("Training step", about, drawn, series, "" if several else "training")


def _tick(number: float) -> str:
    return format_bytes(number).replace(".00", "")


def roofline_section(portraits: Sequence[Portrait]) -> Section | None:
    """A point a layer under the roof of the device; None without one."""
    held = [(n, one.roofline) for n, one in enumerate(portraits) if one.roofline is not None]
    if not held:
        return None
    points = [point for series, (n, _) in enumerate(held)
              for point in _layers(portraits[n].floors, series)]  # fmt: skip
    first = held[0][1]
    roof, ridge = first.roof, first.roof.products / first.roof.bandwidth
    across, up = scales(points, 2.0, wide=[ridge],
                        high=[roof.products, roof.others])  # fmt: skip
    drawn = scatter(f"roofline of {first.device.title}", points, across, up,
                    ("flops a byte", "FLOP/s"), _short, name_of("roofline", held[0][0], portraits),
                    _roof(first, across, up))  # fmt: skip
    told = "Each point is a layer; the larger it is, the more of the model's least time it takes."
    notes = (tag("p", text(note), class_="small-print")
             for note in dict.fromkeys(n for _, one in held for n in of_roof(one)))  # fmt: skip
    series = [Series(portraits[n].report.model, ()) for n, _ in held]
    title = f"Roofline, {first.device.title}, {first.dtype}"
    made = _chart(title, told, drawn, series, "" if len(portraits) > 1 else "roofline")
    return replace(made, body=made.body + "".join(notes))


def _layers(floors: Table | None, series: int) -> Iterator[Point]:
    assert floors is not None
    records = list(enumerate(floors.records()))[:-1]  # the last is the model's
    records.sort(key=lambda item: -float(str(item[1]["time_share"] or 0)))
    for order, (row, record) in enumerate(records):
        x, y, share = (record[key] for key in
                       ("arithmetic_intensity", "attainable_flops", "time_share"))  # fmt: skip
        if isinstance(x, (int, float)) and isinstance(y, (int, float)) and x > 0 and y > 0:
            part = float(str(share or 0))
            radius = _LEAST + (_MOST - _LEAST) * min(1.0, part / 0.2) ** 0.5
            named = order < 3 and series == 0
            name = f"{record['layer'] or record['type']}, {format_share(part)}"
            yield Point(row, name, float(x), float(y), radius, series, named)


def _short(number: float) -> str:
    return format_count(number).replace(".00", "") if number >= 1 else f"{number:g}"


def _roof(one: Roofline, x: Scale, y: Scale) -> str:
    """The bandwidth as a slope up to the peak, and the level of flops that are no products."""
    roof = one.roof
    top = max(roof.products, roof.others)
    start = max(x.least, y.least / roof.bandwidth)
    corners = [(start, start * roof.bandwidth), (top / roof.bandwidth, top), (x.most, top)]
    drawn = tag("path", d=path([(x.place(a), y.place(b)) for a, b in corners]), class_="roof")
    low = min(roof.products, roof.others)
    if log10(top / low) > 0.01:
        edge = [(low / roof.bandwidth, low), (x.most, low)]
        drawn += tag("path", d=path([(x.place(max(a, x.least)), y.place(b)) for a, b in edge]),
                     class_="roof level")  # fmt: skip
    return drawn


def name_of(name: str, place: int, portraits: Sequence[Portrait]) -> str:
    """The name of a table in the data: of several models each has its number."""
    return name if len(portraits) == 1 else f"{name}-{place + 1}"

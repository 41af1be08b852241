"""What docs/experiments.md shows between its markers, from the reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from archstat.measure.latency.experiments import EXPERIMENTS, Experiment
from archstat.reporters.to_markdown import escaped
from archstat.tables.experiment import judgement
from archstat.units import format_count, format_milliseconds, format_ratio, format_share
from measured.rows import Row, read

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PAPER = ("size", "variant", "batches/s", "relative", "GTX 1080 Ti", "ARM", "95 % of the ratio",
          "verdict", "memory access")  # fmt: skip
_SEPARABLE = ("size", "macs", "time", "95 % of the ratio", "verdict", "memory access")


def page(text: str, reports: Path) -> str:
    """The page with what stands between the markers made anew."""
    before, _, rest = text.partition(BEGIN)
    shown = "\n".join(_sections(reports))
    middle = f"\n{shown}\n" if shown else "\n"
    return f"{before}{BEGIN}{middle}{END}{rest.partition(END)[2]}"


def _sections(reports: Path) -> Iterator[str]:
    for path in sorted(reports.glob("latency_*.csv")):
        rows = read(path)
        shown = [one for one in EXPERIMENTS.values() if any(r["group"] == one.name for r in rows)]
        if shown:
            yield from (_where(rows[0], path), "")
        for experiment in shown:
            yield from _experiment(experiment, [r for r in rows if r["group"] == experiment.name])
    for path in sorted(reports.glob("time_by_kind*.csv")):
        yield from _kinds(read(path), path)


def _where(row: Row, path: Path) -> str:
    driver = f", driver {row['driver']}" if row["driver"] else ""
    threads = "1 thread" if row["threads"] == "1" else f"{row['threads']} threads"
    return (
        f"Measured on {row['device_name']}{driver}, {row['cores']} cores, {threads}, "
        f"{row['dtype']}, batch {row['batch']}, torch {row['torch']}, Python {row['python']}, "
        f"on {row['date'][:10]} (`reports/{path.name}`)."
    )


def _experiment(experiment: Experiment, rows: Sequence[Row]) -> Iterator[str]:
    yield f"### {experiment.title}"
    yield ""
    lines = map(_paper_line, rows)
    header: Sequence[str] = _PAPER
    if not experiment.has_equal_macs:
        header, lines = _SEPARABLE, (_pair_line(a, b) for a, b in _pairs(rows))
    yield from _table(header, lines)
    yield ""
    told = [(r["verdict"], float(r["latency_ms_ratio"])) for r in rows if r["verdict"]]
    fewer = [float(a["macs"]) / float(b["macs"]) for a, b in _pairs(rows)]
    yield judgement(experiment, told, fewer)
    yield from dict.fromkeys(row["remarks"] for row in rows if row["remarks"])
    yield ""


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Every network but the first of its size, behind that."""
    first: dict[str, Row] = {}
    return [(first[r["size"]], r) for r in rows if first.setdefault(r["size"], r) is not r]


def _paper_line(row: Row) -> list[str]:
    return [
        row["size"],
        row["variant"],
        f"{1e3 / float(row['latency_ms']):.4g}",
        *(format_share(float(row[key])) for key in ("relative_speed", "relative_speed_gtx1080ti",
                                                    "relative_speed_arm")),
        _limits(row),
        row["verdict"],
        format_count(int(row["memory_access"])),
    ]  # fmt: skip


def _pair_line(first: Row, row: Row) -> list[str]:
    macs, access = (float(row[key]) / float(first[key]) for key in ("macs", "memory_access"))
    return [row["size"], format_ratio(macs), format_ratio(float(row["latency_ms_ratio"])),
            _limits(row), row["verdict"], format_ratio(access)]  # fmt: skip


def _limits(row: Row) -> str:
    if not row["latency_ms_ratio_low"]:
        return ""
    return f"{float(row['latency_ms_ratio_low']):.3g} to {float(row['latency_ms_ratio_high']):.3g}"


def _kinds(rows: Sequence[Row], path: Path) -> Iterator[str]:
    models = list(dict.fromkeys(row["model"] for row in rows))
    cells = {(row["kind"], row["model"]): row for row in rows}
    yield f"### Where the time goes (`reports/{path.name}`)"
    yield ""
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["kind"] != "all"))
    lines = (
        [kind, *(_kind_cell(cells.get((kind, m))) for m in models)] for kind in [*kinds, "all"]
    )
    yield from _table(("kind", *models), lines)
    yield ""


def _kind_cell(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{format_milliseconds(float(row['time_ms']))}, {format_share(float(row['time_share']))}"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(escaped, header))} |"
    yield f"| {' | '.join('---' for _ in header)} |"
    for line in lines:
        yield f"| {' | '.join(map(escaped, line))} |"

"""Rows of reports/latency_*.csv: measurements, group after group, with the machine's record."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from archstat.analyses.memory_access import memory_access
from archstat.analyses.operations import operations
from archstat.measure.latency.experiment_runs import ExperimentRun
from archstat.measure.latency.measurement import LatencyRun
from archstat.models.pipeline import graph_of_spec
from archstat.tables.bench import LATENCY_COLUMNS, latency_table
from archstat.tables.experiment import experiment_table
from measured.groups import Group

Row = Mapping[str, str]

_COSTS = ("macs", "memory_access")
_RATIO = ("latency_ms_ratio", "latency_ms_ratio_low", "latency_ms_ratio_high", "verdict")
_RELATIVE = ("relative_speed", "relative_speed_gtx1080ti", "relative_speed_arm",
             "speed_gtx1080ti", "speed_arm")  # fmt: skip
HEADER = ("group", "size", "variant", "reference", *_COSTS,
          *(column.key for column in LATENCY_COLUMNS), *_RELATIVE, "remarks")  # fmt: skip


def network_rows(group: Group, run: LatencyRun) -> list[Row]:
    """Networks of the zoo; ratios are to the first of the group."""
    rows = []
    for record in latency_table([run]).records():
        graph = graph_of_spec(str(record["model"]), None, int(str(record["batch"])))
        costs = {
            "macs": operations(graph).totals["macs"],
            "memory_access": memory_access(graph).totals["memory_access"],
        }
        rows.append(_row({**record, **costs, "group": group.name, "reference": group.specs[0],
                          "remarks": " ".join(run.remarks)}))  # fmt: skip
    return rows


def experiment_rows(group: Group, found: ExperimentRun) -> list[Row]:
    """Networks of an experiment; ratios are to the first of their size."""
    table = experiment_table(found)
    rows, reference = [], ""
    pairs = zip(latency_table([found.run]).records(), table.records(), strict=True)
    for record, own in pairs:
        if own["latency_ms_ratio_low"] is None:
            reference = str(own["model"])
        kept = {key: own[key] for key in ("size", "variant", *_COSTS, *_RATIO, *_RELATIVE)}
        rows.append(_row({**record, **kept, "group": group.name, "reference": reference,
                          "remarks": " ".join(found.run.remarks)}))  # fmt: skip
    return rows


def _row(cells: Mapping[str, object]) -> Row:
    found = {key: cells.get(key) for key in HEADER}
    return {key: "" if cell is None else str(cell) for key, cell in found.items()}


def read(path: Path) -> list[Row]:
    """The rows of a report; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Iterable[Row], header: Sequence[str] = HEADER) -> None:
    """Write a report whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text.getvalue(), encoding="utf-8")
    os.replace(draft, path)


def is_done(group: Group, rows: Sequence[Row]) -> bool:
    """Whether all networks of a group have their rows."""
    return [row["model"] for row in rows if row["group"] == group.name] == list(group.specs)

"""Measure reports/latency_<cpu or GPU>.csv and time_by_kind*.csv, and show them in the docs.

Of the experiments and the zoo's classic and lightweight networks. A group of networks is measured
in common rounds and written at once; what is there already is left, so that a run that was cut off
goes on where it stopped (``--again`` starts anew). A network gets ``--budget`` (4 s by default),
and a group 12 s more for its processes to start and to warm up: 82 networks in 28 groups and the
83 of the experiments take about 18 minutes, and longer where the minimum of samples takes more
than the budget. Measure while nothing else runs.
``--check`` measures nothing: it compares docs/experiments.md with the reports.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from measured import kinds, pages, rows
from measured.groups import BY_KIND, Group, groups

from archstat.errors import ArchstatError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.experiment_runs import run_experiment, with_batch
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.machine import this_machine
from archstat.measure.latency.runs import measure
from archstat.units import parse_seconds

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "experiments.md"
START_S = 12.0


def main() -> int:
    """Measure what is missing; exit code 1 if ``--check`` finds the docs stale, 2 for an error."""
    asked = _arguments()
    if asked.check:
        text = PAGE.read_text(encoding="utf-8")
        fresh = pages.page(text, asked.folder) == text
        print("fresh" if fresh else "stale: run python scripts/measure_latency.py --show")
        return 0 if fresh else 1
    try:
        if not asked.show:
            _measure(asked)
    except ArchstatError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: finished groups are kept, and the next run goes on", file=sys.stderr)
        return 130
    if asked.folder == ROOT / "reports":
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(pages.page(text, asked.folder), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:NUMBER")
    parser.add_argument("--budget", default="4s", help="of each network")
    parser.add_argument("--threads", type=int, help="on the cpu; by default torch's own number")
    parser.add_argument("--only", nargs="+", metavar="GROUP", help="just these groups")
    parser.add_argument("--folder", type=Path, default=ROOT / "reports", help="of the reports")
    parser.add_argument("--again", action="store_true", help="measure what is there, too")
    parser.add_argument("--show", action="store_true", help="just write the docs' tables")
    parser.add_argument("--check", action="store_true", help="just compare the docs' tables")
    return parser.parse_args()


def _measure(asked: argparse.Namespace) -> None:
    conditions = with_batch(Conditions(device=asked.device, batch=None, threads=asked.threads))
    from archstat.measure.latency.subject import check_here

    check_here(conditions)
    budget_s = parse_seconds(asked.budget)
    suffix = "cpu" if not conditions.on_cuda else _slug(this_machine(conditions).device_name)
    path = asked.folder / f"latency_{suffix}.csv"
    kept = [] if asked.again else rows.read(path)
    _refuse_others(kept, path, this_machine(conditions).identity)
    wanted = [
        g for g in groups(conditions.on_cuda) if asked.only in (None, []) or g.name in asked.only
    ]
    for group in wanted:
        if rows.is_done(group, kept):
            print(f"{group.name}: is there")
            continue
        print(f"{group.name}: {len(group.specs)} networks", flush=True)
        found = _rows(group, conditions, START_S + budget_s * len(group.specs))
        kept = [*(row for row in kept if row["group"] != group.name), *found]
        rows.write(path, kept)
    if asked.only is None:
        _by_kind(asked, conditions, "" if suffix == "cpu" else f"_{suffix}")


def _refuse_others(kept: list[rows.Row], path: Path, identity: str) -> None:
    """Never mix machines.

    Raises:
        ArchstatError: the report is another machine's.
    """
    if any(row["machine"] != identity for row in kept):
        raise ArchstatError(f"{path} was measured on another machine; --again starts it anew.")


def _rows(group: Group, conditions: Conditions, budget_s: float) -> list[rows.Row]:
    if group.experiment is not None:
        found = run_experiment(group.experiment, conditions, budget_s)
        if found.is_interrupted:
            raise KeyboardInterrupt
        return rows.experiment_rows(group, found)
    run = measure(group.specs, conditions, budget_s=budget_s)
    if any(one.rule == INTERRUPTED for one in run.measurements):
        raise KeyboardInterrupt
    return rows.network_rows(group, run)


def _by_kind(asked: argparse.Namespace, conditions: Conditions, suffix: str) -> None:
    path = asked.folder / f"time_by_kind{suffix}.csv"
    if path.exists() and not asked.again:
        print(f"{path.name}: is there")
        return
    print(f"{path.name}: {', '.join(BY_KIND)}", flush=True)
    found = [row for spec in BY_KIND for row in kinds.kind_rows(spec, conditions)]
    rows.write(path, found, kinds.HEADER)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


if __name__ == "__main__":
    raise SystemExit(main())

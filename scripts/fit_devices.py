"""Write archstat/analyses/fits.toml and boards.toml: rates of kernels, fitted to measurements.

    python scripts/fit_devices.py throughput.csv boards.csv --cache FOLDER

The files and the folder are those of `benchmarks/prediction.py`, which says how well the rates
predict; the intervals are from there. Needs numpy and timm.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from board_fits import ALONG, COLUMNS, NAME, RATES, SPECS, Boards  # noqa: E402
from device_fits import KINDS, Array, Data, Name, fitted, prior, times_by_kind  # noqa: E402
from prediction_claims import OURS, Claims, interval, read  # noqa: E402

ANALYSES = ROOT / "archstat/analyses"
FEW = 3
Interval = tuple[float, float]
HEAD = [
    "# A rate is macs a second and bytes a second; kinds that no network of the table has keep",
    "# what the fit begins with. A byte of weights takes `weights` times as long as one of",
    "# activations.",
    "# Intervals are measured over predicted time, 10 % and 90 % of what was held out.",
    "",
    "[sources]",
]


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("throughput", type=Path)
    parser.add_argument("boards", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="where Graphs are kept")
    arguments = parser.parse_args()
    claims = read(arguments.throughput, arguments.boards, arguments.cache)
    for name, lines in (("fits", devices(claims)), ("boards", boards(claims))):
        (ANALYSES / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def devices(claims: Claims) -> Iterator[str]:
    """The lines of fits.toml."""
    yield "# Effective rates of kernels, fitted to measured throughputs by scripts/fit_devices.py."
    yield from HEAD
    yield ('timm = "results of the timm project (Apache-2.0), https://github.com/huggingface/'
           'pytorch-image-models/tree/main/results"')  # fmt: skip
    far = [interval(np.concatenate([ways[OURS].error for ways in found.values()]))
           for found in (claims.unseen, claims.measured(FEW))]  # fmt: skip
    for name, data in claims.data.items():
        theta = fitted(data, np.ones(len(data.rows), bool), prior(name))
        yield from ("", "[[fits]]")
        yield f'basis = "{data.rows[0].source}"'
        yield 'source = "timm"'
        yield from _entry(name, data, theta, (interval(claims.own[name][OURS].error), *far))
        yield "[fits.rates]"
        yield from _rates(theta)
        yield "[fits.largest_shares]"
        yield from _largest_shares([data], [theta])


def boards(claims: Claims) -> Iterator[str]:
    """The lines of boards.toml."""
    known = claims.boards
    theta, each = known.shown
    ways = claims.of_boards["three by chance"]
    known_there, lacking = (interval(ways[way].error) for way in (OURS, RATES))
    yield "# Boards that run ncnn, fitted to measured times by scripts/fit_devices.py."
    yield "# A row is a board, its threads, how many times the typical board's each rate is, and"
    yield "# seconds of each network (by these rates if it was not measured)."
    yield f"columns = {list(COLUMNS)}".replace("'", '"')
    yield "boards = ["
    for run, one in zip(known.runs, each, strict=True):
        moved = np.linalg.lstsq(ALONG, one - theta, rcond=None)[0]
        yield f'  ["{run.board}", {run.threads}, {_numbers(np.exp(moved))},'
        yield f"   {_numbers(known.known(run, one))}],"
    yield "]"
    yield from HEAD
    yield ('ncnn = "benchmark/README.md of ncnn (BSD-3-Clause), '
           'https://github.com/Tencent/ncnn/tree/a4d2ea1/benchmark"')  # fmt: skip
    yield from ("", "# Macs, bytes of activations and of weights, and kernels.", "[networks]")
    yield from (f"{name} = {[*work]}" for name, work in zip(SPECS, known.works, strict=True))
    yield from ("", "[typical]", 'basis = "times of 16 networks on 60 boards"', 'source = "ncnn"')
    yield from _entry(NAME, known.every, theta, (lacking, lacking, known_there), known)
    yield "[typical.rates]"
    yield from _rates(theta)
    yield "[typical.largest_shares]"
    yield from _largest_shares([known.every] * len(each), each)


def _entry(
    name: Name, data: Data, theta: Array, intervals: Sequence[Interval],
    known: Boards | None = None,
) -> Iterator[str]:  # fmt: skip
    batches = np.quantile([row.batch for row in data.rows], [0.01, 0.5, 0.99], method="nearest")
    seconds = data.seconds if known is None else np.hstack([run.seconds for run in known.runs])
    yield from (f'{key} = "{value}"' for key, value in name._asdict().items())
    yield f"rows = {len(seconds)}"
    yield f"batches = {[int(batch) for batch in batches]}"
    yield f"seconds = {_numbers((seconds.min(), seconds.max()))}"
    yield f"weights = {np.exp(theta[-2]):.3g}"
    yield f"launch = {np.exp(theta[-1]):.3g}"
    for key, one in zip(("interval", "unseen", "calibrated"), intervals, strict=True):
        yield f"{key} = {_numbers(one)}"


def _rates(theta: Array) -> Iterator[str]:
    for number, kind in enumerate(KINDS):
        yield f"{kind} = {_numbers(np.exp(theta[[number, number + len(KINDS)]]))}"


def _largest_shares(tables: Sequence[Data], thetas: Sequence[Array]) -> Iterator[str]:
    found = np.zeros(len(KINDS) + 1)
    for data, theta in zip(tables, thetas, strict=True):
        by_kind = times_by_kind(data, theta)[0]
        found = np.maximum(found, (by_kind / by_kind.sum(axis=1)[:, None]).max(axis=0))
    for kind, share in zip((*KINDS, "launch"), found, strict=True):
        yield f"{kind} = {share:.3f}"


def _numbers(numbers: Sequence[float] | Array) -> str:
    return f"[{', '.join(f'{number:.4g}' for number in numbers)}]"


if __name__ == "__main__":
    main()

"""How well throughputs are predicted for networks, devices and boards that were not fitted.

    python benchmarks/prediction.py throughput.csv boards.csv --cache FOLDER [--write]

`throughput.csv` has a row a measurement: device, dtype, layout, engine, torch, model, resolution,
batch, samples_per_second, source; models are timm's. `boards.csv` has board, run, threads, network,
milliseconds_min of ncnn's benchmark. Families of networks (the letters that names begin with) are
held out together, in five folds. ``--write`` writes `reports/prediction.md`; without it the tables
are printed. The first run captures every network, which takes half an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from device_fits import TWO_FORMS, UNCLEAR, Name, Row
from prediction_claims import OURS, Claims, Line, Ways, read

from archstat.analyses.kernels import kernels
from archstat.analyses.prediction import fits, predict
from archstat.models.pipeline import graph_of_spec

REPORT = Path(__file__).parents[1] / "reports/prediction.md"
FEW, MANY, WORST, NETWORKS = 3, 30, 10, 4
HEAD = ("what", "rows", "median error", "90th percentile", "Spearman", "80 % interval holds")
WHY = {
    "efficientformerv2": "in eager mode alone; probably bilinear upsampling, with one thread a "
    "pixel of a 14 x 14 map that goes through batch and channels one by one",
    "convmixer": "depthwise windows of 9 x 9, for which libraries have no kernel of their own",
    "mixnet": "depthwise windows of up to 11 x 11 on slices of a map, which are copied first",
    "focalnet": "depthwise windows of up to 11 x 11",
    "sequencer2d": "LSTMs, which run step by step; the fit has no kind for them",
}


def main() -> None:
    """Cross-validate, print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("throughput", type=Path)
    parser.add_argument("boards", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="where Graphs are kept")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    claims = read(arguments.throughput, arguments.boards, arguments.cache)
    text = "\n".join(report(claims)) + "\n"
    print(text)
    if arguments.write:
        REPORT.write_text(text, encoding="utf-8")


def report(claims: Claims) -> Iterator[str]:
    """The report's lines as Markdown."""
    yield from HEADING
    yield from _case("New networks on a fitted device", claims.own)
    yield (
        f"The rows of torch {UNCLEAR} of {', '.join(TWO_FORMS)} are left out of fits and figures: "
        "one name is two graphs, before and after branches are merged. They look as if measured "
        "merged; the tables have no parameter count that would say so."
    )
    yield ""
    yield from _case("A device by its data sheet alone", claims.unseen)
    for number in (FEW, MANY):
        yield from _case(f"{number} measured rows of other families on a device that was not "
                         "fitted", claims.measured(number))  # fmt: skip
    yield from _case("A board of which three networks were measured", claims.of_boards)
    yield from ("## Time to predict", "", *_speed(), "")
    yield from ("## By family", "", *_families(claims), "", "## The worst rows", "")
    yield from _worst(claims)


HEADING = (
    "# How well throughputs are predicted", "",
    "Written by `python benchmarks/prediction.py throughput.csv boards.csv --cache FOLDER "
    "--write`.",
    "Errors are of the time a sample, in per cent of the measured one. No family of networks (the "
    "letters that its names begin with) is in what it is tested with.",
    "Beside each line stand, on the same rows and from as many known ones, macs alone times a "
    "factor, a x macs + b x activations, and the times of the nearest other card (for boards: the "
    "network's constant) times a factor. On a device by its data sheet alone these three know the "
    "other families' rows of that device, and archstat does not.",
    "Intervals are those of other folds, devices or boards.",
    "What a board takes for a network of the table comes from times of other boards, for one that "
    "the table lacks from rates, out of which a quarter of the networks was held. The first triple "
    "was chosen with these boards in view; three by chance were not.", "",
)  # fmt: skip


def _case(title: str, found: dict[Name, Ways] | dict[str, Ways]) -> Iterator[str]:
    yield from (f"## {title}", "")
    lines = [line._replace(what=f"{title_of(name)}: {way}")
             for name, ways in found.items() for way, line in ways.items()]  # fmt: skip
    tables = [ways[OURS] for name, ways in found.items() if isinstance(name, Name)]
    if tables:
        error, seconds = (np.concatenate([getattr(line, key) for line in tables])
                          for key in ("error", "seconds"))  # fmt: skip
        sizes = [len(line.error) for line in tables]
        held = np.average([line.held for line in tables], weights=sizes)
        lines.append(Line(f"all tables: {OURS}", error, seconds, float(held)))
    yield from (*_table(lines), "")


def title_of(name: Name | str) -> str:
    """A table in words."""
    if isinstance(name, str):
        return name
    layout = "" if name.layout == "nchw" else f" {name.layout}"
    return f"{name.device} {name.dtype}{layout} {name.engine}"


def _table(lines: Sequence[Line]) -> list[str]:
    return _markdown([HEAD, *(line.cells() for line in lines)])


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return ["| " + " | ".join(row) + " |" for row in ruled]


def _speed() -> list[str]:
    """How long kernels and a prediction take, beside the capture."""
    rows = [("network", "capture", "predict", "part")]
    for spec in ("resnet50", "mobilenet_v2", "vit_b_16", "densenet121"):
        shortest = [float("inf")] * 2
        for _ in range(5):
            start = perf_counter()
            graph = graph_of_spec(spec)
            middle = perf_counter()
            fit = fits()[0]
            predict(kernels(graph, fit.engine, fit.dtype), fit)
            times = middle - start, perf_counter() - middle
            shortest = [min(pair) for pair in zip(shortest, times, strict=True)]
        capture, made = shortest
        rows.append((spec, f"{1e3 * capture:.1f} ms", f"{1e3 * made:.1f} ms",
                     f"{100 * made / capture:.0f} %"))  # fmt: skip
    return _markdown(rows)


def _families(claims: Claims) -> list[str]:
    """Median error of each family with some networks, signed, by table."""
    names = list(claims.data)
    found: dict[str, dict[Name, list[float]]] = {}
    for name in names:
        for row, error in zip(claims.data[name].rows, claims.own[name][OURS].error, strict=True):
            found.setdefault(row.family, {}).setdefault(name, []).append(error)
    rows = [("family", "rows", *(title_of(name) for name in names))]
    for family, parts in sorted(found.items()):
        count = sum(map(len, parts.values()))
        if count >= NETWORKS * len(names):
            rows.append((family, str(count), *(
                f"{100 * np.expm1(np.median(parts[name])):+.0f} %" if name in parts else ""
                for name in names)))  # fmt: skip
    return _markdown(rows)


def _worst(claims: Claims) -> list[str]:
    """The largest errors, one a network."""
    found: dict[str, tuple[float, str, Row]] = {}
    for name, ways in claims.own.items():
        for row, error in zip(claims.data[name].rows, ways[OURS].error, strict=True):
            if abs(error) > abs(found.get(row.model, (0.0,))[0]):
                found[row.model] = float(error), title_of(name), row
    rows = [("network", "resolution", "table", "predicted over measured time", "why")]
    for error, table, row in sorted(found.values(), key=lambda one: -abs(one[0]))[:WORST]:
        why = next(
            (text for start, text in WHY.items() if row.model.startswith(start)), "not known"
        )
        rows.append((row.model, str(row.resolution), table, f"{np.exp(error):.2f}", why))
    return _markdown(rows)


if __name__ == "__main__":
    main()

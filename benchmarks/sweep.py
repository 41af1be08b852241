"""What a sweep costs: its rate, two workers against one, memory, overhead, and resuming.

    python benchmarks/sweep.py          # some hundred candidates, a minute or two
    python benchmarks/sweep.py --full   # 10,000 candidates, as the promise says

Rates are by processor time, so that they hold on a machine with other work: 10,000 candidates in 4
minutes on two cores are 48 ms each. The wall clock is printed beside it. Exits with 1 if a promise
is broken.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import archstat.cli
import archstat.tables.sweep as sweeping
from archstat.tables.sweep import (
    SWEEP_COLUMNS,
    Candidate,
    Settings,
    analyzed,
    chosen_candidates,
    measured,
)
from archstat.tables.sweep_files import Results

SPACE = ",".join(
    ["mobilenet_space", "width=0.5..1.4:0.1", "resolution=128..224:32"]
    + [f"stage{n}.depth=1..4,stage{n}.kernel=3|5|7,stage{n}.expansion=3|6" for n in range(2, 7)]
)
MOST_MS = 2 * 4 * 60 * 1000 / 10_000
LEAST_SPEEDUP, MOST_OVERHEAD, MOST_GROWTH = 1.8, 0.10, 1.10
ROWS = (1_000, 100_000)


def main() -> int:
    """Print a line a promise; 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="10,000 candidates, not 400")
    parser.add_argument("--client-of", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.client_of:
        return client(asked.client_of)
    count = 10_000 if asked.full else 400
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    specs = chosen_candidates([SPACE], count, 0)
    analyzed(specs[:2], Settings())
    alone = processor_seconds(lambda: analyzed(specs, Settings()))
    found = [rate(specs), overhead(specs, alone), speedup(specs), memory(), resumed(count)]
    return 0 if all(found) else 1


def told(is_kept: bool, text: str) -> bool:
    """Print a promise with its verdict."""
    print(f"{'kept' if is_kept else 'BROKEN':6} {text}", flush=True)
    return is_kept


def processor_seconds(work) -> float:
    """User and system time of this process and of those that ended within the work."""
    before = spent()
    work()
    return spent() - before


def spent() -> float:
    """Processor time so far, of children that ended too."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def rate(specs) -> bool:
    """10,000 candidates in four minutes on two cores."""
    begun = time.monotonic()
    each_ms = 1000 * processor_seconds(lambda: written(specs, 2)) / len(specs)
    wall = len(specs) / (time.monotonic() - begun)
    minutes = each_ms * 10_000 / 2 / 60_000
    return told(each_ms <= MOST_MS, f"rate: {each_ms:.1f} ms of processor a candidate, "
                f"{minutes:.1f} minutes for 10,000 on two idle cores; {wall:.1f} a second by the "
                "clock")  # fmt: skip


def written(specs, jobs: int) -> None:
    """A sweep into a file, as the command does it."""
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder) / "r.csv", SWEEP_COLUMNS, specs)
        for one in measured(specs, Settings(jobs=jobs)):
            results.append([one])


def overhead(specs, alone: float) -> bool:
    """What a sweep takes beyond the capture and analysis of its candidates."""
    whole = processor_seconds(lambda: written(specs, 1))
    return told(whole / alone - 1 <= MOST_OVERHEAD,
                f"overhead: {whole:.1f} s of processor, {alone:.1f} s in one loop: "
                f"{100 * (whole / alone - 1):+.1f} %")  # fmt: skip


def speedup(specs) -> bool:
    """Two workers against one, on candidates that wait: what the scheduling allows by itself."""
    usual, sweeping._candidate = sweeping._candidate, waiting
    try:
        seconds = []
        for jobs in (1, 2):
            begun = time.monotonic()
            written(specs[:400], jobs)
            seconds.append(time.monotonic() - begun)
    finally:
        sweeping._candidate = usual
    ratio = seconds[0] / seconds[1]
    return told(ratio >= LEAST_SPEEDUP, f"two workers: {ratio:.2f}x one, on candidates of 40 ms")


def waiting(spec: str, settings: Settings) -> Candidate:
    """A candidate that takes time and no processor."""
    time.sleep(0.04)
    return Candidate({"model": spec, "input": "1x3x8x8", "macs": 1, "unknown_ops": 0})


def nothing(spec: str, settings: Settings) -> Candidate:
    """A candidate that takes no time."""
    return Candidate({"model": spec, "input": "1x3x8x8", "macs": len(spec), "unknown_ops": 0})


def memory() -> bool:
    """The client's peak at 1,000 and at 100,000 rows."""
    peaks = []
    for rows in ROWS:
        line = [sys.executable, __file__, "--client-of", str(rows)]
        peaks.append(int(subprocess.run(line, check=True, capture_output=True, text=True).stdout))
    growth = peaks[1] / peaks[0]
    shown = ", ".join(f"{peak / 1024:.0f} MiB at {rows:,} rows" for rows, peak in
                      zip(ROWS, peaks, strict=True))  # fmt: skip
    return told(growth <= MOST_GROWTH, f"memory of the client: {shown}, {growth:.2f}x")


def client(rows: int) -> int:
    """Sweep so many candidates that take no time, and print the peak of memory in KiB."""
    sweeping._candidate = nothing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        run("sweep", f"mobilenet_space,num_classes=1..{rows}", "-o", str(path))
        with path.open() as file:
            assert sum(1 for _ in file) == rows + 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 0


def run(*words: str) -> None:
    """A command of archstat in this process."""
    sys.argv = ["archstat", *words]
    try:
        archstat.cli.main()
    except SystemExit as ended:
        assert ended.code in (0, None), ended.code


def resumed(count: int) -> bool:
    """A sweep whose client is killed, then resumed: the same bytes, and how many rows twice."""
    sample = ["--sample", str(min(count, 400)), "--jobs", "2"]
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = (Path(folder) / name for name in ("whole.csv", "broken.csv"))
        run("sweep", SPACE, *sample, "-o", str(whole))
        line = [sys.executable, "-m", "archstat", "sweep", SPACE, *sample, "-o", str(broken)]
        killed = subprocess.Popen(line)
        while killed.poll() is None and (not broken.exists() or broken.stat().st_size < 9_000):
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        specs = chosen_candidates([SPACE], min(count, 400), 0)
        left = Results(broken, SWEEP_COLUMNS, specs)
        rows, twice = left.rows, left.rows - left.done
        run("sweep", SPACE, *sample, "-o", str(broken))
        is_same = broken.read_bytes() == whole.read_bytes()
    return told(is_same and twice <= 100, f"resumed after kill -9 at {rows} rows: "
                f"{twice} made twice, the {'same' if is_same else 'WRONG'} bytes")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())

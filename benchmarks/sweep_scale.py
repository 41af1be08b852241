"""How a sweep scales: a discrete simulation of its scheduler, from costs that are measured here.

    python benchmarks/sweep_scale.py

One client gives out groups of candidates, a few ahead for each worker, and writes their rows in
order. Measured: the time of a candidate, of a row at the client (received and written), and of a
task at the client. Simulated: 10^6 candidates on 10, 100 and 1,000 workers; 10^8 by the steady
state of the same run. The clock does not count: costs are processor time.
"""

from __future__ import annotations

import heapq
import pickle
import random
import tempfile
import time
from collections import deque
from pathlib import Path

from archstat.tables.sweep import SWEEP_COLUMNS, Settings, analyzed, chosen_candidates
from archstat.tables.sweep_files import Results

SPACE = "mobilenet_space,width=0.5..1.4:0.1,stage3.depth=1..4,stage4.kernel=3|5|7"
GROUP, AHEAD, SPREAD = 100, 3, 0.25
TASK_S = 1e-3  # what distributed's documentation says that its scheduler takes for a task
WORKERS, COUNTS = (10, 100, 1_000), (10**6, 10**8)


def main() -> None:
    """Print what was measured, and a row a number of candidates and workers."""
    candidate_s, row_s = measured()
    print(f"candidate {1000 * candidate_s:.1f} ms, row {1e6 * row_s:.0f} us, "
          f"task {1e6 * TASK_S:.0f} us")  # fmt: skip
    knee = candidate_s / (row_s + TASK_S / GROUP)
    print(f"the client is busy all the time from {knee:.0f} workers on")
    print("candidates  workers  hours  efficiency  client busy")
    for count in COUNTS:
        for workers in WORKERS:
            tasks = min(count // GROUP, 20 * workers + 5_000)
            seconds, busy = simulated(tasks, workers, candidate_s, row_s)
            seconds *= count / GROUP / tasks
            ideal = count * candidate_s / workers
            print(f"{count:10.0e}  {workers:7,}  {seconds / 3600:5.2f}  {ideal / seconds:10.0%}  "
                  f"{busy:11.0%}")  # fmt: skip


def measured() -> tuple[float, float]:
    """Seconds of processor a candidate, and a row at the client."""
    specs = chosen_candidates([SPACE], None, 0)
    analyzed(specs[:2], Settings())
    begun = time.process_time()
    found = analyzed(specs[:40], Settings())
    candidate_s = (time.process_time() - begun) / 40
    sent = pickle.dumps(found)
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder) / "r.csv", SWEEP_COLUMNS, specs)
        begun = time.process_time()
        for _ in range(20):
            for one in pickle.loads(sent):
                results.append([one])
        return candidate_s, (time.process_time() - begun) / (20 * 40)


def simulated(tasks: int, workers: int, candidate_s: float, row_s: float) -> tuple[float, float]:
    """Seconds until the last row is written, and the share of them in which the client works.

    Events are ends of tasks. The client is one server: it writes a group's rows when all earlier
    ones are written, and then gives out the next group.
    """
    chosen = random.Random(0)
    free = [0.0] * workers
    heapq.heapify(free)
    window: deque[float] = deque()
    client = busy = 0.0
    given = written = 0
    while written < tasks:
        while given < tasks and len(window) < AHEAD * workers:
            takes = GROUP * candidate_s * max(0.1, chosen.gauss(1, SPREAD))
            client, busy = client + TASK_S, busy + TASK_S
            end = max(heapq.heappop(free), client) + takes
            heapq.heappush(free, end)
            window.append(end)
            given += 1
        client = max(client, window.popleft()) + GROUP * row_s
        busy += GROUP * row_s
        written += 1
    return client, busy / client


if __name__ == "__main__":
    main()

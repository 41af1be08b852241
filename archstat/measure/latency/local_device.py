"""This machine as a device: bandwidth by a copy, peaks by a matrix product, measured once and kept.

What is kept is a device file in the user's cache folder, one a machine and number of threads.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from archstat.analyses.device_files import devices_of, read_devices
from archstat.analyses.devices import Device
from archstat.errors import DeviceError, Option
from archstat.files import cache_folder, write_whole
from archstat.measure.latency.machine import cpu_name

Where = Literal["cpu", "cuda"]

_SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
_LONG_ENOUGH = {"cpu": 0.1, "cuda": 0.02}  # seconds of one product, after which no larger is tried
_COPIED = {"cpu": 2**28, "cuda": 2**30}  # bytes, beyond any cache
_ROUNDS = 10


def local_device(
    where: Where = "cpu",
    again: bool = False,
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Device:
    """This machine's cpu or GPU, from the file kept of it or, without one or `again`, measured.

    Args:
        folder: of the kept file; `cache_folder()` by default.
        clock: seconds that never go back.

    Raises:
        DeviceError: there is no such GPU.
    """
    kept = (folder or cache_folder()) / _file_name(where)
    if kept.is_file() and not again:
        try:
            return next(iter(read_devices(kept).values()))
        except DeviceError:
            pass  # damaged: as good as none
    print(f"measuring the local {where}, kept in {kept}", file=sys.stderr)
    text = measured(where, clock)
    _keep(kept, text)
    return next(iter(devices_of(text, str(kept)).values()))


def measured(where: Where, clock: Callable[[], float] = time.perf_counter) -> str:
    """A device file of this machine: best of several copies and products, with date and versions.

    Raises:
        DeviceError: there is no such GPU.
    """
    import torch

    if where == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"local-cuda: torch sees no GPU here; {Option('device', 'local')} is the cpu."
        )
    bandwidth = _copy_rate(where, clock)
    vector = {"float32": _product_rate(where, "float32", clock)}
    vector["float64"] = _product_rate(where, "float64", clock)
    # A cpu may have matrix units for halves, too; to take them for such keeps the floor a floor.
    tensor = {key: _product_rate(where, key, clock) for key in ("float16", "bfloat16")}
    if where == "cuda":
        tensor["tfloat32"] = _tfloat32_rate(clock)
    return _text(where, bandwidth, vector, tensor)


def _copy_rate(where: Where, clock: Callable[[], float]) -> float:
    """Bytes a second read and written by a copy beyond the caches."""
    import torch

    source = torch.ones(_COPIED[where] // 4, device=where)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), where, clock)


def _product_rate(where: Where, dtype: str, clock: Callable[[], float]) -> float:
    """Operations a second of a matrix product, two a multiply-accumulate."""
    import torch

    best = 0.0
    for size in _SIZES:
        square = torch.ones(size, size, device=where, dtype=getattr(torch, dtype))
        seconds = _best(partial(torch.mm, square, square), where, clock)
        best = max(best, 2 * size**3 / seconds)
        if seconds > _LONG_ENOUGH[where]:
            break
    return best


def _tfloat32_rate(clock: Callable[[], float]) -> float:
    with _tfloat32():
        return _product_rate("cuda", "float32", clock)


@contextmanager
def _tfloat32() -> Iterator[None]:
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _best(run: Callable[[], object], where: Where, clock: Callable[[], float]) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    times = []
    for _ in range(_ROUNDS + 1):
        start = clock()
        run()
        if where == "cuda":
            import torch

            torch.cuda.synchronize()
        times.append(clock() - start)
    return max(min(times[1:]), 1e-9)


def _text(
    where: Where, bandwidth: float, vector: dict[str, float], tensor: dict[str, float]
) -> str:
    import torch

    threads = torch.get_num_threads()
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    unit = torch.cuda.get_device_name() if where == "cuda" else f"{cpu_name()}, {threads} threads"
    when = f"{day} with torch {torch.__version__}"
    rows = [
        f"# Measured by `archstat roofline --device local{'-cuda' * (where == 'cuda')} --measure`.",
        "",
        f"[devices.{_name(where)}]",
        f'title = "{_quoted(unit)}, measured {when}"',
        f'memory = "{_memory(where)}B"',
        f"bandwidth = {bandwidth:.4e}",
        f"vector = {{ {_pairs(vector)} }}",
        f"tensor = {{ {_pairs(tensor)} }}",
        f'source = "a copy and matrix products on {when}"',
    ]
    return "\n".join(rows) + "\n"


def _pairs(peaks: dict[str, float]) -> str:
    return ", ".join(f"{key} = {peak:.4e}" for key, peak in peaks.items())


def _quoted(text: str) -> str:
    return re.sub(r'[\x00-\x1f"\\]', " ", text)


def _name(where: Where) -> str:
    return "local" if where == "cpu" else "local-cuda"


def _memory(where: Where) -> int:
    import torch

    if where == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _file_name(where: Where) -> str:
    import torch

    threads = f"-{torch.get_num_threads()}threads" if where == "cpu" else ""
    machine = re.sub(r"[^\w.-]", "_", platform.node()) or "machine"
    return f"{_name(where)}-{machine}{threads}.toml"


def _keep(path: Path, text: str) -> None:
    """Write the file whole or not at all; where that cannot be, the measurement still serves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        print(f"{path} cannot be kept: {error.strerror or error}", file=sys.stderr)

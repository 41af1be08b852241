"""The machine measured on: its name, its identity, and how busy it is."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from archstat.errors import LatencyError, Option
from archstat.frontends.garbage import collection_paused
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.measurement import Machine


def check_gpu(conditions: Conditions) -> None:
    """Whether torch sees the GPU that conditions name, and it computes in their dtype.

    Raises:
        LatencyError: not so; the message lists what there is.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number(conditions.device) >= there:
        names = [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(there)]
        why = "" if torch.version.cuda else f", and this torch ({torch.__version__}) is a cpu build"
        raise LatencyError(
            f"{Option('device', conditions.device)}: torch sees no such GPU here{why}. "
            f"Devices: {', '.join(['cpu', *names])}."
        )
    if conditions.dtype == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise LatencyError(
            f"{Option('dtype', 'bf16')}: {torch.cuda.get_device_name(number(conditions.device))} "
            "has no bfloat16; try fp16 or amp."
        )


def number(device: str) -> int:
    """Which GPU ``cuda`` or ``cuda:1`` is."""
    return int(device.partition(":")[2] or 0)


def gpu(device: str) -> tuple[str, str | None, str]:
    """A GPU's name, its driver's version if that can be told, and what tells it from its twins."""
    index = number(device)
    properties: Any = torch.cuda.get_device_properties(index)
    unit = str(getattr(properties, "uuid", "")) or str(index)
    return torch.cuda.get_device_name(index), _driver(), unit


def _driver() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip() or None
    except OSError:
        pass
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(told.stdout.split()), None)


_IDENTITIES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def this_machine(conditions: Conditions) -> Machine:
    """What is known of this machine and of the device that conditions name, which is there."""
    import torch

    name, driver, unit = cpu_name(), None, ""
    if conditions.on_cuda:
        name, driver, unit = gpu(conditions.device)
    parts = (_host(), cpu_name(), str(cores()), platform.machine(), name, unit)
    return Machine(
        device_name=name,
        driver=driver,
        torch=str(torch.__version__),
        python=platform.python_version(),
        platform=platform.platform(),
        cores=cores(),
        identity=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16],
    )


def cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The model of the cpu, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _host() -> str:
    for path in _IDENTITIES:
        try:
            found = Path(path).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if found:
            return found
    return platform.node()


def others_runnable(own: Sequence[int] = (), proc: Path = Path("/proc")) -> int | None:
    """Threads of other processes that could run now; None where the system does not say.

    Args:
        own: ids of the processes that do not count beside this one: measuring ones, whose threads
            spin for a moment after their work.
        proc: where the system tells of its processes.
    """
    try:
        fields = (proc / "loadavg").read_text(encoding="utf-8").split()
    except OSError:
        return None
    runnable = fields[3].partition("/")[0] if len(fields) > 3 else ""
    if not runnable.isdecimal():
        return None
    here = max(1, _runnable_threads(proc / "self"))  # the one that looks runs
    workers = sum(_runnable_threads(proc / str(process)) for process in own)
    return max(0, int(runnable) - here - workers)


def _runnable_threads(process: Path) -> int:
    count = 0
    for thread in process.glob("task/*/stat"):
        with suppress(OSError):  # it has ended
            # The name before the state may hold anything, in brackets.
            state = thread.read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            count += state.split()[:1] == ["R"]
    return count


def switches() -> Mapping[str, Any]:
    """TF32, cudnn's search for algorithms, determinism and matmul precision, as they stand."""
    import torch

    mkldnn: Any = torch.backends.mkldnn
    return {
        "matmul_precision": torch.get_float32_matmul_precision(),
        # Not by `allow_tf32`, which raises where somebody used the newer settings of the same.
        "tf32_matmul": torch.get_float32_matmul_precision() != "highest",
        "tf32_cudnn": _tf32_in_cudnn(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": bool(mkldnn.is_available() and mkldnn.enabled),
    }


def _tf32_in_cudnn() -> bool | None:
    import torch

    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # the two ways of setting it were mixed
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one thread: several processes that all use every core hinder another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def prepared(conditions: Conditions) -> Iterator[None]:
    """Run the block with the threads and gradients that conditions ask for; put all back."""
    import torch

    threads = torch.get_num_threads()
    if conditions.threads is not None:
        torch.set_num_threads(conditions.threads)
    try:
        with torch.inference_mode(not conditions.backward), collection_paused():
            yield
    finally:
        torch.set_num_threads(threads)

"""The machine measured on: its name, its identity, and how busy it is."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from archstat.latency.conditions import Conditions
from archstat.latency.measurement import Machine

_IDENTITIES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def this_machine(conditions: Conditions) -> Machine:
    """What is known of this machine and of the device that conditions name, which is there."""
    import torch

    name, driver, unit = cpu_name(), None, ""
    if conditions.on_cuda:
        from archstat.latency.cuda import gpu

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


def others_runnable(text: str | None = None) -> int | None:
    """Processes and threads that could run now, this one aside; None where nobody tells.

    Args:
        text: what /proc/loadavg says, read there by default.
    """
    if text is None:
        try:
            text = Path("/proc/loadavg").read_text(encoding="utf-8")
        except OSError:
            return None
    fields = text.split()
    runnable = fields[3].partition("/")[0] if len(fields) > 3 else ""
    return max(0, int(runnable) - 1) if runnable.isdecimal() else None

"""What models are held against: a known device, one of a file or this machine's, in a dtype."""

from __future__ import annotations

from archstat.analyses.device_files import find_device
from archstat.analyses.devices import DTYPES, Device
from archstat.analyses.memory_access import checked_fusion
from archstat.analyses.roofline import Roofline, roofline
from archstat.errors import Option, SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.units import short_dtype

_LOCAL = ("local", "local-cuda")


def needs_device(command: str, example: str, more: str = "") -> SpecError:
    """That a command was given no device."""
    return SpecError(
        f"{command} needs a device, such as {Option('device', example)}; "
        f"`archstat roofline --list-devices` shows all{more}."
    )


class Roof:
    """A device and a dtype, that models are held against.

    Args:
        device: a known device, a TOML file, ``"local"`` or ``"local-cuda"``.
        dtype: fp64, fp32, tf32, fp16, bf16, fp8, int8 or a word for one of them.
        file: further devices.
        measure: measure the local device again.

    Raises:
        SpecError: no device, no such dtype or fusion, or nothing to measure.
        DeviceError: no such device, or none that has the dtype.
    """

    def __init__(self, device: str | None, dtype: object, fusion: str, file: str | None = None,
                 measure: bool = False) -> None:  # fmt: skip
        if device is None:
            raise needs_device("roofline", "a100-40gb", ", and `local` measures this machine")
        named = short_dtype(str(dtype))
        if named not in DTYPES:
            hint = did_you_mean(named, DTYPES)
            raise SpecError(f"There is no dtype {named!r}.{hint} Known: {', '.join(DTYPES)}.")
        if measure and device not in _LOCAL:
            asked = Option("device", "local")
            raise SpecError(f"{Option('measure', True)} needs {asked} or local-cuda, not {device}.")
        self._dtype, self._fusion = named, checked_fusion(fusion)
        self._device = _device(device, file, measure)
        self._device.roof(named)

    def over(self, graph: Graph, name: str) -> Roofline:
        """What bounds the model of a Graph."""
        return roofline(graph, name, self._device, self._dtype, self._fusion)


def _device(name: str, file: str | None, measure: bool) -> Device:
    if name not in _LOCAL:
        return find_device(name, file)
    from archstat.measure.latency.local_device import local_device

    return local_device("cuda" if name == "local-cuda" else "cpu", measure)

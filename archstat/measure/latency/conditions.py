"""What a latency is measured under: device, dtype, batch, layout, threads, mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from archstat.errors import DeviceError, LatencyError, Option
from archstat.hints import did_you_mean

DTYPES = ("fp32", "fp16", "bf16", "amp")
_DEVICES = "write cpu, cuda or cuda:NUMBER"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is asked for, or, in a `Measurement`, what ran.

    A `batch` of None is the spec's own, else 1; `threads` of None is torch's own number. With
    `backward` a training step is measured, on cuda `cuda_graph` adds the replay of a captured
    graph, and `cold` flushes the GPU's cache before each call.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    batch: int | None = 1
    channels_last: bool = False
    compile: bool = False
    threads: int | None = None
    backward: bool = False
    cuda_graph: bool = False
    cold: bool = False

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.partition(":")[0] == "cuda"

    @property
    def layout(self) -> str:
        """The memory format of images and weights: ``contiguous`` or ``channels_last``."""
        return "channels_last" if self.channels_last else "contiguous"

    @property
    def phases(self) -> tuple[str, ...]:
        """The names of the timings that a measurement under these conditions has."""
        if self.backward:
            return ("forward", "backward", "optimizer", "step")
        if not self.on_cuda:
            return ("forward",)
        return ("forward", "wall", "dispatch", *(("cuda_graph",) if self.cuda_graph else ()))

    @property
    def main_phase(self) -> str:
        """The timing that stands for the model, and that ratios are made of."""
        return "step" if self.backward else "forward"

    def checked(self) -> Conditions:
        """The same conditions, if they can be met on some machine; torch is not asked.

        Whether this machine has the device and the dtype is asked by `runs.measure`.

        Raises:
            DeviceError: neither a cpu nor a GPU by its name.
            LatencyError: an unknown dtype, a number below 1, or options that do not go together.
        """
        kind, colon, number = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not number.isdecimal())):
            raise DeviceError(
                f"{Option('device', self.device)} is not a device to measure on; {_DEVICES}."
            )
        if self.dtype not in DTYPES:
            hint = did_you_mean(self.dtype, DTYPES)
            raise LatencyError(
                f"{Option('dtype', self.dtype)} is not one of {', '.join(DTYPES)}.{hint}"
            )
        for option, value in (("batch", self.batch), ("threads", self.threads)):
            if value is not None and value < 1:
                raise LatencyError(f"{Option(option, value)} is impossible: give at least 1.")
        for option, wanted in (("cuda_graph", self.cuda_graph), ("cold", self.cold)):
            if wanted and not self.on_cuda:
                raise LatencyError(
                    f"{Option(option, True)} needs a GPU, and the device is {self.device}; "
                    f"add {Option('device', 'cuda')}."
                )
        if self.cuda_graph and self.backward:
            raise LatencyError(
                f"{Option('cuda_graph', True)} measures inference; leave {Option('backward')} out."
            )
        return self

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values by field name."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Conditions:
        """The conditions of a record; fields that it lacks have their defaults."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in record.items() if key in known})

"""Devices and their roofs: peak rates by dtype and unit, bandwidth, memory, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from archstat.errors import DeviceError

# What `--dtype` takes: the name that a peak goes by, and the bytes of an element in memory.
DTYPES: Mapping[str, tuple[str, int]] = {
    "fp64": ("float64", 8),
    "fp32": ("float32", 4),
    "tf32": ("tfloat32", 4),
    "fp16": ("float16", 2),
    "bf16": ("bfloat16", 2),
    "fp8": ("float8", 1),
    "int8": ("int8", 1),
}


# By a torch.cuda.memory_snapshot(), https://discuss.pytorch.org/t/178671; Hopper has more.
CUBLAS_WORKSPACE = 8_519_680


class Roof(NamedTuple):
    """What a device does a second at best, for one dtype.

    `products` (2 x macs) and `others` (all other flops) are in operations, `bandwidth` in bytes.
    `unit` is the unit that the products run on: where it is ``vector``, the others share it.
    """

    products: float
    others: float
    bandwidth: float
    unit: str

    @property
    def ridge(self) -> float:
        """Flops a byte above which a product is bound by compute."""
        return self.products / self.bandwidth


@dataclass(frozen=True, slots=True)
class Device:
    """A device: peaks in operations a second by dtype, bandwidth in bytes a second, memory.

    `memory` is in bytes, and `context` what driver and CUDA context take of it, where known;
    `workspace` is what torch gives cuBLAS for each thread. `sources` maps each figure to the
    document that says so.
    """

    name: str
    title: str
    bandwidth: float
    vector: Mapping[str, float]
    tensor: Mapping[str, float]
    memory: int | None
    sources: Mapping[str, str]
    context: int | None = None
    workspace: int = CUBLAS_WORKSPACE

    def roof(self, dtype: str) -> Roof:
        """The roof for products in a dtype of `DTYPES`; the rest runs on the vector units.

        These compute in float32, also on halves, as PyTorch's element-wise kernels do; float64
        stays float64.

        Raises:
            DeviceError: the device file gives no peak for products of this dtype.
        """
        key, _ = DTYPES[dtype]
        others = self.vector.get("float64" if key == "float64" else "float32")
        unit = "tensor" if key in self.tensor else "vector"
        products = (self.tensor if unit == "tensor" else self.vector).get(key)
        if products is None or others is None:
            known = [short for short, (name, _) in DTYPES.items() if self._computes(name)]
            raise DeviceError(f"{self.name} has no figure for {dtype}; it has {', '.join(known)}.")
        return Roof(products, others, self.bandwidth, unit)

    def _computes(self, key: str) -> bool:
        rest = "float64" if key == "float64" else "float32"
        return rest in self.vector and (key in self.tensor or key in self.vector)

"""What every family file says of itself, beside its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Category = Literal[
    "spatial",
    "depth",
    "multi-path",
    "width",
    "feature-map",
    "attention",
    "lightweight",
    "modern",
    "block",
]


@dataclass(frozen=True, slots=True)
class Family:
    """A family of networks: its title, its paper and the input its networks expect.

    `input` is a shape without the batch; `inputs` names the variants that differ from it, and
    the options of a variant that bring another (``"alexnet,layout=torchvision"``). `origins`
    names the families that single variants come from, where year and paper are not the family's.
    """

    title: str
    year: int
    paper: str
    category: Category
    input: str = "3x224x224"
    inputs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    origins: Mapping[str, Family] = field(default_factory=lambda: MappingProxyType({}))

    def input_of(self, variant: str) -> str:
        """The input shape of one variant, without the batch."""
        return self.inputs.get(variant, self.input)

"""How others count: one record a convention, with what it counts and who counts so.

`measures` holds the records, `sources` what each source's pages mean and print to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from archstat.result import Report

# What a table of models prints, and what else published figures are of.
Printable = Literal["macs", "flops", "params", "activations"]
Quantity = Literal["macs", "flops", "params", "activations", "layers", "connections",
                   "receptive_field", "feature_memory"]  # fmt: skip
Count = Callable[[Report], int]


@dataclass(frozen=True, slots=True)
class Convention:
    """A way to count: in a word, which quantity, by whom, and how.

    `form` is what was done to the network first, if anything; `square` is a side at which the
    source counts before it scales to the input's, None where it counts at the input itself.
    """

    name: str
    quantity: Quantity
    sources: tuple[str, ...]
    count: Count
    meaning: str = ""
    form: str = ""
    square: int | None = None

    @property
    def key(self) -> str:
        """The name, with the form where there is one."""
        return f"{self.name}, {self.form}" if self.form else self.name

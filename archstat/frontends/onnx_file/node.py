"""What a rule sees of an ONNX node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from archstat.graph import Kind


class Node(Protocol):
    """A node with known shapes, and the way to record what it does.

    `inputs` holds the numbers of values, None for an input left out.
    """

    name: str
    inputs: list[int | None]
    attributes: Mapping[str, Any]
    opset: int

    def shape(self, position: int) -> tuple[int, ...]: ...
    def made(self, position: int = 0) -> tuple[int, ...]: ...
    def constant(self, position: int) -> list[Any] | None: ...
    def is_weight(self, position: int) -> bool: ...
    def is_scalar(self, position: int) -> bool: ...
    def last(self, kind: Kind, target: str, *inputs: int | None, **attributes: Any) -> None:
        """Record the op that makes the node's outputs."""

    def before(
        self, kind: Kind, target: str, shape: Sequence[int], *inputs: int | None, **attributes: Any
    ) -> int:
        """Record an op on the way; the number of what it makes."""


Rule = Callable[[Node], None]

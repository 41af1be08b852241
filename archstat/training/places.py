"""Which module an op belongs to, in forward and, by autograd's own numbering, in backward.

Autograd numbers its nodes in the order of forward. The number at which each module call began and
ended therefore tells the module of every node, also of those that forward's own lines made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

ROOT, LOSS = "(root)", "(loss)"
# Nodes that add up a parameter's gradient have the largest numbers; they belong to whoever made it.
_ADDS_UP = 2**63


class Places:
    """A stack of module paths, with the number of the next autograd node at each change."""

    def __init__(self) -> None:
        self._stack = [ROOT]
        self._numbers: list[int] = []
        self._paths: list[str] = []
        self._last = ROOT
        self._note()

    def follow(self, module: nn.Module, path: str) -> None:
        """See the module's calls, on the instance, which `guard.untouched` puts back."""
        inner: Callable[..., Any] = module._call_impl

        def call(*args: Any, **kwargs: Any) -> Any:
            self._stack.append(path or ROOT)
            self._note()
            try:
                return inner(*args, **kwargs)
            except Exception as error:
                if path and not getattr(error, "__notes__", ()):
                    error.add_note(f"in {path} ({type(module).__name__})")
                raise
            finally:
                self._stack.pop()
                self._note()

        module.__dict__["_call_impl"] = call

    def begin_loss(self) -> None:
        """What follows, and its backward, is the loss's."""
        self._note(LOSS)

    def here(self) -> str:
        """The module that the op running now belongs to."""
        if len(self._stack) > 1:
            return self._stack[-1]
        node: Any = torch._C._current_autograd_node()
        if node is not None:
            number = node._sequence_nr()
            if number < _ADDS_UP:
                self._last = self._paths[bisect_right(self._numbers, number) - 1]
            return self._last
        return self._paths[-1] if self._paths[-1] == LOSS else ROOT

    def _note(self, path: str | None = None) -> None:
        self._numbers.append(torch._C._autograd._get_sequence_nr())
        self._paths.append(path or self._stack[-1])

"""Other forms of a network: the options of its family, one at a time, and its deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from archstat import zoo
from archstat.graph import Graph
from archstat.models.pipeline import graph_of_spec
from archstat.models.specs import parse_spec

if TYPE_CHECKING:
    from torch import nn

# What libraries call the method that folds the branches of a block into one.
_METHODS = ("reparameterize", "reparametrize", "switch_to_deploy")


def forms_of(text: str) -> Iterator[tuple[str, str]]:
    """For each option of a zoo network that has a few values, each other value and its spec."""
    spec = parse_spec(text)
    if spec.scheme != "zoo":
        return
    factory = zoo.factory(spec.target)
    for name, kind in get_type_hints(factory).items():
        values = get_args(kind) if get_origin(kind) is Literal else (True,) if kind is bool else ()
        if any(name == given for given, _ in spec.options):
            continue
        default = (factory.__kwdefaults__ or {}).get(name)
        for value in values:
            if value != default:
                form = f"{name}={int(value) if kind is bool else value}"
                yield form, f"{text},{form}"


def reparameterised(text: str, input: Any) -> Graph | None:
    """The Graph of a network after every block folded its branches; None where none can."""
    changed = []

    def fold(model: nn.Module) -> nn.Module:
        for module in model.modules():
            method = next((getattr(module, name, None) for name in _METHODS
                           if callable(getattr(module, name, None))), None)  # fmt: skip
            if method is not None:
                method()
                changed.append(module)
        return model

    graph = graph_of_spec(text, input, None, fold, text)
    return graph if changed else None

"""The grammar of model specs: ``[scheme:]target[,key=value]*``, read without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from archstat.errors import InputError, LookupFailedError, SpecError
from archstat.models.users_code import candidates
from archstat.units import InputSpec, parse_input, parse_shape

Scheme = Literal["zoo", "timm", "torchvision", "python"]
_PACKAGES: tuple[Scheme, ...] = ("timm", "torchvision")


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed spec: where the model comes from, the factory's options, the input it names.

    `target` is a name, or a file or module whose `attribute` is the factory. `options` are for the
    factory, as text; `input`, `resolution` and `batch` are archstat's.
    """

    text: str
    scheme: Scheme
    target: str
    attribute: str = ""
    options: tuple[tuple[str, str], ...] = ()
    input: InputSpec | None = None
    resolution: tuple[int, ...] = ()
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Spatial sizes to put in place of those of a model's own input; one size is for every axis.

    As an input it yields to what a spec says itself, unless it `overrides` that.
    """

    sizes: tuple[int, ...]
    overrides: bool = False


def parse_resolution(text: str) -> Resolution:
    """The sizes of ``384`` or ``384x256``.

    Raises:
        InputError: not positive sizes joined by x.
    """
    return Resolution(_resolution(text, f"--resolution {text}"))


def parse_spec(text: str) -> Spec:
    """The parts of a spec such as ``mobilenet_v1,width=0.5,resolution=160``.

    Raises:
        SpecError: an empty item, a key without ``=``, a repeated key, a file without a target.
        InputError: `input`, `resolution` that are not shapes.
    """
    head, *items = text.split(",")
    scheme, target, attribute = _target(text, head.strip())
    options: dict[str, str] = {}
    for item in items:
        key, equals, value = item.strip().partition("=")
        if not (key and equals):
            raise SpecError(f"{text!r}: {item!r} is not an option; write KEY=VALUE, no empty item.")
        if key in options:
            raise SpecError(f"{text!r} gives {key} twice; give it once.")
        options[key] = value
    given, size, batch = (options.pop(key, None) for key in ("input", "resolution", "batch"))
    if given is not None and size is not None:
        raise SpecError(f"{text!r} gives both input and resolution; give one of them.")
    return Spec(
        text=text,
        scheme=scheme,
        target=target,
        attribute=attribute,
        options=tuple(options.items()),
        input=None if given is None else parse_input(given),
        resolution=() if size is None else _resolution(size, text),
        batch=None if batch is None else parse_batch(batch),
    )


def _resolution(size: str, text: str) -> tuple[int, ...]:
    sizes = parse_shape(size, text)
    if not sizes:
        raise InputError(f"{text!r}: resolution={size} has no size; write one, such as 224.")
    return sizes


def parse_batch(text: str) -> int:
    """A positive batch size.

    Raises:
        SpecError: not a positive whole number.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise SpecError(f"batch={text} is impossible: give a whole number of at least 1.")
    return int(text)


def _target(text: str, head: str) -> tuple[Scheme, str, str]:
    before, colon, after = head.rpartition(":")
    for scheme in _PACKAGES:
        if colon and before == scheme:
            if not after:
                raise SpecError(f"{text!r} names no model; write {scheme}:NAME.")
            return scheme, after, ""
    if not head:
        raise SpecError(f"{text!r} names no model; write a zoo name, FILE.py:NAME or MODULE:NAME.")
    if not colon:
        if head.endswith(".py") or "/" in head:
            raise SpecError(_without_attribute(head))
        return "zoo", head, ""
    if not (before and after and all(part.isidentifier() for part in after.split("."))):
        raise SpecError(
            f"{text!r}: {after!r} is not an attribute; write FILE.py:NAME or MODULE:NAME."
        )
    return "python", before, after


def _without_attribute(path: str) -> str:
    if not os.path.exists(path):
        return f"There is no file {path}; write FILE.py:NAME, the class or function that builds."
    try:
        names = candidates(Path(path))
    except LookupFailedError:
        names = []
    hint = f"try {' or '.join(f'{path}:{name}' for name in names[:3])}" if names else "FILE.py:NAME"
    return f"{path} is a file without a target: name the class or function that builds; {hint}."

"""The grammar of model specs: ``[scheme:]target[,key=value]*``, read without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from archstat import zoo
from archstat.errors import AT_COMMAND_LINE, InputError, LookupFailedError, Option, SpecError
from archstat.graph import parse_layout
from archstat.hints import spelled_alike
from archstat.models.users_code import candidates, is_importable, model_classes
from archstat.units import InputSpec, parse_input, parse_shape

Scheme = Literal["zoo", "timm", "torchvision", "python", "file", "hf"]
PACKAGES: tuple[Scheme, ...] = ("timm", "torchvision")
# Files that are models: programs, and tensors without a forward pass.
PROGRAMS = (".pt2",)
WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".index.json")
_FILES = (*PROGRAMS, *WEIGHTS, ".onnx")
_TABLES = (".csv", ".parquet", ".xlsx")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed spec: where the model comes from, the factory's options, the input it names.

    `target` is a name, or a file or module whose `attribute` is the factory. `options` are for the
    factory, as text; what follows them is archstat's, a `layout` also the factory's that takes one.
    """

    text: str
    scheme: Scheme
    target: str
    attribute: str = ""
    options: tuple[tuple[str, str], ...] = ()
    input: InputSpec | None = None
    resolution: tuple[int, ...] = ()
    batch: int | None = None
    train_mode: bool = False
    layout: str = ""
    example: str = ""


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
    return Resolution(_resolution(text, str(Option("resolution", text))))


def parse_spec(text: str) -> Spec:
    """The parts of a spec such as ``mobilenet_v1,width=0.5,resolution=160``.

    Raises:
        SpecError: an empty item, a key without ``=``, a repeated key, a bracket or quote left open,
            a file without a target.
        InputError: `input`, `resolution` that are not shapes.
    """
    head, *items = spec_items(text)
    scheme, target, attribute = _target(text, head.strip())
    options: dict[str, str] = {}
    for item in items:
        key, equals, value = item.strip().partition("=")
        if not (key and equals):
            raise SpecError(_no_option(text, item))
        if key in options:
            raise SpecError(f"{text!r} gives {key} twice; give it once.")
        options[key] = value
    given, size, batch = (options.pop(key, None) for key in ("input", "resolution", "batch"))
    train_mode = options.pop("train_mode", "false").lower()
    if train_mode not in ("true", "false"):
        raise SpecError(f"{text!r}: train_mode={train_mode} is impossible; write true or false.")
    layout, example = _layout(options), options.pop("example", "")
    several = [word for word, told in (("input", given), ("resolution", size),
               ("example", example or None)) if told is not None]  # fmt: skip
    if len(several) > 1:
        raise SpecError(f"{text!r} gives both {' and '.join(several)}; give one of them.")
    return Spec(
        text=text,
        scheme=scheme,
        target=target,
        attribute=attribute,
        options=tuple(options.items()),
        input=None if given is None else parse_input(given),
        resolution=() if size is None else _resolution(size, text),
        batch=None if batch is None else parse_batch(batch),
        train_mode=train_mode == "true",
        layout=layout,
        example=example,
    )


def _layout(options: dict[str, str]) -> str:
    """The layout of the input among options; another word is for a factory that takes it."""
    try:
        layout = parse_layout(options.get("layout", ""))
    except InputError:
        return ""
    return options.pop("layout") and layout if len(layout) > 1 else ""


def spec_items(text: str) -> list[str]:
    """What stands between the commas that are in no brackets and no quotes.

    Raises:
        SpecError: a bracket or a quote that is not closed, or one too many.
    """
    items, awaited = [""], ""
    for character in text:
        quoted = awaited[-1:] in ("'", '"')
        if character == "," and not awaited:
            items.append("")
            continue
        items[-1] += character
        if character == awaited[-1:] and awaited:
            awaited = awaited[:-1]
        elif quoted or len(items) == 1:
            continue
        elif character in "'\"" and items[-1][-2:-1] in ("=", ",", " ", "(", "[", "{", ":"):
            awaited += character
        elif character in _CLOSING:
            awaited += _CLOSING[character]
        elif character in _CLOSING.values():
            raise SpecError(f"{text!r}: this {character!r} closes no bracket.")
    if awaited:
        raise SpecError(f"{text!r}: a {awaited[-1]!r} is missing; close every bracket and quote.")
    return items


def _no_option(text: str, item: str) -> str:
    """What is wrong with an item without a key: commas between models, say."""
    known = spelled_alike(item, zoo.catalogue()) or ":" in item
    if known or (text.rstrip().endswith(",") and text.count(",") == 1):
        if not AT_COMMAND_LINE.get():
            return f"{text!r}: give several models as a list; commas begin KEY=VALUE."
        return f"{text!r}: separate models by spaces, without commas; commas begin KEY=VALUE."
    return f"{text!r}: {item!r} is not an option; write KEY=VALUE; no item may be empty."


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
    head = head.replace("::", ":")
    if "(" in head:
        raise SpecError(f"{text!r}: write options after commas, such as FILE.py:NAME,width=16.")
    before, colon, after = head.rpartition(":")
    if colon and not after and before.endswith(".py"):
        return "python", before, _only_model(before)
    for scheme in PACKAGES:
        if colon and before == scheme:
            if not after:
                raise SpecError(f"{text!r} names no model; write {scheme}:NAME.")
            return scheme, after, ""
    if head.startswith("hf:"):
        if head == "hf:":
            raise SpecError(f"{text!r} names no model; write hf:FOLDER/config.json or hf:CLASS.")
        return "hf", head[3:], ""
    if not head:
        raise SpecError(f"{text!r} names no model; write a zoo name, FILE.py:NAME or MODULE:NAME.")
    if not colon:
        return _without_colon(head)
    if not (before and after and all(part.isidentifier() for part in after.split("."))):
        raise SpecError(
            f"{text!r}: {after!r} is not a name; write FILE.py:NAME,KEY=VALUE or MODULE:NAME."
        )
    if before.lower().endswith(_FILES):
        raise SpecError(f"{text!r}: {before} holds no code, so there is no {after} in it.")
    return "python", before, after


def _without_colon(head: str) -> tuple[Scheme, str, str]:
    """A name of the zoo, a file with one model, or ``package.module.Net``."""
    if head.lower().endswith(_FILES):
        return "file", head, ""
    if head.lower().endswith(_TABLES):
        raise SpecError(
            f"{head} is a table, not a model. `archstat sweep`, `archstat audit` and "
            f"{Option('join')} read tables, as .csv only."
        )
    if head.endswith(".py") or "/" in head:
        return "python", head, _only_model(head)
    before, _, after = head.rpartition(".")
    parts = head.split(".")
    if before and all(part.isidentifier() for part in parts) and is_importable(parts[0]):
        return "python", before, after
    return "zoo", head, ""


def _only_model(path: str) -> str:
    """The one class of models in a file.

    Raises:
        SpecError: there is no such file, or not exactly one class of models in it.
    """
    if not os.path.exists(path):
        raise SpecError(
            f"There is no file {path}; write FILE.py:NAME, the class or function that builds."
        )
    try:
        names, models = candidates(Path(path)), model_classes(Path(path))
    except LookupFailedError:
        names = models = []
    if len(models) == 1:
        return models[0]
    named = [f"{path}:{name}" for name in (models or names)[:3]]
    hint = f"try {' or '.join(named)}" if named else "FILE.py:NAME"
    raise SpecError(
        f"{path} is a file without a target: name the class or function that builds; {hint}."
    )

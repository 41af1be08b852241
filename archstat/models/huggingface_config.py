"""Configs of transformers and the classes that they name, read without running what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

from archstat.errors import BuildError, OptionError, SpecError, UnknownModelError
from archstat.hints import did_you_mean, shortened
from archstat.models.options import converted
from archstat.models.specs import Spec

# Options that are archstat's; every other one is a key of the config.
OWN = ("task", "seq", "image", "audio", "phase", "context", "mask")
# What a config may hold that decides which code runs, some of it from a hub.
_IMPLEMENTATIONS = frozenset({
    *("attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
    *("experts_implementation", "_experts_implementation", "_name_or_path"),
})  # fmt: skip
_LOCAL = ("eager", "sdpa", "grouped_mm", "batched_mm")
# More layers or labels take minutes to make, and are a slip.
_MOST = {"layers": 4096, "n_layer": 4096, "depth": 4096, "labels": 1_000_000}
_LARGEST_CONFIG = 2**24


def content_of(transformers: Any, spec: Spec) -> dict[str, Any] | None:
    """What a file or a type of models says; None for the name of a class."""
    target = spec.target
    if not ("/" in target or target.endswith(".json")):
        return {"model_type": target} if target in transformers.CONFIG_MAPPING else None
    content = _read(Path(target), spec)
    if "auto_map" in content:
        raise SpecError(
            f"{spec.text}: this config names code of its own (auto_map), which is never run. "
            "Where transformers has the class itself, remove auto_map from a copy."
        )
    kind = content.get("model_type")
    if not isinstance(kind, str) or kind not in transformers.CONFIG_MAPPING:
        hint = did_you_mean(str(kind), transformers.CONFIG_MAPPING.keys())
        raise UnknownModelError(
            f"{spec.text}: transformers {transformers.__version__} has no model_type "
            f"{kind!r}.{hint}"
        )
    return {key: value for key, value in content.items()
            if key not in _IMPLEMENTATIONS or value in _LOCAL}  # fmt: skip


def _read(path: Path, spec: Spec) -> dict[str, Any]:
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise SpecError(
            f"{spec.text}: there is no file {file}. Names of a hub are not looked up: give the "
            "path of a config.json, a type of models (hf:bert) or a class (hf:LlamaForCausalLM)."
        )
    try:
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError(f"{file.stat().st_size} bytes are too many for a config")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{spec.text}: {file} is not a config.json: {shortened(error)}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{spec.text}: {file} holds a {type(content).__name__}, not a config.")
    return content


def config_of(spec: Spec, factory: Any, content: dict[str, Any], options: dict[str, str]) -> Any:
    known = _keys(factory)
    for key, text in options.items():
        first, *inner = key.split(".")
        if known and first not in known:
            hint = did_you_mean(first, [*known, *OWN])
            raise OptionError(f"{spec.text}: {factory.__name__} has no key {first!r}.{hint}")
        place = content
        for name, below in zip([first, *inner], inner, strict=False):
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise OptionError(f"{spec.text}: {name} has no {below} inside.")
        place[[first, *inner][-1]] = converted(spec, key, text, None)
    _bounded(spec, content)
    try:
        config = factory.from_dict(content)
    except Exception as error:  # whatever a config makes of impossible values
        raise OptionError(f"{spec.text}: {shorten(str(error), 240)}") from error
    for one in _parts(config):
        if getattr(one, "use_pretrained_backbone", False):
            one.use_pretrained_backbone = False
    return config


def _keys(factory: Any) -> tuple[str, ...]:
    """The keys of a kind of config; none where it has no default."""
    try:
        return (*factory().to_dict(), *factory.attribute_map, "num_labels")
    except Exception:
        return ()


def _bounded(spec: Spec, content: Any, depth: int = 0) -> None:
    """Refuse numbers of layers and labels that no network has."""
    for key, value in content.items() if isinstance(content, dict) and depth < 8 else ():
        most = next((most for end, most in _MOST.items() if key.endswith(end)), None)
        if type(value) is int and most is not None and abs(value) > most:
            raise OptionError(f"{spec.text}: {key}={value} is impossible; it is at most {most}.")
        _bounded(spec, value, depth + 1)


def _parts(config: Any) -> Iterator[Any]:
    """A config and those inside of it, of a text and an image, say."""
    yield config
    for name in getattr(config, "sub_configs", {}):
        inner = getattr(config, name, None)
        if inner is not None and inner is not config:
            yield from _parts(inner)


def number(config: Any, *names: str) -> Any:
    """The first of these that a config, or one inside of it, says."""
    for part in _parts(config):
        for name in names:
            value = getattr(part, name, None)
            if value:
                return value
    return None


# -- the class ----------------------------------------------------------------------------------


def class_named(transformers: Any, spec: Spec, name: str) -> Any:
    """A class of models by its name."""
    try:
        found: Any = getattr(transformers, name, None) if name.isidentifier() else None
    except Exception as error:
        raise BuildError(f"{spec.text} does not import: {shortened(error)}") from error
    base = transformers.PreTrainedModel
    if base not in getattr(found, "__mro__", ()):
        names = [n for n in dir(transformers) if "For" in n or "Model" in n]
        names = [n for n in names if n[0].isupper() and not n.startswith("Auto")]
        hint = did_you_mean(name, [*names, *transformers.CONFIG_MAPPING.keys()])
        raise UnknownModelError(
            f"{spec.text}: transformers {transformers.__version__} has no model {name!r}."
            f"{hint or ' Name a class (LlamaForCausalLM), a type of models (bert) or a file.'}"
        )
    if found.config_class is None:
        raise UnknownModelError(f"{spec.text}: {name} is the base of others; name one of them.")
    return found


def class_headed(transformers: Any, spec: Spec, config: Any, task: str | None) -> Any:
    """The class of a config: with the head for a task, else the first of its architectures."""
    named = config.architectures
    if task is None and named:
        first = named[0] if isinstance(named, (list, tuple)) else named
        return class_named(transformers, spec, str(first))
    tasks = {name.removeprefix("AutoModelFor").lower(): name for name in dir(transformers)
             if name.startswith("AutoModelFor")}  # fmt: skip
    written = (task or "").replace("-", "").replace("_", "").lower()
    if task is not None and written not in tasks:
        hint = did_you_mean(written, tasks)
        raise OptionError(f"{spec.text}: there is no task {task!r}.{hint}")
    auto = getattr(transformers, tasks[written] if task is not None else "AutoModel")
    try:
        found = auto._model_mapping[type(config)]
    except KeyError:
        raise OptionError(
            f"{spec.text}: a {config.model_type} has no {auto.__name__}; name its class, or give "
            "another task=."
        ) from None
    return found[0] if isinstance(found, (tuple, list)) else found

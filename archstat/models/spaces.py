"""Design spaces: specs whose options have several values, written out or drawn at random.

``mobilenet_v1,width=0.25..1.0:0.05,resolution=128|160`` stands for 32 specs: ranges with both ends
and a step, lists with bars between.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from pathlib import Path
from typing import Any, overload

from archstat.errors import Option, SpecError
from archstat.files import read_regular
from archstat.hints import did_you_mean
from archstat.models.specs import spec_items

MOST = 10_000_000  # more take days, and are better sampled

_NUMBER = r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?"
_RANGE = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?(?::(.*))?")
_STEP = re.compile(_NUMBER)
_KEYS = ("model", "options")


@dataclass(frozen=True, slots=True)
class Progression:
    """Numbers at equal distances; `first` and `step` have the same digits behind the point."""

    first: Decimal
    step: Decimal
    count: int

    def at(self, number: int) -> str:
        """The number of this place, on the digits of `first`, without zeros behind."""
        text = format(self.first + number * self.step, "f")
        digits = text.rstrip("0") if "." in text else text
        return f"{digits}0" if digits.endswith(".") else digits


@dataclass(frozen=True, slots=True)
class Space:
    """A model, and for each option what it may be: texts and progressions, one after the other."""

    model: str
    options: tuple[tuple[str, tuple[str | Progression, ...]], ...] = ()

    @property
    def size(self) -> int:
        """The number of candidates, equal ones counted apart."""
        return prod(_count(values) for _, values in self.options)

    def spec(self, number: int) -> str:
        """The candidate of this number; the last option changes first."""
        chosen = []
        for key, values in reversed(self.options):
            number, place = divmod(number, _count(values))
            chosen.append(f",{key}={_value(values, place)}")
        return self.model + "".join(reversed(chosen))


def parse_space(text: str) -> Space:
    """The space of a spec whose values may be ``LOW..HIGH:STEP`` and ``A|B|C``.

    Raises:
        SpecError: no spec, a range without an end or of no step, a value that is empty.
    """
    model, *items = spec_items(text)
    options: dict[str, tuple[str | Progression, ...]] = {}
    for item in items:
        key, equals, value = item.strip().partition("=")
        if not (key and equals):
            raise SpecError(f"{text!r}: {item!r} is not an option; write KEY=VALUE.")
        if key in options:
            raise SpecError(f"{text!r} gives {key} twice; give it once, as {key}=A|B.")
        options[key] = _values(f"{key}={value}", value)
    return Space(model, tuple(options.items()))


def _values(text: str, value: str) -> tuple[str | Progression, ...]:
    parts = value.split("|")
    if "" in parts and len(parts) > 1:
        raise SpecError(f"{text}: a value is missing beside a bar; write A|B|C.")
    return tuple(dict.fromkeys(_progression(text, part) or part for part in parts))


def _progression(text: str, value: str) -> Progression | None:
    """The numbers of a range; None for what is none, such as a path that begins with ``..``."""
    match = _RANGE.fullmatch(value.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not (match[1] and match[2]):
        missing = "end" if match[1] else "start"
        raise SpecError(f"{text}: this range has no {missing}; write LOW..HIGH:STEP.")
    if match[3] is None and "." in match[1] + match[2]:
        raise SpecError(f"{text}: a range of fractions needs a step, as {value}:0.1.")
    step = "1" if match[3] is None else match[3].strip()
    if not _STEP.fullmatch(step):
        raise SpecError(f"{text}: {match[3]!r} is not a step; write LOW..HIGH:STEP.")
    return _counted(text, Decimal(match[1]), Decimal(match[2]), Decimal(step))


def _counted(text: str, low: Decimal, high: Decimal, step: Decimal) -> Progression:
    if step == 0:
        raise SpecError(f"{text}: with step 0 this range never ends; give a step above 0.")
    if step < 0 or low > high:
        raise SpecError(f"{text}: this range is empty; write the lower end first, a step above 0.")
    digits = Decimal(0).scaleb(min(_exponent(low), _exponent(step)))
    return Progression(low + digits, step + digits, int((high - low) // step) + 1)


def _exponent(number: Decimal) -> int:
    return int(number.as_tuple().exponent)


def _count(values: Iterable[str | Progression]) -> int:
    return sum(one.count if isinstance(one, Progression) else 1 for one in values)


def _value(values: Iterable[str | Progression], place: int) -> str:
    for one in values:
        count = _count((one,))
        if place < count:
            return one.at(place) if isinstance(one, Progression) else one
        place -= count
    raise IndexError(place)


def read_spaces(path: str | Path) -> list[Space]:
    """The spaces of a TOML file, or of a JSON schema.

    TOML has `model`, a spec or a list of them, and a table `options`, whose values are lists, or
    what they are in a spec: ``width = "0.25..1.0:0.05"``. A schema has `properties`, of which
    `model` is one, each with `const`, `enum`, or `minimum`, `maximum` and `multipleOf`.

    Raises:
        SpecError: it cannot be read, or says something else.
    """
    is_schema = str(path).lower().endswith(".json")
    try:
        text = read_regular(path).decode("utf-8-sig")
        said = json.loads(text) if is_schema else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"{path} cannot be read: {reason}.") from error
    if is_schema:
        said = _of_schema(path, said)
    for key in said:
        if key not in _KEYS:
            raise SpecError(f"{path}: there is no key {key!r}.{did_you_mean(key, _KEYS)} "
                            "It takes model and options.")  # fmt: skip
    models, options = said.get("model"), said.get("options", {})
    models = [models] if isinstance(models, str) else models
    if not (isinstance(models, list) and models and all(isinstance(m, str) for m in models)):
        raise SpecError(f'{path} names no model; write model = "mobilenet_v1".')
    if not isinstance(options, dict):
        raise SpecError(f"{path}: options is not a table; write [options] and KEY = VALUE below.")
    items = "".join(f",{key}={_of_toml(path, key, value)}" for key, value in options.items())
    return [parse_space(model + items) for model in models]


def _of_schema(path: str | Path, said: Any) -> dict[str, Any]:
    """What a JSON schema says, as a TOML file would."""
    properties = said.get("properties") if isinstance(said, dict) else None
    if not isinstance(properties, dict):
        raise SpecError(
            f"{path} is not the schema of a space; give it properties, among them model."
        )
    values = {key: _of_property(path, key, one) for key, one in properties.items()}
    model = values.pop("model", None)
    return {"model": model, "options": values}


def _of_property(path: str | Path, key: str, said: Any) -> Any:
    asked = said if isinstance(said, Mapping) else {}
    if "const" in asked:
        return [asked["const"]]
    if isinstance(asked.get("enum"), list):
        return asked["enum"]
    if asked.get("type") == "boolean":
        return [False, True]
    if {"minimum", "maximum"} <= asked.keys():
        step = asked.get("multipleOf", 1 if asked.get("type") == "integer" else "")
        return f"{asked['minimum']}..{asked['maximum']}" + (f":{step}" if step != "" else "")
    raise SpecError(f"{path}: {key} has no end; give it const, enum, or minimum and maximum.")


def _of_toml(path: str | Path, key: str, value: Any) -> str:
    if isinstance(value, list):
        if not value:
            raise SpecError(f"{path}: {key} = [] leaves no candidate; give at least one value.")
        return "|".join(map(_typed, value))
    return _typed(value)


def _typed(value: Any) -> str:
    """A value of TOML as it is typed in a spec."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def spaces_of(texts: Iterable[str]) -> list[Space]:
    """The spaces of specs, of TOML files and of JSON schemas.

    Raises:
        SpecError: a text or file that is none.
    """
    found: list[Space] = []
    for text in texts:
        is_file = text.lower().endswith((".toml", ".json")) and not text.startswith("hf:")
        found += read_spaces(text) if is_file else [parse_space(text)]
    return found


@dataclass(frozen=True, slots=True)
class Candidates(Sequence[str]):
    """Specs of spaces by their numbers, each written out when it is asked for."""

    spaces: tuple[Space, ...]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Candidates: ...
    def __getitem__(self, place: int | slice) -> str | Candidates:
        if isinstance(place, slice):
            return Candidates(self.spaces, self.numbers[place])
        number = self.numbers[place]
        for space in self.spaces:
            if number < space.size:
                return space.spec(number)
            number -= space.size
        raise IndexError(place)


def candidates(
    spaces: Sequence[Space], sample: int | None = None, seed: int = 0, *, any_number: bool = False
) -> Candidates:
    """The specs of spaces in order, or so many of them drawn at random, each once.

    Raises:
        SpecError: more than `MOST`, unless `any_number` are wanted.
    """
    total = sum(space.size for space in spaces)
    wanted = total if sample is None else min(sample, total)
    if (wanted > MOST and not any_number) or wanted > sys.maxsize:
        sampled = Option("sample", "10000")
        raise SpecError(
            f"{wanted:,} candidates are more than {MOST:,}; narrow the ranges, draw some with "
            f"{sampled}, or confirm with {Option('yes')}."
        )
    drawn = range(total) if wanted == total else _drawn(total, wanted, seed)
    found = Candidates(tuple(spaces), drawn)
    return found if len(spaces) < 2 else _each_once(found)


def _each_once(found: Candidates) -> Candidates:
    """What spaces share comes once; it is in the first of them."""
    seen: dict[object, int] = {}
    for number, spec in zip(found.numbers, found, strict=True):
        model, *items = spec_items(spec)
        seen.setdefault((model, frozenset(items)), number)
    return Candidates(found.spaces, list(seen.values()))


def _drawn(total: int, count: int, seed: int) -> list[int]:
    """So many different numbers below `total`, in the order in which they were drawn."""
    chosen = random.Random(seed)
    if total < 2**62:
        return chosen.sample(range(total), count)
    seen: dict[int, None] = {}
    while len(seen) < count:
        seen.setdefault(chosen.randrange(total))
    return list(seen)

"""Device files: TOML with the peaks, bandwidth, memory and sources of devices.

archstat's own is `devices.toml`; one of the user's has the same form. Mistakes are all told at
once, each with its line.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from archstat.analyses.devices import CUBLAS_WORKSPACE, DTYPES, Device
from archstat.errors import DeviceError, SpecError
from archstat.files import read_regular
from archstat.hints import did_you_mean, nearest
from archstat.toml_lines import key_lines, line_at
from archstat.units import parse_bytes

_PEAKS = tuple(name for name, _ in DTYPES.values())
_SIZES = ("memory", "context", "workspace")
_FIGURES = (*_SIZES, "bandwidth", "vector", "tensor")
_KEYS = ("title", *_FIGURES, "source")


@cache
def built_in() -> Mapping[str, Device]:
    """The devices that archstat knows, by name."""
    text = resources.files("archstat.analyses").joinpath("devices.toml").read_text(encoding="utf-8")
    return devices_of(text, "devices.toml")


def find_device(name: str, file: str | Path | None = None) -> Device:
    """The device of a name, whatever its case, spaces and hyphens; a file's own come first.

    `name` may also be the path of a device file that holds one device, or ``FILE.toml:NAME``.

    Raises:
        DeviceError: no device of that name, or a file that is not a device file.
    """
    path, _, inside = name.rpartition(":")
    if name.endswith(".toml"):
        path, inside = name, ""
    if path.endswith(".toml"):
        own = read_devices(path)
        if inside or len(own) != 1:
            return _named(inside, own, f"{path} has the devices {', '.join(own)}: write "
                          f"{path}:NAME for one of them.")  # fmt: skip
        return next(iter(own.values()))
    known = {**built_in(), **(read_devices(file) if file is not None else {})}
    return _named(name, known, "`archstat roofline --list-devices` shows all; `local` measures "
                  "this machine.")  # fmt: skip


def _named(name: str, known: Mapping[str, Device], remedy: str) -> Device:
    wanted, letters = _letters(name), {_letters(key): key for key in known}
    if wanted in letters:
        return known[letters[wanted]]
    if not wanted:
        raise DeviceError(remedy)
    longer = [key for text, key in letters.items() if text.startswith(wanted)]
    near = f" Did you mean {' or '.join(longer)}?" if longer else did_you_mean(name, known)
    raise DeviceError(f"There is no device {name!r}.{near} {remedy}")


def _letters(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


def read_devices(path: str | Path) -> Mapping[str, Device]:
    """The devices of a file.

    Raises:
        DeviceError: it cannot be read; or every mistake in it, with its line.
    """
    try:
        text = read_regular(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DeviceError(f"{path} cannot be read as a device file: {reason}.") from error
    return devices_of(text, str(path))


def devices_of(text: str, file: str) -> Mapping[str, Device]:
    """The devices that a TOML text describes; `file` is its name in messages.

    Raises:
        DeviceError: every mistake in it, with its line.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise DeviceError(f"{file} is not TOML: {error}.") from error
    sources = document.get("sources", {})
    entries = document.get("devices")
    if not isinstance(entries, dict) or not entries:
        raise DeviceError(f"{file} has no device: describe one under [devices.NAME].")
    found = (*_strays(document, sources), *_all_mistakes(entries))
    lines = key_lines(text)
    mistakes = sorted((line_at(lines, place), said) for place, said in found)
    if mistakes:
        told = "; ".join(f"line {line}: {said}" for line, said in mistakes)
        raise DeviceError(f"{file} is not a device file: {told}.")
    return {name: _device(name, entry, sources) for name, entry in entries.items()}


def _device(name: str, entry: Mapping[str, Any], sources: Mapping[str, str]) -> Device:
    given = entry.get("source", {})
    figures = [key for key in _FIGURES if key in entry]
    said = dict.fromkeys(figures, given) if isinstance(given, str) else given
    return Device(
        name,
        entry.get("title", name),
        float(entry["bandwidth"]),
        {key: float(peak) for key, peak in entry.get("vector", {}).items()},
        {key: float(peak) for key, peak in entry.get("tensor", {}).items()},
        parse_bytes(entry["memory"]) if "memory" in entry else None,
        {figure: _document(text, sources) for figure, text in said.items()},
        parse_bytes(entry["context"]) if "context" in entry else None,
        parse_bytes(entry["workspace"]) if "workspace" in entry else CUBLAS_WORKSPACE,
    )


def _document(text: str, sources: Mapping[str, str]) -> str:
    key, semicolon, rest = text.partition(";")
    return sources.get(key, key) + semicolon + rest


# -- mistakes: a place is the path of keys from the top of the document ------------------------

Mistake = tuple[tuple[str, ...], str]


def _strays(document: Mapping[str, Any], sources: Any) -> Iterator[Mistake]:
    for key in document:
        if key not in ("sources", "devices"):
            yield (key,), f"{key!r} is neither `sources` nor `devices`"
    if not isinstance(sources, dict) or not all(isinstance(s, str) for s in sources.values()):
        yield ("sources",), "`sources` must map names to text"


def _all_mistakes(entries: Mapping[str, Any]) -> Iterator[Mistake]:
    for name, entry in entries.items():
        place = ("devices", name)
        if not isinstance(entry, dict):
            yield place, f"{name} is not a table"
            continue
        for key in entry:
            if key not in _KEYS:
                yield (*place, key), f"{name} has the unknown key {key!r}{_hint(key, _KEYS)}"
        yield from _wrong_numbers(place, name, entry)
        yield from _wrong_texts(place, name, entry)


def _wrong_numbers(
    place: tuple[str, ...], name: str, entry: Mapping[str, Any]
) -> Iterator[Mistake]:
    if "bandwidth" not in entry:
        yield place, f"{name} lacks `bandwidth`, in bytes a second"
    elif not _is_rate(entry["bandwidth"]):
        said = f"must be a number of bytes a second, above 0, not {entry['bandwidth']!r}"
        yield (*place, "bandwidth"), f"{name}'s bandwidth {said}"
    for unit in ("vector", "tensor"):
        peaks = entry.get(unit, {})
        if not isinstance(peaks, dict):
            yield (*place, unit), f"{name}'s `{unit}` must be a table of peaks by dtype"
            continue
        for dtype, peak in peaks.items():
            where = (*place, unit, dtype)
            if dtype not in _PEAKS:
                yield where, f"{name} has the unknown dtype {dtype!r}{_hint(dtype, _PEAKS)}"
            elif not _is_rate(peak):
                said = f"must be a number of operations a second, above 0, not {peak!r}"
                yield where, f"{name}'s {unit} peak of {dtype} {said}"
    vector = entry.get("vector", {})
    if isinstance(vector, dict) and "float32" not in vector:
        yield place, f"{name} lacks a vector peak of float32, which everything but products needs"


def _wrong_texts(place: tuple[str, ...], name: str, entry: Mapping[str, Any]) -> Iterator[Mistake]:
    if not isinstance(entry.get("title", ""), str):
        yield (*place, "title"), f"{name}'s title must be text"
    source = entry.get("source", "")
    if not isinstance(source, str) and not (
        isinstance(source, dict) and all(isinstance(text, str) for text in source.values())
    ):
        yield (*place, "source"), f"{name}'s source must be text, or one text for each figure"
    for figure in source if isinstance(source, dict) else ():
        if figure not in _FIGURES:
            said = f"{name} has a source for the unknown figure {figure!r}"
            yield (*place, "source", figure), said + _hint(figure, _FIGURES)
    for figure in _SIZES:
        try:
            parse_bytes(str(entry.get(figure, "1GiB")))
        except SpecError as error:
            yield (*place, figure), f"{name}'s {figure}: {str(error).rstrip('.')}"


def _is_rate(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _hint(key: str, known: tuple[str, ...]) -> str:
    near = nearest(key, known)
    return f" (nearest: {', '.join(near)})" if near else f" (known: {', '.join(known)})"

"""Numbers and shapes as people write them: the only formatter and the only parser.

Counts use k, M, G, T as powers of 1000. Bytes use kB, MB, GB of 1000 and KiB, MiB, GiB of 1024.
Raw numbers are never rounded here: formatting is for screens, exports write the number itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from archstat.errors import AT_COMMAND_LINE, InputError, Option, SpecError

COUNT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BYTE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
TIME_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60)}
DTYPES = (
    *("float32", "float64", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128"),
)

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)")
# torch's and Python's other words for a dtype, and the short ones
_DTYPE_ALIASES = {
    **{"float": "float32", "single": "float32", "double": "float64", "half": "float16"},
    **{"fp64": "float64", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"},
    **{"int": "int64", "long": "int64", "short": "int16", "char": "int8", "byte": "uint8"},
}
_SHORT_DTYPES = {"float64": "fp64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_SHAPE = re.compile(r"([0-9]{1,40})(?:\s*([xX,])\s*[0-9]{1,40}(?:\s*\2\s*[0-9]{1,40})*)?")
_SHORT = 10  # what people write themselves is not rounded
_LARGEST_DIMENSION = 2**31 - 1


def format_count(number: float) -> str:
    """A count on three to five digits with its decimal prefix: ``"4.09 G"``, ``"512"``."""
    return _scaled(number, (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)), "")


def format_exactly(count: int) -> str:
    """A count on all its digits with its decimal prefix, without zeros behind: ``"4.2 M"``."""
    for unit, factor in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(count) >= factor:
            digits = str(abs(count) % factor).zfill(len(str(factor)) - 1).rstrip("0")
            whole = f"{'-' if count < 0 else ''}{abs(count) // factor}"
            return f"{whole}{'.' if digits else ''}{digits} {unit}"
    return str(count)


def format_bytes(number: float) -> str:
    """Bytes with a binary prefix: ``"527.79 MiB"``, ``"512 B"``."""
    units = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
    return _scaled(number, units, "B")


def format_ratio(ratio: float) -> str:
    """A row over its reference in words: ``0.0368`` is ``"27.2x less"``; ``"1.001x"`` is near."""
    if ratio == 1:
        return "same"
    factor, word = (1 / ratio, "less") if 0 < ratio < 1 else (ratio, "more")
    if ratio <= 0:
        return "none" if ratio == 0 else f"{ratio:.3g}x"
    digits = 0 if factor >= 100 else 1 if factor >= 10 else 2
    text = f"{factor:,.{digits}f}"
    return f"{ratio:.5g}x" if text == "1.00" else f"{text}x {word}"


def format_share(share: float) -> str:
    """A part of the whole in percent: ``0.123`` is ``"12.3%"``."""
    return f"{100 * share:.1f}%"


def format_number(number: float) -> str:
    """A plain number: as it is where that is short, else on four digits."""
    text = str(number)
    return text if isinstance(number, int) or len(text) <= _SHORT else f"{number:.4g}"


def format_milliseconds(milliseconds: float) -> str:
    """A time with its unit, on three to five digits: ``"12.35 ms"``, ``"61.20 us"``."""
    for unit, factor in (("s", 1000), ("ms", 1), ("us", 1e-3)):
        if abs(milliseconds) >= factor * 0.999995:
            return f"{milliseconds / factor:.2f} {unit}"
    return f"{milliseconds * 1e6:.4g} ns"


def format_rate(rate: float, unit: str) -> str:
    """Something a second on four digits: ``"1,555 GB/s"``, ``"19.5 TFLOP/s"``."""
    prefix, factor = ("T", 1e12) if unit == "FLOP/s" and rate >= 1e12 else ("G", 1e9)
    return f"{rate / factor:,.4g} {prefix}{unit}"


def format_shape(shape: Sequence[int]) -> str:
    """Dimensions joined by ``x``; a scalar is ``"scalar"``."""
    return "x".join(str(size) for size in shape) or "scalar"


def format_axes(sizes: Sequence[float | None]) -> str:
    """One number an axis joined by ``x``; ``-`` for an axis without one."""
    return "x".join("-" if size is None else f"{size:.15g}" for size in sizes)


def format_cell(cell: float | str | tuple[float | None, ...] | None, unit: str) -> str:
    """A cell of a table as a screen shows it, by the unit of its column; ``-`` for nothing."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, tuple):
        return format_axes(cell)
    return _FORMATS.get(unit, format_number)(cell)


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "count": format_count,
    "bytes": format_bytes,
    "ratio": format_ratio,
    "share": format_share,
    "ms": format_milliseconds,
}


def _scaled(number: float, units: Sequence[tuple[str, int]], base_unit: str) -> str:
    for unit, factor in units:
        # 999,996 must become "1.00 M", not "1000.00 k".
        if abs(number) >= factor * 0.999995:
            return f"{number / factor:.2f} {unit}"
    text = str(number) if isinstance(number, int) else f"{number:.3f}".rstrip("0").rstrip(".")
    return f"{text} {base_unit}".strip()


def parse_count(text: str) -> int:
    """The count that ``"5.3M"``, ``"4.09 G"`` or ``"512"`` stands for.

    Raises:
        SpecError: not a number with one of the units k, M, G, T.
    """
    return _parse_quantity(text, COUNT_UNITS, "a count such as 5.3M or 512")


def parse_bytes(text: str) -> int:
    """The number of bytes that ``"24GiB"`` or ``"20 MB"`` stands for; a unit is required.

    Raises:
        SpecError: not a number with a byte unit.
    """
    return _parse_quantity(text, BYTE_UNITS, "a size with a byte unit such as 20MB or 24GiB")


def parse_seconds(text: str) -> float:
    """The seconds that ``"30s"``, ``"500 ms"`` or ``"2min"`` stands for; a unit is required.

    Raises:
        SpecError: not a number with one of the units ms, s, min.
    """
    return float(_quantity(text, TIME_UNITS, "a time with a unit such as 30s or 500ms"))


def _parse_quantity(text: str, units: dict[str, int], expected: str) -> int:
    return round(_quantity(text, units, expected))


def _quantity(text: str, units: Mapping[str, int | Fraction], expected: str) -> Fraction:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or len(match[1]) > 40 or match[2] not in units:
        raise SpecError(
            f"{text!r} is not {expected}; known units: {', '.join(filter(None, units))}."
        )
    return Fraction(match[1]) * units[match[2]]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a model: a shape, a dtype and, for a keyword, its name.

    `shape` leaves the batch out unless `batched` is false, and then nothing is put before it.
    A `dtype` of None means the dtype of the model's first floating-point parameter.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    name: str | None = None
    batched: bool = True

    def with_batch(self, batch: int) -> tuple[int, ...]:
        """The full shape, the batch in front."""
        return (batch, *self.shape) if self.batched else self.shape

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        dtype = f":{self.dtype}" if self.dtype else ""
        return f"{name}{format_shape(self.shape)}{dtype}{'' if self.batched else ':nobatch'}"


@dataclass(frozen=True, slots=True)
class Call:
    """Inputs, and a batch above 1, as somebody gives them who runs a model.

    As a text they are options of a command or arguments of a function, according to who reads.
    """

    inputs: tuple[InputSpec, ...]
    batch: int = 1

    def __str__(self) -> str:
        batch = [Option("batch", self.batch)] if self.batch > 1 else []
        if AT_COMMAND_LINE.get():
            return " ".join(map(str, (*(Option("input", spec) for spec in self.inputs), *batch)))
        values = [spec.shape if spec.batched and spec.dtype is None
                  else str(replace(spec, name=None)) for spec in self.inputs]  # fmt: skip
        named = {spec.name: value for spec, value in zip(self.inputs, values, strict=True)}
        several = named if None not in named else values
        shown = values[0] if len(values) == 1 and None in named else several
        return ", ".join(map(str, (Option("input", shown), *batch)))


def parse_input(text: str) -> InputSpec:
    """The input that ``[name=]SHAPE[:dtype][:nobatch]`` describes.

    ``3x224x224`` is an image, ``tokens=128:int64`` a keyword input of token ids; a shape of
    ``scalar`` has no dimension beside the batch.

    Raises:
        InputError: an empty or non-positive dimension, or an unknown dtype.
    """
    name, equals, rest = (part.strip() for part in text.rpartition("="))
    if equals and not name.isidentifier():
        raise InputError(f"{text!r}: {name!r} is not an argument name; write NAME=SHAPE[:dtype].")
    shape_text, *flags = rest.split(":")
    shape = parse_shape(shape_text, text)
    batched = "nobatch" not in flags
    dtypes = [dtype_named(flag) for flag in flags if flag != "nobatch"]
    if len(dtypes) > 1 or any(dtype not in DTYPES for dtype in dtypes):
        raise InputError(
            f"{text!r}: {':'.join(dtypes)!r} is not a dtype; known: {', '.join(DTYPES)}, "
            "and nobatch for an input without a batch."
        )
    return InputSpec(shape, dtypes[0] if dtypes else None, name or None, batched)


def dtype_named(text: str) -> str:
    """The dtype of `DTYPES` that ``Float16``, ``half`` or ``torch.fp16`` stands for, else `text`.

    As in torch, ``int`` and ``float`` are Python's: int64 and float32.
    """
    word = text.strip().lower().removeprefix("torch.")
    name = _DTYPE_ALIASES.get(word, word)
    return name if name in DTYPES else text


def short_dtype(text: str) -> str:
    """``fp16`` for float16 and its other words; in lower case what has no short word."""
    name = dtype_named(text)
    return _SHORT_DTYPES.get(name, name.lower())


def parse_shape(text: str, whole: str | None = None) -> tuple[int, ...]:
    """The dimensions of ``3x224x224``, ``3,224,224`` or ``(3, 224, 224)``; ``scalar`` has none.

    Raises:
        InputError: not positive integers joined by ``x`` or commas.
    """
    bare = text.strip()
    if bare == "scalar":
        return ()
    if bare[:1] + bare[-1:] in ("()", "[]"):
        bare = bare[1:-1].strip().removesuffix(",")
    # isascii: other scripts' digits are digits to int(), and to nobody else.
    if not (bare.isascii() and _SHAPE.fullmatch(bare)) or len(bare) > 200:
        raise InputError(
            f"{whole or text!r} is not a shape; write positive sizes joined by x, "
            "without the batch, such as 3x224x224."
        )
    shape = tuple(int(size) for size in re.split("[xX,]", bare))
    if not all(0 < size <= _LARGEST_DIMENSION for size in shape):
        raise InputError(f"{whole or text!r}: every size must lie between 1 and 2^31 - 1.")
    return shape

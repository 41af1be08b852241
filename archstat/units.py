"""Numbers and shapes as people write them: the only formatter and the only parser.

Counts use k, M, G, T as powers of 1000. Bytes use kB, MB, GB of 1000 and KiB, MiB, GiB of 1024.
Raw numbers are never rounded here: formatting is for screens, exports write the number itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from archstat.errors import InputError, SpecError

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
LAYOUT = "Axes of the input: N or B batch, C or F channels, T time, D H W L space"
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
_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\s.=:\[\]()]+|\[[0-9]{1,4}\]|\([0-9]{1,4}\))*")
_STEP = re.compile(r"\.([^\s.=:\[\]()]+)|\[([0-9]+)\]|\(([0-9]+)\)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_PLAIN: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}
_DEEPEST = 64  # steps of a path
_SHORT = 10  # what people write themselves is not rounded
_LARGEST_DIMENSION = 2**31 - 1


def format_count(number: float) -> str:
    """A count on three to five digits with its decimal prefix: ``"4.09 G"``, ``"512"``."""
    return _scaled(number, (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)), "")


def format_printed(count: int) -> str:
    """A count that somebody printed, without zeros that they may not have meant: ``"4.2 M"``."""
    number, _, unit = format_count(count).partition(" ")
    return f"{number.rstrip('0').rstrip('.')} {unit}" if unit else number


def format_bytes(number: float) -> str:
    """Bytes with a binary prefix: ``"527.79 MiB"``, ``"512 B"``."""
    units = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
    return _scaled(number, units, "B")


def format_ratio(ratio: float) -> str:
    """A row over its reference in words: ``0.0368`` is ``"27.2x less"``, ``1`` is ``"same"``."""
    if ratio == 1:
        return "same"
    factor, word = (1 / ratio, "less") if 0 < ratio < 1 else (ratio, "more")
    if ratio <= 0:
        return "none" if ratio == 0 else f"{ratio:.3g}x"
    digits = 0 if factor >= 100 else 1 if factor >= 10 else 2
    return f"{factor:,.{digits}f}x {word}"


def format_share(share: float) -> str:
    """A part of the whole in percent: ``"12.3%"``, and ``"<0.1%"`` for one that rounds to 0."""
    return "<0.1%" if 0 < abs(share) < 0.0005 else f"{100 * share:.1f}%"


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


def parse_seconds(text: str | float) -> float:
    """The seconds that ``"30s"``, ``"500 ms"`` or ``"2min"`` stands for; a number is itself.

    Raises:
        SpecError: not a number with one of the units ms, s, min.
    """
    expected = "a time with a unit such as 30s or 500ms"
    return float(_quantity(text, TIME_UNITS, expected) if isinstance(text, str) else text)


def _parse_quantity(text: str, units: dict[str, int], expected: str) -> int:
    return round(_quantity(text, units, expected))


def _quantity(text: str, units: Mapping[str, int | Fraction], expected: str) -> Fraction:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or len(match[1]) > 40 or match[2] not in units:
        raise SpecError(
            f"{text!r} is not {expected}; known units: {', '.join(filter(None, units))}."
        )
    return Fraction(match[1]) * units[match[2]]


Plain = bool | int | float | str | None
# A key of a dict, or a place in a list or a tuple.
Step = tuple[type, str | int]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One argument of a forward, or a part of one: a tensor's shape and dtype, or a plain value.

    `name` is that of a keyword, or a path in it: ``batch.image``, ``images[0]`` of a list,
    ``pair(0)`` of a tuple. `shape` leaves the batch out unless `batched` is false, and then nothing
    is put before it. A `dtype` of None means the dtype of the model's first floating-point
    parameter. One of `numbers` is what every element holds; of two, the elements are whole numbers
    from the first up to, but without, the second. `plain` has the one value of what is no tensor.
    `batch_axis` is where the batch is put.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    name: str | None = None
    batched: bool = True
    numbers: tuple[float, ...] = ()
    plain: tuple[Plain, ...] = ()
    batch_axis: int = 0

    def with_batch(self, batch: int) -> tuple[int, ...]:
        """The full shape, the batch in its place."""
        if not self.batched:
            return self.shape
        return (*self.shape[: self.batch_axis], batch, *self.shape[self.batch_axis :])

    @property
    def argument(self) -> str | None:
        """The argument of forward that a name stands for or begins with."""
        return None if self.name is None else re.split(r"[.\[(]", self.name, maxsplit=1)[0]

    @property
    def steps(self) -> tuple[Step, ...]:
        """How a path goes on from the argument."""
        return tuple(
            (dict, key) if key else (list, int(place)) if place else (tuple, int(tuple_place))
            for key, place, tuple_place in _STEP.findall(self.name or "")
        )

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        if self.plain:
            return f"{name}{_plain_text(self.plain[0])}"
        dtype = f":{self.dtype}" if self.dtype else ""
        numbers = f"={'..'.join(map(str, self.numbers))}" if self.numbers else ""
        batch = "" if self.batched else ":nobatch"
        return f"{name}{format_shape(self.shape)}{dtype}{batch}{numbers}"


def is_batched(shapes: Iterable[Sequence[int | None]]) -> bool:
    """Whether the first axis of a program's inputs is the batch: 1, or None as it may change."""
    return all(shape and shape[0] in (1, None) for shape in shapes)


def _plain_text(value: Plain) -> str:
    if isinstance(value, str):
        return value if _word(value) else repr(value)
    # A whole number by itself is the shape of a tensor.
    return f"{value}:number" if type(value) is int else str(value).lower()


def _word(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and text.lower() not in (*_PLAIN, "scalar", "inf", "nan")


def parse_input(text: str) -> InputSpec:
    """The input that ``[PATH=]SHAPE[:dtype][:nobatch][=NUMBERS]`` or ``PATH=VALUE`` describes.

    ``3x224x224`` is an image, ``tokens=128:int64=0..50257`` a keyword of token ids below 50257,
    ``batch.mask=224x224:bool=1`` a mask of ones in a dict; a shape of ``scalar`` has no dimension
    beside the batch. ``scale=0.5``, ``flag=true``, ``mode=fast``, ``mode='4'`` and
    ``steps=4:number`` are plain values.

    Raises:
        InputError: an empty or non-positive dimension, an unknown dtype, a name that is no path.
    """
    head, equals, tail = (part.strip() for part in text.partition("="))
    name, value = (head, tail) if equals else (None, head)
    shape = head.partition(":")[0]
    if shape == "scalar" or _SHAPE.fullmatch(shape):
        name, value = None, text
    elif name is not None and not is_path(name):
        raise InputError(
            f"{text!r}: {name!r} is not an argument name; write NAME=SHAPE[:dtype], or a path such "
            "as batch.image, images[0] or pair(0) for NAME."
        )
    plain = () if name is None else _plain_value(value, text)
    return InputSpec((), None, name, False, (), plain) if plain else _tensor(name, value, text)


def is_path(text: str) -> bool:
    """Whether a text is an argument's name, with keys and places that lead into it or without."""
    return _PATH.fullmatch(text) is not None and len(_STEP.findall(text)) <= _DEEPEST


def _plain_value(value: str, whole: str) -> tuple[Plain, ...]:
    """The one value of what describes no tensor; nothing for a tensor."""
    number = value.removesuffix(":number")
    if value.lower() in _PLAIN:
        return (_PLAIN[value.lower()],)
    if value[:1] and value[:1] in "'\"":
        try:
            quoted = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            quoted = None
        if not isinstance(quoted, str):
            raise InputError(f"{whole!r}: {value} lacks its closing quote.")
        return (quoted,)
    if number.lower().lstrip("+-") in ("inf", "nan"):
        return (float(number),)
    if _NUMBER.fullmatch(number):
        is_shape = number == value and number.isdigit() and int(number) > 0
        return () if is_shape else (_number(number),)
    if number != value:
        raise InputError(f"{whole!r}: {number!r} is not a number; write one, such as 4 or 0.5.")
    return (value,) if _word(value) else ()


def _number(text: str) -> float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _tensor(name: str | None, value: str, whole: str) -> InputSpec:
    body, equals, told = (part.strip() for part in value.partition("="))
    shape_text, *flags = body.split(":")
    shape = parse_shape(shape_text, whole)
    batched = "nobatch" not in flags
    dtypes = [dtype_named(flag) for flag in flags if flag != "nobatch"]
    if len(dtypes) > 1 or any(dtype not in DTYPES for dtype in dtypes):
        raise InputError(
            f"{whole!r}: {':'.join(dtypes)!r} is not a dtype; known: {', '.join(DTYPES)}, "
            "and nobatch for an input without a batch."
        )
    numbers = _numbers(told, whole) if equals else ()
    return InputSpec(shape, dtypes[0] if dtypes else None, name, batched, numbers)


def _numbers(text: str, whole: str) -> tuple[float, ...]:
    if _NUMBER.fullmatch(text):
        return (_number(text),)
    match = _RANGE.fullmatch(text)
    if match is None or int(match[1]) >= int(match[2]):
        raise InputError(
            f"{whole!r}: {text!r} does not say what the tensor holds; write a number such as 64, "
            "or LOW..HIGH for whole numbers from LOW to HIGH - 1."
        )
    return int(match[1]), int(match[2])


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

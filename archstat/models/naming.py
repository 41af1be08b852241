"""From what a table calls a network to the specs that it may mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from archstat import zoo
from archstat.errors import MissingExtraError
from archstat.models.sources import names_of

# What names of checkpoints say of training: batch, data, library, precision, number of weights.
_TRAINING = re.compile(
    r"[_.\s-](?:\d+xb\d+|3rdparty|in\d+k|ft|pretrained|imagenet\w*|weights|tv|a\d_in1k"
    r"|fp\d+|int\d|w\d+a\d+).*$"
)
_SCALED = re.compile(r"(?P<base>.*?)[_\s-]x?(?P<width>[01]\.\d+)x?(?:[_\s-](?P<side>\d{3}))?")
_BETWEEN = re.compile(r"(?<=\d)[-._\s](?=\d)")
_MULTIPLE = re.compile(r"[_\s-]?(\d(?:\.\d+)?)x$")


def specs_named(name: str) -> tuple[str, ...]:
    """The specs that a name may mean: of the zoo and torchvision, else of timm; none for unknown.

    ``ResNet-50``, ``resnet50_8xb32_in1k`` and ``ResNet50_Weights.IMAGENET1K_V1`` mean resnet50,
    ``MobileNet V2 1.4 224`` means a width and a resolution; a spec of theirs means itself.
    """
    if name.startswith(("torchvision:", "timm:")) or name.partition(",")[0] in zoo.catalogue():
        return (name,)
    written = unicodedata.normalize("NFKC", name).strip().lower()
    plain = _TRAINING.sub("", written)
    without = re.sub(r"\s*\([^)]*\)\s*$", "", plain)
    for text in dict.fromkeys((written, plain, without)):
        found = (*_in("zoo", text), *_scaled(text), *_in("torchvision", text))
        if found := found or tuple(_in("timm", text)):
            return tuple(dict.fromkeys(found))
    return ()


def _in(place: str, text: str) -> Iterator[str]:
    for number, form in enumerate(_FORMS):
        found = _known(place, number).get(form(text), ())
        if len(found) == 1:
            yield found[0] if place == "zoo" else f"{place}:{found[0]}"
            return


def _scaled(text: str) -> Iterator[str]:
    """A width, and perhaps a resolution, behind the name of a network that has one."""
    match = _SCALED.fullmatch(text)
    for spec in _in("zoo", match["base"]) if match else ():
        if match and "width" in zoo.catalogue()[spec].options:
            width = float(match["width"])
            options = (f",width={width:g}" if width != 1 else "") + (
                f",resolution={match['side']}" if match["side"] else ""
            )
            yield spec + options


@cache
def _known(place: str, form: int) -> dict[str, tuple[str, ...]]:
    """The names of a place by what a form makes of them."""
    names: list[str]
    if place == "zoo":
        names = [n for n, entry in zoo.catalogue().items() if entry.category != "block"]
    else:
        try:
            names = names_of("timm" if place == "timm" else "torchvision")
        except MissingExtraError:
            return {}
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        key = _FORMS[form](name)
        found[key] = (*found.get(key, ()), name)
    return found


def _dotted(text: str) -> str:
    """Letters and digits, and a point between digits; ``1x`` at the end is ``x1.0``."""
    multiple = _MULTIPLE.search(text)
    if multiple:
        text = f"{text[: multiple.start()]}x{float(multiple[1])}"
    return re.sub(r"[^\w.]+|_|(?<!\d)\.|\.(?!\d)", "", _BETWEEN.sub(".", text.lower()))


def _plain(text: str) -> str:
    return _dotted(text).replace(".", "")


def _without_v(text: str) -> str:
    """``MobileNetV2`` as ``mobilenet2``."""
    return _plain(re.sub(r"v(?=\d)", "", text.lower()))


# From the most exact: 3.2gf is not 32gf, where both are.
_FORMS = (_dotted, _plain, _without_v)

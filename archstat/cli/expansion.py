"""What was typed for models, as specs: globs, files of specs and standard input written out."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from archstat.cli.progress import working
from archstat.errors import SpecError, UnknownModelError
from archstat.files import read_regular
from archstat.hints import as_known, like, natural

_COMMENT = re.compile(r"(?:^|\s)#.*")
_MOST_NAMED = 4


def models_typed(context: typer.Context, texts: list[str] | None) -> list[str] | None:
    """The specs that the arguments of a command stand for; for typer, after parsing."""
    return texts if texts is None or context.resilient_parsing else expanded(texts)


def model_typed(context: typer.Context, text: str | None) -> str | None:
    """The one spec that an argument or option stands for; for typer, after parsing.

    Raises:
        SpecError: it stands for several.
    """
    if text is None or context.resilient_parsing:
        return text
    found = expanded([text])
    if len(found) > 1:
        named = ", ".join(found[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
        raise SpecError(f"{text!r} stands for {len(found)} models, but one is needed: {named}.")
    return found[0]


def expanded(texts: Sequence[str]) -> list[str]:
    """The specs that texts stand for, in their order; names of the zoo as the zoo writes them.

    ``resnet*`` and ``timm:mobilenet*`` stand for every network whose name is like that, but for
    those that stand there already; ``@models.txt`` for the specs in a file and ``-`` for those of
    standard input, one a line, where ``#`` begins a comment.

    Raises:
        SpecError: a glob that nothing matches, a file that cannot be read or names no model.
        MissingExtraError: timm or torchvision is absent or does not import.
    """
    found: list[str] = []
    for text in texts:
        lines = _lines(text) if text == "-" or text.startswith("@") else [text]
        for line in lines:
            new = [_as_the_zoo_writes(line)] if not _has_glob(line) else _matching(line)
            found += new if len(new) == 1 else [one for one in new if one not in found]
    return found


def _lines(text: str) -> list[str]:
    """The specs in a file or on standard input.

    Raises:
        SpecError: it cannot be read, names none, or refers to another file.
    """
    origin = "standard input" if text == "-" else text[1:]
    if not origin:
        raise SpecError(f"{text} names no file; write @models.txt, with one model per line.")
    try:
        read = sys.stdin.read() if text == "-" else read_regular(Path(origin)).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SpecError(f"{text} cannot be read: {reason}.") from error
    lines = [line for raw in read.splitlines() if (line := _COMMENT.sub("", raw).strip())]
    if lines[:1] == ["model"]:
        del lines[0]  # the head of `archstat list --columns model --format csv`
    if not lines:
        raise SpecError(f"{origin} names no model; write one per line.")
    for line in lines:
        if line == "-" or line.startswith("@"):
            raise SpecError(f"{origin}: {line!r} is not a model; the list must hold models only.")
    return lines


def _has_glob(text: str) -> bool:
    return not {"*", "?", "["}.isdisjoint(text.partition(",")[0])


def _matching(text: str) -> list[str]:
    """The specs that a glob stands for, options behind each, in natural order.

    Blocks of the zoo are left out, but where nothing else matches.

    Raises:
        SpecError: nothing matches.
    """
    from archstat import zoo
    from archstat.budgets.wildcards import matching
    from archstat.models.sources import names_of
    from archstat.models.specs import PACKAGES

    head, comma, options = text.partition(",")
    scheme, colon, glob = head.strip().rpartition(":")
    if colon and scheme not in PACKAGES:
        return matching(text, Path.cwd())
    if colon:
        with working(f"importing {scheme}"):
            names = like(glob, names_of("timm" if scheme == "timm" else "torchvision"))
        where, remedy = scheme, f"`archstat list '{scheme}:*'` lists them"
    else:
        names = like(glob, zoo.catalogue())
        names = [n for n in names if zoo.catalogue()[n].category != "block"] or names
        where, remedy = "the zoo", "`archstat list` shows them all"
    if not names:
        raise UnknownModelError(f"{text!r} matches nothing in {where}; {remedy}.")
    return [f"{scheme}{colon}{name}{comma}{options}" for name in sorted(names, key=natural)]


def _as_the_zoo_writes(text: str) -> str:
    from archstat import zoo

    head, comma, options = text.partition(",")
    return f"{as_known(head, zoo.catalogue())}{comma}{options}"

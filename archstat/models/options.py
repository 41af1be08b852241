"""From the options of a spec, which are text, to the arguments of a factory."""

from __future__ import annotations

import inspect
import keyword
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from archstat.errors import OptionError
from archstat.hints import did_you_mean
from archstat.models.specs import Spec


def bound(spec: Spec, found: Any) -> Callable[[], Any]:
    """The factory with the spec's options converted and bound.

    Raises:
        OptionError: an option or value that the factory does not take.
    """
    if not callable(found) or _is_module_instance(found):
        if spec.options:
            raise OptionError(
                f"{spec.text}: {spec.attribute} is already built; it takes no option."
            )
        return lambda: found
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        options = {key: guessed(value) for key, value in spec.options}
        return lambda: found(**options)
    hints = _hints(found) if spec.options else {}
    parameters = {spelled(name): p for name, p in signature.parameters.items()}
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_any = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
    values = {}
    for key, text in spec.options:
        if key not in named and not takes_any:
            raise OptionError(_unknown_option(spec, key, named))
        name = named[key].name if key in named else key
        default = named[key].default if key in named else None
        hint = hints.get(name, str if isinstance(default, str) else None)
        values[name] = _converted(spec, key, text, hint)
    missing = [n for n, p in named.items() if p.default is p.empty and p.name not in values]
    if missing:
        wanted = "".join(f",{name}=..." for name in missing)
        raise OptionError(f"{spec.text} needs {', '.join(missing)}: write {spec.text}{wanted}")
    return lambda: found(**values)


def spelled(name: str) -> str:
    """A parameter as its option is written: ``in_`` is ``in``, which Python keeps for itself."""
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


def _is_module_instance(found: Any) -> bool:
    from torch import nn

    return isinstance(found, nn.Module)


def _hints(found: Any) -> Mapping[str, Any]:
    target = found.__init__ if inspect.isclass(found) else found
    try:
        return typing.get_type_hints(target)
    except Exception:  # an annotation that does not evaluate says nothing
        return {}


def _unknown_option(spec: Spec, key: str, named: Mapping[str, inspect.Parameter]) -> str:
    taken = ", ".join(
        name if p.default is p.empty else f"{name}={p.default}" for name, p in named.items()
    )
    hint = did_you_mean(key, [*named, "resolution", "input", "batch"])
    return f"{spec.text}: there is no option {key!r}.{hint} It takes {taken or 'no option'}."


def _converted(spec: Spec, key: str, text: str, hint: Any) -> Any:
    if hint is None or hint is Any:
        return guessed(text)
    try:
        return convert(text, hint)
    except ValueError:
        raise OptionError(
            f"{spec.text}: {key}={text} is impossible; {key} takes {_described(hint)}."
        ) from None


def convert(text: str, hint: Any) -> Any:
    """The value that `text` stands for under an annotation.

    Raises:
        ValueError: it stands for none.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        named = {str(choice): choice for choice in arguments}
        if text not in named:
            raise ValueError(text)
        return named[text]
    if origin in (typing.Union, types.UnionType):
        return _first_conversion(text, arguments)
    if hint in (bool, type(None)):
        words = {"true": True, "1": True, "false": False, "0": False} if hint is bool else _NONE
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    return hint(text) if hint in (int, float, str) else guessed(text)


_NONE: Mapping[str, Any] = {"none": None}


def _first_conversion(text: str, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return convert(text, hint)
        except ValueError:
            continue
    raise ValueError(text)


def _described(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(_described, typing.get_args(hint)))
    names: dict[Any, str] = {
        **{int: "a whole number", float: "a number", bool: "true or false"},
        **{str: "a text", type(None): "none"},
    }
    return names.get(hint) or str(getattr(hint, "__name__", hint))


def guessed(text: str) -> Any:
    """A value without an annotation: int, float, true/false/none, else the text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text

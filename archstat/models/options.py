"""From the options of a spec, which are text, to the arguments of a factory."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import keyword
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
        options = {key: converted(spec, key, value, None) for key, value in spec.options}
        return lambda: found(**options)
    hints = _hints(found) if spec.options or spec.layout else {}
    parameters = {spelled(name): p for name, p in signature.parameters.items()}
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_any = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, str]] = {}
    given_options = spec.options
    if spec.layout and "layout" in named:
        given_options = (*given_options, ("layout", spec.layout))
    for key, text in given_options:
        argument, dot, rest = key.partition(".")
        if dot and argument in named:
            parts.setdefault(argument, {})[rest] = text
            continue
        if key not in named and not takes_any:
            raise OptionError(_unknown_option(spec, key, named))
        name = named[key].name if key in named else key
        default = named[key].default if key in named else None
        hint = hints.get(name, type(default) if isinstance(default, _TELLING) else None)
        values[name] = converted(spec, key, text, hint)
    configs = {
        named[key].name: _config(
            spec, key, texts, hints.get(named[key].name), values.pop(key, named[key].default)
        )
        for key, texts in parts.items()
    }
    given = values.keys() | configs.keys()
    missing = [n for n, p in named.items() if p.default is p.empty and p.name not in given]
    if missing:
        wanted = "".join(f",{name}=..." for name in missing)
        raise OptionError(
            f"{spec.text} needs {', '.join(missing)}: write {spec.text}{wanted}, or name a "
            "function without arguments that returns the model."
        )
    return lambda: found(**values, **{name: make() for name, make in configs.items()})


def _config(
    spec: Spec, key: str, texts: Mapping[str, str], hint: Any, default: Any
) -> Callable[[], Any]:
    """What makes a dataclass of its fields' texts, the other fields as in the default.

    Raises:
        OptionError: no dataclass stands there, or it lacks a field or has no such one.
    """
    is_made = dataclasses.is_dataclass(default) and not isinstance(default, type)
    kinds = [type(default)] if is_made else [hint, *typing.get_args(hint)]
    kind: Any = next((one for one in kinds if dataclasses.is_dataclass(one)), None)
    if kind is None:
        raise OptionError(
            f"{spec.text}: {key} is not a dataclass, so {key}.{next(iter(texts))} sets nothing; "
            f"give {key} itself."
        )
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    hints, values = _hints(kind), {}
    below: dict[str, dict[str, str]] = {}
    for path, text in texts.items():
        name, dot, rest = path.partition(".")
        if name not in fields:
            raise OptionError(
                f"{spec.text}: {key} has no field {name!r}.{did_you_mean(name, fields)} "
                f"It has {', '.join(fields)}."
            )
        if dot:
            below.setdefault(name, {})[rest] = text
        else:
            values[name] = converted(spec, f"{key}.{name}", text, hints.get(name))
    inner = {
        name: _config(spec, f"{key}.{name}", rest, hints.get(name),
                      getattr(default, name, None) if is_made else fields[name].default)
        for name, rest in below.items()
    }  # fmt: skip
    wanted = [name for name, field in fields.items() if not is_made and _is_required(field)]
    missing = [name for name in wanted if name not in values.keys() | inner.keys()]
    if missing:
        told = "".join(f",{key}.{name}=..." for name in missing)
        raise OptionError(f"{spec.text} needs {', '.join(missing)} of {key}: add {told}")
    make = partial(dataclasses.replace, default) if is_made else kind
    return lambda: make(**values, **{name: made() for name, made in inner.items()})


def _is_required(field: Any) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


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


_TELLING = (str, list, tuple, dict, enum.Enum)  # types of a default that stand for an annotation
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "none": None}


def converted(spec: Spec, key: str, text: str, hint: Any) -> Any:
    """The value of an option, guessed where no annotation tells its type.

    Raises:
        OptionError: it has none.
    """
    try:
        return guessed(text) if hint is None or hint is Any else convert(text, hint)
    except ValueError:
        wanted = "values in brackets" if hint is None or hint is Any else _described(hint)
        raise OptionError(
            f"{spec.text}: {key} must be {wanted}, not {text or repr(text)}."
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
    if isinstance(hint, enum.EnumType):
        members: Mapping[str, enum.Enum] = hint.__members__
        named = {**{str(one.value): one for one in members.values()}, **members}
        if text not in named:
            raise ValueError(text)
        return named[text]
    if hint in (bool, type(None)):
        words = {"true": True, "1": True, "false": False, "0": False} if hint is bool else _NONE
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if hint is str:
        return guessed(text) if text[:1] in ("'", '"') else text
    if hint in (int, float):
        return hint(text)
    return _fitting(guessed(text), hint)


_NONE: Mapping[str, Any] = {"none": None}


def _first_conversion(text: str, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return convert(text, hint)
        except ValueError:
            continue
    raise ValueError(text)


def _fitting(value: Any, hint: Any) -> Any:
    """A value as the collection that an annotation names; anything else stays as it is.

    Raises:
        ValueError: it is no collection, or of items that the annotation does not allow.
    """
    kind, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is dict or kind is Mapping:
        if not isinstance(value, dict):
            raise ValueError(value)
        return value
    if kind not in (list, tuple, Sequence):
        return _as_annotated(value, hint)
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    each = arguments[:1] * len(value) if kind is not tuple or arguments[1:] == (...,) else arguments
    if arguments and len(each) != len(value):
        raise ValueError(value)
    items = [_fitting(item, one) for item, one in zip(value, each, strict=True)] if each else value
    return list(items) if kind is list else tuple(items)


def _as_annotated(value: Any, hint: Any) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if hint in (int, float, bool, str) and type(value) is not hint:
        raise ValueError(value)
    return value


def _described(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(_described, typing.get_args(hint)))
    if isinstance(hint, enum.EnumType):
        return " or ".join(hint.__members__)
    names: dict[Any, str] = {
        **{int: "a whole number", float: "a number", bool: "true or false"},
        **{str: "a text", type(None): "none"},
        **dict.fromkeys((list, tuple, Sequence), "a list such as [8,16,32]"),
        **dict.fromkeys((dict, Mapping), "a dict such as {a: 1}"),
    }
    kind = typing.get_origin(hint) or hint
    return names.get(kind) or str(getattr(hint, "__name__", hint))


def guessed(text: str) -> Any:
    """A value without an annotation: number, true/false/none, what Python brackets, else the text.

    A word in brackets needs no quotes: ``[relu,gelu]`` are two texts.

    Raises:
        ValueError: brackets or quotes that hold no values.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if text[:1] and text[:1] in "([{'\"":
        try:
            return _literal(ast.parse(text, mode="eval").body)
        except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
            raise ValueError(text) from error
    return text


def _literal(node: ast.expr) -> Any:
    """What an expression of numbers, texts, bare words and brackets stands for."""
    match node:
        case ast.Tuple(elts):
            return tuple(map(_literal, elts))
        case ast.List(elts):
            return list(map(_literal, elts))
        case ast.Dict(keys, values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_literal(key): _literal(value) for key, value in pairs if key is not None}
        case ast.UnaryOp(ast.USub(), operand) if type(number := _literal(operand)) in (int, float):
            return -number
        case ast.Constant(value) if value is not ... and not isinstance(value, (bytes, complex)):
            return value
        case ast.Name(word):
            return guessed(word)
    raise ValueError(ast.unparse(node))

"""From a spec to a model: the zoo, a file or module of the user's, timm, torchvision."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from archstat import zoo
from archstat.errors import (
    ArchstatError,
    BuildError,
    MissingExtraError,
    OptionError,
    UnknownModelError,
)
from archstat.lookup import did_you_mean, load_attribute, shortened
from archstat.specs import Spec
from archstat.units import InputSpec, parse_input

_NOT_A_MODULE = "is a {type}, not a torch.nn.Module; name a module class, instance or factory."


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from: a factory without arguments, and the input it expects."""

    spec: Spec
    factory: Callable[[], Any]
    default_inputs: Callable[[Any], tuple[InputSpec, ...]]

    def build(self) -> Any:
        """The model on the meta device, else, where it cannot be built there, for real.

        Raises:
            BuildError: the factory raised, or returned something else.
            OptionError: the factory refused a value.
        """
        from archstat.frontends.building import build_on_meta

        try:
            return self._checked(build_on_meta(self.factory))
        except ArchstatError:
            raise
        except Exception:
            return self.build_for_real()

    def build_for_real(self) -> Any:
        """The model with real weights.

        Raises:
            BuildError: the factory raised, or returned something else.
            OptionError: the factory refused a value.
        """
        from archstat.frontends.building import build_for_real

        try:
            return self._checked(build_for_real(self.factory))
        except ArchstatError:
            raise
        except Exception as error:
            raise BuildError(f"{self.spec.text} does not build: {shortened(error)}") from error

    def _checked(self, model: Any) -> Any:
        from torch import nn

        if not isinstance(model, nn.Module):
            raise BuildError(f"{self.spec.text} {_NOT_A_MODULE.format(type=type(model).__name__)}")
        return model


def find(spec: Spec) -> Source:
    """The source that a spec names, with its options checked against the factory.

    Raises:
        UnknownModelError: no network of that name.
        OptionError: an option or value that the factory does not take.
        LookupFailedError: a file, module or attribute that cannot be loaded.
        MissingExtraError: timm or torchvision is absent or does not import.
    """
    if spec.scheme == "zoo":
        return _from_zoo(spec)
    if spec.scheme == "python":
        found = load_attribute(spec.target, spec.attribute)
        return Source(spec, _bound(spec, found), lambda model: ())
    return _from_timm(spec) if spec.scheme == "timm" else _from_torchvision(spec)


def _from_zoo(spec: Spec) -> Source:
    entry = zoo.entry(spec.target)
    factory = _bound(spec, zoo.factory(spec.target))
    shape = entry.input
    for option, brought in entry.inputs.items():
        if tuple(option.split("=", 1)) in spec.options:
            shape = brought
    default = parse_input(shape)
    channels = dict(spec.options).get("in_channels")
    if channels is not None and channels.isdigit():
        default = InputSpec((int(channels), *default.shape[1:]))
    return Source(spec, factory, lambda model: (default,))


def _from_timm(spec: Spec) -> Source:
    timm = _optional("timm")
    known = timm.list_models()
    if spec.target not in known and spec.target.partition(".")[0] not in known:
        raise UnknownModelError(
            f"timm has no model {spec.target!r}.{did_you_mean(spec.target, known)}"
        )
    options = {key: guessed(value) for key, value in spec.options}

    def default_inputs(model: Any) -> tuple[InputSpec, ...]:
        config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", {})
        return (InputSpec(tuple(config.get("input_size", (3, 224, 224)))),)

    return Source(
        spec, lambda: timm.create_model(spec.target, pretrained=False, **options), default_inputs
    )


def _from_torchvision(spec: Spec) -> Source:
    models = _optional("torchvision").models
    known = models.list_models()
    if spec.target not in known:
        raise UnknownModelError(
            f"torchvision has no model {spec.target!r}.{did_you_mean(spec.target, known)}"
        )
    options = {key: guessed(value) for key, value in spec.options}

    def default_inputs(model: Any) -> tuple[InputSpec, ...]:
        weights = models.get_model_weights(spec.target)
        sizes = [_keyword(entry.transforms, "crop_size") for entry in weights]
        side = min((size for size in sizes if size), default=224)
        return (InputSpec((3, side, side)),)

    def factory() -> Any:
        with warnings.catch_warnings():
            # About an initialisation to come, which is skipped here.
            warnings.simplefilter("ignore", FutureWarning)
            return models.get_model(spec.target, weights=None, **options)

    return Source(spec, factory, default_inputs)


def _keyword(partial: Any, name: str) -> int | None:
    value = getattr(partial, "keywords", {}).get(name)
    return value if isinstance(value, int) else None


def _optional(package: Literal["timm", "torchvision"]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{package}: models need {error.name}, which is not installed: "
            f'python -m pip install "archstat[{package}]"'
        ) from error
    except Exception as error:
        import torch

        culprit = "torchvision" if "torchvision" in str(error) else package
        raise MissingExtraError(
            f"{package} does not import with torch {torch.__version__} ({shortened(error)}): "
            f"install the build of {culprit} that was made for this torch."
        ) from error


# -- options ---------------------------------------------------------------------------------------


def _bound(spec: Spec, found: Any) -> Callable[[], Any]:
    """The factory with the spec's options converted and bound."""
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
    hints = _hints(found)
    named = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_any = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
    values = {}
    for key, text in spec.options:
        if key not in named and not takes_any:
            raise OptionError(_unknown_option(spec, key, named))
        values[key] = _converted(spec, key, text, hints.get(key))
    missing = [n for n, p in named.items() if p.default is p.empty and n not in values]
    if missing:
        wanted = "".join(f",{name}=..." for name in missing)
        raise OptionError(f"{spec.text} needs {', '.join(missing)}: write {spec.text}{wanted}")
    return lambda: found(**values)


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
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


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

"""From a spec to a model: the zoo, a file or module of the user's, timm, torchvision."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from archstat import zoo
from archstat.errors import (
    ArchstatError,
    BuildError,
    CaptureError,
    InputError,
    MissingExtraError,
    OptionError,
    UnknownModelError,
)
from archstat.graph import Graph
from archstat.hints import as_known, did_you_mean, shortened
from archstat.models.options import bound, converted
from archstat.models.specs import PROGRAMS, Spec
from archstat.models.users_code import load_attribute
from archstat.units import InputSpec, parse_input

# Whether a network that does not run on shapes alone is given up, not built for real: one that is
# tried at many inputs would take the memory of its weights and maps at each.
SHAPES_ALONE: ContextVar[bool] = ContextVar("shapes_alone", default=False)
# What constructors call the side of the images that they are built for.
SIZE_OPTIONS = ("image_size", "img_size")
_NOT_A_MODULE = "is of type {type}, not a torch.nn.Module; name a class, instance or factory."


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from: a factory without arguments, and the input it expects.

    What is no module, an ONNX model or a file of weights, gives its `graph` at inputs (none are
    its own) and a batch.
    """

    spec: Spec
    factory: Callable[[], Any]
    default_inputs: Callable[[Any], tuple[InputSpec, ...]]
    graph: Callable[[tuple[InputSpec, ...], int], Graph] | None = None

    def build(self) -> Any:
        """The model on the meta device, else, where it cannot be built there, for real.

        Raises:
            BuildError: the factory raised, or returned something else.
            OptionError: the factory refused a value.
        """
        from archstat.frontends.building import build_on_meta

        if self.spec.scheme == "file":  # it is read onto meta
            return self.factory()
        try:
            return self._checked(build_on_meta(self.factory))
        except ArchstatError:
            raise
        except (Exception, SystemExit) as error:
            try:
                return self.build_for_real()
            except BuildError as failed:
                if not isinstance(failed.__cause__, MemoryError):
                    raise
                why = f"On shapes alone it does not either ({shortened(error)})."
                raise BuildError(f"{failed}. {why}") from failed.__cause__

    def build_for_real(self) -> Any:
        """The model with real weights; that of a file with numbers made up, for none are read.

        Raises:
            BuildError: the factory raised, or returned something else.
            OptionError: the factory refused a value.
        """
        from archstat.frontends.building import build_for_real

        def build() -> Any:
            model = self.factory()
            if self.spec.scheme == "file":
                model.fill()
            return model

        try:
            return self._checked(build_for_real(build))
        except ArchstatError:
            raise
        except (Exception, SystemExit) as error:
            raise BuildError(f"{self.spec.text} does not build: {shortened(error)}") from error

    def size_option(self, model: Any) -> str | None:
        """The option that says for which size of images the network is built, if it has one."""
        taken: Iterable[str] = inspect.signature(type(model)).parameters
        if self.spec.scheme == "zoo":
            taken = zoo.entry(self.spec.target).options
        elif self.spec.scheme == "python" and self.spec.attribute != type(model).__name__:
            return None
        return next((option for option in SIZE_OPTIONS if option in taken), None)

    def changed(self, change: Callable[[Any], Any]) -> Source:
        """The same source with `change` applied to what it builds."""
        return replace(self, factory=lambda: change(self._checked(self.factory())), graph=None)

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
        MissingExtraError: timm, torchvision or transformers is absent or does not import.
    """
    if spec.scheme == "zoo":
        return _from_zoo(spec)
    if spec.scheme == "file":
        return _from_file(spec)
    if spec.scheme == "hf":
        return _from_huggingface(spec)
    if spec.scheme == "python":
        found = load_attribute(spec.target, spec.attribute)
        return Source(spec, bound(spec, found), lambda model: ())
    return _from_timm(spec) if spec.scheme == "timm" else _from_torchvision(spec)


def default_of(spec: Spec, option: str) -> Any:
    """What the factory in the zoo or of the user has for an option that is not given, else None.

    Raises:
        ArchstatError: as `find`.
    """
    if spec.scheme == "zoo":
        factory: Any = zoo.factory(spec.target)
    elif spec.scheme == "python":
        factory = load_attribute(spec.target, spec.attribute)
    else:
        return None
    taken = inspect.signature(factory).parameters if callable(factory) else {}
    default = taken[option].default if option in taken else None
    return None if default is inspect.Parameter.empty else default


def _from_file(spec: Spec) -> Source:
    """A program, whose inputs are those of its example, or tensors without a forward pass."""
    path = Path(spec.target)
    if spec.options:
        key = spec.options[0][0]
        raise OptionError(f"{spec.text}: a file takes no option {key!r}.")
    if spec.target.lower().endswith(PROGRAMS):

        def program() -> Any:
            from archstat.frontends.exported.file import exported_file

            return exported_file(path)

        return Source(spec, program, lambda model: model.own_inputs())

    graph = _of_onnx if path.suffix.lower() == ".onnx" else _of_tensors

    def module() -> Any:
        raise BuildError(
            f"{spec.target} holds no module, which this needs: give the model as FILE.py:NAME, or "
            "export it with torch.export.save to a .pt2 file."
        )

    return Source(spec, module, lambda model: (), partial(graph, path))


def _of_onnx(path: Path, specs: tuple[InputSpec, ...], batch: int) -> Graph:
    from archstat.frontends.onnx_file.file import onnx_file

    return onnx_file(path, specs, batch)


def _of_tensors(path: Path, specs: tuple[InputSpec, ...], batch: int) -> Graph:
    from archstat.frontends.state_dicts import graph_of_tensors

    if specs:
        raise InputError(f"{path} holds tensors without a forward pass: give it no input.")
    return graph_of_tensors(path)


def _from_huggingface(spec: Spec) -> Source:
    from archstat.models.huggingface import network_of

    network = network_of(_optional("transformers"), spec)
    source = Source(spec, network.module, network.inputs)
    built = replace(source, factory=network.build)

    def graph(specs: tuple[InputSpec, ...], batch: int) -> Graph:
        try:
            return network.graph(built.build(), specs, batch)
        except CaptureError as error:
            try:  # whether it is for want of numbers or because of the input, a real run tells
                return network.graph(built.build_for_real(), specs, batch)
            except ArchstatError:
                raise error from error.__cause__

    return replace(source, graph=graph)


def names_of(package: Literal["timm", "torchvision"]) -> list[str]:
    """The models that an installed package has.

    Raises:
        MissingExtraError: it is absent or does not import.
    """
    module = _optional(package)
    found = module.list_models() if package == "timm" else module.models.list_models()
    return list(map(str, found))


def _from_zoo(spec: Spec) -> Source:
    entry = zoo.entry(spec.target)
    factory = bound(spec, zoo.factory(spec.target))
    shape = entry.input
    for option, brought in entry.inputs.items():
        if tuple(option.split("=", 1)) in spec.options:
            shape = brought
    default = parse_input(shape)
    options = dict(spec.options)
    # a network's own channels, or a block's
    channels = options.get("in_channels", options.get("in"))
    if channels is not None and channels.isdigit() and int(channels):
        default = InputSpec((int(channels), *default.shape[1:]))
    sides = {key: int(size) for key, size in spec.options if key in SIZE_OPTIONS and size.isdigit()}
    default = _sized(default, sides)
    return Source(spec, factory, lambda model: (default,))


def _sized(default: InputSpec, options: Mapping[str, Any]) -> InputSpec:
    """An input of the size that the network is built for, where an option says that."""
    size = next((options[key] for key in SIZE_OPTIONS if key in options), None)
    sides = size if isinstance(size, (tuple, list)) else [size] * (len(default.shape) - 1)
    fits = len(sides) == len(default.shape) - 1
    if not (fits and all(isinstance(side, int) and side > 0 for side in sides)):
        return default
    return replace(default, shape=(default.shape[0], *sides))


def _from_timm(spec: Spec) -> Source:
    timm = _optional("timm")
    target, dot, tag = spec.target.partition(".")
    name = as_known(target, timm.list_models())
    if not timm.is_model(name):
        hint = did_you_mean(target, timm.list_models())
        raise UnknownModelError(f"timm has no model {spec.target!r}.{hint}")
    options = _guessed_options(spec)

    def default_inputs(model: Any) -> tuple[InputSpec, ...]:
        config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", {})
        channels, *sides = config.get("input_size", (3, 224, 224))
        return (_sized(InputSpec((options.get("in_chans", channels), *sides)), options),)

    def factory() -> Any:
        return timm.create_model(f"{name}{dot}{tag}", pretrained=False, **options)

    return Source(spec, factory, default_inputs)


def _from_torchvision(spec: Spec) -> Source:
    models = _optional("torchvision").models
    known = models.list_models()
    name = as_known(spec.target, known)
    if name not in known:
        hint = did_you_mean(name, known)
        raise UnknownModelError(f"torchvision has no model {spec.target!r}.{hint}")
    options = _guessed_options(spec)
    # A network with a backbone would load that of ImageNet.
    taken = inspect.signature(models.get_model_builder(name)).parameters
    weights = [key for key in ("weights", "weights_backbone") if key in taken]
    no_weights = {key: None for key in weights if key not in options}

    def default_inputs(model: Any) -> tuple[InputSpec, ...]:
        trained = models.get_model_weights(name)
        sizes = [_keyword(entry.transforms, "crop_size") for entry in trained]
        side = min((size for size in sizes if size), default=224)
        return (_sized(InputSpec((3, side, side)), options),)

    def factory() -> Any:
        with warnings.catch_warnings():
            # About an initialisation to come, which is skipped here.
            warnings.simplefilter("ignore", FutureWarning)
            return models.get_model(name, **no_weights, **options)

    return Source(spec, factory, default_inputs)


def _guessed_options(spec: Spec) -> dict[str, Any]:
    """Values of options whose annotations nobody knows.

    Raises:
        OptionError: brackets or quotes that hold no values.
    """
    return {key: converted(spec, key, value, None) for key, value in spec.options}


def _keyword(partial: Any, name: str) -> int | None:
    value = getattr(partial, "keywords", {}).get(name)
    return value if isinstance(value, int) else None


def _optional(package: Literal["timm", "torchvision", "transformers"]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(package)
            if package == "transformers":
                importlib.import_module("transformers.modeling_utils")  # the rest comes when asked
            return module
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

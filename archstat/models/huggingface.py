"""Networks of transformers: built from a config alone, on inputs made from it.

No weights are read, no name is looked up on a hub, and no code that a config names is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from archstat.errors import BuildError, InputError, Option, OptionError, SpecError
from archstat.graph import Graph
from archstat.models.huggingface_config import (
    OWN,
    class_headed,
    class_named,
    config_of,
    content_of,
    number,
)
from archstat.models.options import converted
from archstat.models.specs import Spec, parse_batch
from archstat.units import InputSpec

_SECOND = 16_000


def network_of(transformers: Any, spec: Spec) -> Network:
    """The network that a config, a type of models or a class names, with its config.

    Raises:
        LookupFailedError, SpecError: no such file, no config, a config with code of its own.
        UnknownModelError: no such class, type of models or task.
        OptionError: a key or value that the config refuses.
    """
    options = dict(spec.options)
    own = {key: options.pop(key) for key in OWN if key in options}
    kind, content = None, content_of(transformers, spec)
    if content is None:
        kind = class_named(transformers, spec, spec.target)
        if "task" in own:
            raise OptionError(
                f"{spec.text}: {spec.target} names the task already; leave task= out."
            )
        content, factory = {}, kind.config_class
    else:
        factory = transformers.CONFIG_MAPPING[content.pop("model_type")]
    config = config_of(spec, factory, content, options)
    kind = kind or class_headed(transformers, spec, config, own.get("task"))
    return Network(transformers, spec, kind, config, _asked(spec, own))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a spec says of the input: sizes, and one step behind a cache or the whole at once.

    A `context` of 0 is the usual one, of None no step.
    """

    seq: int | None
    image: int | None
    audio: int
    context: int | None
    mask: bool


def _size(spec: Spec, key: str, text: str) -> int:
    try:
        return parse_batch(text)
    except SpecError:
        raise OptionError(
            f"{spec.text}: {key}={text} is impossible; give a whole number of at least 1."
        ) from None


def _asked(spec: Spec, own: Mapping[str, str]) -> _Asked:
    sizes = {key: _size(spec, key, own[key]) for key in ("seq", "image", "audio", "context")
             if key in own}  # fmt: skip
    phase = own.get("phase", "prefill")
    if phase not in ("prefill", "decode"):
        raise OptionError(f"{spec.text}: phase={phase} is impossible; it is prefill or decode.")
    if "context" in sizes and phase == "prefill":
        raise OptionError(f"{spec.text}: context= needs phase=decode; prefill takes seq=.")
    mask = bool(converted(spec, "mask", own.get("mask", "0"), bool))
    context = sizes.get("context", 0) if phase == "decode" else None
    seq, image = sizes.get("seq"), sizes.get("image")
    return _Asked(seq, image, sizes.get("audio", _SECOND), context, mask)


# -- the network --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """A class of models and its config; `graph` is what a forward of it does."""

    transformers: Any
    spec: Spec
    kind: Any
    config: Any
    asked: _Asked

    def build(self) -> Any:
        """The module, with weights in the dtype of the config."""
        return self.kind._from_config(self.config).eval()

    def module(self) -> Any:
        """`build`, for what runs a module by its inputs.

        Raises:
            BuildError: one step behind a cache, which is no input.
        """
        if self.asked.context is not None:
            raise BuildError(
                f"{self.spec.text}: one step behind a cache is counted on shapes alone; "
                "leave phase=decode out here."
            )
        return self.build()

    def graph(self, model: Any, specs: tuple[InputSpec, ...], batch: int) -> Graph:
        """The Graph of one forward, with the bytes of the cache that it reads or leaves.

        Raises:
            InputError: no input is known for this class.
            OptionError: one step of a network that keeps no cache.
            CaptureError: forward raised.
        """
        from archstat.frontends.inputs import tensors_for

        if not (specs := specs or self.inputs(model)):
            shape = Option("input", f"{self.kind.main_input_name}=...")
            raise InputError(f"{self.spec.text} has no default input; give its shape: {shape}")
        args, kwargs = tensors_for(specs, batch, model)
        graph, output = _run(model, args, kwargs, self.spec.text)
        if self.asked.context is not None:
            return replace(self._step(model, specs, kwargs, output), batch=batch)
        return replace(graph, notes=(*graph.notes, *self._notes(specs)), batch=batch,
                       kv_cache_bytes=_bytes(_cache(output)[1]))  # fmt: skip

    def _step(
        self, model: Any, specs: tuple[InputSpec, ...], before: Mapping[str, Any], output: Any
    ) -> Graph:
        """The Graph of one more token, behind the cache that a pass has left."""
        name, cache = _cache(output)
        nbytes = _bytes(cache)
        if not nbytes:
            raise OptionError(
                f"{self.spec.text}: {self.kind.__name__} keeps no cache to decode with."
            )
        ids = "decoder_input_ids" if self.config.is_encoder_decoder else "input_ids"
        kwargs = {ids: before[ids][:, :1], name: cache, "use_cache": True}
        if self.config.is_encoder_decoder:
            states = self.transformers.modeling_outputs.BaseModelOutput
            kwargs["encoder_outputs"] = states(output.encoder_last_hidden_state)
        if "attention_mask" in before:
            mask = before["attention_mask"]
            longer = 0 if self.config.is_encoder_decoder else 1
            kwargs["attention_mask"] = mask.new_ones(len(mask), mask.shape[1] + longer)
        graph, _ = _run(model, (), kwargs, self.spec.text)
        return replace(graph, notes=(*graph.notes, *self._notes(specs)), kv_cache_bytes=nbytes)

    def _notes(self, specs: tuple[InputSpec, ...]) -> Iterator[str]:
        length = self._length(decoder=True)
        positions = number(self.config, "max_position_embeddings", "n_positions")
        if positions and length > positions:
            yield f"{length} tokens are more than the {positions} positions of its config"
        if getattr(self.config, "quantization_config", None):
            yield "weights count in the config's dtype, not as its quantization_config packs them"
        is_text = all(str(spec.argument).endswith(("ids", "mask")) for spec in specs)
        if self.kind.main_input_name == "input_ids" and is_text:
            for other in set(getattr(self.kind, "input_modalities", ())) & {"image", "audio"}:
                yield f"its input is text alone: the part that takes {other}s does not run"

    # -- its inputs

    def _pairs(self) -> bool:
        """Whether it compares texts with something else, and so takes both."""
        return "return_loss" in inspect.signature(self.kind.forward).parameters

    def inputs(self, model: Any = None) -> tuple[InputSpec, ...]:
        """The inputs, without the batch, that the config implies; none where it does not tell."""
        taken = inspect.signature(self.kind.forward).parameters
        main = self.kind.main_input_name
        made = {main: self._shape(main)}
        if self._pairs():
            made |= {name: self._shape(name) for name in ("input_ids", "pixel_values")
                     if name in taken}  # fmt: skip
        if self.config.is_encoder_decoder and "decoder_input_ids" in taken:
            made["decoder_input_ids"] = (self._length(decoder=True),)
        if self.asked.mask and "attention_mask" in taken and "input_ids" in made:
            made["attention_mask"] = made["input_ids"]
        if None in made.values():
            return ()
        whole = {name: "int64" for name in made if name.endswith(("ids", "mask"))}
        return tuple(InputSpec(shape or (), whole.get(name), name) for name, shape in made.items())

    def _length(self, decoder: bool = False) -> int:
        positions = number(self.config, "max_target_positions", "max_position_embeddings",
                            "n_positions")  # fmt: skip
        alone = not self.config.is_encoder_decoder
        context = self.asked.context if decoder or alone else None
        given, usual = (self.asked.seq, 128) if context is None else (context, 4096)
        return given or (min(usual, positions) if isinstance(positions, int) else usual)

    def _shape(self, name: str) -> tuple[int, ...] | None:
        config = self.config
        if name == "input_ids":
            return (self._length(),)
        if name == "pixel_values":
            channels = number(config, "num_channels", "in_channels", "in_chans") or 3
            size = self.asked.image or number(config, "image_size", "img_size") or 224
            sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
            frames = getattr(config, "num_frames", None)
            return (*((frames,) if frames else ()), channels, *sides)
        if name == "input_features" and number(config, "max_source_positions"):
            bins = number(config, "num_mel_bins")
            # Whisper's second convolution halves the frames.
            return bins and (bins, 2 * number(config, "max_source_positions"))
        if name == "input_values" and number(config, "conv_dim"):
            return (self.asked.audio,)
        bins = number(config, "num_mel_bins", "feature_projection_input_dim")
        if name in ("input_features", "input_values") and bins:
            frames = self.asked.seq or number(config, "max_length") or self._length()
            return (frames, bins)
        return None


def _run(model: Any, args: Any, kwargs: Mapping[str, Any], title: str) -> tuple[Graph, Any]:
    """The Graph of a forward, and what that returned."""
    from archstat.frontends.module import capture_call

    seen: list[Any] = []
    handle = model.register_forward_hook(lambda module, given, output: seen.append(output))
    try:
        return capture_call(model, args, kwargs, title), seen[-1]
    finally:
        handle.remove()


def _cache(output: Any) -> tuple[str, Any]:
    """What a forward leaves for the next token, and the argument that takes it."""
    for name in ("past_key_values", "cache_params"):
        cache = getattr(output, name, None)
        if cache is not None:
            return name, cache
    return "past_key_values", None


def _bytes(cache: Any) -> int | None:
    """The bytes of keys and values, or of states, in a cache; None for no cache."""
    from archstat.frontends.trees import tensors

    if cache is None:
        return None
    both = ("self_attention_cache", "cross_attention_cache")
    parts = [cache, *(getattr(cache, name, None) for name in both)]
    layers = [layer for part in parts for layer in getattr(part, "layers", None) or ()]
    held = {id(tensor): tensor for layer in layers for tensor in tensors(vars(layer))}
    return sum(tensor.nbytes for tensor in held.values() if tensor.dim() > 1)

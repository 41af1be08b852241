"""The dispatch mode of a capture: it sees every op and, on meta, does the least to go on.

Three sorts of tensors meet here. Activations are meta tensors. The module's own tensors may be
real: meta twins stand in for them, one a storage, so that ties stay tied. Whatever else is real (a
table the forward makes, a plain tensor attribute) is a constant: ops on constants alone run for
real, so that forward may look at them, and a constant that meets an activation becomes meta.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from operator import mul
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from archstat.frontends.aten import Signature, signature
from archstat.frontends.garbage import called
from archstat.frontends.higher_order import (
    FLEX_ATTENTION,
    of_attention,
    run_in_place,
)
from archstat.frontends.recorder import Recorder
from archstat.frontends.shapes import Shape
from archstat.frontends.torch_private import (
    HIGHER_ORDER,
    DispatchMode,
    is_fake,
    number_of_modes,
    taken_apart,
)
from archstat.frontends.trees import replaced, tensors

_META = torch.device("meta")
# Only the decomposition of torch's attention holds it.
_OF_ATTENTION = "aten._safe_softmax.default"
# They read a shape, and no numbers.
_SHAPED_LIKE = ("new_", "zeros_like", "ones_like", "full_like")
_RULED_KEYWORDS = frozenset({"alpha", "approximate", "attn_mask", "scale"})


class FunctionsNeeded(Exception):
    """Operations do not tell enough; the functions that forward calls, of torch's, would.

    Attention would run on meta by other kernels than on a device; a list of indices has become a
    tensor without numbers.
    """


class CaptureMode(DispatchMode):
    """Hands every op to the recorder; nothing the user owns is written to."""

    supports_higher_order_operators = True

    def __init__(self, recorder: Recorder, device: torch.device) -> None:
        super().__init__()
        self.recorder = recorder
        self.on_meta = device.type == "meta"
        self.sees_functions, self.needs_functions = True, False
        self.called_elsewhere = False  # a module, in another thread
        self._bases: dict[int, torch.Tensor] = {}
        self._stand_ins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        # An overload's own hash is a Python function; its identity is enough for one capture.
        self._signatures: dict[int, Signature] = {}
        self._nothing = torch.empty(0, device=_META)
        self._reserve = torch.empty(0, dtype=torch.uint8, device=device)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        sig = self._signatures.get(id(func))
        if sig is None and isinstance(func, HIGHER_ORDER):
            return self._higher_order(func, args, kwargs or {})
        if sig is None:
            sig = self._signatures[id(func)] = signature(func)
            if sig.target == _OF_ATTENTION and not self.sees_functions:
                self.stop_for_functions()
        kwargs = kwargs or {}
        if sig.composite and torch.is_inference_mode_enabled():
            with self:
                result = taken_apart(func, args, kwargs)
            if result is not NotImplemented:
                return result
        if sig.makes_empty and kwargs.get("dtype") is torch.uint8 and args[0] == [0]:
            return self._reserve  # what batch norm asks for and nobody reads
        result = None
        if self.on_meta:
            # A mode beside this one, which traces, say, must see every op.
            alone = number_of_modes is None or not number_of_modes()
            if sig.rule is not None and alone:
                result = self._ruled(sig, args, kwargs)
            elif sig.moves and _stays(args[0], kwargs):
                return args[0]
        if sig.reads_data and self.on_meta:
            result = self._answered(func, args, kwargs)
        elif sig.indexed is not None and self.on_meta:
            result = self._picked(func, sig, args, kwargs)
        if result is None:
            if sig.writes:
                self.recorder.remember(tensors((args, kwargs)))
            result = self._run(func, sig, args, kwargs)
            if sig.moves and self.on_meta and result.is_meta and not args[0].is_meta:
                self.recorder.numbers.note(result, args[0], own=False)
            if sig.detaches and is_lazy(args[0]):
                return result  # a lazy parameter has no shape to record
        if type(result) is tuple and result[-1] is self._nothing:
            self.recorder.add_op(sig, args, kwargs, result[0])
        else:
            self.recorder.add_op(sig, args, kwargs, result)
        return result

    def stop_for_functions(self) -> None:
        """End this pass: the next one sees the functions that forward calls."""
        self.needs_functions = True
        raise FunctionsNeeded

    def _answered(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What an op says of numbers that are known; None where torch has them, or nobody.

        Stops at numbers that nobody saw the making of.
        """
        numbers, held = self.recorder.numbers, list(tensors((args, kwargs)))
        if not any(t.is_meta for t in held) or kwargs.get("output_size") is not None:
            return None
        known = {id(t): n for t in held if (n := numbers.asked(t)) is not None}
        if len(known) < len({id(t) for t in held}):
            if not self.sees_functions:
                self.stop_for_functions()
            return None
        of_input = any(map(numbers.come_from_input, held))

        def twin(found: torch.Tensor) -> torch.Tensor:
            result = made(tuple(found.shape), found.dtype)
            numbers.note(result, found, of_input=of_input)
            return result

        args, kwargs = replaced((args, kwargs), lambda t: known[id(t)])
        return replaced(called(func, args, kwargs), twin)

    def _picked(self, func: Any, sig: Signature, args: Any, kwargs: Any) -> Any:
        """What an op picks by masks, whose numbers tell how much; None where torch can tell.

        Stops at a choice among activations by numbers that forward made and nobody saw.
        """
        numbers, at = self.recorder.numbers, sig.names.index(sig.indexed or "")
        picks = args[at] if at < len(args) else kwargs.get(sig.indexed)
        chosen = [t for t in tensors(picks) if t.dtype in (torch.int64, torch.bool)]
        unseen = [t for t in chosen if numbers.of(t) is None]
        if unseen and not self.sees_functions and self._made_here(args[0], unseen):
            self.stop_for_functions()
        if unseen or torch.bool not in [t.dtype for t in chosen if t.dim()] or (
            self._constants_only((args, kwargs))
        ):  # fmt: skip
            return None
        if picks is chosen[0]:
            held: Any = numbers.asked(picks)
            shape = torch.broadcast_shapes(held.shape, args[0].shape)  # type: ignore[no-untyped-call]
            return made((int(held.expand(shape).sum()),), args[0].dtype)
        places: list[Any] = []
        for pick in picks:
            if pick is not None and pick.dtype is torch.bool:
                count = int(torch.as_tensor(numbers.asked(pick)).sum())
                places += [made((count,), torch.int64)] * pick.dim()
            else:
                places.append(pick)
        if sig.writes:
            self.recorder.remember(tensors((args, kwargs)))
        return self._run(func, sig, (*args[:at], places, *args[at + 1 :]), kwargs)

    def _made_here(self, picked: torch.Tensor, unseen: list[torch.Tensor]) -> bool:
        """Whether forward picks among activations by what comes from no input or weight."""
        recorder = self.recorder
        if recorder.is_weight(recorder.value_of(picked)):
            return False
        needed = {recorder.value_of(tensor) for tensor in unseen}
        for op in reversed(recorder.ops):
            if not (needed.isdisjoint(op.outputs) or op.name.startswith(_SHAPED_LIKE)):
                needed.update(op.inputs)
        held = [recorder.values[value] for value in needed]
        return not any(value.role == "input" or value.name is not None for value in held)

    def _higher_order(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if str(func) != FLEX_ATTENTION.target:
            with self:
                return run_in_place(func, args)
        result = self._run(func, FLEX_ATTENTION, args, kwargs)
        self.recorder.add_op(FLEX_ATTENTION, of_attention(args), {}, result)
        return result

    def _ruled(self, sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert sig.rule is not None
        if kwargs and not _RULED_KEYWORDS.issuperset(kwargs):
            return None
        first = args[0]
        if not (type(first) is torch.Tensor and first.is_meta) and self._constants_only(args):
            return None
        try:
            outputs = sig.rule(*args)
        except (TypeError, AttributeError, IndexError, ValueError):
            return None  # arguments the rule does not know: torch judges them
        if outputs is None:
            return None
        if sig.in_place:
            fits = outputs[0][0] == first.shape and first.is_meta
            return first if fits else None
        if len(outputs) == 1:
            return made(*outputs[0])
        # What inference leaves empty (batch norm's statistics) is one and the same tensor.
        return tuple([o and (made(*o) if o[0] != (0,) else self._nothing) for o in outputs])

    def _run(self, func: Any, sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        originals: dict[int, torch.Tensor] = {}
        if not self.on_meta:
            if sig.writes or self._copies:
                args, kwargs = self._with_copies(sig, args, kwargs, originals)
        elif sig.takes_tensors:
            if self._constants_only((args, kwargs)):
                args, kwargs = self._with_copies(sig, args, kwargs, originals)
            elif not (sig.reads_data and not args[0].is_meta):
                args, kwargs = self._with_twins(args, kwargs, originals)
        elif _device_type(kwargs.get("device")) not in (None, "cpu", "meta"):
            kwargs = {**kwargs, "device": _META}
        result = called(func, args, kwargs)
        return replaced(result, lambda t: originals.get(id(t), t)) if originals else result

    def _constants_only(self, tree: Any) -> bool:
        recorder = self.recorder
        return not any(
            t.is_meta or recorder.values[recorder.value_of(t)].role in ("parameter", "buffer")
            for t in tensors(tree)
        )

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """What forward may have in place of a tensor of the user's.

        On meta the module's own tensors get meta twins; constants, and everything in a real run,
        an alias that shares the data alone, for which copies step in when it is written to.
        """
        fake = is_fake(tensor)
        if tensor.is_meta or not (fake or type(tensor) in (torch.Tensor, nn.Parameter)):
            return tensor
        value = self.recorder.value_of(tensor)
        own = self.recorder.values[value].role in ("parameter", "buffer")
        kept = self._stand_ins.get(id(tensor))
        if kept is not None:
            return kept[1]
        stand_in = self._twin(tensor) if (own or fake) and self.on_meta else tensor.data
        if stand_in.is_meta and not (fake or tensor.is_floating_point()):
            self.recorder.numbers.note(stand_in, tensor)
        if isinstance(tensor, nn.Parameter):
            stand_in = nn.Parameter(stand_in, requires_grad=tensor.requires_grad)
        if vars(tensor):
            vars(stand_in).update(vars(tensor))
        self.recorder.link(stand_in, value)
        self._stand_ins[id(tensor)] = (tensor, stand_in)
        return stand_in

    def _with_twins(
        self, args: Any, kwargs: dict[str, Any], originals: dict[int, torch.Tensor]
    ) -> tuple[Any, dict[str, Any]]:
        def twin_of(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.is_meta:
                return tensor
            twin = self._twin(tensor)
            originals[id(twin)] = tensor
            return twin

        if "device" in kwargs:
            kwargs = {**kwargs, "device": _META}
        return replaced((args, kwargs), twin_of)  # type: ignore[no-any-return]

    def _twin(self, tensor: torch.Tensor) -> torch.Tensor:
        """A meta tensor in the place of a real one; the twins of one storage share one."""
        value = self.recorder.value_of(tensor)
        if self.recorder.values[value].role not in ("parameter", "buffer"):
            return torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META
            )
        storage = self.recorder.values[value].storage
        if storage not in self._bases:
            elements = tensor.untyped_storage().nbytes() // tensor.element_size()
            self._bases[storage] = torch.empty(elements, dtype=tensor.dtype, device=_META)
            self.recorder.link(self._bases[storage], value)
        return self._bases[storage].as_strided(
            tensor.shape, tensor.stride(), tensor.storage_offset()
        )

    def _with_copies(
        self, sig: Signature, args: Any, kwargs: dict[str, Any], originals: dict[int, torch.Tensor]
    ) -> tuple[Any, dict[str, Any]]:
        """The arguments, with a copy in place of each tensor of the user's that is written to."""
        given = [*args, *kwargs.values()]
        names = [*sig.names[: len(args)], *kwargs]
        written = {id(item) for name, item in zip(names, given, strict=True) if name in sig.writes}

        def copy_of(tensor: torch.Tensor) -> torch.Tensor:
            kept = self._copies.get(id(tensor))
            if kept is not None and kept[0] is tensor:
                originals[id(kept[1])] = tensor
                return kept[1]
            if id(tensor) not in written or not self.recorder.given(tensor):
                return tensor
            copy = tensor.detach().clone()
            self._copies[id(tensor)] = (tensor, copy)
            self.recorder.numbers.note(tensor, copy)
            originals[id(copy)] = tensor
            return copy

        return replaced((args, kwargs), copy_of)  # type: ignore[no-any-return]


def made(shape: Shape, dtype: torch.dtype, strides: Shape | None = None) -> torch.Tensor:
    """An empty meta tensor, contiguous unless strides are given."""
    # torch.empty takes twice as long.
    if strides is None:
        strides = contiguous(shape)
    return torch.empty_strided(shape, strides, dtype=dtype, device=_META)


@lru_cache(maxsize=4096)
def contiguous(shape: Shape) -> Shape:
    """The strides of a tensor without gaps, its last axis the densest."""
    if not shape:
        return ()
    return tuple(accumulate([max(n, 1) for n in shape[:0:-1]], mul, initial=1))[::-1]


def _stays(tensor: torch.Tensor, kwargs: dict[str, Any]) -> bool:
    """Whether a copy only moves an activation to the device of the real weights: no op in eager."""
    if not tensor.is_meta or kwargs.get("dtype") not in (None, tensor.dtype):
        return False
    return "device" in kwargs and kwargs.get("memory_format") in (None, torch.preserve_format)


def _device_type(device: Any) -> str | None:
    return None if device is None else torch.device(device).type

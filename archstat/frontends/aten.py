"""The one table of aten ops: name -> kind and, for the ops of a common CNN, a shape rule.

An op that is not here becomes kind ``other``, and is unknown until an analysis has a formula for
it. Names are those of the schema without overload and in-place underscore; those of another library
stand with it, as ``quantized::linear``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any
from weakref import ref

import torch

from archstat.frontends import shapes, shapes_pooled
from archstat.frontends.registered import TORCHS_OWN
from archstat.frontends.torch_private import is_composite, schema_of
from archstat.graph import Kind


@dataclass(frozen=True, slots=True)
class Signature:
    """What the capture must know of one overload, read once from its schema.

    `packet` is the operator of a library's overload, under which a formula may be registered.
    """

    target: str
    kind: Kind
    names: tuple[str, ...]
    defaults: tuple[tuple[int, str, Any], ...]
    rule: shapes.Rule | None
    in_place: bool
    writes: frozenset[str]
    window_axes: int | None
    moves: bool
    detaches: bool
    reads_data: bool
    makes_empty: bool
    takes_tensors: bool
    composite: bool
    indexed: str | None
    packet: Any = None


_KINDS: Mapping[Kind, str] = MappingProxyType({
    "conv": "convolution _convolution convolution_overrideable mkldnn_convolution "
    "_slow_conv2d_forward thnn_conv2d conv_tbc",
    "linear": "linear mkldnn_linear _trilinear",
    "matmul": "mm addmm bmm baddbmm addbmm mv addmv dot vdot _addmm_activation _scaled_mm "
    "_grouped_mm _int_mm _weight_int4pack_mm _weight_int4pack_mm_for_cpu _weight_int8pack_mm "
    "_weight_int4pack_mm_with_scales_and_zeros _dyn_quant_matmul_4bit _mixed_dtypes_linear "
    "_sparse_addmm _sparse_mm sspaddmm _sparse_sparse_matmul hspmm",
    "attention": "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
    "_scaled_dot_product_fused_attention_overrideable _native_multi_head_attention "
    "_transformer_encoder_layer_fwd",
    "norm": "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "cudnn_batch_norm miopen_batch_norm _batch_norm_no_update native_layer_norm native_group_norm "
    "_fused_rms_norm _weight_norm_interface",
    "activation": "relu hardtanh leaky_relu _prelu_kernel elu gelu silu mish hardswish hardsigmoid "
    "sigmoid tanh softplus softshrink hardshrink threshold glu log_sigmoid_forward clamp clamp_min "
    "clamp_max rrelu_with_noise",
    "pool": "max_pool2d_with_indices max_pool3d_with_indices max_pool1d max_pool2d max_pool3d "
    "mkldnn_max_pool2d avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d "
    "mkldnn_adaptive_avg_pool2d adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d "
    "max_unpool2d",
    "add": "add sub rsub",
    "mul": "mul div addcmul addcdiv",
    "concat": "cat stack",
    "split": "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unsafe_chunk "
    "unbind slice select narrow split_copy split_with_sizes_copy unbind_copy slice_copy "
    "select_copy",
    "reshape": "view _unsafe_view reshape _reshape_alias expand permute transpose t unsqueeze "
    "squeeze alias detach as_strided unfold clone contiguous copy _to_copy lift_fresh lift roll "
    "flip rot90 repeat pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle "
    "im2col col2im index_select gather index diagonal view_as_real view_as_complex movedim tile "
    "repeat_interleave view_copy expand_copy permute_copy transpose_copy squeeze_copy "
    "unsqueeze_copy alias_copy as_strided_copy unfold_copy diagonal_copy",
    "pad": "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
    "replication_pad2d replication_pad3d",
    "resize": "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d "
    "upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
    "grid_sampler_2d grid_sampler_3d",
    "reduce": "mean sum amax amin max min var std var_mean std_mean prod argmax argmin cumsum "
    "linalg_vector_norm norm logsumexp any all aminmax nansum cumprod logcumsumexp cummax cummin "
    "count_nonzero median nanmedian dist",
    "softmax": "_softmax _log_softmax _safe_softmax",
    "embedding": "embedding _embedding_bag _embedding_bag_forward_only",
    "recurrent": "mkldnn_rnn_layer _thnn_fused_lstm_cell _thnn_fused_gru_cell _cudnn_rnn lstm gru "
    "rnn_tanh rnn_relu quantized_lstm quantized_gru",
})  # fmt: skip
# Those of the library `quantized`, whose weights are packed into an object.
_QUANTIZED: Mapping[Kind, str] = MappingProxyType({
    "conv": "conv1d conv1d_relu conv1d_dynamic conv2d conv2d_relu conv2d_add conv2d_add_relu "
    "conv2d_dynamic conv3d conv3d_relu conv3d_dynamic conv_transpose1d conv_transpose1d_dynamic "
    "conv_transpose2d conv_transpose2d_dynamic conv_transpose3d conv_transpose3d_dynamic",
    "linear": "linear linear_relu linear_leaky_relu linear_tanh linear_dynamic "
    "linear_relu_dynamic linear_dynamic_fp16 linear_relu_dynamic_fp16",
    "matmul": "matmul",
    "recurrent": "quantized_lstm_cell_dynamic quantized_gru_cell_dynamic "
    "quantized_rnn_tanh_cell_dynamic quantized_rnn_relu_cell_dynamic",
})  # fmt: skip

KIND_OF: Mapping[str, Kind] = MappingProxyType(
    {
        **{name: kind for kind, names in _KINDS.items() for name in names.split()},
        **{f"quantized::{n}": kind for kind, names in _QUANTIZED.items() for n in names.split()},
    }
)

# Overloads that share a name but not a meaning ("mean" over everything) are left to torch.
_RULES: Mapping[str, shapes.Rule] = MappingProxyType({
    "aten.convolution.default": shapes.convolution,
    "aten.native_batch_norm.default": shapes.batch_norm,
    "aten.native_layer_norm.default": shapes.layer_norm,
    "aten.relu.default": shapes.elementwise,
    "aten.hardtanh.default": shapes.elementwise,
    "aten.leaky_relu.default": shapes.elementwise,
    "aten.hardswish.default": shapes.elementwise,
    "aten.hardsigmoid.default": shapes.elementwise,
    "aten.sigmoid.default": shapes.elementwise,
    "aten.tanh.default": shapes.elementwise,
    "aten.silu.default": shapes.elementwise,
    "aten.gelu.default": shapes.elementwise,
    "aten._softmax.default": shapes.softmax,
    "aten._safe_softmax.default": shapes.softmax,
    "aten._scaled_dot_product_flash_attention_for_cpu.default": shapes.attention,
    "aten.mkldnn_rnn_layer.default": shapes.onednn_lstm,
    "aten.add.Tensor": shapes.broadcast,
    "aten.sub.Tensor": shapes.broadcast,
    "aten.mul.Tensor": shapes.broadcast,
    "aten.mul.Scalar": shapes.broadcast,
    "aten.rsub.Scalar": shapes.broadcast,
    "aten.div.Tensor": shapes.broadcast,
    "aten.add_.Tensor": shapes.onto_first,
    "aten.mul_.Tensor": shapes.onto_first,
    "aten.cat.default": shapes.concatenate,
    "aten.mm.default": shapes.matrix_product,
    "aten.bmm.default": shapes.matrix_product,
    "aten._grouped_mm.default": shapes.grouped_product,
    "aten.addmm.default": shapes.biased_matrix_product,
    "aten.max_pool2d_with_indices.default": shapes_pooled.max_pool,
    "aten.avg_pool2d.default": shapes_pooled.average_pool,
    "aten.avg_pool3d.default": shapes_pooled.average_pool,
    "aten.constant_pad_nd.default": shapes.constant_pad,
    "aten.pow.Tensor_Scalar": shapes.power,
    "aten._adaptive_avg_pool2d.default": shapes_pooled.adaptive_pool,
    "aten.mean.dim": shapes_pooled.over_axes,
    "aten.sum.dim_IntList": shapes_pooled.over_axes,
    "aten.amax.default": shapes_pooled.maximum,
    "aten.adaptive_max_pool2d.default": shapes_pooled.adaptive_max_pool,
})  # fmt: skip

_IN_PLACE_RULED = frozenset({"relu_", "hardtanh_", "leaky_relu_", "hardswish_", "hardsigmoid_",
                             "sigmoid_", "tanh_", "silu_", "add_", "mul_"})  # fmt: skip


# The argument whose numbers tell what an op picks, where it has another name than ``index``.
_PICKS = {"aten.masked_select.default": "mask", "aten.nonzero.default": "self"}

# What they return, or its shape, is in the numbers of what they are given.
_READS_DATA = frozenset({
    *("aten._local_scalar_dense.default", "aten.equal.default", "aten.bincount.default"),
    *("aten._unique2.default", "aten.unique_dim.default", "aten.unique_consecutive.default"),
    *("aten.repeat_interleave.Tensor", "aten.nonzero.default"),
})  # fmt: skip

# Their schemas do not say that they update running statistics.
_UNSAID_WRITES = frozenset({"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"})


@cache
def signature(func: Any) -> Signature:
    """The kind, argument names, defaults and effects of an overload."""
    schema = schema_of(func)
    target = str(func)
    namespace, base, _ = target.split(".", 2)
    name = base.rstrip("_") if not base.startswith("__") else base
    arguments = schema.arguments
    kinds = {a.name: str(a.type) for a in arguments}
    names = tuple(kinds)
    window = re.search(r"pool([123])d", name)
    writes = {a.name for a in arguments if a.alias_info and a.alias_info.is_write}
    if name in _UNSAID_WRITES:
        writes |= {"running_mean", "running_var"}
    return Signature(
        target=target,
        kind=KIND_OF.get(name if namespace == "aten" else f"{namespace}::{name}", "other"),
        names=names,
        defaults=tuple(
            (i, a.name, plain(a.default_value))
            for i, a in enumerate(arguments)
            if a.has_default_value()
        ),
        rule=_rule(target, base),
        writes=frozenset(writes),
        in_place=base in _IN_PLACE_RULED,
        window_axes=int(window[1]) if window and "kernel_size" in names else None,
        detaches=target == "aten.detach.default",
        moves=target == "aten._to_copy.default",
        reads_data=target in _READS_DATA,
        makes_empty=target == "aten.empty.memory_format",
        composite=is_composite(func),
        takes_tensors=any("Tensor" in kind for kind in kinds.values()),
        indexed=_PICKS.get(target)
        or next((n for n, t in kinds.items() if n in ("index", "indices") and "Tensor" in t), None),
        packet=None if namespace in TORCHS_OWN else getattr(func, "overloadpacket", None),
    )


def _rule(target: str, base: str) -> shapes.Rule | None:
    """An op in place has that of the ordinary one, unless it has its own."""
    if base not in _IN_PLACE_RULED or target in _RULES:
        return _RULES.get(target)
    return _RULES.get(target.replace(base, base.rstrip("_"), 1))


def plain(argument: Any) -> Any:
    """A non-tensor argument as JSON can hold it: lists become tuples, torch's enums become text."""
    if type(argument) in PLAIN_TYPES:
        return argument
    if isinstance(argument, (list, tuple)):
        return tuple([plain(item) for item in argument])
    return str(argument).removeprefix("torch.")


# A longer index is not written down; what it picks is then unknown.
LONGEST_INDEX = 4096
# Of whole numbers and booleans, which masks are made of: of one tensor, and of all alive at once.
MOST_BYTES, MOST_BYTES_IN_ALL = 2**26, 2**29
_INDEX_TYPES = (torch.int64, torch.int32, torch.bool)


class Numbers:
    """What tensors on meta would hold, where they were made of numbers that are known.

    `asked_of_inputs` is whether somebody asked for such as come from an input's.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[torch.Tensor], int | None, torch.Tensor, bool]] = {}
        self._bytes = 0
        self.asked_of_inputs = False

    def fits(self, tensor: torch.Tensor) -> bool:
        """Whether the numbers of such a tensor are few enough to be kept."""
        if tensor.numel() <= LONGEST_INDEX:
            return True
        if tensor.is_floating_point() or tensor.is_complex():
            return False
        return tensor.numel() * tensor.element_size() <= min(
            MOST_BYTES, MOST_BYTES_IN_ALL - self._bytes
        )

    def note(
        self,
        tensor: torch.Tensor,
        numbers: torch.Tensor,
        own: bool = True,
        of_input: bool = False,
    ) -> None:
        """Let a tensor be known to hold numbers, should forward look at them.

        Unless they are kept for this alone, a copy of them is: forward's must die when it says.
        What is written to a tensor on meta ends that; what is not on meta may go on changing.
        """
        if self.fits(numbers):
            version = tensor._version if tensor.is_meta else None
            kept, key = numbers if own else numbers.clone(), id(tensor)
            self._forget(key)
            self._bytes += kept.nbytes
            self._known[key] = (ref(tensor, lambda _: self._forget(key)), version, kept, of_input)

    def _forget(self, key: int) -> None:
        known = self._known.pop(key, None)
        self._bytes -= known[2].nbytes if known else 0

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The numbers of a tensor: mostly itself, unless on meta; None where they are not known."""
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[2] if known[1] in (None, tensor._version) else None
        if not tensor.is_meta:
            return tensor
        base = None if tensor._base is None else self.of(tensor._base)
        if base is None or base.stride() != tensor._base.stride():  # type: ignore[union-attr]
            return None
        return base.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def come_from_input(self, tensor: torch.Tensor) -> bool:
        """Whether the numbers of a tensor are an input's, or were made of such."""
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[3]
        return tensor._base is not None and self.come_from_input(tensor._base)

    def asked(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """`of`, for what forward goes on with."""
        numbers = self.of(tensor)
        if numbers is not None and self.come_from_input(tensor):
            self.asked_of_inputs = True
        return numbers

    def plain(self, index: Any) -> Any:
        """A tensor of indices as nested tuples, or as the name of its dtype if they are unknown.

        What an input picks is unknown, whatever numbers it has.
        """
        if isinstance(index, (list, tuple)):
            return tuple([self.plain(item) for item in index])
        if not isinstance(index, torch.Tensor):
            return plain(index)
        numbers = self.of(index) if index.dtype in _INDEX_TYPES else None
        if numbers is None or numbers.numel() > LONGEST_INDEX or self.come_from_input(index):
            return str(index.dtype).removeprefix("torch.")
        return _nested(numbers.tolist())


def _nested(numbers: Any) -> Any:
    return tuple(map(_nested, numbers)) if isinstance(numbers, list) else numbers


PLAIN_TYPES = frozenset({type(None), bool, int, float, str})

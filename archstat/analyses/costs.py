"""The one table of operation costs: counted with a formula, free with a reason, or absent.

Keys are op names (`Op.name`): the schema's, without namespace, overload and in-place underscore.
A name that stands in no table here is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Flops of one output element. Sources of the less obvious: a sigmoid is exp, add, divide and a
# sign; tanh the same; SiLU is a sigmoid and a product; GELU a tanh form with its cubic.
PER_OUTPUT: Mapping[str, int] = MappingProxyType({
    "add": 1, "sub": 1, "rsub": 1, "mul": 1, "div": 1, "addcmul": 2, "addcdiv": 2, "neg": 1,
    "abs": 1, "sqrt": 1, "rsqrt": 1, "square": 1, "reciprocal": 1, "exp": 1, "expm1": 1, "log": 1,
    "log1p": 1, "log2": 1, "pow": 1, "sin": 1, "cos": 1, "tan": 1, "atan": 1, "atan2": 1,
    "asin": 1, "acos": 1, "erf": 1, "maximum": 1, "minimum": 1, "fmod": 1, "remainder": 1,
    "lerp": 3, "complex": 0, "polar": 2, "sign": 1, "floor": 1, "ceil": 1, "round": 1, "frac": 1,
    "trunc": 1, "floor_divide": 1, "xlogy": 2, "logaddexp": 4, "exp2": 1, "erfinv": 1,
    "relu": 1, "hardtanh": 1, "clamp": 1, "clamp_min": 1, "clamp_max": 1, "threshold": 1,
    "leaky_relu": 2, "_prelu_kernel": 2, "rrelu_with_noise": 2, "softshrink": 2, "hardshrink": 1,
    "hardsigmoid": 3, "hardswish": 4, "sigmoid": 4, "tanh": 4, "elu": 3, "softplus": 4,
    "log_sigmoid_forward": 4, "silu": 5, "glu": 5, "gelu": 8, "mish": 9,
    "_softmax": 5, "_log_softmax": 5, "_safe_softmax": 5, "softmax": 5,
    "native_layer_norm": 5, "native_group_norm": 5, "_fused_rms_norm": 4,
    "_weight_norm_interface": 3, "native_dropout": 1,
    "upsample_linear1d": 3, "upsample_bilinear2d": 7, "upsample_trilinear3d": 15,
    "upsample_bicubic2d": 31, "_upsample_bilinear2d_aa": 7, "_upsample_bicubic2d_aa": 31,
    "grid_sampler_2d": 7, "grid_sampler_3d": 15,
})  # fmt: skip

# Batch norm applies a scale and a shift known beforehand; with batch statistics it must find them.
BATCH_NORMS = frozenset({
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_no_update", "batch_norm",
})  # fmt: skip
BATCH_NORM_EVAL, BATCH_NORM_TRAINING = 2, 5

# Flops of one input element, for reductions whose every input takes part once.
PER_INPUT: Mapping[str, int] = MappingProxyType({
    "mean": 1, "var": 4, "std": 4, "var_mean": 4, "std_mean": 4, "linalg_vector_norm": 2,
    "norm": 2, "cumsum": 1, "cumprod": 1, "logsumexp": 3, "_embedding_bag": 1,
    "_embedding_bag_forward_only": 1,
})  # fmt: skip

# n inputs and m results take n - m additions or comparisons.
FOLDS = frozenset({"aminmax", "sum", "prod", "amax", "amin", "max", "min", "argmax", "argmin"})

# k^2 - 1 comparisons a result for max pooling, k^2 additions and a division for the average.
MAX_POOLS = frozenset({
    "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d", "max_pool2d", "max_pool3d",
    "mkldnn_max_pool2d", "fractional_max_pool2d",
})  # fmt: skip
AVERAGE_POOLS = frozenset({"avg_pool1d", "avg_pool2d", "avg_pool3d"})
ADAPTIVE_MAX_POOLS = frozenset({"adaptive_max_pool2d", "adaptive_max_pool3d"})
ADAPTIVE_AVERAGE_POOLS = frozenset({
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "mkldnn_adaptive_avg_pool2d",
})  # fmt: skip

_FREE = {
    "moves or renames elements": """
        view _unsafe_view reshape _reshape_alias expand permute transpose t unsqueeze squeeze alias
        detach as_strided unfold clone contiguous copy _to_copy to lift_fresh lift lift_fresh_copy
        roll flip rot90 repeat pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle
        im2col col2im index_select gather index diagonal view_as_real view_as_complex movedim tile
        repeat_interleave split split_with_sizes unsafe_split unsafe_split_with_sizes chunk
        unsafe_chunk unbind slice select narrow split_copy split_with_sizes_copy cat stack scatter
        scatter_add index_put index_add slice_scatter select_scatter masked_fill where tril triu
        masked_select take take_along_dim real imag conj _conj diag_embed index_copy masked_scatter
        constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
        replication_pad2d replication_pad3d upsample_nearest1d upsample_nearest2d
        upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d max_unpool2d embedding resize set_ flatten meshgrid""",
    "makes a constant": """
        empty empty_like empty_strided zeros zeros_like ones ones_like full full_like arange
        linspace eye rand rand_like randn randn_like randint randperm new_empty new_zeros new_ones
        new_full new_empty_strided scalar_tensor fill zero bernoulli normal uniform tril_indices
        triu_indices logspace hann_window hamming_window one_hot""",
    "compares or selects, without arithmetic": """
        eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
        bitwise_not bitwise_xor isnan isinf isfinite any all sort topk argsort nonzero unique2
        _unique2 searchsorted bucketize equal is_nonzero _local_scalar_dense signbit isin
        __lshift__ __rshift__ kthvalue mode""",
}
FREE: Mapping[str, str] = MappingProxyType(
    {name: reason for reason, names in _FREE.items() for name in names.split()}
)

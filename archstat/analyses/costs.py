"""The one table of operation costs: counted with a formula, free with a reason, or absent.

Keys are op names (`Op.name`): the schema's, without namespace, overload and in-place underscore;
those of other libraries stand with it, as ``torchvision::nms`` (`key`). A name that stands in no
table here is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

# Flops of one output element. Sources of the less obvious: a sigmoid is exp, add, divide and a
# sign; tanh the same; SiLU is a sigmoid and a product; GELU a tanh form with its cubic.
PER_OUTPUT: Mapping[str, int] = MappingProxyType({
    "add": 1, "addr": 2, "sub": 1, "rsub": 1, "mul": 1, "div": 1, "addcmul": 2, "addcdiv": 2,
    "neg": 1, "abs": 1, "sqrt": 1, "rsqrt": 1, "square": 1, "reciprocal": 1, "exp": 1, "expm1": 1,
    "log": 1, "log1p": 1, "log2": 1, "pow": 1, "sin": 1, "cos": 1, "tan": 1, "atan": 1, "atan2": 1,
    "asin": 1, "acos": 1, "erf": 1, "maximum": 1, "minimum": 1, "fmod": 1, "remainder": 1,
    "lerp": 3, "polar": 2, "sign": 1, "sgn": 1, "floor": 1, "ceil": 1, "round": 1, "frac": 1,
    "trunc": 1, "floor_divide": 1, "xlogy": 2, "special_xlog1py": 3, "special_entr": 2,
    "logaddexp": 4, "logaddexp2": 4, "exp2": 1, "erfc": 1, "erfinv": 1, "log10": 1, "sinh": 1,
    "cosh": 1, "asinh": 1, "acosh": 1, "atanh": 1, "angle": 1, "deg2rad": 1, "rad2deg": 1,
    "fmax": 1, "fmin": 1, "hypot": 4, "sinc": 3, "logit": 3, "linalg_cross": 3,
    "relu": 1, "hardtanh": 1, "clamp": 1, "clamp_min": 1, "clamp_max": 1, "threshold": 1,
    "leaky_relu": 2, "_prelu_kernel": 2, "rrelu_with_noise": 2, "softshrink": 2, "hardshrink": 1,
    "hardsigmoid": 3, "hardswish": 4, "sigmoid": 4, "tanh": 4, "elu": 3, "celu": 3, "softplus": 4,
    "log_sigmoid_forward": 4, "silu": 5, "glu": 5, "gelu": 8, "mish": 9,
    "_softmax": 5, "_log_softmax": 5, "_safe_softmax": 5, "softmax": 5,
    "native_layer_norm": 5, "native_group_norm": 5, "_weight_norm_interface": 3,
    "native_dropout": 1,
    "upsample_linear1d": 3, "upsample_bilinear2d": 7, "upsample_trilinear3d": 15,
    "upsample_bicubic2d": 31, "_upsample_bilinear2d_aa": 7, "_upsample_bicubic2d_aa": 31,
    "grid_sampler_2d": 7, "grid_sampler_3d": 15,
    # A quotient, rounded, moved by the zero point and cut off; and back.
    "quantize_per_tensor": 4, "quantize_per_channel": 4, "dequantize": 2,
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
    "norm": 2, "native_norm": 2, "cumsum": 1, "cumprod": 1, "logsumexp": 3, "cummax": 1,
    "cummin": 1, "logcumsumexp": 4, "dist": 3, "count_nonzero": 1, "col2im": 1,
    # An element's distance from the edge, times the bins, over the width; and one more in its bin.
    "histc": 4, "bincount": 1,
    "quantize_per_tensor_dynamic": 6,  # by the least and the largest, which are found first
})  # fmt: skip

# n inputs and m results take n - m additions or comparisons.
FOLDS = frozenset({
    "aminmax", "sum", "nansum", "prod", "amax", "amin", "max", "min", "argmax", "argmin",
})  # fmt: skip

# One addition for each element of the source, the last tensor given.
SCATTERED_SUMS = frozenset({"scatter_add", "scatter_reduce", "index_add", "index_reduce"})

# An addition for each element of each row that is read, and a product where rows have weights.
BAGS = frozenset({"_embedding_bag", "_embedding_bag_forward_only"})

# For an element a square, its part of the mean and the scale, and a weight where there is one;
# for a group the addition of eps and the root: as torch's own decomposition has it.
RMS_NORM, RMS_NORM_GROUP = 3, 2

# A difference, its power and a sum for each coordinate of each pair of points.
DISTANCES = frozenset({"_cdist_forward", "_pdist_forward", "_euclidean_dist"})
PER_COORDINATE = 3

# n log2(n) times this for a transform of n points, as FFTW counts; a real signal takes half.
TRANSFORMS: Mapping[str, float] = MappingProxyType({
    "_fft_c2c": 5.0, "_fft_r2c": 2.5, "_fft_c2r": 2.5,
})  # fmt: skip

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
        im2col index_select gather index diagonal view_as_real view_as_complex movedim tile
        repeat_interleave split split_with_sizes unsafe_split unsafe_split_with_sizes chunk
        unsafe_chunk unbind slice select narrow split_copy split_with_sizes_copy cat stack scatter
        index_put slice_scatter select_scatter masked_fill where tril triu
        masked_select take take_along_dim real imag conj _conj diag_embed index_copy masked_scatter
        complex _conj_physical conj_physical resolve_conj index_fill diagonal_copy view_copy
        expand_copy permute_copy transpose_copy squeeze_copy unsqueeze_copy slice_copy select_copy
        unbind_copy as_strided_copy unfold_copy alias_copy diagonal_scatter as_strided_scatter
        constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
        replication_pad2d replication_pad3d upsample_nearest1d upsample_nearest2d
        upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d max_unpool2d max_unpool3d embedding resize set
        flatten meshgrid _unsafe_index _unsafe_masked_index block_diag unfold_backward
        _pack_padded_sequence _pad_packed_sequence _to_sparse to_sparse
        _to_sparse_csr _to_sparse_csc _to_sparse_bsr _to_sparse_bsc _to_dense to_dense _coalesce
        _coalesced _values _indices values indices crow_indices col_indices ccol_indices
        row_indices narrow_copy detach_copy t_copy view_as_real_copy view_as_complex_copy
        to_padded_tensor _jagged_to_padded_dense_forward _padded_dense_to_jagged_forward
        _fw_primal _make_dual _nested_from_padded _nested_tensor_from_mask _sparse_coo_tensor_unsafe
        _sparse_coo_tensor_with_dims_and_tensors
        _sparse_compressed_tensor_unsafe _sparse_csr_tensor_unsafe int_repr quantized::cat""",
    "makes a constant": """
        empty empty_like empty_strided zeros zeros_like ones ones_like full full_like arange
        linspace eye rand rand_like randn randn_like randint randperm new_empty new_zeros new_ones
        new_full new_empty_strided scalar_tensor fill zero bernoulli normal uniform tril_indices
        triu_indices logspace hann_window hamming_window one_hot exponential cauchy geometric
        log_normal multinomial poisson binomial random randint_like range empty_permuted
        bartlett_window blackman_window kaiser_window fft_fftfreq fft_rfftfreq _standard_gamma
        _sample_dirichlet _efficientzerotensor _new_zeros_with_same_feature_meta""",
    "compares or selects, without arithmetic": """
        eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
        bitwise_not bitwise_xor isnan isinf isfinite any all sort topk argsort nonzero
        _unique2 searchsorted bucketize equal is_nonzero _local_scalar_dense signbit isin
        __lshift__ __rshift__ bitwise_left_shift bitwise_right_shift isposinf isneginf nextafter
        kthvalue mode median nanmedian nan_to_num copysign heaviside
        _is_all_true _is_any_true unique_dim unique_consecutive unique_dim_consecutive
        torchvision::nms""",
    "checks, marks or asks, and computes nothing": """
        profiler::_record_function_enter profiler::_record_function_enter_new
        profiler::_record_function_exit _assert_async _functional_assert_async _assert_scalar
        _assert_tensor_metadata _linalg_check_errors promote_types result_type can_cast
        is_same_size _has_same_storage_numel sym_size sym_stride sym_numel sym_storage_offset""",
}
FREE: Mapping[str, str] = MappingProxyType(
    {name: reason for reason, names in _FREE.items() for name in names.split()}
)

# (m, k) x (k, n) with weights in a format of their own.
PACKED_PRODUCTS = frozenset({
    "_int_mm", "_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu", "_weight_int8pack_mm",
    "_weight_int4pack_mm_with_scales_and_zeros", "_dyn_quant_matmul_4bit", "_mixed_dtypes_linear",
})  # fmt: skip

# Unknown to flops, but none of these multiplies and accumulates: macs stay exact.
_WITHOUT_PRODUCTS = """
    histogram lgamma digamma polygamma mvlgamma igamma igammac i0 special_i0e
    special_i1 special_i1e special_erfcx special_ndtri special_log_ndtr special_zeta trace renorm
    segment_reduce trapezoid embedding_renorm gcd lcm frexp ldexp special_airy_ai
    special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
    special_modified_bessel_i0 special_modified_bessel_i1 special_modified_bessel_k0
    special_modified_bessel_k1 special_spherical_bessel_j0 _transform_bias_rescale_qkv
    quantized_max_pool1d quantized_max_pool2d
    mse_loss l1_loss smooth_l1_loss huber_loss nll_loss_forward nll_loss2d_forward
    binary_cross_entropy soft_margin_loss multi_margin_loss multilabel_margin_loss_forward _ctc_loss
    _cudnn_ctc_loss kl_div binary_cross_entropy_with_logits
    affine_grid_generator torchvision::roi_align torchvision::roi_pool torchvision::ps_roi_align
    torchvision::ps_roi_pool
    fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fused_moving_avg_obs_fq_helper
    _fake_quantize_learnable_per_tensor_affine _fake_quantize_learnable_per_channel_affine
    _choose_qparams_per_tensor choose_qparams_optimized q_scale q_zero_point
    quantized::add quantized::add_relu quantized::add_scalar quantized::mul quantized::mul_relu
    quantized::mul_scalar quantized::cat_relu quantized::hardswish quantized::leaky_relu
    quantized::relu6 quantized::sigmoid quantized::elu quantized::celu quantized::prelu
    quantized::softmax quantized::clamp quantized::threshold quantized::max_pool1d
    quantized::max_pool2d quantized::batch_norm quantized::batch_norm1d quantized::batch_norm2d
    quantized::batch_norm3d quantized::batch_norm_relu quantized::batch_norm2d_relu
    quantized::batch_norm3d_relu quantized::layer_norm quantized::group_norm
    quantized::instance_norm quantized::dropout quantized::embedding_bag_byte
    quantized::embedding_byte quantized::embedding_bag_4bit quantized::embedding_4bit
    quantized::embedding_bag_byte_rowwise_offsets quantized::embedding_bag_4bit_rowwise_offsets
    threshold_backward hardtanh_backward hardswish_backward hardsigmoid_backward sigmoid_backward
    tanh_backward silu_backward gelu_backward leaky_relu_backward elu_backward softplus_backward
    mish_backward glu_backward log_sigmoid_backward _softmax_backward_data
    _log_softmax_backward_data native_batch_norm_backward native_layer_norm_backward
    native_group_norm_backward _fused_rms_norm_backward max_pool2d_with_indices_backward
    max_pool3d_with_indices_backward avg_pool2d_backward avg_pool3d_backward
    _adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward embedding_dense_backward
    slice_backward select_backward _cdist_backward mse_loss_backward nll_loss_backward
    upsample_nearest2d_backward upsample_bilinear2d_backward reflection_pad2d_backward
    replication_pad2d_backward constant_pad_nd_backward native_dropout_backward
    grid_sampler_2d_backward grid_sampler_3d_backward index_put_backward"""
WITHOUT_PRODUCTS = frozenset(_WITHOUT_PRODUCTS.split())


@cache
def key(target: str) -> str:
    """The name under which the tables here have an op: with ``library::`` where it is not torch's.

    Targets that name no overload are those of Graphs made by hand; ``prims``, of which torch makes
    some of its own operations, have their names and meaning.
    """
    parts = target.split(".")
    own = parts[1] if len(parts) > 1 else parts[0]
    name = own if own.startswith("__") else own.rstrip("_")
    return name if len(parts) < 3 or parts[0] in ("aten", "prims") else f"{parts[0]}::{name}"

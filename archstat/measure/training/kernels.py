"""What a device's kernels do that meta's do not, put in above autograd.

On meta attention decomposes and stores its scores, dropout makes a mask of floats, and autocast
does nothing. A function mode calls what the device would run: fused attention on both, one-byte
masks on a GPU, and with `amp` the casts of autocast by the rules of `autocast_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch

from archstat.frontends.attention import AttentionKernels, Kernels
from archstat.frontends.trees import replaced, tensors

Policy = Literal["half", "single", "single_result", "widest"]


@dataclass(frozen=True, slots=True)
class Rules:
    """A device's half-precision dtype and the policy of each function that has one."""

    dtype: str
    policies: Mapping[str, Policy]


_PRODUCTS = (
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution "
    "_convolution prelu addmm matmul __matmul__ __rmatmul__ einsum mm linalg_vecdot linear addbmm "
    "baddbmm bmm chain_matmul multi_dot linalg_multi_dot scaled_dot_product_attention lstm gru "
    "rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
)
_LOSSES = (
    "poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d nll_loss_nd hinge_embedding_loss "
    "kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss "
    "soft_margin_loss triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits "
    "cross_entropy cross_entropy_loss"
)
_CUDA_HALF = "addmv addr mv"
# Beside torch's list stands square, which is a pow below.
_CUDA_SINGLE = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow square "
    "__pow__ __rpow__ __rdiv__ softplus layer_norm native_layer_norm rms_norm group_norm "
    "frobenius_norm nuclear_norm cosine_similarity dist pdist cdist renorm logsumexp "
    "upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d "
    "upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d "
    "_upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa"
)
# Their result is single; no single-precision copy of what they read is made.
_CUDA_RESULT = (
    "prod softmax softmin log_softmax cumprod cumsum linalg_vector_norm linalg_matrix_norm norm sum"
)
_CUDA_WIDEST = (
    "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add"
)
_CPU_SINGLE = (
    "avg_pool3d binary_cross_entropy grid_sampler polar prod quantile nanquantile stft cdist "
    "trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr "
    "ormqr pinverse max_pool3d max_unpool2d max_unpool3d adaptive_avg_pool3d reflection_pad1d "
    "reflection_pad2d replication_pad1d replication_pad2d replication_pad3d ctc_loss"
)


def _policies(**names: str) -> Mapping[str, Policy]:
    order: tuple[Policy, ...] = ("half", "single", "single_result", "widest")
    return MappingProxyType({n: key for key in order for n in names.get(key, "").split()})


AUTOCAST: Mapping[str, Rules] = MappingProxyType(
    {
        "cuda": Rules(
            "float16",
            _policies(
                half=f"{_PRODUCTS} {_CUDA_HALF}",
                single=f"{_LOSSES} {_CUDA_SINGLE}",
                single_result=_CUDA_RESULT,
                widest=_CUDA_WIDEST,
            ),
        ),
        "cpu": Rules(
            "bfloat16",
            _policies(half=_PRODUCTS, single=f"{_LOSSES} {_CPU_SINGLE}", widest="stack cat"),
        ),
    }
)


_HALVES = (torch.float16, torch.bfloat16)


class DeviceKernels(AttentionKernels):
    """Calls each function as the device would."""

    def __init__(self, kernels: Kernels, amp: bool, explicit: bool = False) -> None:
        super().__init__(kernels, explicit)
        rules = AUTOCAST[kernels]
        self._half: torch.dtype = getattr(torch, rules.dtype)
        self._policies = rules.policies if amp else {}
        self._cached: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        policy = self._policies.get(name)
        if policy is not None:
            args, kwargs = self._cast(policy, args, kwargs)
        if name == "dropout" and self.kernels == "cuda":
            result = _masked_by_bytes(func, *args, **kwargs)
            if result is not None:
                return result
        return super().__torch_function__(func, types, args, kwargs)

    def forget_casts(self) -> None:
        """Let go of the weights' half-precision copies, as autocast does when its block ends."""
        self._cached.clear()

    def _cast(
        self, policy: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if policy == "half":
            dtype = self._half
        elif policy == "single":
            dtype = torch.float32
        elif policy == "single_result":
            halves = any(t.dtype in _HALVES for t in tensors(args))
            return args, ({"dtype": torch.float32, **kwargs} if halves else kwargs)
        else:
            given = {t.dtype for t in tensors((args, kwargs))}
            dtype = torch.float32 if torch.float32 in given else self._half
        return replaced((args, kwargs), lambda t: self._as(t, dtype))  # type: ignore[no-any-return]

    def _as(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if tensor.dtype is dtype or tensor.dtype not in (torch.float32, *_HALVES):
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad and tensor.dtype is torch.float32):
            return tensor.to(dtype)
        # Only weights are worth a cache: a weight used twice is cast once.
        if id(tensor) not in self._cached:
            self._cached[id(tensor)] = (tensor, tensor.to(dtype))
        return self._cached[id(tensor)][1]


def _masked_by_bytes(func: Any, input: Any, p: float = 0.5, *more: Any, **named: Any) -> Any:
    """Dropout with a mask of booleans, which torch has for what is not in place."""
    told = dict(zip(("training", "inplace"), more, strict=False)) | named
    training = told.get("training", told.get("train", True))
    if not training or told.get("inplace", False) or not 0 < p < 1 or not input.is_meta:
        return None
    return torch.native_dropout(input, p, True)[0]

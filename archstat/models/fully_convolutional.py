"""A classifier as a fully convolutional network: it slides over a larger input in one pass.

The first dense layer becomes a convolution with a kernel of the maps that it flattened, the others
1x1 convolutions, a pooling over whole maps one over their native size, with stride 1 (Sermanet et
al., "OverFeat", arXiv:1312.6229). The network given is not touched: its tree is copied, and the
weights are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from archstat.analyses.dense_head import Dense, DenseHead, Pooling, dense_head
from archstat.errors import SpecError
from archstat.graph import Graph
from archstat.models.variants import shallow

_POOLINGS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)


class FullyConvolutional:
    """Makes a fully convolutional copy of the network whose Graph, at its native size, is given.

    Gates over the whole map (squeeze and excitation) stay what they are, and still see all of it.

    Raises:
        SpecError: its last part is none of dense layers behind a flatten or a global pooling.
    """

    def __init__(self, graph: Graph) -> None:
        self.name = graph.name
        self.head: DenseHead = dense_head(graph)
        self.input_shape = graph.values[graph.inputs[0]].shape

    def __call__(self, root: nn.Module) -> nn.Module:
        """The fully convolutional copy: its output are maps of scores, 1x1 at the native size."""
        swaps: dict[str, nn.Module] = {}
        for dense in self.head.dense:
            swaps[dense.module] = self._convolution(root.get_submodule(dense.module), dense)
        pooled, flatten = self.head.pooling, self.head.flatten
        if pooled is not None and isinstance(root.get_submodule(pooled.module), _POOLINGS):
            swaps[pooled.module] = _pool(pooled)
            pooled = None
        if flatten is not None and type(root.get_submodule(flatten)) is nn.Flatten:
            swaps[flatten] = nn.Identity()
            flatten = None
        copy = _copied(root, "", swaps, {})
        if pooled is not None or flatten is not None:
            calls = self._calls(root)
            copy.forward = _KeepingMaps(
                copy.forward,
                calls.last_flatten if flatten is not None else None,
                calls.last_pooling if pooled is not None else None,
                pooled.window if pooled is not None else (1, 1),
            )
        return copy

    def _calls(self, root: nn.Module) -> _Calls:
        """Which calls of functions flatten and pool in a forward pass at the native size."""
        tensors = [tensor for tensor in root.parameters() if tensor.is_floating_point()]
        image = torch.zeros(self.input_shape, device=tensors[0].device, dtype=tensors[0].dtype)
        still = _copied(root, "", {}, {}).eval()
        calls = _Calls()
        with torch.no_grad(), calls:
            still(image)
        return calls

    def _convolution(self, module: nn.Module, dense: Dense) -> nn.Conv2d:
        if type(module) is not nn.Linear:
            raise SpecError(
                f"{self.name} cannot be made fully convolutional: {dense.module} is a "
                f"{type(module).__name__}, not an nn.Linear."
            )
        return convolution_of(module, dense.kernel, dense.dilation)


def convolution_of(
    linear: nn.Linear, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> nn.Conv2d:
    """A dense layer on flattened maps (C x kernel) as a convolution, on the same weights."""
    places = kernel[0] * kernel[1]
    with torch.device("meta"):
        conv = nn.Conv2d(
            linear.in_features // places,
            linear.out_features,
            kernel,
            dilation=dilation,
            bias=linear.bias is not None,
        )
    weight = linear.weight.detach().view(linear.out_features, -1, *kernel)
    conv.weight = nn.Parameter(weight, linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv


def _pool(pooled: Pooling) -> nn.Module:
    if pooled.window == (1, 1):
        return nn.Identity()
    kind = nn.MaxPool2d if pooled.maximum else nn.AvgPool2d
    return kind(pooled.window, stride=1)


def _copied(
    module: nn.Module, path: str, swaps: dict[str, nn.Module], copies: dict[int, nn.Module]
) -> nn.Module:
    """The module tree once more, with other modules at some paths and the same tensors."""
    if path in swaps:
        return swaps[path].train(module.training)
    if id(module) in copies:
        return copies[id(module)]
    copy = copies[id(module)] = shallow(module)
    prefix = f"{path}." if path else ""
    for name, child in module._modules.items():
        if child is not None:
            copy._modules[name] = _copied(child, prefix + name, swaps, copies)
    return copy


# -- functions of torch that a forward calls itself ---------------------------------------------

_FLATTENS = frozenset({"flatten", "view", "reshape"})
_POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "mean"})


class _Calls(TorchFunctionMode):
    """Counts the calls that reshape and pool maps, and remembers the last that end in a vector.

    The calls numbered `flatten` and `pooling` are replaced: the first leaves the maps as they are,
    the second averages over a window of the native size, with stride 1.
    """

    def __init__(
        self,
        flatten: int | None = None,
        pooling: int | None = None,
        window: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.flatten, self.pooling, self.window = flatten, pooling, window
        self.flattened = self.pooled = 0
        self.last_flatten = self.last_pooling = -1

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        maps = args[0] if args and isinstance(args[0], Tensor) else None
        if maps is None or maps.dim() != 4 or name not in _FLATTENS | _POOLS:
            return func(*args, **(kwargs or {}))
        if name in _FLATTENS:
            self.flattened += 1
            if self.flattened - 1 == self.flatten:
                return maps
            result = func(*args, **(kwargs or {}))
            if result.dim() == 2 and len(result) == len(maps):
                self.last_flatten = self.flattened - 1
            return result
        self.pooled += 1
        if self.pooled - 1 == self.pooling:
            return functional.avg_pool2d(maps, self.window, 1)
        result = func(*args, **(kwargs or {}))
        if result.dim() == 2 or result.shape[2:] == (1, 1):
            self.last_pooling = self.pooled - 1
        return result


class _KeepingMaps:
    """A forward whose own flatten and pooling, calls of known numbers, are replaced."""

    def __init__(
        self,
        forward: Callable[..., Any],
        flatten: int | None,
        pooling: int | None,
        window: tuple[int, int],
    ) -> None:
        self.forward = forward
        self.replaced = (flatten, pooling, window)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _Calls(*self.replaced):
            return self.forward(*args, **kwargs)

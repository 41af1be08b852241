"""A layer that goes straight to the recorder leaves the Graph that a dispatch leaves."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from archstat.frontends import module as front_end
from archstat.frontends.mode import CaptureMode
from archstat.frontends.module import capture

IMAGE = (2, 4, 9, 8)


class Other(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1


class Doubled(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x) + self.layer(x)


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.layer(x)


class WithGradient(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        with torch.enable_grad():
            y = self.layer(x)
            (gradient,) = torch.autograd.grad(y.sum(), self.layer.weight)
        return y.detach() * gradient.sum()


class Mapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ReLU()

    def forward(self, x):
        return torch.vmap(self.layer)(x)


class InAnotherMode(nn.Module):
    class Passing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        with self.Passing():
            return self.layer(x)


class Unbatched(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.layer(x[0])


class OnAParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.empty(1, 4, 5, 5))
        self.layer, self.act = nn.Conv2d(4, 4, 3), nn.ReLU()

    def forward(self, x):
        return self.act(x) + self.act(self.layer(self.table)).sum()


class Narrowed(nn.Module):
    """As slimmable networks do: the data of the weights are replaced by a part of them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 6, 3)

    def forward(self, x):
        for parameter in self.layer.parameters():
            parameter.data = parameter.data[:2]
        return self.layer(x)


def changed(module, **attributes):
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def with_hooks(module):
    module.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    module.register_forward_hook(lambda module, args, output: output + 1)
    return module


def with_hook_for_all(module):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = module

        def forward(self, x):
            hook = nn.modules.module.register_module_forward_hook(lambda m, args, out: out + 1)
            with hook:
                return self.layer(x)

    return Outer()


def with_hook_of_forward(module):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = module

        def forward(self, x):
            with self.layer.register_forward_hook(lambda m, args, out: out + 1):
                return self.layer(x)

    return Outer()


def with_own_forward(module):
    module.forward = lambda x: x + 1
    return module


LAYERS = {
    "conv": lambda: nn.Conv2d(4, 6, 3),
    "conv without bias": lambda: nn.Conv2d(4, 6, 3, bias=False),
    "strided, padded, dilated": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2),
    "grouped, oblong": lambda: nn.Conv2d(4, 8, (1, 3), padding=(0, 1), groups=4),
    "depthwise, strided by axis": lambda: nn.Conv2d(4, 4, 3, stride=(1, 2), groups=4),
    "padding in words": lambda: nn.Conv2d(4, 6, 3, padding="same"),
    "reflecting": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "stride set later": lambda: changed(nn.Conv2d(4, 6, 3), stride=2),
    "subclass": lambda: Other(4, 6, 3),
    "hooked": lambda: with_hooks(nn.Conv2d(4, 6, 3)),
    "hooked with all others": lambda: with_hook_for_all(nn.Conv2d(4, 6, 3)),
    "hooked while it runs": lambda: with_hook_of_forward(nn.Conv2d(4, 6, 3)),
    "own forward": lambda: with_own_forward(nn.Conv2d(4, 6, 3)),
    "forward without a module": lambda: changed(nn.ReLU(), forward=torch.Tensor.relu),
    "called twice": lambda: Doubled(nn.Conv2d(4, 6, 3)),
    "lazy": lambda: nn.LazyConv2d(6, 3),
    "unbatched": Unbatched,
    "double": lambda: nn.Sequential(nn.Conv2d(4, 6, 3)).double(),
    "old weight norm": lambda: nn.utils.weight_norm(nn.Conv2d(4, 6, 3)),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3)),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
    "batch norm": lambda: nn.BatchNorm2d(4),
    "batch norm without weights": lambda: nn.BatchNorm2d(4, affine=False),
    "batch norm without statistics": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "batch norm of cumulative average": lambda: nn.BatchNorm2d(4, momentum=None),
    "batch norm without momentum": lambda: nn.BatchNorm2d(4, momentum=0, eps=1),
    "relu": nn.ReLU,
    "relu in place": lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)),
    "relu6": nn.ReLU6,
    "relu6 in place": lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU6(inplace=True)),
    "relu in place on a view": lambda: nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True)),
    "silu": nn.SiLU,
    "silu in place": lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.SiLU(inplace=True)),
    "sigmoid": nn.Sigmoid,
    "autocast": Autocast,
    "with gradient": WithGradient,
    "in another mode": InAnotherMode,
    "vmap": Mapped,
    "on a parameter": OnAParameter,
}


def dispatched(monkeypatch, module, x):
    with monkeypatch.context() as patch:
        patch.setattr(front_end, "shortcut_of", lambda module, mode: None)
        return capture(module, x)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", LAYERS)
def test_graph_is_that_of_a_dispatch(name, device, monkeypatch):
    with torch.device(device):
        module = LAYERS[name]()
        x = torch.zeros(IMAGE, dtype=torch.float64 if name == "double" else torch.float32)
    graph, expected = capture(module, x), dispatched(monkeypatch, module, x)
    assert graph == expected
    # Not only equal: 1, 1.0 and True are three things to write.
    assert graph.to_json() == expected.to_json()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, padding=1), (2, 4, 9)),
        (nn.Conv3d(4, 6, (1, 2, 3)), (2, 4, 9, 8, 7)),
        (nn.BatchNorm1d(4), (2, 4)),
        (nn.BatchNorm1d(4), (2, 4, 9)),
        (nn.BatchNorm3d(4), (2, 4, 9, 8, 7)),
    ],
)
def test_graph_is_that_of_a_dispatch_on_other_axes(layer, shape, monkeypatch):
    x = torch.zeros(shape)
    assert capture(layer, x) == dispatched(monkeypatch, layer, x)


def test_narrowed_weights_are_read_and_counted_as_they_are_then(monkeypatch):
    module, x = Narrowed(), torch.zeros(IMAGE)
    graph = capture(module, x)
    op = graph.ops[-1]
    assert [graph.values[index].shape for index in op.inputs] == [IMAGE, (2, 4, 3, 3), (2,)]
    assert graph.values[op.outputs[0]].shape == (2, 2, 7, 6)
    assert graph == dispatched(monkeypatch, module, x)


def test_common_layers_need_no_dispatch(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("dispatched")

    monkeypatch.setattr(CaptureMode, "__torch_dispatch__", fail)
    net = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
    assert [op.kind for op in capture(net, torch.zeros(IMAGE)).ops] == [
        "conv",
        "norm",
        "activation",
    ]


def test_wrong_channels_are_refused_with_the_module_named(monkeypatch):
    net = nn.Sequential(nn.Conv2d(5, 6, 3))
    with pytest.raises(front_end.CaptureError, match=r"in 0 \(Conv2d\), given 2x4x9x8"):
        capture(net, torch.zeros(IMAGE))


def test_layer_has_its_own_call_back_afterwards():
    layer = nn.Conv2d(4, 6, 3)
    before = dict(layer.__dict__)
    capture(layer, torch.zeros(IMAGE))
    assert layer.__dict__ == before
    assert "forward" not in layer.__dict__

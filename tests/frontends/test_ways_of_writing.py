"""A count does not depend on how forward is written."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call

from archstat.frontends.elsewhere import LOOKED
from archstat.frontends.module import capture

X = torch.rand(3, 5, 4)


class Written(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self.f = nn.Linear(4, 4), nn.Linear(4, 4), forward

    def forward(self, x):
        return self.f(self, x)


# -- copies run as copies: 6 outputs where the original has 4 --------------------------------------


def widened(layer, x):
    layer.weight, layer.bias = nn.Parameter(torch.zeros(6, 4, device=x.device)), None
    return layer(x)


def pickled(s, x):
    return widened(pickle.loads(pickle.dumps(s.a)), x)


def saved(s, x):
    file = io.BytesIO()
    torch.save(s.a, file)
    file.seek(0)
    return widened(torch.load(file, weights_only=False), x)


def by_hand(s, x):
    made = nn.Linear.__new__(nn.Linear)
    made.__dict__ = {**s.a.__dict__, "_parameters": dict(s.a._parameters)}
    return widened(made, x)


def by_update(s, x):
    made = nn.Linear(1, 1)
    made.__dict__.update(s.a.__dict__)
    made._parameters = dict(made._parameters)
    return widened(made, x)


def shallow(s, x):
    made = copy.copy(s.a)
    made._parameters = dict(made._parameters)
    return widened(made, x)


def called_functionally(s, x):
    weights = {"weight": torch.zeros(6, 4, device=x.device), "bias": None}
    return functional_call(copy.deepcopy(s.a), weights, (x,))


COPIES = {
    "deepcopy": lambda s, x: widened(copy.deepcopy(s.a), x),
    "deepcopy of a parent": lambda s, x: widened(copy.deepcopy(nn.Sequential(s.a))[0], x),
    "deepcopy of a list": lambda s, x: widened(copy.deepcopy([s.a])[0], x),
    "deepcopy of a copy": lambda s, x: widened(copy.deepcopy(copy.deepcopy(s.a)), x),
    **{f.__name__: f for f in (pickled, saved, by_hand, by_update, shallow, called_functionally)},
}


@pytest.mark.parametrize("name", COPIES)
def test_copy_of_a_module_runs_as_the_copy(name, totals):
    assert totals(Written(COPIES[name]).eval(), X)["macs"] == 3 * 5 * 4 * 6


@pytest.mark.parametrize("name", ["deepcopy", "shallow"])
def test_nothing_of_a_capture_travels_with_a_copy(name, as_module):
    conv = nn.Conv2d(3, 4, 1)

    def copying(x):
        made = copy.deepcopy(conv) if name == "deepcopy" else copy.copy(conv)
        assert vars(made).keys() == vars(nn.Conv2d(3, 4, 1)).keys()
        assert dir(made) == dir(nn.Conv2d(3, 4, 1))
        return made(x)

    assert capture(as_module(copying, conv=conv), torch.rand(1, 3, 8, 8)).ops


# -- shapes changed in place: both layers lie on one path ------------------------------------------


def resized(s, x):
    y = s.a(x)
    y.resize_(2, 4)
    return s.b(y)


def set_to(s, x):
    y = torch.empty(0, device=x.device)
    y.set_(s.a(x))
    return s.b(y)


def data_replaced(s, x):
    y = x.clone()
    y.data = s.a(x)[:2]
    return s.b(y)


def squeezed(s, x):
    y = s.a(x)
    y.unsqueeze_(0).squeeze_(0)
    return s.b(y)


def strided(s, x):
    y = s.a(x)
    y.as_strided_((2, 4), (4, 1))
    return s.b(y)


IN_PLACE = {
    "transpose_": lambda s, x: s.b(s.a(x).transpose_(0, 1)),
    "swapaxes_": lambda s, x: s.b(s.a(x).swapaxes_(0, 1)),
    "swapdims_": lambda s, x: s.b(s.a(x).swapdims_(1, 0)),
    "t_": lambda s, x: s.b(s.a(x[0, :4]).t_()),
    "unsqueeze_": lambda s, x: s.b(s.a(x).unsqueeze_(1)),
    "squeeze_": lambda s, x: s.b(s.a(x[:1]).squeeze_(0)),
    "squeeze_ of all": lambda s, x: s.b(s.a(x[:1]).squeeze_()),
    "relu_ after": lambda s, x: s.b(s.a(x).transpose_(0, 1).relu_()),
    "twice": lambda s, x: s.b(s.a(x).transpose_(0, 1).transpose_(0, 1)),
    "data": lambda s, x: s.b(s.a(x).data),
    **{f.__name__: f for f in (resized, set_to, data_replaced, squeezed, strided)},
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_tensor_whose_shape_changes_in_place_keeps_its_identity(name, totals):
    assert totals(Written(IN_PLACE[name]).eval(), X)["depth"] == 2


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN, nn.LSTM])
def test_recurrent_layers_with_the_batch_first_lie_on_the_path(kind, as_module, totals):
    net = as_module(lambda x: net.b(net.r(net.a(x))[0]), a=nn.Linear(8, 8), b=nn.Linear(8, 8),
                    r=kind(8, 8, batch_first=True))  # fmt: skip
    assert totals(net.eval(), torch.rand(3, 5, 8))["depth"] == 1 + 5 + 1


# -- layers and parameters made in forward ---------------------------------------------------------


def made_once(s, x):
    if not hasattr(s, "made"):
        s.made = nn.Linear(x.shape[-1], 10, device=x.device)
    return s.made(x)


def made_elsewhere(s, x):
    if not hasattr(s, "made"):
        s.made = nn.Linear(x.shape[-1], 10)
    return s.made.to(x.device)(x)


def made_each_time(s, x):
    s.made = nn.Linear(x.shape[-1], 10, device=x.device)
    return s.made(x)


def registered(s, x):
    if "w" not in s._parameters:
        s.register_parameter("w", nn.Parameter(torch.ones(10, 4, device=x.device)))
        s.register_parameter("v", nn.Parameter(torch.ones(10, device=x.device)))
    return nn.functional.linear(x, s.w, s.v)


def listed(s, x):
    if not hasattr(s, "made"):
        s.made = nn.ModuleList([nn.Linear(4, 10, device=x.device)])
    return s.made[0](x)


MADE = [made_once, made_elsewhere, made_each_time, registered, listed]


@pytest.mark.parametrize("way", MADE, ids=lambda way: way.__name__)
def test_layer_made_in_forward_counts_and_the_report_says_so(way, totals):
    net = Written(way).eval()
    graph = capture(net, X)
    assert sum(value.numel for value in graph.parameters()) == 2 * (16 + 4) + 4 * 10 + 10
    assert any("forward made parameters" in note for note in graph.notes)
    assert not hasattr(net, "made")
    assert not hasattr(net, "w")
    assert totals(net, X)["macs"] == 3 * 5 * 4 * 10


def test_layer_replaced_in_forward_counts_as_it_is_afterwards(totals):
    def replacing(s, x):
        s.a = nn.Linear(4, 7, device=x.device)
        return s.a(x)

    found = totals(Written(replacing).eval(), X)
    assert found["params"] == 4 * 7 + 7 + 4 * 4 + 4


def test_lazy_parameter_of_an_ordinary_module_stays_lazy(totals):
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.UninitializedParameter()

        def forward(self, x):
            if isinstance(self.w, nn.UninitializedParameter):
                self.w.materialize((6, x.shape[-1]))
            return nn.functional.linear(x, self.w)

    net = Late().eval()
    assert totals(net, X)["params"] == 6 * 4
    assert isinstance(net.w, nn.UninitializedParameter)


# -- modes, loops, devices, values -----------------------------------------------------------------


def looped(s, x):
    for _ in range(3):
        x = torch.cat([x, s.a(x)[:, -1:]], 1)
    return x


ALIKE = {
    "no_grad": torch.no_grad(),
    "inference_mode": torch.inference_mode(),
}


@pytest.mark.parametrize("mode", ALIKE)
@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear")),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Upsample(scale_factor=2, mode="bicubic")),
        nn.Sequential(nn.Conv2d(4, 4, 3, padding="same"), nn.AdaptiveAvgPool2d(2)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.AvgPool2d(2), nn.Dropout()),
        nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(64, 4, batch_first=True)),
        nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 4, 3), nn.MaxPool1d(2), nn.InstanceNorm1d(4)),
    ],
    ids=["bilinear", "bicubic", "same", "group norm", "transformer", "one axis"],
)
def test_gradient_mode_inside_forward_changes_no_count(mode, net, as_module, totals):
    x = torch.rand(1, 4, 8, 8)
    inside, alone = totals(as_module(ALIKE[mode](net.eval().forward), net=net), x), totals(net, x)
    for found in (inside, alone):
        found.pop("global_from")
    assert inside == alone


def test_loop_that_feeds_its_output_back_counts_every_turn(totals):
    assert totals(Written(looped).eval(), X)["macs"] == 3 * 4 * 4 * (5 + 6 + 7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
@pytest.mark.parametrize(
    "way",
    [
        lambda s, x: s.a(x.cuda()),
        lambda s, x: s.a(x.to("cuda")),
        lambda s, x: s.a(x.to("cuda:0", torch.float32)),
        lambda s, x: s.a(x.to(device="cuda")),
        lambda s, x: s.a(x + torch.zeros(4, device="cuda")),
        lambda s, x: s.a(x + torch.arange(4, device=torch.device("cuda"))),
        lambda s, x: s.a.cuda()(x.cuda()).cpu(),
    ],
)
def test_forward_that_asks_for_a_gpu_goes_on_with_shapes(way):
    graph = capture(Written(way).eval(), X)
    assert graph.device == "meta"
    assert [op.kind for op in graph.ops].count("linear") == 1


class Trimming(nn.Module):
    """Leaves padding away."""

    def __init__(self):
        super().__init__()
        self.e, self.l = nn.Embedding(50, 16), nn.Linear(16, 8)

    def forward(self, ids):
        return self.l(self.e(ids[ids != 0]))


def test_ids_that_forward_looks_at_are_spread_over_the_vocabulary(totals):
    ids = torch.zeros(2, 10, dtype=torch.long, device="meta")
    graph = capture(Trimming().eval(), ids)
    assert totals(Trimming().eval(), ids)["macs"] == 2 * 10 * 16 * 8
    assert (graph.device, graph.notes) == ("meta", (LOOKED,))


def test_mask_that_forward_looks_at_is_true(as_module, totals):
    net = as_module(lambda x, mask: net.l(x[mask]), l=nn.Linear(4, 2))
    given = (torch.rand(2, 3, 4, device="meta"), torch.zeros(2, 3, dtype=torch.bool, device="meta"))
    assert totals(net.eval(), *given)["macs"] == 2 * 3 * 4 * 2

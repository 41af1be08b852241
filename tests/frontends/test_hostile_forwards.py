"""Forwards that nobody expects: each is counted right, or said to be more, or refused."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.module import capture

WIDTH, BATCH = 4, 2
X = torch.rand(BATCH, WIDTH)
ONE = BATCH * WIDTH * WIDTH


class Net(nn.Module):
    def __init__(self, way, **more):
        super().__init__()
        self.l, self.way = nn.Linear(WIDTH, WIDTH), way
        for name, one in more.items():
            setattr(self, name, one)

    def forward(self, x):
        return self.way(self, x)


def generator(s, x):
    yield s.l(x)
    yield s.l(x)


async def coroutine(s, x):
    return s.l(x)


def gradient_inside(s, x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(s.l(x).sum(), x)[0]


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        return x @ weight

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def hook_on_itself(s, x):
    s.l.register_forward_hook(lambda m, given, y: y @ m.weight)
    return s.l(x)


def layer_gone(s, x):
    y = s.l(x)
    del s.l
    return y


def layer_replaced(s, x):
    s.l = nn.Linear(WIDTH, 2 * WIDTH)
    return s.l(x)


def weight_replaced(s, x):
    s.l.weight = nn.Parameter(torch.ones(WIDTH, WIDTH, device=x.device))
    return s.l(x)


def weight_written(s, x):
    s.l.weight.data.mul_(2)
    return s.l(x)


def mode_set(s, x):
    s.train()
    return F.dropout(s.l(x), training=s.training)


def dtype_set(s, x):
    return s.to(torch.float64).l(x.double())


def parameter(*shape, dtype=torch.float32):
    return nn.Parameter(torch.ones(*shape, dtype=dtype), requires_grad=dtype.is_floating_point)


WAYS = {
    "generator": (Net(generator), 2 * ONE),
    "generator in a tuple": (Net(lambda s, x: (generator(s, x), 1)), 2 * ONE),
    "map": (Net(lambda s, x: map(s.l, [x, x])), 2 * ONE),
    "zip": (Net(lambda s, x: zip(map(s.l, [x, x]), "ab", strict=True)), 2 * ONE),
    "coroutine": (Net(coroutine), ONE),
    "nothing returned": (Net(lambda s, x: (s.l(x), None)[1]), ONE),
    "text beside": (Net(lambda s, x: (s.l(x), "a")), ONE),
    "set": (Net(lambda s, x: {s.l(x)}), ONE),
    "empty tensor joined": (Net(lambda s, x: torch.cat([s.l(x), x.new_zeros(0, WIDTH)])), ONE),
    "legacy empty joined": (Net(lambda s, x: torch.cat([x.new_zeros(0), s.l(x)])), ONE),
    "negative padding": (Net(lambda s, x: s.l(F.pad(F.pad(x, (1, 1)), (-1, -1)))), ONE),
    "gradient inside": (Net(gradient_inside), 2 * ONE),
    "func.grad": (Net(lambda s, x: torch.func.grad(lambda y: s.l(y).sum())(x)), 2 * ONE),
    "autograd function": (Net(lambda s, x: Product.apply(x, s.l.weight)), ONE),
    "numpy": (Net(lambda s, x: s.l(torch.from_numpy(x.numpy() * 2))), ONE),
    "lists": (Net(lambda s, x: s.l(torch.tensor(x.tolist()))), ONE),
    "fork": (Net(lambda s, x: torch.jit.wait(torch.jit.fork(s.l, x))), ONE),
    "hook on itself": (Net(hook_on_itself), 2 * ONE),
    "layer gone": (Net(layer_gone), ONE),
    "layer replaced": (Net(layer_replaced), 2 * ONE),
    "weight replaced": (Net(weight_replaced), ONE),
    "weight written": (Net(weight_written), ONE),
    "mode set": (Net(mode_set), ONE),
    "dtype set": (Net(dtype_set), ONE),
    "copied": (Net(lambda s, x: copy.deepcopy(s.l)(x)), ONE),
    "state read": (Net(lambda s, x: F.linear(x, s.state_dict()["l.weight"])), ONE),
    "state loaded": (Net(lambda s, x: (s.load_state_dict(s.state_dict()), s.l(x))[1]), ONE),
    "gradients off": (Net(lambda s, x: (s.requires_grad_(requires_grad=False), s.l(x))[1]), ONE),
    "vmap in chunks": (Net(lambda s, x: torch.vmap(s.l, chunk_size=1)(x)), ONE),
    "einsum": (Net(lambda s, x: torch.einsum("...i,ij->...j", x, s.l.weight)), ONE),
    "tensordot": (Net(lambda s, x: torch.tensordot(x, s.l.weight, 1)), ONE),
    "several products": (
        Net(lambda s, x: torch.linalg.multi_dot([x, s.l.weight, s.l.weight])), 2 * ONE),
    "dot by dot": (Net(lambda s, x: torch.stack([torch.dot(x[0], r) for r in s.l.weight])),
                   WIDTH * WIDTH),
    "in place": (Net(lambda s, x: x.clone().addmm_(x, s.l.weight)), ONE),
    "written out": (Net(lambda s, x: torch.mm(x, s.l.weight, out=x.new_empty(BATCH, WIDTH))), ONE),
    "fifty times": (Net(lambda s, x: [s.l(x) for _ in range(50)][-1]), 50 * ONE),
    "list of parameters": (
        Net(lambda s, x: x @ s.p[0] @ s.p[1],
            p=nn.ParameterList([torch.ones(WIDTH, WIDTH), torch.ones(WIDTH, 3)])),
        ONE + BATCH * WIDTH * 3),
    "empty parameter": (Net(lambda s, x: torch.cat([s.l(x), s.p]), p=parameter(0, WIDTH)), ONE),
    "number as parameter": (Net(lambda s, x: s.l(x) * s.p, p=parameter(())), ONE),
    "int8 parameter": (
        Net(lambda s, x: s.l(x) + s.p, p=parameter(WIDTH, dtype=torch.int8)), ONE),
    "bfloat16 parameter": (
        Net(lambda s, x: (x.bfloat16() @ s.p).float(),
            p=parameter(WIDTH, WIDTH, dtype=torch.bfloat16)), ONE),
    "complex parameter": (
        Net(lambda s, x: x.to(torch.complex64) @ s.p,
            p=parameter(WIDTH, WIDTH, dtype=torch.complex64)), ONE),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("net", "macs"), WAYS.values(), ids=list(WAYS))
def test_forward_is_counted_and_leaves_its_module_as_it_was(net, macs, totals):
    net.eval()
    before = [(name, id(p), p.dtype, p.requires_grad) for name, p in net.named_parameters()]
    assert totals(net, X)["macs"] == macs
    assert before == [(name, id(p), p.dtype, p.requires_grad) for name, p in net.named_parameters()]
    assert not any(module.training for module in net.modules())
    assert totals(net, X)["macs"] == macs


def in_a_pool(s, x):
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(s.l, [x, x]))


def in_a_thread(s, x):
    made = []
    thread = threading.Thread(target=lambda: made.append(s.l(x)))
    thread.start()
    thread.join()
    return made[0]


def function_in_a_pool(s, x):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(F.linear, x, s.l.weight).result()


POOL = ThreadPoolExecutor(1)


def in_an_older_pool(s, x):
    return POOL.submit(s.l, x).result()


@pytest.mark.parametrize("way", [in_a_pool, in_a_thread, function_in_a_pool, in_an_older_pool])
def test_what_other_threads_do_makes_totals_lower_bounds(way):
    POOL.submit(int).result()
    graph = capture(Net(way).eval(), X)
    assert [op.target for op in graph.ops if op.kind == "other"] == ["python.thread"]


@pytest.mark.parametrize("depth", [100, 200, 290])
def test_modules_nested_as_deep_as_python_allows_are_counted(depth, totals):
    net = nn.Linear(WIDTH, WIDTH)
    for _ in range(depth):
        net = nn.Sequential(net)
    assert totals(net, X)["macs"] == ONE


class Waiting:
    def __await__(self):
        yield


def test_coroutine_that_waits_is_refused():
    async def wait(s, x):
        await Waiting()

    with pytest.raises(CaptureError, match=r"^forward is a coroutine that waits"):
        capture(Net(wait), X)


class Untold(Exception):
    def __str__(self):
        raise ValueError


def raises_untold(s, x):
    raise Untold


def raises_nothing_to_stack(s, x):
    return torch.stack([])


@pytest.mark.parametrize("way", [raises_untold, raises_nothing_to_stack, lambda s, x: s.l(x, x),
                                 lambda s, x: s.l(x.T), lambda s, x: s.missing(x),
                                 lambda s, x: 1 / 0, lambda s, x: s.l(3)])  # fmt: skip
def test_forward_that_raises_is_refused_with_its_error(way):
    with pytest.raises(CaptureError, match=r"^the forward pass of Net raised "):
        capture(Net(way), X)

"""Derivatives and other transforms inside a forward count what torch runs for them, and no more."""

from __future__ import annotations

from math import prod

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import nn
from torch.autograd import functional
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from archstat.analyses.operations import operations
from archstat.frontends.module import capture

BATCH, WIDTH, OUT = 2, 4, 8
ONE = BATCH * WIDTH * OUT
X = torch.rand(BATCH, WIDTH)


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.l, self.way = nn.Linear(WIDTH, OUT), forward

    def forward(self, x):
        return self.way(self.l, x)


class Products(TorchDispatchMode):
    """Multiply-accumulates of the matrix products that torch really runs."""

    macs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm):
            a, b = args[-2:]
            self.macs += prod(a.shape) * b.shape[-1]
        return func(*args, **(kwargs or {}))


def scalar(layer):
    return lambda x: layer(x).tanh().sum()


def dual(layer, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, torch.ones_like(x))))


def gradient(layer, x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(scalar(layer)(x), x)[0]


def gradient_of_gradient(layer, x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(scalar(layer)(x), x, create_graph=True)
        return torch.autograd.grad(slope.sum(), x)[0]


def ensemble(layer, x):
    layers = [nn.Linear(WIDTH, OUT, device=x.device) for _ in range(3)]
    return vmap(lambda *state: functional_call(layers[0], state, (x,)))(*stack_module_state(layers))


def per_sample(layer, x):
    state = dict(layer.named_parameters())
    return vmap(grad(lambda p, one: functional_call(layer, p, (one,)).tanh().sum()),
                in_dims=(None, 0))(state, x)  # fmt: skip


# torch multiplies the zero tangent of a weight as it does that of the input: three products.
FORWARD_MODE = 3 * ONE
WAYS = {
    "jvp": (lambda f, x: jvp(f, (x,), (x,)), FORWARD_MODE),
    "jvp of a weight": (
        lambda f, x: jvp(lambda w: x @ w, (f.weight.t(),), (f.weight.t(),)), FORWARD_MODE),
    "dual numbers": (dual, FORWARD_MODE),
    # The program is traced, its constants are folded, and then it runs.
    "linearize": (lambda f, x: linearize(f, x)[1](x), ONE + FORWARD_MODE + 2 * ONE + ONE),
    "vjp": (lambda f, x: vjp(f, x)[1](torch.ones(BATCH, OUT, device=x.device)), 2 * ONE),
    "grad": (lambda f, x: grad(scalar(f))(x), 2 * ONE),
    "jvp of grad": (lambda f, x: jvp(grad(scalar(f)), (x,), (x,)), 2 * FORWARD_MODE),
    "vmap": (lambda f, x: vmap(f)(x), ONE),
    "vmap of grad": (lambda f, x: vmap(grad(scalar(f)))(x), 2 * ONE),
    "gradients of each sample": (per_sample, 2 * ONE),
    "ensemble": (ensemble, 3 * ONE),
    "jacrev": (lambda f, x: jacrev(f)(x), ONE + BATCH * OUT * ONE),
    "jacfwd": (lambda f, x: jacfwd(f)(x), 2 * ONE + BATCH * WIDTH * ONE),
    "hessian": (lambda f, x: hessian(scalar(f))(x), 2 * (2 * ONE + BATCH * WIDTH * ONE)),
    "functional_call": (
        lambda f, x: functional_call(f, dict(f.named_parameters()), (x,)), ONE),
    "autograd.grad": (gradient, 2 * ONE),
    "autograd.grad twice": (gradient_of_gradient, 4 * ONE),
    "autograd jvp": (lambda f, x: functional.jvp(f, x, x), 3 * ONE),
    "autograd jacobian": (lambda f, x: functional.jacobian(f, x), ONE + BATCH * OUT * ONE),
    "checkpoint": (lambda f, x: checkpoint(f, x, use_reentrant=False), ONE),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("way", "macs"), WAYS.values(), ids=list(WAYS))
def test_transform_counts_the_products_that_torch_runs(way, macs):
    net = Net(way).eval()
    counted = operations(capture(net, X))
    with torch.no_grad(), Products() as real:
        net(X)
    assert counted.totals["macs"] == real.macs == macs
    assert "macs" not in counted.lower_bounds

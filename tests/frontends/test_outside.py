"""The user's things outside of the module, and the arguments, are the same before and after."""

from __future__ import annotations

import functools
import types
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from archstat.frontends.module import capture

X = torch.rand(2, 4)
TABLES: dict[Any, Any] = {}
LIST: list[Any] = []
LATEST = None
SIZES = {"last": 0}


class Helper:
    """Keeps what it was given; `shared` belongs to all."""

    shared: ClassVar[dict[Any, Any]] = {}
    latest = None

    def __init__(self):
        self.kept, self.count, self.inner = None, 0, {"list": []}

    def keep(self, x):
        self.kept, self.count = x, self.count + 1
        self.inner["list"].append(x)
        return x


class Slotted:
    __slots__ = ("kept",)

    def __init__(self):
        self.kept = None


@functools.lru_cache
def positions(length):
    return torch.linspace(-1, 1, length, device=X.device if length < 0 else None)


@functools.cache
def kept_sum(key):
    return LIST[-1].sum()


def in_a_dict(s, x):
    if x.shape not in TABLES:
        TABLES[x.shape] = torch.linspace(0, 1, x.shape[-1], device=x.device)
    return s.l(x + TABLES[x.shape])


def in_a_list(s, x):
    LIST.append(s.l(x))
    return torch.stack(LIST).sum(0)


def in_a_global(s, x):
    global LATEST
    y = s.l(x) if LATEST is None else s.l(x) + LATEST
    LATEST = y
    return y


def in_a_class(s, x):
    Helper.latest = y = s.l(x)
    Helper.shared["y"] = y
    return y


def in_an_own_class(s, x):
    if not hasattr(type(s), "memo"):
        type(s).memo = torch.ones(4, device=x.device)
    return s.l(x + type(s).memo)


def in_a_cache_of_tables(s, x):
    return s.l(x + positions(x.shape[-1]).to(x.device))


def in_a_cache(s, x):
    LIST.append(s.l(x))
    return kept_sum("all") + LIST.pop()


def in_a_default(s, x, memo={}):  # noqa: B006
    if "y" not in memo:
        memo["y"] = s.l(x)
    return s.l(x) + memo["y"]


def in_numbers(s, x):
    SIZES["last"] = x.shape[0]
    SIZES.setdefault("mask", torch.ones(4, device=x.device))
    return s.l(x * SIZES["mask"])


def in_a_helper(s, x):
    return s.l(s.helper.keep(x)) + s.helper.kept


def in_a_helper_of_helpers(s, x):
    s.helpers["a"][0].keep(s.l(x))
    return s.helpers["a"][0].kept + x


def in_a_namespace(s, x):
    s.space.y = s.l(x)
    return s.space.y


def in_a_deque(s, x):
    s.queue.append(s.l(x))
    return sum(s.queue)


def in_a_default_dict(s, x):
    s.many["y"].append(s.l(x))
    return torch.stack(s.many["y"]).sum(0)


def in_slots(s, x):
    if s.slotted.kept is None:
        s.slotted.kept = s.l(x)
    return s.slotted.kept + s.l(x)


def in_the_function(s, x):
    if not hasattr(in_the_function, "table"):
        in_the_function.table = torch.ones(4, device=x.device)
    return s.l(x + in_the_function.table)


def through_another(s, x):
    return in_a_dict(s, in_a_list(s, x))


def in_a_user_dict(s, x):
    s.user["y"] = s.l(x)
    return s.user["y"]


class Outside(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.l, self.f = nn.Linear(4, 4), forward
        self.helper, self.helpers = Helper(), {"a": [Helper()]}
        self.space, self.queue = types.SimpleNamespace(y=None), deque(maxlen=3)
        self.many, self.slotted, self.user = defaultdict(list), Slotted(), UserDict()

    def forward(self, x):
        return self.f(self, x)


def closed_over():
    memo, last = {}, None

    def in_a_closure(s, x):
        nonlocal last
        last = y = s.l(x) if last is None else s.l(x) + last
        memo.setdefault("y", y)
        return y + memo["y"]

    return in_a_closure


WAYS = [in_a_dict, in_a_list, in_a_global, in_a_class, in_an_own_class, in_a_cache_of_tables,
        in_a_cache, in_a_default, in_numbers, in_a_helper, in_a_helper_of_helpers,
        in_a_namespace, in_a_deque, in_a_default_dict, in_slots, in_the_function,
        through_another, in_a_user_dict, closed_over()]  # fmt: skip


def seen():
    return (dict(TABLES), list(LIST), LATEST, dict(Helper.shared), Helper.latest, dict(SIZES),
            kept_sum.cache_info().currsize, vars(in_the_function).copy(),
            hasattr(Outside, "memo"))  # fmt: skip


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_tensors_kept_outside_are_gone_and_the_model_runs(way, real):
    net = Outside(way).eval()
    given = seen()
    if real:
        net.f = lambda s, x: way(s, x) if float(x.sum()) < 1e9 else x
    first = capture(net, X)
    assert first.device == ("cpu" if real else "meta")
    assert seen() == given
    assert (net.helper.kept, net.helper.count, net.helper.inner) == (None, 0, {"list": []})
    assert net.helpers["a"][0].kept is net.space.y is net.slotted.kept is None
    assert (len(net.queue), dict(net.many), dict(net.user)) == (0, {}, {})
    assert capture(net, X) == first
    try:
        assert way(net, X).device.type == "cpu"
    finally:
        for kept in (TABLES, LIST, Helper.shared, vars(in_the_function)):
            kept.clear()
        kept_sum.cache_clear()
        Helper.latest = globals()["LATEST"] = None
        if hasattr(Outside, "memo"):
            del Outside.memo


@pytest.mark.parametrize("place", ["extra", "activation"])
def test_helper_on_the_second_of_two_like_layers_is_kept(place, as_module):
    """Torch's layers of one class are looked at once; one with more attributes is another."""
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    setattr(second, place, (Helper(), 1))
    net = as_module(
        lambda x: getattr(second, place)[0].keep(second(first(x))), first=first, second=second
    )
    capture(net, X)
    assert getattr(second, place)[0].kept is None


# -- arguments -------------------------------------------------------------------------------------


class Keys:
    def __init__(self):
        self.keys = torch.rand(1, 2, 4)

    def grow(self, x):
        self.keys = torch.cat([self.keys, x], 1)
        return self.keys


class Layered:
    def __init__(self):
        self.layers, self.length = [Keys(), Keys()], 2

    def grow(self, x):
        self.length += x.shape[1]
        return self.layers[0].grow(x) + self.layers[1].grow(x)


class Listed(list):
    def grow(self, x):
        self.append(x)
        return torch.cat(list(self), 1)


class Named(dict):
    def grow(self, x):
        self["keys"] = torch.cat([self["keys"], x], 1)
        return self["keys"]


class Dictionary(UserDict):
    grow = Named.grow


class Ordered(OrderedDict):
    grow = Named.grow


class InSlots:
    __slots__ = ("keys",)
    grow = Keys.grow

    def __init__(self):
        self.keys = torch.rand(1, 2, 4)


@dataclass
class Data:
    keys: torch.Tensor = field(default_factory=lambda: torch.rand(1, 2, 4))
    grow = Keys.grow


class Cyclic(Keys):
    def __init__(self):
        super().__init__()
        self.me, self.net = self, nn.Linear(2, 2)


class Deque(deque):
    grow = Listed.grow


def space():
    made = types.SimpleNamespace(keys=torch.rand(1, 2, 4))
    made.grow = functools.partial(Keys.grow, made)
    return made


_Pair = namedtuple("_Pair", "cache other")

CACHES = [Keys, Layered, lambda: Listed([torch.rand(1, 2, 4)]),
          lambda: Named(keys=torch.rand(1, 2, 4)), lambda: Dictionary(keys=torch.rand(1, 2, 4)),
          lambda: Ordered(keys=torch.rand(1, 2, 4)), InSlots, Data, Cyclic,
          lambda: Deque([torch.rand(1, 2, 4)])]  # fmt: skip


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)

    def forward(self, x, cache):
        cache = cache[0] if type(cache) in (tuple, list, _Pair) else cache
        return cache.grow(self.l(x)).sum(1)


def shown(one, known=()):
    """An object to the last tensor, without the identities."""
    if isinstance(one, torch.Tensor):
        return (str(one.device), tuple(one.shape), one.tolist())
    if id(one) in known or isinstance(one, nn.Module) or callable(one):
        return None
    known = (*known, id(one))
    if isinstance(one, (dict, UserDict)):
        return {key: shown(item, known) for key, item in one.items()}
    if isinstance(one, (list, tuple, deque)):
        return [shown(item, known) for item in one]
    names = [*getattr(one, "__dict__", ()), *getattr(type(one), "__slots__", ())]
    return {name: shown(getattr(one, name), known) for name in names} or one


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: [c], lambda c: _Pair(c, 1)],
                         ids=["bare", "in a list", "in a named tuple"])  # fmt: skip
@pytest.mark.parametrize("make", CACHES)
def test_object_among_the_arguments_is_as_it_was(make, wrap):
    cache = make()
    given, net, x = wrap(cache), Attending().eval(), torch.rand(1, 1, 4)
    before = shown(cache)
    first = capture(net, x, given)
    assert first.device == "meta"
    assert shown(cache) == before
    assert capture(net, x, given) == first
    assert net(x, given).shape == (1, 4)


class Locked(Keys):
    def __copy__(self):
        raise TypeError("no copies")


class Itself(Layered):
    def __copy__(self):
        return self


class Closed:
    def __init__(self):
        kept = [torch.rand(1, 2, 4)]

        def grow(x):
            kept[0] = torch.cat([kept[0], x], 1)
            return kept[0]

        self.grow, self.kept = grow, kept


class Proxy:
    def __init__(self):
        self.keys = types.MappingProxyType({"all": [torch.rand(1, 2, 4)]})

    def grow(self, x):
        self.keys["all"].append(x)
        return torch.cat(self.keys["all"], 1)


class Held(nn.Module):
    def __init__(self, buffer):
        super().__init__()
        if buffer:
            self.register_buffer("keys", torch.rand(1, 2, 4))
        else:
            self.keys = torch.rand(1, 2, 4)

    grow = Keys.grow


HANDED_ON = [Locked, Itself, Closed, Proxy, lambda: Held(True), lambda: Held(False)]


@pytest.mark.parametrize("make", HANDED_ON)
def test_object_that_cannot_be_copied_is_handed_on_and_as_it_was(make):
    cache, net, x = make(), Attending().eval(), torch.rand(1, 1, 4)
    first = capture(net, x, cache)
    assert capture(net, x, cache) == first
    assert net(x, cache).shape == (1, 4)


@pytest.mark.parametrize("place", ["list", "helper"])
def test_layer_that_is_no_part_of_the_module_is_as_it_was(place, as_module):
    stray = nn.BatchNorm1d(4)

    def forward(x):
        layer = box[0] if place == "list" else box.layer
        layer.latest = x
        layer.register_buffer("more", x)
        layer.register_forward_hook(lambda *given: None)
        return layer(x)

    box = [stray] if place == "list" else types.SimpleNamespace(layer=stray)
    before = (set(vars(stray)), set(stray._buffers), stray.running_mean.tolist())
    first = capture(as_module(forward), X)
    assert (set(vars(stray)), set(stray._buffers), stray.running_mean.tolist()) == before
    assert not stray._forward_hooks
    assert int(stray.num_batches_tracked) == 0
    assert capture(as_module(forward), X) == first


def test_ordered_dict_still_knows_its_order(as_module):
    kept = OrderedDict(a=1, b=2)

    def forward(x):
        kept["c"] = x
        kept.move_to_end("a")
        return x + 1

    capture(as_module(forward), X)
    kept["d"] = 4
    assert list(kept) == list(reversed(list(reversed(kept)))) == ["a", "b", "d"]


def test_tensors_keep_their_attributes(as_module):
    layer, given = nn.Linear(4, 4), torch.rand(2, 4)
    layer.weight.scale, given.seen, given.me = 3, [], given

    def forward(x):
        x.seen.append(layer.weight.scale)
        layer.weight.latest = x.me
        return layer(x)

    graph = capture(as_module(forward, layer=layer), given)
    assert graph.device == "meta"
    assert (vars(layer.weight), given.seen) == ({"scale": 3}, [])


def test_one_object_given_twice_stays_one_object(as_module):
    net = as_module(lambda a, b: a.keys if a is b else None)
    keys = Keys()
    assert capture(net, keys, keys).outputs


def test_key_value_cache_of_transformers_is_as_it_was():
    transformers = pytest.importorskip("transformers.cache_utils")
    cache = transformers.DynamicCache()
    cache.update(torch.rand(1, 1, 2, 4), torch.rand(1, 1, 2, 4), 0)

    class Decoder(nn.Linear):
        def forward(self, x, cache):
            keys, values = cache.update(super().forward(x), x, 0)
            return keys @ values.transpose(-1, -2)

    first = capture(Decoder(4, 4).eval(), torch.rand(1, 1, 1, 4), cache)
    assert cache.get_seq_length() == 2
    assert capture(Decoder(4, 4).eval(), torch.rand(1, 1, 1, 4), cache) == first

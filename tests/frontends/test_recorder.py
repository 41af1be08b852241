"""Values, storages and their lifetimes, checked by hand on networks of a few ops."""

from __future__ import annotations

import gc
import weakref

import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture
from archstat.frontends.recorder import Recorder

IMAGE = torch.rand(1, 4, 8, 8)
BYTES = 4 * 4 * 8 * 8


def made(graph):
    """(bytes, born, released) of every storage that an op made, in order of birth."""
    return [(s.nbytes, s.born, s.released) for s in graph.storages if s.born is not None]


def chain():
    return nn.Sequential(nn.Conv2d(4, 8, 1), nn.Sigmoid(), nn.Conv2d(8, 4, 1), nn.Tanh())


def test_storage_of_a_chain_lives_from_its_op_to_the_next():
    assert made(capture(chain(), IMAGE)) == [
        (2 * BYTES, 0, 1),
        (2 * BYTES, 1, 2),
        (BYTES, 2, 3),
        (BYTES, 3, None),
    ]


def test_lifetimes_of_a_real_run_are_those_of_the_run_on_meta(looking):
    on_meta, for_real = capture(chain(), IMAGE), capture(looking(chain()), IMAGE)
    looked = for_real.ops.index(next(op for op in for_real.ops if op.kind == "conv"))
    shifted = [(n, b - looked, None if r is None else r - looked) for n, b, r in made(for_real)]
    assert shifted[-4:] == made(on_meta)


def test_storage_of_a_parameter_a_buffer_and_an_input_is_there_from_the_start():
    graph = capture(nn.BatchNorm2d(4), IMAGE)
    given = [v for v in graph.values if v.role in ("parameter", "buffer", "input")]
    assert len(given) == 2 + 3 + 1
    for value in given:
        storage = graph.storages[value.storage]
        assert (storage.born, storage.released) == (None, None)
        assert storage.nbytes == value.nbytes


class Residual(nn.Module):
    """Two convolutions around which the first one's result is carried."""

    def __init__(self):
        super().__init__()
        self.stem, self.body = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.tail = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.tail(self.block(self.stem(x)))

    def block(self, x):
        return F.relu(self.body(x)) + x


def test_residual_keeps_its_input_alive_until_the_addition():
    graph = capture(Residual(), IMAGE)
    assert [op.name for op in graph.ops] == [
        *("convolution", "convolution", "relu", "add", "convolution")
    ]
    assert made(graph) == [
        (BYTES, 0, 3),
        (BYTES, 1, 2),
        (BYTES, 2, 3),
        (BYTES, 3, 4),
        (BYTES, 4, None),
    ]


def test_local_name_keeps_a_storage_alive_until_its_function_returns(as_module):
    def holding(x):
        kept = x + 1
        y = kept * 2
        y = y.sigmoid()
        return y.tanh()

    assert made(capture(as_module(holding), IMAGE)) == [
        (BYTES, 0, 3),
        (BYTES, 1, 2),
        (BYTES, 2, 3),
        (BYTES, 3, None),
    ]


def test_result_that_nobody_reads_is_released_by_its_own_op(as_module):
    def dropping(x):
        x + 1
        return x * 2

    assert made(capture(as_module(dropping), IMAGE)) == [(BYTES, 0, 0), (BYTES, 1, None)]


def test_storage_kept_by_the_module_is_never_released(as_module):
    cache = []
    graph = capture(as_module(lambda x: cache.append(x + 1) or x * 2), IMAGE)
    assert made(graph) == [(BYTES, 0, None), (BYTES, 1, None)]


def test_result_of_an_in_place_op_is_a_new_value_on_the_same_storage():
    graph = capture(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)), IMAGE)
    before, after = graph.ops[0].outputs[0], graph.ops[1].outputs[0]
    assert graph.ops[1].inputs == (before,)
    assert before != after
    assert graph.values[before].storage == graph.values[after].storage
    assert graph.outputs == (after,)
    assert made(graph) == [(BYTES, 0, None)]


def test_chain_of_in_place_ops_reads_each_others_results(as_module):
    def chained(x):
        y = x + 1
        y.relu_()
        y += x
        y.mul_(2).sigmoid_()
        return y

    graph = capture(as_module(chained), IMAGE)
    results = [op.outputs[0] for op in graph.ops]
    assert len(set(results)) == 5
    assert [op.inputs[0] for op in graph.ops[1:]] == results[:-1]
    assert graph.outputs == (results[-1],)
    assert made(graph) == [(BYTES, 0, None)]


def test_view_is_a_new_value_that_keeps_the_storage_alive(as_module):
    graph = capture(as_module(lambda x: torch.tanh((x + 1).flatten(1)[:, :8])), IMAGE)
    assert made(graph) == [(BYTES, 0, len(graph.ops) - 1), (4 * 8, len(graph.ops) - 1, None)]


def test_parts_of_a_split_live_on_one_storage(as_module):
    def halves(x):
        a, b = (x + 1).chunk(2, 1)
        return a * b

    graph = capture(as_module(halves), IMAGE)
    split = next(op for op in graph.ops if op.kind == "split")
    whole = graph.values[graph.ops[0].outputs[0]].storage
    assert [graph.values[v].storage for v in split.outputs] == [whole, whole]
    assert [graph.values[v].shape for v in split.outputs] == [(1, 2, 8, 8)] * 2


def test_write_through_a_view_is_a_value_on_the_storage_of_the_whole(as_module):
    def writing(x):
        canvas = x * 0
        canvas[:, :2] = x[:, 2:]
        return canvas + 1

    graph = capture(as_module(writing), IMAGE)
    copy = next(op for op in graph.ops if op.name == "copy")
    whole = graph.values[graph.ops[0].outputs[0]]
    assert graph.values[copy.outputs[0]].storage == whole.storage
    assert graph.values[copy.outputs[0]].shape == (1, 2, 8, 8)


def test_reshape_that_must_copy_has_a_storage_of_its_own(as_module):
    graph = capture(as_module(lambda x: x.transpose(1, 3).reshape(1, -1)), IMAGE)
    (storage,) = made(graph)
    assert storage[0] == BYTES
    assert graph.values[graph.outputs[0]].storage != graph.values[graph.inputs[0]].storage


def test_identity_that_python_reuses_is_not_mistaken_for_the_dead_tensor(as_module):
    def long(x):
        for _ in range(300):
            x = x + 1
        return x

    graph = capture(as_module(long), torch.rand(3))
    assert made(graph) == [(12, i, i + 1) for i in range(299)] + [(12, 299, None)]
    assert [op.inputs[0] for op in graph.ops[1:]] == [op.outputs[0] for op in graph.ops[:-1]]


def test_capture_keeps_no_tensor_alive():
    net, alive = chain(), []
    handle = net[0].register_forward_hook(
        lambda module, inputs, output: alive.append(weakref.ref(output))
    )
    capture(net, IMAGE)
    handle.remove()
    gc.collect()
    assert alive[0]() is None


def test_expanded_value_is_larger_than_its_storage(as_module):
    graph = capture(as_module(lambda x: (x + 1).expand(5, 4, 8, 8)), IMAGE)
    value = graph.values[graph.outputs[0]]
    assert value.nbytes == 5 * BYTES
    assert graph.storages[value.storage].nbytes == BYTES


def test_part_of_a_larger_tensor_lives_in_the_whole_storage(as_module):
    graph = capture(as_module(lambda x: (x + 1)[:, :1]), IMAGE)
    value = graph.values[graph.outputs[0]]
    assert value.nbytes == BYTES // 4
    assert graph.storages[value.storage].nbytes == BYTES


# -- the recorder itself -------------------------------------------------------------------------


def test_tensor_never_seen_is_a_constant_and_a_parameter_is_a_parameter():
    recorder = Recorder()
    table, weight = torch.rand(2), nn.Parameter(torch.rand(3))
    assert recorder.known(table) is None
    assert recorder.values[recorder.value_of(table)].role == "constant"
    assert recorder.values[recorder.value_of(weight)].role == "parameter"
    assert recorder.value_of(table) == recorder.known(table) == 0
    assert recorder.given(table)


def test_value_with_a_name_keeps_it_and_its_aliases():
    recorder, weight = Recorder(), nn.Parameter(torch.rand(3))
    recorder.add_own("parameter", [(weight, ["a.weight", "b.weight"])])
    value = recorder.values[recorder.value_of(weight)]
    assert (value.name, value.aliases, value.trainable) == ("a.weight", ("b.weight",), True)


def test_identity_of_a_dead_tensor_is_forgotten():
    recorder = Recorder()
    index = recorder.add_value(torch.rand(3), "input")
    others = [torch.rand(3) for _ in range(50)]
    assert all(recorder.known(tensor) is None for tensor in others)
    assert index == 0


def test_tensor_whose_data_has_another_shape_holds_another_value():
    recorder, weight = Recorder(), nn.Parameter(torch.rand(6, 3))
    before = recorder.value_of(weight)
    weight.data = weight.data[:4]
    after = recorder.value_of(weight)
    assert (before, after) == (0, 1)
    assert [value.shape for value in recorder.values] == [(6, 3), (4, 3)]
    assert {value.storage for value in recorder.values} == {0}

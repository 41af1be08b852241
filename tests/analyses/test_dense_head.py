"""Where a classifier turns maps into classes, read from hand-built Graphs."""

from __future__ import annotations

import pytest

from archstat.analyses.dense_head import Dense, DenseHead, Pooling, dense_head
from archstat.errors import SpecError


def flatten(sketch, maps):
    batch, *rest = sketch.values[maps].shape
    size = 1
    for number in rest:
        size *= number
    return sketch.op("reshape", "aten.view.default", (maps,), (batch, size),
                     module="flatten", module_type="Flatten")  # fmt: skip


def dense(sketch, vector, classes, module):
    batch, width = sketch.values[vector].shape
    bias, weight = sketch.weight(classes), sketch.weight(width, classes)
    return sketch.op("linear", "aten.addmm.default", (bias, vector, weight), (batch, classes),
                     module=module, module_type="Linear")  # fmt: skip


def pool(sketch, maps, *cells, module_type="AdaptiveAvgPool2d", name="_adaptive_avg_pool2d"):
    batch, channels, *_ = sketch.values[maps].shape
    return sketch.op("pool", f"aten.{name}.default", (maps,), (batch, channels, *cells),
                     module="pool", module_type=module_type)  # fmt: skip


def mean(sketch, maps, *shape, **attributes):
    return sketch.op("reduce", "aten.mean.dim", (maps,), shape, module="pool",
                     module_type="AdaptiveAvgPool2d", **attributes)  # fmt: skip


def test_flattened_maps_give_the_kernel_of_the_first_layer(sketch):
    maps = sketch.conv(sketch.input(1, 3, 7, 5), 16)
    hidden = sketch.unary("activation", "relu", dense(sketch, flatten(sketch, maps), 32, "a"))
    graph = sketch.graph(dense(sketch, hidden, 10, "b"))
    layers = (Dense("a", (7, 5), (1, 1)), Dense("b", (1, 1), (1, 1)))
    assert dense_head(graph) == DenseHead(layers, "flatten", None)


def test_global_mean_has_the_window_of_its_input(sketch):
    maps = sketch.conv(sketch.input(1, 3, 6, 4), 16)
    pooled = mean(sketch, maps, 1, 16, 1, 1, dim=(-1, -2), keepdim=True)
    graph = sketch.graph(dense(sketch, flatten(sketch, pooled), 10, "fc"))
    head = dense_head(graph)
    assert head.pooling == Pooling("pool", (6, 4), False)
    assert head.dense == (Dense("fc", (1, 1), (1, 1)),)


def test_mean_may_flatten_by_itself(sketch):
    maps = sketch.conv(sketch.input(1, 3, 6, 4), 16)
    vector = mean(sketch, maps, 1, 16, dim=(2, 3), keepdim=False)
    head = dense_head(sketch.graph(dense(sketch, vector, 10, "fc")))
    assert (head.flatten, head.pooling) == (None, Pooling("pool", (6, 4), False))


def test_adaptive_pooling_into_cells_spreads_the_next_kernel(sketch):
    maps = pool(sketch, sketch.conv(sketch.input(1, 3, 6, 9), 16), 2, 3)
    head = dense_head(sketch.graph(dense(sketch, flatten(sketch, maps), 10, "fc")))
    assert head.pooling == Pooling("pool", (3, 3), False)
    assert head.dense == (Dense("fc", (2, 3), (3, 3)),)


def test_pooling_is_found_behind_pointwise_convolutions(sketch):
    pooled = mean(sketch, sketch.conv(sketch.input(1, 3, 6, 6), 8), 1, 8, 1, 1, dim=(2, 3))
    maps = sketch.unary("activation", "hardswish", sketch.conv(pooled, 16, "wide"))
    head = dense_head(sketch.graph(dense(sketch, flatten(sketch, maps), 10, "fc")))
    assert head.pooling == Pooling("pool", (6, 6), False)


def test_ordinary_pooling_stays(sketch):
    maps = pool(sketch, sketch.conv(sketch.input(1, 3, 8, 8), 16), 4, 4,
                module_type="MaxPool2d", name="max_pool2d_with_indices")  # fmt: skip
    head = dense_head(sketch.graph(dense(sketch, flatten(sketch, maps), 10, "fc")))
    assert (head.pooling, head.dense) == (None, (Dense("fc", (4, 4), (1, 1)),))


def test_network_may_end_in_its_pooling(sketch):
    maps = sketch.conv(sketch.input(1, 3, 6, 6), 10)
    pooled = mean(sketch, maps, 1, 10, 1, 1, dim=(-2, -1), keepdim=True)
    assert dense_head(sketch.graph(flatten(sketch, pooled))).dense == ()


def refused(sketch, output, message):
    with pytest.raises(SpecError, match=f"Net cannot be made fully convolutional: .*{message}"):
        dense_head(sketch.graph(output))


def test_output_of_maps_is_refused(sketch):
    refused(sketch, sketch.conv(sketch.input(1, 3, 4, 4), 8), "not one vector of classes")


def test_input_of_vectors_is_refused(sketch):
    refused(sketch, dense(sketch, sketch.input(1, 12), 4, "fc"), "no maps to flatten")


def test_what_mixes_places_is_refused_by_name(sketch):
    tokens = sketch.op("split", "aten.select.int", (sketch.input(1, 9, 16),), (1, 16),
                       module="", module_type="Net")  # fmt: skip
    refused(sketch, dense(sketch, tokens, 4, "fc"), r"select in the model \(Net\) stands between")


@pytest.mark.parametrize("dim", [-1, 0])
def test_softmax_over_another_axis_than_the_classes_is_refused(sketch, dim):
    vector = dense(sketch, flatten(sketch, sketch.input(1, 3, 2, 2)), 4, "fc")
    output = sketch.op("softmax", "aten._softmax.default", (vector,), (1, 4), dim=dim)
    refused(sketch, output, "_softmax in layer")


def test_softmax_over_the_classes_passes(sketch):
    vector = dense(sketch, flatten(sketch, sketch.input(1, 3, 2, 2)), 4, "fc")
    output = sketch.op("softmax", "aten._softmax.default", (vector,), (1, 4), dim=1)
    assert dense_head(sketch.graph(output)).dense == (Dense("fc", (2, 2), (1, 1)),)


def test_cells_of_unequal_size_are_refused(sketch):
    maps = pool(sketch, sketch.conv(sketch.input(1, 3, 7, 7), 16), 2, 2)
    refused(sketch, dense(sketch, flatten(sketch, maps), 10, "fc"), "7x7 into 2x2 cells of unequal")


def test_maps_without_a_dense_layer_are_refused(sketch):
    refused(sketch, flatten(sketch, sketch.conv(sketch.input(1, 3, 2, 2), 4)), "no dense layer")


def test_product_of_no_linear_layer_is_refused(sketch):
    vector = flatten(sketch, sketch.input(1, 3, 2, 2))
    output = sketch.op("linear", "aten.mm.default", (vector, sketch.weight(12, 4)), (1, 4),
                       module="own", module_type="Own")  # fmt: skip
    refused(sketch, output, r"mm in own \(Own\) is a product that no nn.Linear makes")

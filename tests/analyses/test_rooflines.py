"""Models on devices: sums agree with what is counted elsewhere, fused and not; the tables."""

from __future__ import annotations

import pytest

from archstat import analyze
from archstat.analyses.device_files import built_in
from archstat.analyses.roofline import roofline
from archstat.tables.roofline import device_table, layer_table, model_table

A100 = built_in()["a100-40gb"]
CPU = built_in()["ryzen-9-7950x"]
NETS = ["resnet18", "mobilenet_v2", "shufflenet_v2_x1_0", "densenet121"]


@pytest.fixture(scope="module")
def graphs():
    return {name: analyze(name).graph for name in NETS}


@pytest.mark.parametrize("fusion", ["none", "inference"])
@pytest.mark.parametrize("name", NETS)
def test_sums_agree(name, fusion, graphs):
    found = roofline(graphs[name], name, A100, "fp32", fusion)
    totals = analyze(graphs[name], fusion=fusion).totals
    assert found.total.work.nbytes == totals["memory_access_bytes"]
    assert found.total.work.products == 2 * totals["macs"]
    for parts in (found.layers, found.kernels):
        assert sum(part.work.flops for part in parts) == found.total.work.flops
        assert sum(part.work.nbytes for part in parts) == found.total.work.nbytes
        assert sum(part.seconds for part in parts) == pytest.approx(found.total.seconds)
        assert sum(p.compute_bound for p in parts) == pytest.approx(found.total.compute_bound)
    folded = _folded_flops(graphs[name]) if fusion == "inference" else 0
    assert found.total.work.flops == totals["flops"] - folded


def _folded_flops(graph) -> int:
    """2 flops an element of the norms that read a convolution or dense layer nobody else reads."""
    readers: dict[int, int] = {}
    for op in graph.ops:
        for value in set(op.inputs):
            readers[value] = readers.get(value, 0) + 1
    made = {op.outputs[0]: op.kind for op in graph.ops if op.outputs}
    norms = [op for op in graph.ops if op.kind == "norm"]
    folds = [op for op in norms if made.get(op.inputs[0]) in ("conv", "linear")]
    return sum(2 * graph.values[op.outputs[0]].numel for op in folds if readers[op.inputs[0]] == 1)


def test_no_layer_is_above_the_roof(graphs):
    for dtype in ("fp32", "bf16"):
        for fusion in ("none", "inference"):
            found = roofline(graphs["resnet18"], "resnet18", A100, dtype, fusion)
            for part in found.kernels:
                if part.rate and part.work.intensity:
                    assert part.rate <= part.work.intensity * A100.bandwidth * (1 + 1e-9)
                    assert part.rate <= (found.roof.products + found.roof.others) * (1 + 1e-9)


def test_first_convolution_by_its_products(graphs):
    first = roofline(graphs["resnet18"], "resnet18", CPU).layers[0]
    image, weights, maps = 3 * 224 * 224, 64 * 3 * 7 * 7, 64 * 112 * 112
    assert first.work == (2 * maps * 3 * 7 * 7, 0, 4 * (image + weights + maps))
    assert first.bound == "compute"
    assert first.seconds == 2 * maps * 3 * 7 * 7 / 2.918e12


def test_half_the_bytes_in_half_precision(graphs):
    whole = roofline(graphs["resnet18"], "resnet18", A100, "fp32")
    half = roofline(graphs["resnet18"], "resnet18", A100, "fp16")
    indices = 8 * 64 * 56 * 56  # of max pooling: eager torch writes them, as whole numbers
    assert 2 * (half.total.work.nbytes - indices) == whole.total.work.nbytes - indices
    assert half.total.seconds < whole.total.seconds / 2


def test_layer_table_ends_with_the_model(graphs):
    found = roofline(graphs["resnet18"], "resnet18", A100)
    table = layer_table(found)
    *shares, whole = table.column("time_share")
    assert whole == 1
    assert sum(shares) == pytest.approx(1)
    assert sum(table.column("time_floor_ms")[:-1]) == pytest.approx(1000 * found.total.seconds)
    assert table.rows[-1][:2] == ("", "resnet18")
    assert any("19.5 TFLOP/s on vector units" in note.text for note in table.notes)
    assert "whitepaper" in table.convention["device_sources"]


def test_row_an_op_names_what_was_merged(graphs):
    found = roofline(graphs["resnet18"], "resnet18", A100, fusion="inference")
    table = layer_table(found, every=True)
    assert table.column("op")[0] == "convolution + native_batch_norm + relu"
    alone = layer_table(roofline(graphs["resnet18"], "resnet18", A100), every=True)
    assert len(alone) > len(table)


def test_models_side_by_side_have_ratios(graphs):
    found = [roofline(graphs[name], name, A100) for name in NETS[:2]]
    table = model_table(found)
    first, second = table.column("time_floor_ms")
    assert table.column("time_floor_ms_ratio") == (1, second / first)
    assert table.reference == 0
    assert table.column("bound") == ("compute", "memory")


def test_unknown_operation_makes_lower_bounds(unknown_graph):
    table = layer_table(roofline(unknown_graph, "net", A100))
    keys = {"flops", "memory_access_bytes", "time_floor_ms"}
    assert {key for row, key in table.bounds if row == len(table) - 1} == keys
    assert any(note.text.startswith("unknown: ") for note in table.notes)


@pytest.fixture
def unknown_graph():
    from dataclasses import replace

    graph = analyze("lenet5_modern").graph
    ops = tuple(
        op._replace(kind="other", target="mine.swirl.default") if op.name == "relu" else op
        for op in graph.ops
    )
    assert ops != graph.ops
    return replace(graph, ops=ops)


def test_weights_that_do_not_fit_are_told(graphs):
    from dataclasses import replace

    small = replace(A100, memory=2**20)
    notes = layer_table(roofline(graphs["resnet18"], "resnet18", small)).notes
    assert any("exceed the memory of NVIDIA A100" in note.text for note in notes)


def test_device_table_holds_every_source():
    table = device_table([A100, CPU])
    assert table.column("tensor_bfloat16") == (312e12, None)
    assert all("https://" in str(text) for text in table.column("sources"))

"""The roofline: work over peaks, spelled as products, and what holds whatever the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.devices import Roof
from archstat.analyses.memory_access import memory_access
from archstat.analyses.roofline import NOTHING, Floor, Work, floor_of, floors, in_dtype, work_of
from archstat.graph import Graph

TENSOR = Roof(products=100e12, others=10e12, bandwidth=1e12, unit="tensor")
VECTOR = Roof(products=10e12, others=10e12, bandwidth=1e12, unit="vector")

WORK = st.builds(Work, *(st.integers(0, 10**12) for _ in range(3)))
RATE = st.floats(1e6, 1e16)
ROOF = st.builds(Roof, RATE, RATE, RATE, st.sampled_from(["tensor", "vector"]))


def test_time_is_the_larger_of_arithmetic_and_memory():
    work = Work(products=2 * 300, others=0, nbytes=3)
    assert floor_of(work, TENSOR) == (2 * 300 / 100e12, 3 / 1e12)
    assert floor_of(work, TENSOR).bound == "compute"
    assert floor_of(work, TENSOR).seconds == 2 * 300 / 100e12
    moved = work._replace(nbytes=7)
    assert floor_of(moved, TENSOR).bound == "memory"
    assert floor_of(moved, TENSOR).seconds == 7 / 1e12


def test_units_of_their_own_overlap_and_shared_ones_take_turns():
    work = Work(products=1000, others=500, nbytes=0)
    assert floor_of(work, TENSOR).compute == max(1000 / 100e12, 500 / 10e12)
    assert floor_of(work, VECTOR).compute == (1000 + 500) / 10e12


def test_nothing_takes_no_time_and_is_bound_by_nothing():
    assert floor_of(NOTHING, TENSOR) == (0, 0)
    assert floor_of(NOTHING, TENSOR).bound == ""
    assert NOTHING.intensity is None


def test_intensity_is_flops_a_byte():
    assert Work(6, 2, 4).intensity == (6 + 2) / 4


def test_ops_of_one_kernel_are_timed_together():
    conv, relu, add = Work(1000, 0, 40), Work(0, 10, 0), Work(0, 10, 20)
    found = floors([conv, relu, add], [0, 0, 2], VECTOR)
    assert found[0] == floor_of(conv + relu, VECTOR)
    assert found[1] == Floor(0, 0)
    assert found[2] == floor_of(add, VECTOR)


def test_work_splits_products_from_the_rest():
    assert work_of([3, 0], [8, 5], [1, 2]) == [Work(6, 2, 1), Work(0, 5, 2)]


@given(WORK, ROOF)
def test_no_floor_lies_below_its_parts(work, roof):
    floor = floor_of(work, roof)
    parts = (work.products / roof.products, work.others / roof.others, work.nbytes / roof.bandwidth)
    assert floor.seconds >= max(parts)
    assert floor.seconds <= sum(parts) * (1 + 1e-9)
    assert (floor.bound == "") == (floor.seconds == 0)


@given(st.lists(WORK, min_size=1, max_size=6), ROOF)
def test_fusing_never_takes_longer(work, roof):
    alone = floors(work, range(len(work)), roof)
    together = floors(work, [0] * len(work), roof)
    assert sum(f.seconds for f in together) <= sum(f.seconds for f in alone) * (1 + 1e-9)


@given(WORK, ROOF, st.floats(1, 10))
def test_faster_device_never_takes_longer(work, roof, factor):
    faster = Roof(*(rate * factor for rate in roof[:3]), roof.unit)
    assert floor_of(work, faster).seconds <= floor_of(work, roof).seconds


def test_graph_in_another_dtype_moves_other_bytes(sketch):
    image = sketch.input(1, 8, 4, 4)
    maps = sketch.conv(image, 16)
    indices = sketch.value(1, 16, dtype="int64", role="input")
    picked = sketch.op("other", "aten.gather.default", (maps, indices), (1, 16))
    graph = sketch.graph(picked)
    assert _bytes(in_dtype(graph, "fp16"))[0] == 2 * (8 * 16 + 8 * 16 + 16 * 16)
    assert _bytes(in_dtype(graph, "tf32")) == _bytes(graph)
    assert in_dtype(graph, "fp8").values[maps].nbytes == 16 * 16
    for short, size in (("fp16", 2), ("fp64", 8)):
        stored = in_dtype(graph, short)
        assert stored.values[indices].dtype == "int64"
        assert [s.nbytes for s in stored.storages] == [
            s.nbytes if i == graph.values[indices].storage else s.nbytes * size // 4
            for i, s in enumerate(graph.storages)
        ]


def _bytes(graph: Graph) -> list[float]:
    return list(memory_access(graph).per_op["memory_access_bytes"])


@pytest.mark.parametrize("other", [3, "work"])
def test_work_adds_to_work_alone(other):
    with pytest.raises(TypeError):
        Work(1, 2, 3) + other

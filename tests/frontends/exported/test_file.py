"""Programs in files: the Graph of the original, and one error for whatever is damaged."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archstat import analyze
from archstat.analyses.field import receptive_field
from archstat.errors import (
    ArchstatError,
    BuildError,
    CaptureError,
    LookupFailedError,
    SpecError,
)
from archstat.frontends.exported import program
from archstat.frontends.exported.file import exported_file
from archstat.frontends.module import capture
from archstat.measure.field.measured import measured_field
from archstat.measure.other_tools import fvcore_count
from archstat.models.pipeline import graph_of, graph_of_spec
from archstat.models.sources import find
from archstat.models.specs import parse_spec


def without_memory(graph):
    """What does not depend on how long Python's variables live."""
    return {key: value for key, value in analyze(graph).totals.items() if "memory" not in key}


def steps_of(graph):
    return [(op.kind, op.target, op.module, op.module_type, op.attributes) for op in graph.ops]


def test_file_has_the_graph_of_the_module(block, saved):
    module, _ = block
    x = torch.rand(1, 3, 16, 16)
    expected, found = capture(module, x), capture(exported_file(saved["block"]), x)
    assert steps_of(found) == steps_of(expected)
    assert [(c.module, c.module_type, c.parent) for c in found.calls] == [
        (c.module, c.module_type, c.parent) for c in expected.calls
    ]
    assert without_memory(found) == without_memory(expected)
    products = 3 * 8 * 9 * 16**2 + 2 * 8 * 8 * 9 * 16**2 + 8 * 5
    assert analyze(found).totals["macs"] == products


def test_tensor_under_two_paths_is_one(tied, saved):
    found = capture(
        exported_file(saved["tied"]), torch.zeros(2, 8, dtype=torch.int64), torch.ones(2, 8, 1)
    )
    named = [(v.name, v.aliases) for v in found.values if v.role == "parameter" and v.name]
    assert named == [("embed.weight", ("head.weight",))]
    assert analyze(found).totals["params"] == 50 * 16


def test_spec_of_a_file_takes_the_example_as_input(saved):
    assert graph_of_spec(str(saved["block"])).input_text == "1x3x16x16"


def test_size_that_may_change_is_taken_from_the_batch(saved):
    graph = graph_of_spec(str(saved["tied"]), batch=4)
    assert analyze(graph).totals["macs"] == 4 * 8 * 16 * 50


def test_size_that_is_fixed_is_said(saved):
    with pytest.raises(
        ArchstatError,
        match="was exported for x of 1x3x16x16, of which no size may change; 1x3x20x20",
    ):
        graph_of_spec(str(saved["block"]), input="3x20x20")


def test_program_takes_no_options(saved):
    with pytest.raises(ArchstatError, match="takes no option 'depth'"):
        graph_of_spec(f"{saved['block']},depth=3")


def test_missing_file_is_said(tmp_path):
    with pytest.raises(LookupFailedError, match="cannot be read"):
        exported_file(tmp_path / "none.pt2")


def test_archive_without_a_program_is_said(tmp_path):
    path = tmp_path / "empty.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/readme", "nothing")
    with pytest.raises(LookupFailedError, match="holds no exported program"):
        exported_file(path)


def test_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    path = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/models/model.json", "[" + "[]," * 10**6 + "0]")
    with pytest.raises(LookupFailedError, match="holds a graph"):
        exported_file(path)


def rewritten(source, path, change):
    """The archive with its graph changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if "/models/" in entry.filename and entry.filename.endswith(".json"):
                data = change(json.loads(data))
            new.writestr(entry.filename, data)
    return path


def test_older_schema_is_refused_with_the_way_out(saved, tmp_path):
    def older(model):
        model["schema_version"]["major"] = 7
        return json.dumps(model)

    with pytest.raises(LookupFailedError, match=r"version 7 of the schema.*export it again"):
        exported_file(rewritten(saved["block"], tmp_path / "old.pt2", older))


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.save.default", "torch.ops.aten.from_file.default", "os.system",
     "torch.ops.aten.warn.default", "torch.ops.prim.Print.default", "_operator.attrgetter",
     "builtins.eval", "torch.ops.aten.set_data.default", "torch.ops.higher_order.run_const_graph"],
)  # fmt: skip
def test_nothing_else_than_operators_is_called(saved, tmp_path, target):
    def hostile(model):
        model["graph_module"]["graph"]["nodes"][0]["target"] = target
        return json.dumps(model)

    with pytest.raises(LookupFailedError, match="not an exported program that archstat can read"):
        exported_file(rewritten(saved["block"], tmp_path / "hostile.pt2", hostile))


def places(tree, path=()):
    """The paths of all leaves of nested JSON."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, item in items:
        if isinstance(item, (dict, list)) and item:
            yield from places(item, (*path, key))
        yield (*path, key)


DAMAGE = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.just(""), st.text(max_size=5), st.just([]),
    st.just({}), st.just({"as_int": 10**12}), st.just([{"as_int": -1}]), st.floats(),
)  # fmt: skip


@pytest.fixture(scope="module")
def graph_json(saved):
    with zipfile.ZipFile(saved["block"]) as archive:
        (name,) = (n for n in archive.namelist() if "/models/" in n and n.endswith(".json"))
        model = json.loads(archive.read(name))
    for node in model["graph_module"]["graph"]["nodes"]:
        node["metadata"].pop("stack_trace", None)
    return model, list(places(model))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), damage=DAMAGE)
def test_damaged_graph_gives_one_error_or_a_graph(
    saved, graph_json, tmp_path_factory, data, damage
):
    model, everywhere = graph_json
    path = data.draw(st.sampled_from(everywhere))
    changed = json.loads(json.dumps(model))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = damage
    file = tmp_path_factory.mktemp("damaged") / "x.pt2"
    rewritten(saved["block"], file, lambda _: json.dumps(changed))
    try:
        module = exported_file(file)
        capture(module, torch.empty(1, 3, 16, 16, device="meta"))
    except (LookupFailedError, CaptureError) as error:
        assert len(str(error)) < 1000


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_archive_gives_one_error_or_a_graph(saved, tmp_path_factory, at, byte, cut):
    whole = saved["block"].read_bytes()
    place = min(int(at * len(whole)), len(whole) - 1)
    file = tmp_path_factory.mktemp("damaged") / "x.pt2"
    file.write_bytes(whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        exported_file(file)
    except LookupFailedError as error:
        assert len(str(error)) < 1000


def test_field_is_measured_with_numbers_made_up(saved):
    spec = str(saved["block"])
    fields = receptive_field(graph_of(spec))
    found = measured_field(spec, fields)
    assert found.agrees
    assert sum(found.positions) == 2 * 16


def test_program_with_numbers_ties_what_is_tied(saved):
    module = find(parse_spec(str(saved["tied"]))).build_for_real()
    assert module.embed.weight is module.head.weight
    assert module(torch.zeros(2, 8, dtype=torch.int64), mask=torch.ones(2, 8, 1))[1].isfinite()


def test_program_has_no_training_mode(saved):
    with pytest.raises(SpecError, match="a file has no training mode"):
        analyze(f"{saved['block']},train_mode=true")


def test_program_with_numbers_is_one_that_fvcore_counts(saved):
    pytest.importorskip("fvcore")
    module = find(parse_spec(str(saved["block"]))).build_for_real()
    counted = fvcore_count(module, torch.zeros(1, 3, 16, 16))
    assert counted.by_kind["conv"] == (3 * 8 * 9 + 2 * 8 * 8 * 9) * 16**2


def test_program_of_more_than_the_memory_is_not_filled(saved, monkeypatch):
    monkeypatch.setattr(program, "free_bytes", lambda: 4 * 50 * 16 - 1)
    with pytest.raises(BuildError, match=r"takes 3\.12 KiB, 3\.12 KiB are free"):
        find(parse_spec(str(saved["tied"]))).build_for_real()

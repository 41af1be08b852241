"""Totals and layers of a difference, from Reports and from files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from archstat.budgets import LockFile, entry_of
from archstat.differences.difference import differences
from archstat.differences.saved import saved_snapshots
from archstat.differences.snapshots import snapshot_of
from archstat.errors import GraphFileError, LockFileError
from archstat.models.pipeline import analyze
from archstat.reporters import FORMATS
from archstat.reporters.to_json import to_json
from archstat.tables.compare import compare
from archstat.tables.diff import raw_columns, raw_table
from archstat.tables.diff_shown import views
from archstat.tables.summary import summary

library = torch.library.Library("tests_difference", "DEF")
library.define("swirl(Tensor x) -> Tensor")
library.impl("swirl", torch.empty_like, "Meta")


class Swirling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.ops.tests_difference.swirl(self.conv(x))


class Net(nn.Module):
    def __init__(self, width: int = 8, kernel: int = 3, head: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(3, width, kernel, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Conv2d(width, 5, 1) if head else nn.Identity()

    def forward(self, x):
        return self.head(self.norm(self.conv(x)))


def snapshot(model, shape="3x10x10"):
    return snapshot_of(analyze(model, shape))


def between(before, after):
    (found,) = differences([before], [after])
    return found


def cells(tables):
    """Every table's rows as dicts, and all notes."""
    return [list(table.records()) for table in tables], [str(n) for t in tables for n in t.notes]


def test_totals_and_shares_of_a_wider_and_longer_net():
    found = between(snapshot(Net()), snapshot(Net(16, head=True)))
    conv, norm, head = 8 * 27, 2 * 8, 16 * 5 + 5
    assert found.of("params") == conv + norm + head
    shares = {c.after.path: found.share(c, "params") for c in found.changes}
    whole = conv + norm + head
    assert shares == {"conv": conv / whole, "norm": norm / whole, "head": head / whole}
    assert sum(shares.values()) == pytest.approx(1)
    assert [c.after.path for c in found.changes] == ["conv", "head", "norm"]


def test_layer_changes_sum_to_the_change_of_every_total_that_adds_up():
    found = between(snapshot_of(analyze("resnet18")), snapshot_of(analyze("resnet34")))
    for key in ("params", "buffers", "param_bytes", "macs", "flops", "activations"):
        assert sum(found.moved(change, key) for change in found.changes) == found.of(key) != 0
    assert {change.status for change in found.changes} == {"added"}


def test_deeper_network_has_just_the_new_blocks():
    found = between(snapshot_of(analyze("resnet18")), snapshot_of(analyze("resnet34")))
    blocks = {change.after.path.rsplit(".", 1)[0] for change in found.changes}
    assert {name.split(".")[0] for name in blocks} == {"conv2_x", "conv3_x", "conv4_x", "conv5_x"}
    # each of 16 - 8 new blocks, itself among them for its addition
    assert len({b for b in blocks if "." in b}) == 16 - 8


def test_equal_models_differ_in_no_layer():
    found = between(snapshot(Net()), snapshot(Net()))
    assert (found.status, found.changes) == ("same", ())
    (totals,) = views([found])
    assert tuple(map(str, totals.notes)) == ("No layer differs.",)
    assert set(totals.column("change")[2:]) == {"same", None}


def test_shapes_that_changed_are_told_and_others_are_not():
    found = between(snapshot(Net()), snapshot(Net(kernel=5)))
    _, layers = views([found])
    structure = dict(zip(layers.column("layer"), layers.column("structure"), strict=True))
    assert structure["conv"] == "weight 8x3x3x3 -> 8x3x5x5, output 1x8x8x8 -> 1x8x6x6"
    assert structure["norm"] == "output 1x8x8x8 -> 1x8x6x6"


def test_difference_that_rounding_hides_is_shown_in_full():
    wide, wider = nn.Linear(10_000, 1_000), nn.Linear(10_000, 1_000)
    wider.extra = nn.Parameter(torch.zeros(3))
    found = between(snapshot(wide, "10000"), snapshot(wider, "10000"))
    rows = {row["total"]: row for row in views([found], ["params"])[0].records()}
    assert (rows["params"]["before"], rows["params"]["after"]) == ("10,001,000", "10,001,003")
    assert (rows["params"]["change"], rows["params"]["relative"]) == ("+3", "+3e-05%")


def test_other_input_is_named():
    found = between(snapshot(Net()), snapshot(Net(), "3x12x12"))
    _, notes = cells(views([found]))
    assert "the inputs differ (1x3x10x10 before, 1x3x12x12 after)" in notes[0]
    assert found.of("params") == 0


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("input.1=1x3x10x10", "1x3x10x10", True),
        ("input.1=1x3x10x10", "1x3x12x12", False),
        ("a=1x4, b=1x8", "b=1x8, a=1x4", True),
        ("a=1x4, b=1x8", "a=1x8, b=1x4", False),
        ("ids=1x4:int64", "x=1x4", False),
    ],
)
def test_name_of_an_input_alone_is_no_difference(before, after, same):
    sides = [replace(snapshot(Net()), input=text) for text in (before, after)]
    assert between(*sides).input_is_same is same


def test_layers_that_moved_together_share_a_row():
    inner = Net(head=True)
    outer = nn.Sequential()
    outer.add_module("backbone", Net(head=True))
    found = between(snapshot(inner), snapshot(outer))
    _, layers = views([found])
    assert layers.column("layer") == ("(root) -> backbone",)
    assert layers.column("type") == ("3 layers",)


def test_layers_that_an_insertion_moved_share_a_row():
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()]
    longer = [parts[0], nn.BatchNorm2d(4), *parts[1:]]
    found = between(snapshot(nn.Sequential(*parts)), snapshot(nn.Sequential(*longer)))
    _, layers = views([found])
    assert list(zip(layers.column("status"), layers.column("layer"), strict=True)) == [
        ("added", "1"),
        ("renamed", "1..3 -> 2..4"),
    ]


def test_change_of_a_lower_bound_is_not_known():
    found = between(snapshot(Swirling()), snapshot(Net(head=True)))
    assert found.of("macs") is None
    assert found.of("params") is not None
    table = raw_table([found])
    row = next(table.records())
    assert (row["macs_change"], row["macs_share"]) == (None, None)
    assert row["macs_before"] == 4 * 27 * 8 * 8
    assert {key for _, key in table.bounds} >= {"macs_before", "macs_after"}
    assert any("lower bounds" in note.text for note in table.notes)


def test_raw_table_has_a_total_and_the_layers_under_the_same_keys():
    found = between(snapshot(Net()), snapshot(Net(head=True)))
    total, *layers = raw_table([found]).records()
    assert (total["row"], total["status"], total["layer"]) == ("total", "changed", None)
    assert total["params_change"] == total["params_after"] - total["params_before"] == 8 * 5 + 5
    assert [(row["layer"], row["status"]) for row in layers] == [("head", "changed")]
    head = layers[0]
    assert (head["type_before"], head["type"]) == ("Identity", "Conv2d")
    assert (head["params_before"], head["params_after"], head["params_share"]) == (0, 45, 1.0)
    assert (head["depth_before"], head["depth_change"]) == (None, None)


def test_raw_table_narrows_to_keys_and_to_the_largest_layers():
    found = between(snapshot(Net()), snapshot(Net(16, head=True)))
    table = raw_table([found], ["macs"], top=1)
    assert table.keys()[-4:] == ("macs_before", "macs_after", "macs_change", "macs_share")
    assert table.keys() == tuple(column.key for column in raw_columns(["macs"]))
    assert len(table) == 2


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_format_renders_every_table(form):
    found = between(snapshot(Net()), snapshot(Net(16, head=True)))
    for table in (raw_table([found]), *views([found])):
        assert "params" in form.render(table)


def test_top_says_how_many_layers_it_leaves_out():
    found = between(snapshot(Net()), snapshot(Net(16, head=True)))
    _, layers = views([found], top=1)
    assert len(layers) == 1
    assert tuple(map(str, layers.notes)) == ("Net: 2 smaller changes not shown.",)


# Files


def saved_graph(tmp_path, name, model, shape="3x10x10"):
    path = tmp_path / f"{name}.json"
    analyze(model, shape).graph.save(path)
    return path


def test_saved_graphs_differ_as_the_models_do(tmp_path):
    one, two = (saved_graph(tmp_path, f"n{w}", Net(w)) for w in (8, 16))
    from_files = between(*saved_snapshots(one), *saved_snapshots(two))
    from_models = between(snapshot(Net(8)), snapshot(Net(16)))
    assert raw_table([from_files]).rows == raw_table([from_models]).rows


def test_summaries_differ_as_the_models_do(tmp_path):
    for width in (8, 16):
        text = to_json(summary(analyze(Net(width, head=True), "3x10x10")))
        (tmp_path / f"{width}.json").write_text(text, encoding="utf-8")
    sides = [saved_snapshots(tmp_path / f"{width}.json") for width in (8, 16)]
    found = between(*sides[0], *sides[1])
    models = between(snapshot(Net(8, head=True)), snapshot(Net(16, head=True)))
    for key in ("params", "macs", "flops"):
        assert found.of(key) == models.of(key)
        shares = {c.after.path: found.share(c, key) for c in found.changes}
        assert shares == {c.after.path: models.share(c, key) for c in models.changes}


def test_functional_ops_of_a_summary_belong_to_their_module(tmp_path):
    path = tmp_path / "resnet18.json"
    path.write_text(to_json(summary(analyze("resnet18"))), encoding="utf-8")
    found = between(*saved_snapshots(path), snapshot_of(analyze("resnet18")))
    assert found.changes == ()
    assert found.of("flops") == 0


def test_reports_of_compare_have_totals_and_pair_models_by_name(tmp_path):
    for name, models in (("old", ["lenet5", "vgg11"]), ("new", ["lenet5", "alexnet"])):
        text = to_json(compare(models))
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    found = differences(
        saved_snapshots(tmp_path / "old.json"), saved_snapshots(tmp_path / "new.json")
    )
    assert [(d.some.name, d.status) for d in found] == [
        ("lenet5", "same"), ("alexnet", "added"), ("vgg11", "removed")]  # fmt: skip
    _, notes = cells(views(found))
    assert any("holds no layers" in note for note in notes)


def lock(tmp_path, name, **models):
    entries = {key: entry_of(analyze(model, "3x10x10")) for key, model in models.items()}
    path = tmp_path / f"{name}.lock"
    path.write_text(LockFile(entries).to_json(), encoding="utf-8")
    return path


def test_lock_files_differ_by_budget_and_layer(tmp_path):
    old = lock(tmp_path, "old", same=Net(), grown=Net(), gone=Net())
    new = lock(tmp_path, "new", same=Net(), grown=Net(head=True), fresh=Net())
    found = differences(saved_snapshots(old), saved_snapshots(new))
    statuses = {d.some.name: d.status for d in found}
    assert statuses == {"same": "same", "grown": "changed", "fresh": "added", "gone": "removed"}
    (totals, layers), notes = cells(views(found))
    assert {row["model"] for row in totals} == {"grown", "fresh", "gone"}
    assert [(r["model"], r["layer"], r["params_change"]) for r in layers] == [
        ("grown", "head", "+45")]  # fmt: skip
    assert {"fresh is new.", "gone is gone."} <= set(notes)


def test_lock_file_and_model_compare_by_what_both_know(tmp_path):
    (locked,) = saved_snapshots(lock(tmp_path, "one", net=Net()))
    assert between(locked, snapshot(Net())).changes == ()
    (change,) = between(locked, snapshot(Net(head=True))).changes
    assert (change.status, change.after.path) == ("added", "head")


def test_change_along_axes_and_what_stays_the_same_is_shown():
    (totals, *_) = views([between(snapshot(Net()), snapshot(Net(kernel=5)))])
    changes = {row["total"]: row["change"] for row in totals.records()}
    assert changes["receptive_field"] == "+2x+2"
    assert changes["input"] == changes["effective_stride"] == "same"
    assert changes["global_from"] is None
    (totals, *_) = views([between(snapshot(Swirling()), snapshot(Swirling()))])
    changes = {row["total"]: row["change"] for row in totals.records()}
    assert changes["macs"] is None  # of two lower bounds


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("a.json", "{", GraphFileError, "is not JSON"),
        ("a.json", "[1]", GraphFileError, "holds no models"),
        ("a.json", '{"rows": [], "torch": ""}', GraphFileError, "holds no model figures"),
        ("a.json", '{"rows": [{"x": 1}], "torch": ""}', GraphFileError, "holds no model figures"),
        ("a.json", '{"archstat_graph": 99}', GraphFileError, "a.json: This is not a Graph"),
        ("a.lock", "{", LockFileError, "not JSON"),
        ("a.lock", LockFile().to_json(), LockFileError, "holds no budgets"),
    ],
)
def test_file_that_is_none_of_the_known_says_so(tmp_path, name, text, error, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=said):
        saved_snapshots(tmp_path / name)


def test_absent_file_and_folder_say_so(tmp_path):
    with pytest.raises(GraphFileError, match="There is no file"):
        saved_snapshots(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(GraphFileError, match="cannot be read"):
        saved_snapshots(tmp_path / "folder.json")


@pytest.mark.parametrize(("shown", "said"), [({"depth": 0}, "depth="), ({"top": 2}, "top=")])
def test_report_of_some_layers_only_is_refused(tmp_path, shown, said):
    path = tmp_path / "part.json"
    path.write_text(to_json(summary(analyze(Net(), "3x10x10"), **shown)), encoding="utf-8")
    with pytest.raises(GraphFileError, match=f"write it without {said}"):
        saved_snapshots(path)


def test_row_of_a_report_that_is_damaged_is_no_traceback(tmp_path):
    document = json.loads(to_json(compare(["lenet5"])))
    del document["rows"][0]["model"]
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(GraphFileError, match="holds no models"):
        saved_snapshots(path)

"""Layers are aligned by path where paths can be trusted, then by structure, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.alignment import Layer, aligned


def layer(path, kind="Conv2d", params=9, **parts):
    return Layer(path, kind, tuple(parts.items()), {"params": params})


def told(before, after):
    """Each change as (status, path before, path after), what stayed left out."""
    return [
        (c.status, c.before and c.before.path, c.after and c.after.path)
        for c in aligned(before, after)
        if c.status != "same"
    ]


def chain(*kinds):
    """The layers of a Sequential, each known by its kind and size: ``c16``."""
    return [layer(f"features.{n}", kind[0], int(kind[1:])) for n, kind in enumerate(kinds)]


def test_equal_models_have_no_change():
    layers = chain("c16", "r0", "c32")
    assert told(layers, layers) == []


def test_named_layer_that_grew_is_changed_and_its_neighbours_are_not():
    before = [layer("stem"), layer("head", params=10)]
    after = [layer("stem"), layer("head", params=20)]
    assert told(before, after) == [("changed", "head", "head")]


def test_named_layer_is_not_mistaken_for_another_of_its_new_structure():
    before = [layer("a", params=1), layer("b", params=2), layer("c", params=3)]
    after = [layer("a", params=2), layer("b", params=3), layer("c", params=4)]
    assert told(before, after) == [("changed", name, name) for name in "abc"]


def test_wider_sequential_without_insertion_is_aligned_by_path():
    before, after = chain("c1", "c2", "c3"), chain("c2", "c3", "c4")
    paths = [f"features.{n}" for n in range(3)]
    assert told(before, after) == [("changed", path, path) for path in paths]


def test_insertion_into_a_sequential_renames_what_follows():
    before, after = chain("c16", "r0", "c32", "l10"), chain("c16", "b4", "r0", "c32", "l10")
    assert told(before, after) == [
        ("added", None, "features.1"),
        ("renamed", "features.1", "features.2"),
        ("renamed", "features.2", "features.3"),
        ("renamed", "features.3", "features.4"),
    ]


def test_insertion_among_equal_blocks_is_one_addition():
    before = [layer(f"stage.{n}.conv", params=5) for n in range(2)] + [layer("head")]
    after = [layer(f"stage.{n}.conv", params=5) for n in range(3)] + [layer("head")]
    assert told(before, after) == [("added", None, "stage.2.conv")]


def test_insertion_of_a_block_in_front_of_others_renames_them_by_name_and_structure():
    before = [layer("b.0.up", params=1), layer("b.0.down", params=1)]
    after = [layer("b.0.up", params=7), layer("b.0.down", params=7),
             layer("b.1.up", params=1), layer("b.1.down", params=1)]  # fmt: skip
    assert told(before, after) == [
        ("added", None, "b.0.up"),
        ("added", None, "b.0.down"),
        ("renamed", "b.0.up", "b.1.up"),
        ("renamed", "b.0.down", "b.1.down"),
    ]


def test_wrapped_model_is_renamed_throughout():
    before = [layer("conv1"), layer("layer1.0.conv", params=4), layer("fc", "Linear")]
    after = [Layer(f"backbone.{x.path}", x.type, x.parts, x.figures) for x in before]
    assert {status for status, _, _ in told(before, after)} == {"renamed"}
    assert all(new == f"backbone.{old}" for _, old, new in told(before, after))


def test_layer_replaced_in_its_place_is_changed():
    before, after = [layer("act", "ReLU", 0)], [layer("act", "GELU", 1)]
    assert told(before, after) == [("changed", "act", "act")]


def test_shapes_are_structure_though_figures_are_equal():
    before, after = [layer("conv", weight="1x9")], [layer("conv", weight="9x1")]
    assert told(before, after) == [("changed", "conv", "conv")]


def test_removed_layers_stand_behind_the_others():
    before = [layer("a"), layer("gone", "Linear", 3), layer("b", params=2)]
    after = [layer("a"), layer("b", params=5)]
    assert told(before, after) == [("changed", "b", "b"), ("removed", "gone", None)]


def test_mere_container_is_no_layer_and_one_that_computes_is():
    before = [layer("", "Net", 0), layer("block", "Block", 0), layer("block.conv")]
    after = [layer("", "Other", 0), layer("block", "Block", 5), layer("block.conv")]
    assert told(before, after) == [("added", None, "block")]


def test_empty_model_makes_everything_new():
    assert told([], chain("c1")) == [("added", None, "features.0")]
    assert told(chain("c1"), []) == [("removed", "features.0", None)]
    assert told([], []) == []


names = st.sampled_from(["a", "b", "0", "1", "2"])
layers = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(".".join),
    st.tuples(st.sampled_from(["Conv2d", "ReLU"]), st.integers(1, 3)),
    max_size=12,
).map(lambda found: [layer(path, kind, size) for path, (kind, size) in found.items()])


@given(layers, layers)
def test_every_layer_stands_in_exactly_one_change_and_figures_add_up(before, after):
    changes = aligned(before, after)
    olds = [c.before.path for c in changes if c.before]
    news = [c.after.path for c in changes if c.after]
    assert sorted(olds) == sorted(x.path for x in before)
    assert news == [x.path for x in after]
    growth = sum(x.figures["params"] for x in after) - sum(x.figures["params"] for x in before)
    assert sum(change.of("params") for change in changes) == growth


@given(layers)
def test_model_differs_in_nothing_from_itself(same):
    assert {change.status for change in aligned(same, same)} <= {"same"}


@given(layers, layers)
def test_the_other_way_round_has_as_many_changes_with_opposite_signs(before, after):
    there, back = aligned(before, after), aligned(after, before)
    assert sum(c.of("params") for c in there) == -sum(c.of("params") for c in back)

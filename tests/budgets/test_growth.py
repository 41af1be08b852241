"""Which layers are to blame, and what of a lock file is stale."""

from __future__ import annotations

from dataclasses import replace

from archstat.budgets import Entry, Layer, LockFile, parse_rule
from archstat.budgets.gate import staleness
from archstat.budgets.verdicts import blame, changed_layers, described


def entry(*layers: tuple[str, str, int], **totals: object) -> Entry:
    rows = tuple(Layer(path, kind, {"params": n}) for path, kind, n in layers)
    return Entry("net", "1x3x8x8", {"params": sum(n for _, _, n in layers), **totals}, rows)


OLD = entry(("a", "Conv2d", 100), ("b", "Conv2d", 200), ("c", "Linear", 50))
RULE = parse_rule("params", "<= 10")


def test_layers_that_grew_are_named_largest_growth_first():
    new = entry(("a", "Conv2d", 110), ("b", "Conv2d", 1200), ("c", "Linear", 40))
    assert blame(RULE, new, OLD, True) == (
        "Grew since the lock file: b (Conv2d) +1,000 (200 -> 1,200), a (Conv2d) +10 (100 -> 110)."
    )
    assert blame(RULE, new, OLD, False) == (
        "Shrank since the lock file: c (Linear) -10 (50 -> 40)."
    )


def test_new_and_removed_layers_are_said_to_be():
    new = entry(("a", "Conv2d", 100), ("b", "Conv2d", 200), ("d", "Embedding", 70))
    said = [described(change, "params") for change in changed_layers(OLD, new, ["params"])]
    assert said == ["d (Embedding) +70 (new)", "c (Linear) -50 (removed)"]


def test_layer_inserted_into_a_sequence_is_the_only_one_that_grew():
    sizes = [100, 200, 300, 400]
    old = entry(*((str(n), "Conv2d", size) for n, size in enumerate(sizes)))
    new = entry(*((str(n), "Conv2d", size) for n, size in enumerate([100, 999, 200, 300, 400])))
    (change,) = changed_layers(old, new, ["params"])
    assert described(change, "params") == "1 (Conv2d) +999 (new)"


def test_only_the_largest_changes_are_named_and_the_others_counted():
    old = entry(*((f"l{n}", "Conv2d", 100) for n in range(6)))
    new = entry(*((f"l{n}", "Conv2d", 101 + n) for n in range(6)))
    said = blame(RULE, new, old, True)
    assert said.endswith("l3 (Conv2d) +4 (100 -> 104) and 3 more.")
    assert said.count("Conv2d") == 3


def test_without_a_lock_file_the_largest_layers_are_named():
    assert blame(RULE, OLD, None, True) == (
        "The largest layers: b (Conv2d) 200, 57.1%; a (Conv2d) 100, 28.6%; c (Linear) 50, 14.3%."
    )


def test_where_nothing_grew_that_is_said():
    said = blame(RULE, OLD, OLD, True)
    assert said.startswith("No layer grew since the lock file. The largest layers: b (Conv2d)")


def test_figures_without_layers_blame_none():
    rule = parse_rule("receptive_field", ">= 224")
    assert blame(rule, replace(OLD, totals={"receptive_field": (3, 3)}), OLD, False) == ""
    assert blame(RULE, None, OLD, True) == ""


def stale(lock: LockFile | None, **entries: Entry | None) -> list[str]:
    return list(staleness(lock, entries))


def test_what_is_the_same_is_not_stale():
    lock = LockFile({"net": OLD}, torch_version="1.0", archstat_version="0.0")
    assert stale(lock, net=OLD) == []
    assert stale(lock, net=None) == []


def test_every_difference_is_stale_and_named():
    lock = LockFile({"net": replace(OLD, totals={"params": 350, "depth": 3}), "gone": OLD})
    grown = entry(("a", "Conv2d", 100_000), receptive_field=(3, None))
    assert stale(lock, net=replace(grown, input="1x3x9x9", model="other"), more=OLD) == [
        "net: model net -> other, input 1x3x8x8 -> 1x3x9x9, params 350 -> 100,000, "
        "receptive_field is now checked, depth is no longer checked",
        "more is not in it",
        "gone is in it, and no budget has that name",
    ]
    assert stale(None, net=OLD) == ["net is not in it"]


def test_same_totals_of_other_layers_are_stale():
    moved = entry(("a", "Conv2d", 200), ("b", "Conv2d", 100), ("c", "Linear", 50))
    assert stale(LockFile({"net": OLD}), net=moved) == ["net: the same totals from other layers"]
    bound = replace(OLD, lower_bounds=("params",))
    assert stale(LockFile({"net": OLD}), net=bound) == ["net: other counts are incomplete"]

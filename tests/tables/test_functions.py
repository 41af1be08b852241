"""The commands as functions: the tables of the commands, for modules, specs and Graphs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import typer
from torch import nn

import archstat
from archstat.cli.app import app
from archstat.errors import InputError, LookupFailedError, SpecError

SHAPE = (3, 32, 32)


def net(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 4, 3, stride=2))


def test_models_of_a_dict_have_its_names_and_those_of_one_class_are_told_apart():
    named = archstat.compare({"wide": net(16), "narrow": net(4)}, SHAPE)
    assert named.column("model") == ("wide", "narrow")
    alike = archstat.compare([net(16), net(4), net(2)], SHAPE, reference="Sequential #2")
    assert alike.column("model") == ("Sequential", "Sequential #2", "Sequential #3")
    assert alike.reference == 1


def test_variants_go_by_the_name_of_their_model():
    table = archstat.compare({"mine": net()}, SHAPE, variants=True)
    assert all(str(name).startswith("mine") for name in table.column("model"))
    assert len(table) > 1


def test_summary_of_a_module_shows_its_tree_and_holds_every_column():
    table = archstat.summary(net(), SHAPE)
    assert table.column("macs")[0] == 30 * 30 * 8 * 27 + 14 * 14 * 4 * 8 * 9
    assert table.for_reader().keys()[:3] == ("tree", "output", "params")
    assert len(archstat.summary(net(), SHAPE, top=1)) == 1


def test_fields_are_indexed_by_number_and_by_path_and_iterated():
    fields = archstat.receptive_field(net(), SHAPE)
    assert [row.module for row in fields] == ["0", "2"]
    assert len(fields) == 2
    assert fields[0].receptive_field == (3, 3)
    assert fields["2"].receptive_field == (3 + 2, 3 + 2)
    assert list(fields.to_dataframe()["layer"])[:2] == ["0", "2"]
    assert "5x5" in repr(fields) and "5x5" in fields._repr_html_()
    with pytest.raises(LookupFailedError):
        fields["3"]


def test_fields_of_a_layer_list_are_those_of_its_graph():
    assert archstat.receptive_field(archstat.layers("3x3,3x3/2,3x3"))[2].receptive_field == (9, 9)


def test_field_of_one_layer_and_position_is_a_table_with_a_picture(tmp_path):
    centre = archstat.receptive_field(net(), SHAPE, at="2")
    assert centre.column("position") == ((7, 7),)
    corner = archstat.receptive_field(net(), SHAPE, position=(0, 1))
    assert (corner.column("first_seen"), corner.column("last_seen")) == (((0, 2),), ((4, 6),))
    assert corner.picture is not None


def test_field_is_checked_and_differentiated_on_the_module():
    checked = archstat.receptive_field(net(), (3, 12, 12), check=True)
    assert checked.column("disagreements") == (0, 0)
    effective = archstat.receptive_field(net(), (3, 12, 12), at="0", effective=True)
    assert effective.column("theoretical_field") == (3.0,)
    assert (effective.column("model"), effective.column("layer")) == (("Sequential",), ("0",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"check": True}, "a Graph has nothing to run"),
        ({"check": True, "effective": True}, "do not go together"),
        ({"weights": "w.pt"}, "weights='w.pt' needs effective=True"),
    ],
)
def test_field_of_what_cannot_be_run_or_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        archstat.receptive_field(archstat.layers("3x3", "8"), **arguments)


def test_guidelines_of_one_model_name_modules_and_of_several_do_not():
    one = archstat.guidelines("shufflenet_v1")
    assert 4 < len(one) <= 4 * (1 + 3)
    assert len(archstat.guidelines(["shufflenet_v1", "mobilenet_v1"])) == 2 * 4
    assert archstat.guidelines("mobilenet_v1", g1=9.0).column("verdict")[0] == "kept"


def test_rooflines_of_several_models_are_a_row_a_model():
    table = archstat.roofline({"a": net(), "b": net(16)}, "a100-40gb", SHAPE)
    assert table.column("model") == ("a", "b")
    assert table.picture is not None


def test_difference_has_a_row_of_totals_and_one_a_layer():
    table = archstat.diff(net(8), net(16), SHAPE)
    assert set(table.column("layer")[1:]) == {"0", "1", "2"}
    assert table.column("params_change")[0] == 8 * (27 + 1) + 8 * 4 * 9
    assert len(archstat.diff(net(8), net(16), SHAPE, top=1)) == 2


@pytest.mark.parametrize("sides", [{}, {"after": "lenet5", "base": "main"}, {"head": "main"}])
def test_difference_takes_two_models_or_a_revision(sides):
    with pytest.raises(SpecError, match="base="):
        archstat.diff("lenet5", **sides)


def test_budgets_are_checked_and_locked(tmp_path):
    budgets = tmp_path / "archstat.toml"
    budgets.write_text('[[budget]]\nmodel = "lenet5_modern"\nparams = "<= 10k"\nmacs = "<= 1G"\n')
    table = archstat.check(budgets, update=True)
    assert table.column("verdict") == ("broken", "kept")
    assert (tmp_path / "archstat.lock").exists()


def test_models_are_checked_against_rules_given_as_words_and_as_arguments():
    kept = archstat.check(net(), "params<=600", macs="<= 1M", input=SHAPE)
    assert kept.column("value") == (8 * (27 + 1) + 4 * (8 * 9 + 1), 30**2 * 8 * 27 + 14**2 * 4 * 72)
    assert kept.column("verdict") == ("kept", "kept")
    named = archstat.check({"a": net(), "b": net(16)}, params="<= 600", input=SHAPE)
    assert list(zip(named.column("budget"), named.column("verdict"), strict=True)) == [
        ("a", "kept"), ("b", "broken"),
    ]  # fmt: skip
    assert archstat.check("lenet5_modern", largest_batch=">= 1", fits="1GiB").column("budget") == (
        "lenet5_modern",
    )


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        ([], {"params": "<= 5M"}, "no model"),
        (["lenet5"], {}, "no rule"),
        (["lenet5", "params<=5M"], {"params": "<= 6M"}, "given twice"),
        (["lenet5"], {"params": 5}, "5 is not text"),
        (["lenet5"], {"parms": "<= 5M"}, "Did you mean params"),
        (["lenet5", "params<=5M"], {"config": "archstat.toml"}, "a file has its own rules"),
        (["archstat.toml"], {"params": "<= 5M"}, "a file has its own rules"),
        (["lenet5", "largest_batch>=5"], {}, "fits"),
        ([net()], {"latency_ms": "<= 5"}, "needs a spec"),
    ],
)
def test_a_check_that_cannot_be_is_refused(given, arguments, message):
    with pytest.raises(SpecError, match=message):
        archstat.check(*given, **arguments)


def test_summary_adds_up_by_stage():
    table = archstat.summary("lenet5", by="type")
    assert sum(table.column("params")) == archstat.analyze("lenet5").totals["params"]
    assert table.for_reader().keys()[0] == "type"


def test_printed_figures_are_explained_one_or_several():
    table = archstat.reconcile("lenet5", macs=["326k", "325680"], params=60_000)
    assert {"326k", "325680", "60000"} <= {*table.column("figure")}


@pytest.mark.slow
def test_experiment_is_a_table_that_can_be_drawn():
    table = archstat.experiment("g4", budget="3s")
    assert table.picture is not None
    assert "verdict" in table.for_reader().keys()  # noqa: SIM118


@pytest.mark.parametrize("function", [archstat.memory, archstat.bench, archstat.crosscheck])
def test_what_builds_a_model_anew_takes_specs_alone(function):
    with pytest.raises(SpecError, match="give a spec"):
        function(net(), SHAPE)


def test_checkpointed_modules_are_named_in_one_text_or_in_several():
    kept, *again = (
        archstat.memory("resnet18", checkpoint=named).column("training_macs")
        for named in ((), "conv?_x.0,conv?_x.1", ["conv?_x.0", "conv?_x.1"], "conv?_x.?")
    )
    assert kept < again[0] == again[1] == again[2]


def test_memory_of_a_spec_at_an_input_of_python():
    table = archstat.memory("lenet5_modern", input=(1, 32, 32), fits="1GiB")
    assert table.column("largest_batch")[0] > 1


def test_memory_of_one_of_several_devices_and_of_the_last_micro_batch():
    options = {"optimizer": "adam", "accumulate": 2, "checkpoint": "c*"}
    alone = archstat.memory("lenet5_modern", **options)
    for shared in ({"zero": (3, 2)}, {"fsdp": 2, "wrap": ["c*", "f6"]}):
        table = archstat.memory("lenet5_modern", **options, **shared)
        (params,), (whole,) = table.column("param_bytes"), alone.column("param_bytes")
        assert whole / 2 <= params < 0.52 * whole


@pytest.mark.parametrize("zero", [3, (3,), "31x"])
def test_zero_without_stage_and_devices_is_refused(zero):
    with pytest.raises(SpecError, match=r"such as zero=\(2, 8\)"):
        archstat.memory("lenet5", zero=zero)


@pytest.mark.slow
def test_latency_of_specs_is_measured():
    table = archstat.bench(["lenet5", "lenet5_modern"], budget="2s")
    assert all(latency > 0 for latency in table.column("latency_ms"))
    assert "verdict" in table.for_reader().keys()  # noqa: SIM118


def test_settings_are_those_of_python_too():
    typed = archstat.memory("lenet5", dtype="fp16", fits="1GiB")
    assert archstat.memory("lenet5", dtype=torch.float16, fits=2**30).rows == typed.rows


@pytest.mark.parametrize("batch", [0, -3])
def test_batch_of_nothing_is_refused(batch):
    with pytest.raises(SpecError, match="at least 1"):
        archstat.memory("lenet5", batch=batch)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: archstat.compare([]), "at least one model"),
        (lambda: archstat.guidelines({}), "at least one model"),
        (lambda: archstat.roofline(iter(()), "a100-40gb"), "at least one model"),
        (lambda: archstat.bench([]), "at least one model"),
        (lambda: archstat.analyze(42), "type int is not a model"),
        (lambda: archstat.analyze(nn.Linear), "class Linear is not a model"),
        (lambda: archstat.compare(net(), SHAPE, reference=net()), "number or name"),
        (lambda: archstat.analyze(net(), (3, 32.0, 32)), r"\(3, 32.0, 32\) is neither"),
        (lambda: archstat.roofline("lenet5", None), "needs a device"),
        (lambda: archstat.guidelines(net(), SHAPE, g2=-1), "g2=-1: a limit"),
        (lambda: archstat.guidelines(net(), SHAPE, g2="1"), "g2='1': a limit"),
        (lambda: archstat.memory("lenet5", kernels="tpu"), "no kernels='tpu'"),
        (lambda: archstat.memory("lenet5", fits=-1), "fits=-1 is impossible"),
        (lambda: archstat.memory("lenet5", amp=True, dtype="fp16"), "amp=True keeps fp32 weights"),
        (lambda: archstat.summary(net(), SHAPE, depth=-1), "depth=-1 is impossible"),
        (lambda: archstat.summary(net(), SHAPE, by="type", top=1), "groups have no tree"),
        (lambda: archstat.explain(net(), "nope", SHAPE), "no such module"),
        (lambda: archstat.layers(3), "not a layer list"),
        (lambda: archstat.diff(net(), base="main", input=SHAPE), "takes a spec"),
        (lambda: archstat.zoo.build("mobilenet_v1", widht=1), "Did you mean width"),
        (lambda: archstat.reconcile("lenet5"), "macs='4.12G'"),
    ],
)  # fmt: skip
def test_wrong_argument_is_one_message(call, message):
    with pytest.raises(archstat.ArchstatError, match=message):
        call()


def test_models_may_come_one_by_one_and_sizes_from_numpy():
    table = archstat.compare((net(width) for width in (4, 8)), (np.int64(3), 32, 32))
    assert table.column("params") == tuple(w * (27 + 1) + 4 * (w * 9 + 1) for w in (4, 8))
    assert archstat.analyze(net(), torch.Size(SHAPE), batch=np.int64(2)).input == "2x3x32x32"


def test_tools_and_bits_stand_beside_the_macs_of_a_summary():
    seen = archstat.summary(net(), SHAPE, as_="fvcore")
    macs = 30 * 30 * 8 * 27 + 14 * 14 * 4 * 8 * 9
    assert (seen.column("as_fvcore")[0], seen.column("difference")[0]) == (macs, 0)
    assert archstat.summary(net(), SHAPE, bits="w4a8").column("bops")[0] == 4 * 8 * macs
    for more in ({"top": 1}, {"bits": "w4a8"}, {"by": "type"}):
        with pytest.raises(SpecError, match="as_="):
            archstat.summary(net(), SHAPE, as_="fvcore", **more)


def test_compare_joins_a_file_published_accuracy_tools_and_predictions(tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("net,map\nvgg16,0.5\n")
    table = archstat.compare(["vgg16", "lenet5"], as_="thop", join=file, join_on="net",
                             accuracy="timm", predict="rtx-4090")  # fmt: skip
    assert (table.column("map"), table.column("top1")[1]) == ((0.5, None), None)
    assert [note.text for note in table.notes if "not there: lenet5" in note.text]
    assert table.for_reader().keys()[-4:] == ("top1", "as_thop", "rtx_4090_throughput", "map")


def test_compare_shows_the_fully_convolutional_form_at_its_resolution():
    table = archstat.compare("vgg16", fully_convolutional=True, resolution=(256, 224))
    assert table.column("input") == ("1x3x224x224", "1x3x256x224")
    assert table.column("score_map")[1] == (2, 1)
    assert archstat.compare("vgg16", resolution=96).column("input") == ("1x3x96x96",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"variants": True, "fully_convolutional": True},
        {"latency": True, "resolution": 64},
        {"variants": True, "predict": "rtx-4090"},
        {"fully_convolutional": True, "input": SHAPE},
        {"resolution": 64, "input": SHAPE},
    ],
)
def test_arguments_of_compare_that_do_not_go_together_are_refused(arguments):
    with pytest.raises(SpecError, match=r"\w=? (do not go together|takes no)|takes no"):
        archstat.compare("vgg16", **arguments)


def test_report_has_training_and_what_tools_say():
    page = archstat.report(["lenet5", "lenet5_modern"], training=True, as_="fvcore")
    assert all(word in page for word in ("as_fvcore", "training=True"))
    with pytest.raises(SpecError, match="give a spec"):
        archstat.report(net(), SHAPE, training=True)


def test_rules_of_the_textbooks_are_rows_of_fields():
    verdicts = archstat.receptive_field("alexnet", advise=True).column("verdict")
    assert verdicts == ("broken", "broken", "kept", "kept", "kept")
    with pytest.raises(SpecError, match="do not go together"):
        archstat.receptive_field("alexnet", advise=True, check=True)


def test_layers_are_timed_for_one_model_alone():
    with pytest.raises(SpecError, match="takes one model"):
        archstat.bench(["lenet5", "lenet5_modern"], per_layer=True)


@pytest.mark.parametrize("name", ["guidelines", "diff", "crosscheck", "explain"])
def test_example_and_layout_are_taken_as_analyze_takes_them(name):
    function = getattr(archstat, name)
    models = ("lenet5", "lenet5_modern") if name == "diff" else ("lenet5",)
    with pytest.raises(InputError, match="Z"):
        function(*models, layout="NZQX")


# -- the same words as on the command line ------------------------------------------------------

WHOLE = {  # of every command
    "columns": "Table.select",
    "sort": "Table.sort",
    "top": "Table.take",
    "where": "rows are chosen in a DataFrame",
    "plot": "Table.plot",
    "width": "Table.plot: FILE:3.3in",
    "format": "Table.save, to_markdown, to_latex",
    "output": "Table.save",
    "digits": "to_latex, to_markdown",
    "unit": "to_latex, to_markdown",
    "caption": "to_latex",
    "label": "to_latex",
    "resolution": "input=, or that of a spec",
    "no_cache": "Python never reads the cache",
    "strict": "an exit code; the column unknown_ops says it",
    "debug": "Python shows tracebacks anyway",
    "layers": "archstat.layers gives the Graph",
    "channels": "archstat.layers takes them",
}
OWN = {
    "summary": {"full": "nothing is folded"},
    "rf": {"models": "one model", "every": "a screen leaves layers out"},
    "roofline": {"list_devices": "a list, of no model"},
    "memory": {"export_snapshot": "writes a file for a viewer"},
    "report": {"file": "output="},
    "compare": {"x": "of --plot", "y": "of --plot", "no_ratios": "a screen has them",
                "transpose": "to_dataframe().T"},
    "sweep": {"summary": "scale gives exponents", "against": "of --summary",
              "pareto": "rows are chosen in a DataFrame", "want": "as pareto"},
    "diff": {"sides": "before, after"},
    "check": {"words": "given", "locked": "an exit code", "init": "writes a file to begin with",
              "force": "of --init"},
    "bench": {"history": "reads the store of the command", "no_store": "Python keeps nothing"},
}  # fmt: skip


def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(app)
    names = [name for name in group.list_commands(None) if name not in ("help", "version")]
    return {name: group.get_command(None, name) for name in names}


@pytest.mark.parametrize("name", commands())
def test_function_has_the_words_of_its_command(name):
    options = {option.name for option in commands()[name].params}
    function = getattr(archstat, {"rf": "receptive_field"}.get(name, name))
    taken = set(inspect.signature(function).parameters)
    reasons = OWN.get(name, {})
    assert set(reasons) <= options - taken
    assert options - taken - WHOLE.keys() == reasons.keys() - WHOLE.keys()


def test_every_reason_is_of_an_option():
    known = {option.name for command in commands().values() for option in command.params}
    assert WHOLE.keys() <= known

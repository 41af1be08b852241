"""`archstat memory`: the table in every format, the batch that fits, the picture, bad input."""

from __future__ import annotations

import csv
import functools  # noqa: F401, the printed line uses it
import io
import json
import re
import subprocess
import sys

import pytest
import torch

from archstat.tables.memory import FIT_COLUMNS, MEMORY_COLUMNS

KEYS = [column.key for column in MEMORY_COLUMNS]


def document(text):
    return json.loads(text)


def row_of(archstat, *line):
    ran = archstat("memory", *line, "-f", "json")
    assert ran.code == 0, ran.err
    (row,) = document(ran.out)["rows"]
    return row


def test_console_shows_peak_parts_and_what_was_assumed(archstat):
    ran = archstat("memory", "resnet18", "mobilenet_v2", "--batch", "2", "--optimizer", "adam")
    assert (ran.code, ran.err) == (0, "")
    head, _, first, second, _, *notes = ran.out.splitlines()
    assert head.split()[:3] == ["model", "input", "training"]
    assert first.split()[:2] == ["resnet18", "2x3x224x224"]
    assert second.split()[0] == "mobilenet_v2"
    assert "loss cross-entropy, adam (one parameter at a time)" in notes[0]
    assert "do not add up to the peak" in notes[0]
    assert "library workspaces are not included" in notes[1]


def test_json_and_csv_hold_the_same_exact_numbers(archstat):
    row = row_of(archstat, "resnet18", "--batch", "2", "--optimizer", "momentum")
    params = 11_689_512
    assert list(row) == KEYS
    assert row["param_bytes"] == row["gradient_bytes"] == row["optimizer_bytes"] == 4 * params
    assert row["input_bytes"] == 4 * 2 * 3 * 224 * 224
    assert row["training_memory_bytes"] > 3 * 4 * params + row["saved_activation_bytes"] // 2
    assert row["peak_memory_bytes"] >= row["ideal_peak_bytes"] > row["param_bytes"]
    text = archstat("memory", "resnet18", "--batch", "2", "--optimizer", "momentum", "-f", "csv")
    (cells,) = csv.DictReader(io.StringIO(text.out))
    assert cells == {key: str(value) for key, value in row.items()}


def test_json_says_how_it_was_counted(archstat):
    ran = archstat("memory", "lenet5", "--amp", "--kernels", "cuda", "-f", "json")
    convention = document(ran.out)["convention"]
    told = {key: convention[key] for key in ("optimizer", "kernels", "amp", "dtype")}
    assert told == {"optimizer": "sgd", "kernels": "cuda", "amp": "true", "dtype": "own"}
    assert "workspaces" in convention["training_memory_bytes"]


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_other_formats_show_the_row(archstat, form):
    ran = archstat("memory", "lenet5", "-f", form)
    assert ran.code == 0
    assert "lenet5" in ran.out


def test_columns_narrow_the_table(archstat):
    ran = archstat("memory", "lenet5", "--columns", "training_macs,peak_phase", "-f", "csv")
    assert ran.out.splitlines()[0] == "model,training_macs,peak_phase"


def test_training_macs_are_three_times_those_of_inference_but_for_the_first_layer(archstat):
    row = row_of(archstat, "vgg16")
    macs = document(archstat("compare", "vgg16", "-f", "json").out)["rows"][0]["macs"]
    assert row["training_macs"] == 3 * macs - 224 * 224 * 64 * 27


def test_peak_of_inference_is_that_of_compare(archstat):
    row = row_of(archstat, "squeezenet1_1", "--batch", "3")
    ran = archstat("compare", "squeezenet1_1", "--batch", "3", "-f", "json")
    (other,) = document(ran.out)["rows"]
    for key in ("peak_memory_bytes", "ideal_peak_bytes", "param_bytes"):
        assert row[key] == other[key]


def test_checkpoint_names_modules_that_are_there_and_no_real_run(archstat):
    line = ("resnet18", "--batch", "2")
    kept, again = row_of(archstat, *line), row_of(archstat, *line, "--checkpoint", "conv?_x.?")
    assert again["saved_activation_bytes"] < kept["saved_activation_bytes"]
    assert again["training_macs"] > kept["training_macs"]
    for wrong in (["--checkpoint", "conv9_x"], ["--checkpoint", "conv2_x", "--measure"]):
        ran = archstat("memory", *line, *wrong)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_half_precision_takes_half(archstat):
    single, half = (row_of(archstat, "vgg11", *more) for more in ((), ("--dtype", "bf16")))
    for key in ("param_bytes", "gradient_bytes", "input_bytes"):
        assert single[key] == 2 * half[key]
    # The places that max pooling remembers are whole numbers of eight bytes either way.
    for key in ("training_memory_bytes", "peak_memory_bytes", "ideal_peak_bytes"):
        assert half[key] == pytest.approx(single[key] / 2, rel=0.05)


def test_fits_gives_the_largest_batch_and_proves_it(archstat):
    line = ("resnet18", "--optimizer", "adamw")
    found = row_of(archstat, *line, "--fits", "2GiB")
    assert list(found) == [*KEYS, *(column.key for column in FIT_COLUMNS)]
    batch = found["largest_batch"]
    assert found["input"] == f"{batch}x3x224x224"
    at, beyond = (
        row_of(archstat, *line, "--batch", str(n))["training_memory_bytes"]
        for n in (batch, batch + 1)
    )
    assert at == found["training_memory_bytes"] <= 2 * 2**30 < beyond == found["beyond_bytes"]


def test_on_cuda_the_allocator_is_modelled_and_what_is_left_of_a_device(archstat):
    row = row_of(archstat, "lenet5", "--kernels", "cuda", "--device", "rtx-3090")
    assert row["training_memory_bytes"] <= row["allocated_bytes"] <= row["reserved_bytes"]
    assert row["reserved_bytes"] % 2**21 == 0
    assert row["fragmentation"] == 1 - row["allocated_bytes"] / row["reserved_bytes"]
    assert row["left_bytes"] == 24 * 2**30 - row["context_bytes"] - row["reserved_bytes"]


def test_what_an_unknown_context_leaves_is_unknown(archstat):
    ran = archstat("memory", "lenet5", "--kernels", "cuda", "--device", "l4", "-f", "json")
    (row,) = document(ran.out)["rows"]
    assert (row["context_bytes"], row["left_bytes"]) == (None, None)


def test_on_cuda_what_is_reserved_has_to_fit(archstat):
    line = ["vgg11", "--resolution", "32", "--kernels", "cuda", "--fits"]
    row = row_of(archstat, *line, "2GiB")
    assert row["reserved_bytes"] <= 2 * 2**30 < row["beyond_bytes"]
    whole = row_of(archstat, *line, "device", "--device", "rtx-3090")
    assert whole["reserved_bytes"] + whole["context_bytes"] <= 24 * 2**30


def test_steps_give_the_largest_batch_of_a_grid(archstat):
    line = ("lenet5", "--fits", "10MiB", "--steps")
    row = row_of(archstat, *line, "8,64,4096")
    assert row["largest_batch"] == 64
    assert row["training_memory_bytes"] <= 10 * 2**20 < row["beyond_bytes"]
    assert (
        "up to a batch of 8, the largest that was asked for"
        in archstat(*("memory", *line, "8")).out
    )


def test_fits_says_so_where_nothing_fits(archstat):
    ran = archstat("memory", "vgg16", "--fits", "100MB")
    assert ran.code == 0
    assert "vgg16 does not fit 100MB: a batch of 1, which the row shows, needs" in ran.out


@pytest.mark.parametrize(("room", "answer"), [("1kB", r" kB \([0-9.]+ KiB\)"), ("1KiB", r" KiB, ")])
def test_fits_answers_in_the_unit_of_the_question(archstat, room, answer):
    out = archstat("memory", "lenet5", "--fits", room).out
    needed = re.search(r"needs ([0-9.]+)(.*)", out)
    assert re.match(answer, needed[2])
    shown = row_of(archstat, "lenet5", "--fits", room)["training_memory_bytes"]
    assert float(needed[1]) == pytest.approx(shown / (1000 if room == "1kB" else 1024), abs=0.01)


def test_measure_puts_the_allocator_beside_the_count(archstat):
    line = ("lenet5", "--batch", "64", "--measure")
    head = archstat("memory", *line).out.splitlines()[0]
    assert re.search(r"  training +measured  .*  peak +measured peak  ", head)
    row = row_of(archstat, *line)
    assert list(row) == [*KEYS, "measured_training_bytes", "measured_peak_bytes"]
    assert row["measured_training_bytes"] == pytest.approx(row["training_memory_bytes"], rel=0.05)


def test_plot_draws_every_category_phase_and_module_and_the_peak(archstat, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "step.svg"
    ran = archstat("memory", "lenet5", "--optimizer", "adam", "--plot", str(path))
    assert ran.code == 0
    text = path.read_text()
    for label in ("backward", "optimizer", "lenet5, 1x1x32x32", "live memory", "saved", "gradients",
                  "at the peak, by module", ">c5<", "(no module)"):  # fmt: skip
        assert label in text


def test_plot_draws_a_step_without_what_is_checkpointed_beside_it(archstat, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "step.svg"
    ran = archstat("memory", "resnet20_cifar10", "--checkpoint", "stage1.*", "--plot",
                   f"{path}:84mm")  # fmt: skip
    assert ran.code == 0
    text = path.read_text()
    assert ", not checkpointed" in text
    assert ", checkpointed: stage1.*" in text
    assert "by module" not in text  # too narrow for it


def rows_by(archstat, way, *line):
    ran = archstat("memory", *line, "--by", way, "-f", "json")
    assert ran.code == 0, ran.err
    return document(ran.out)["rows"]


def parts(row):
    return [row[key] for key in row if key.startswith("live_") and key != "live_bytes"]


def test_rows_by_op_are_the_timeline_whose_highest_is_the_peak(archstat):
    line = ("lenet5", "--optimizer", "momentum", "--batch", "4")
    rows = rows_by(archstat, "op", *line)
    assert [row["op"] for row in rows] == list(range(len(rows)))
    assert all(sum(parts(row)) == row["live_bytes"] for row in rows)
    found = row_of(archstat, *line)
    peak = max(rows, key=lambda row: row["live_bytes"])
    assert peak["live_bytes"] == found["training_memory_bytes"]
    assert (peak["phase"], peak["module"]) == (found["peak_phase"], found["peak_module"])
    last = rows[-1]
    assert last["live_param_bytes"] == last["live_gradient_bytes"] == found["param_bytes"]
    assert last["live_optimizer_bytes"] == found["optimizer_bytes"]


def test_rows_by_module_are_the_peak_with_and_without_what_is_checkpointed(archstat):
    line = ("resnet20_cifar10", "--checkpoint", "stage1.*", "--batch", "4")
    rows = rows_by(archstat, "module", *line)
    for patterns, options in (("none", ("--batch", "4")), ("stage1.*", line[1:])):
        whole, *modules = [row for row in rows if row["checkpoint"] == patterns]
        assert whole["module"] == "(all)"
        assert parts(whole) == [sum(column) for column in zip(*map(parts, modules), strict=True)]
        peak = row_of(archstat, line[0], *options)["training_memory_bytes"]
        assert whole["live_bytes"] == sum(parts(whole)) == peak


def test_screen_shows_no_category_that_is_empty(archstat):
    head = archstat("memory", "lenet5", "--by", "module").out.splitlines()[0].split()
    assert head == ["model", "module", "alive", "parameters", "gradients", "saved", "input",
                    "buffers", "other"]  # fmt: skip


def test_snapshot_is_written_beside_the_table(archstat, tmp_path):
    path = tmp_path / "step.json"
    ran = archstat("memory", "lenet5", "--kernels", "cuda", "--export-snapshot", str(path))
    assert ran.code == 0
    assert ran.err == f"archstat: wrote {path}\n"
    assert set(document(path.read_text())) >= {"segments", "device_traces"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lenet5 --kernels cuda --export-snapshot step.txt", "a snapshot is a .pickle"),
        ("lenet5 --export-snapshot step.json", "needs --kernels cuda"),
        ("lenet5 vgg16 --kernels cuda --export-snapshot step.json", "writes one model: 2 were"),
        ("lenet5 --kernels cuda --export-snapshot no/step.json", "there is no folder no"),
    ],
)
def test_impossible_snapshot_is_one_message(archstat, tmp_path, monkeypatch, line, said):
    monkeypatch.chdir(tmp_path)
    ran = archstat("memory", *line.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_what_a_row_is_of_is_one_of_three(archstat):
    ran = archstat("memory", "lenet5", "--by", "modules")
    assert (ran.code, ran.out) == (2, "")
    assert "There is no --by modules. Did you mean module or model?" in ran.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["vgg16", "--optimizer", "adamm"], "Did you mean adam or adamw?"),
        (["vgg16", "--fits", "24Gi"], "not a size with a byte unit"),
        (["vgg16", "--fits", "much"], "not a size with a byte unit"),
        (["vgg16", "--fits", "1GiB", "--batch", "2"], "leave --batch out"),
        (["vgg16,batch=2", "--fits", "1GiB"], "leave batch= out"),
        (["vgg16", "--batch", "99999999999999999"], "any tensor"),
        (["vgg16", "--dtype", "fp31"], "Did you mean fp32"),
        (["vgg16", "--kernels", "tpu"], "Known: cpu, cuda"),
        (["vgg16", "--amp", "--dtype", "fp16"], "--amp keeps fp32 weights"),
        (["lenet5", "--measure", "--kernels", "cuda"], "leave --kernels cuda out"),
        (["vgg16", "--batch", "9999", "--measure"], "Choose a smaller --batch or --input"),
        (["vgg16", "--columns", "measured_peak_bytes"], "measured_peak_bytes"),
        (["vgg16", "--plot", "step.gif"], "not a picture format"),
        (["vgg16", "--columns", "param_byte"], "Did you mean param_bytes"),
        (["vgg16", "--device", "rtx-3090"], "needs --kernels cuda"),
        (["vgg16", "--kernels", "cuda", "--device", "rtx-309"], "Did you mean rtx-3090"),
        (["vgg16", "--kernels", "cuda", "--fits", "device"], "needs --device NAME"),
        (["vgg16", "--steps", "8,x", "--fits", "1GiB"], "no list of batches"),
        (["vgg16", "--steps", "8,4"], "--steps 8,4 needs --fits"),
        (["vgg61"], "Did you mean vgg19 or vgg16"),
    ],
)
def test_bad_input_is_one_message(archstat, line, message):
    ran = archstat("memory", *line)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.startswith("archstat: ")
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize("batch", ["0", "-3", "many"])
def test_batch_that_is_no_count_is_a_usage_error(archstat, batch):
    ran = archstat("memory", "vgg16", "--batch", batch)
    assert (ran.code, ran.out) == (2, "")
    assert "--batch" in ran.err


ODD = """
import torch
from torch import nn

class Choosing(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x).argmax(1)

class Lonely(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.BatchNorm1d(3))
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [("Choosing", "no gradient leads from its output (int64)"), ("Lonely", "--batch 2 or more")],
)
def test_model_that_cannot_train_is_one_message(archstat, tmp_path, name, message):
    path = tmp_path / "odd.py"
    path.write_text(ODD)
    ran = archstat("memory", f"{path}:{name}", "--input", "4")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_batch_norm_that_wants_two_samples_still_fits(archstat, tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(ODD)
    row = row_of(archstat, f"{path}:Lonely", "--input", "4", "--fits", "10kB")
    assert row["largest_batch"] > 2


@pytest.mark.slow
def test_common_networks_import_neither_compiler_nor_pandas():
    script = (
        "import sys\n"
        "sys.argv = ['archstat', 'memory', 'vgg16', 'resnet18', '--optimizer', 'adam']\n"
        "from archstat.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print([m for m in ('torch._dynamo', 'sympy', 'pandas') if m in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_figures_do_not_depend_on_what_was_imported_before(archstat):
    line = ("resnet18", "--dtype", "fp16", "--batch", "2")
    script = (
        "import sys\n"
        f"sys.argv = ['archstat', 'memory', *{line!r}, '-f', 'json']\n"
        "from archstat.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (fresh,) = document(ran.stdout)["rows"]
    row_of(archstat, *line)
    assert fresh == row_of(archstat, *line)


def test_device_of_several_has_its_share_and_says_what_is_whole(archstat):
    params = 4 * 86_567_656
    shared = row_of(archstat, "vit_b_16", "--optimizer", "adam", "--zero", "3", "8")
    assert shared["param_bytes"] == shared["gradient_bytes"] == params / 8
    assert shared["optimizer_bytes"] == 2 * params / 8
    assert shared["gathered_bytes"] == 4 * (768 * 3072 + 3072)  # the first layer of an mlp
    ran = archstat("memory", "vit_b_16", "--fsdp", "8", "--accumulate", "4")
    assert (ran.code, ran.err) == (0, "")
    assert "FSDP: one of 8 devices" in ran.out
    assert "4 micro-batches of that size a step" in ran.out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--zero 4 8", "There is no stage 4 of --zero: give 1, 2 or 3."),
        ("--zero 1 0", "--zero over 0 devices: give a whole number of at least 1."),
        ("--fsdp 0", "--fsdp over 0 devices: give a whole number of at least 1."),
        ("--fsdp 2 --wrap conv9", "--wrap conv9 matches no module that can be called."),
        ("--zero 1 2 --fsdp 3", "give one of the two."),
        ("--wrap c1", "--wrap names the units of --fsdp: give it, too."),
        ("--accumulate 0", "--accumulate 0 is impossible: give a whole number of at least 1."),
        ("--accumulate 2 --fsdp 4 --measure", "leave --accumulate and --fsdp out."),
    ],
)
def test_impossible_devices_and_micro_batches_are_one_message(archstat, line, said):
    ran = archstat("memory", "lenet5", *line.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


FROZEN = """
from torch import nn


class Frozen(nn.Linear):
    def __init__(self):
        super().__init__(4, 5)
        self.requires_grad_(False)


class Trainer(nn.Linear):
    def __init__(self):
        super().__init__(4, 5)

    def train(self, mode=True):
        raise SystemExit("a real training starts")

    def eval(self):
        raise SystemExit("an evaluation starts")
"""


def test_others_are_shown_when_one_cannot_train(archstat, tmp_path):
    nets = tmp_path / "nets.py"
    nets.write_text(FROZEN)
    ran = archstat("memory", f"{nets}:Trainer", f"{nets}:Frozen", "--input", "4", "-f", "json")
    assert ran.code == 2
    row, failed = document(ran.out)["rows"]
    assert "Frozen cannot be trained" in failed["failed"]
    assert row["param_bytes"] == 4 * (4 * 5 + 5)


def test_training_of_a_users_class_is_never_started(archstat, tmp_path):
    nets = tmp_path / "nets.py"
    nets.write_text(FROZEN)
    row = row_of(archstat, f"{nets}:Trainer", "--input", "4", "--batch", "3", "--measure")
    assert row["training_macs"] == 3 * 4 * 5 * 2


@pytest.mark.slow
def test_auto_finds_modules_and_prints_the_line_that_checkpoints_them(archstat):
    from archstat.measure.training.step import training_step
    from archstat.zoo import build

    line = ("resnet18", "--batch", "8", "--resolution", "64")
    plain = row_of(archstat, *line)
    room = plain["training_memory_bytes"] - 1
    row = row_of(archstat, *line, "--checkpoint", "auto", "--fits", f"{room}B")
    assert row["training_memory_bytes"] <= room
    assert row == row_of(archstat, *line, "--checkpoint", row["checkpointed"])
    out = archstat("memory", *line, "--checkpoint", row["checkpointed"]).out
    with torch.device("meta"):
        model, x = build("resnet18"), torch.empty(8, 3, 64, 64)
    exec(out[out.index("for name in") :].splitlines()[0])
    step = training_step(model, (x,))
    assert step.training_memory_bytes == row["training_memory_bytes"]
    assert step.training_macs == row["training_macs"]


def test_rows_by_module_name_the_modules_that_auto_found(archstat):
    line = ("--batch", "16", "--checkpoint", "auto", "--fits", "16MiB", "--by", "module")
    ran = archstat("memory", "resnet20_cifar10", *line, "--format", "json")
    found = {row["checkpoint"] for row in json.loads(ran.out)["rows"]}
    assert "none" in found
    assert len(found) == 2
    assert all(name == "none" or name.startswith("stage") for name in found)  # no "auto"
    ran = archstat("memory", "resnet20_cifar10", *line[:4], "--fits", "1GiB", *line[6:],
                   "--format", "json")  # fmt: skip
    assert {row["checkpoint"] for row in json.loads(ran.out)["rows"]} == {"none"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--fits", "100kB"], "parameters alone take 234.38 KiB. Choose a smaller --batch"),
        (["--fits", "2MiB", "--zero", "3", "2"], "--checkpoint auto is for one device"),
        (["--fits", "2MiB", "--checkpoint", "c1"], "give no pattern beside it"),
        (["--fits", "2MiB", "--steps", "8,4"], "--checkpoint auto looks for modules"),
        (["--checkpoint", ","], "--checkpoint names no module"),
        ([], "--checkpoint auto needs --fits"),
    ],
)
def test_auto_without_room_or_a_set_that_fits_is_one_message(archstat, line, message):
    ran = archstat("memory", "lenet5", "--checkpoint", "auto", *line)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err


def test_a_batch_that_exceeds_the_size_by_little_says_by_how_much(archstat):
    out = archstat("memory", "lenet5", "--fits", "1GiB").out
    assert "8437 needs 24.83 KiB more than that size." in out


def test_attention_and_the_optimizers_way_are_chosen_and_said(archstat):
    line = ("memory", "vit_b_16", "--kernels", "cuda:explicit", "--optimizer", "adamw,fused=true")
    ran = archstat(*line)
    assert "adamw (in one kernel)" in ran.out
    assert "Attention is explicit, as asked: the math kernel stores the scores." in ran.out
    found = json.loads(archstat(*line, "--format", "json").out)["convention"]
    assert (found["kernels"], found["optimizer"]) == ("cuda:explicit", "adamw,fused=true")
    ran = archstat("memory", "lenet5", "--kernels", "cpu:explicit", "--measure")
    assert (ran.code, ran.err.count("\n")) == (2, 1)

"""`compare --fully-convolutional --resolution`: score maps, evaluations and macs."""

from __future__ import annotations

import json

import pytest

from archstat import analyze
from archstat.errors import InputError, SpecError
from archstat.models.specs import Resolution
from archstat.tables.sliding import fully_convolutional_reports

VGG16_MACS = 15_470_264_320


@pytest.fixture
def archstat(monkeypatch, capsys):
    import sys

    from archstat.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["archstat", *arguments])
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def test_vgg16_at_384_replaces_36_evaluations(archstat):
    code, out, _ = archstat("compare", "vgg16", "--fully-convolutional", "--resolution", "384",
                            "-f", "json")  # fmt: skip
    native, one_pass = json.loads(out)["rows"]
    assert code == 0
    assert (native["input"], native["macs"]) == ("1x3x224x224", VGG16_MACS)
    assert native["score_map"] is native["evaluations"] is native["sliding_macs"] is None
    dense = 6 * 6 * (512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000)
    convs = (VGG16_MACS - dense // 36) * 384**2 // 224**2
    assert one_pass["macs"] == convs + dense
    assert one_pass["params"] == native["params"]
    assert (one_pass["score_map"], one_pass["evaluations"]) == ([6, 6], 36)
    assert one_pass["sliding_macs"] == 36 * VGG16_MACS
    assert one_pass["sliding_ratio"] == one_pass["macs"] / (36 * VGG16_MACS)


def test_screen_says_what_one_pass_replaces(archstat):
    code, out, _ = archstat("compare", "seresnet50", "--fully-convolutional", "--resolution",
                            "320x256")  # fmt: skip
    assert code == 0
    assert "a score map of 4x2, 8 evaluations in one pass" in out
    assert "its gates see the whole input" in out


def test_without_a_resolution_the_native_size_is_kept():
    native, made = fully_convolutional_reports("resnet18", None, 2)
    assert made.totals["macs"] == native.totals["macs"]
    assert made.graph.values[made.graph.outputs[0]].shape == (2, 1000, 1, 1)
    assert not any("gates" in finding.text for finding in made.findings)


def test_specs_own_resolution_is_the_native_one():
    native, made = fully_convolutional_reports("resnet18,resolution=256", Resolution((320,)), None)
    assert (native.input, made.input) == ("1x3x256x256", "1x3x320x320")
    assert made.graph.values[made.graph.outputs[0]].shape[2:] == (3, 3)


def test_resolution_alone_is_every_models_but_those_with_their_own(archstat):
    code, out, _ = archstat("compare", "resnet18", "vgg11,resolution=160", "--resolution",
                            "192x160", "-f", "json")  # fmt: skip
    assert code == 0
    assert [row["input"] for row in json.loads(out)["rows"]] == ["1x3x192x160", "1x3x160x160"]


def test_resolution_as_an_input_of_analyze():
    assert analyze("resnet18", Resolution((96,))).input == "1x3x96x96"


def test_network_without_such_an_end_is_refused():
    with pytest.raises(SpecError, match="vit_b_16 cannot be made fully convolutional"):
        fully_convolutional_reports("vit_b_16", None, None)


def test_resolution_below_the_native_one_is_refused():
    with pytest.raises(InputError, match=r"vgg16 .* does not run at 100, its native input being"):
        fully_convolutional_reports("vgg16", Resolution((100,)), None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resolution", "0"), "'--resolution 0': every size"),
        (("--resolution", "big"), "'--resolution big' is not a shape"),
        (("--resolution", "1x2x3"), "one size or one for each of 2 axes"),
        (("--resolution", "64", "--input", "3x64x64"), "--resolution takes no --input"),
        (("--fully-convolutional", "--variants"), "--fully-convolutional takes no --variants"),
        (("--fully-convolutional", "--input", "3x9x9"), "--fully-convolutional takes no --input"),
    ],
)
def test_wrong_request_is_one_message_and_exit_2(archstat, arguments, message):
    code, out, err = archstat("compare", "resnet18", *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())

"""``archstat roofline``: layers, models, devices, pictures, and every wrong request."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.analyses.device_files import built_in
from archstat.cli.completion import complete_device

NET = "nets.py:Net,width=2,input=3x8x8"
MINE = '[devices.mine]\nbandwidth = 1e9\nvector = { float32 = 1e9 }\nsource = "me"\n'


def test_row_a_layer_and_one_for_the_model(archstat, nets):
    done = archstat("roofline", NET, "--device", "t4", "--format", "json")
    assert done.code == 0
    document = json.loads(done.out)
    conv, total = document["rows"]
    macs, nbytes = 2 * 6 * 6 * 3 * 3 * 3, 4 * (3 * 8 * 8 + 2 * 3 * 3 * 3 + 2 * 6 * 6)
    assert (conv["flops"], conv["memory_access_bytes"]) == (2 * macs, nbytes)
    assert conv["time_floor_ms"] == pytest.approx(1000 * max(2 * macs / 8.1e12, nbytes / 320e9))
    assert (total["layer"], total["type"], total["time_share"]) == ("", NET, 1)
    assert document["convention"]["device"] == "NVIDIA T4"


def test_screen_says_peaks_and_that_it_is_a_floor(archstat, nets):
    done = archstat("roofline", NET, "--device", "t4", "--dtype", "fp16", "--fusion", "inference")
    assert done.code == 0
    assert "NVIDIA T4, fp16: products (2 x macs) at 65 TFLOP/s on tensor units" in done.out
    assert "fusion inference" in done.out
    assert "is a lower bound" in done.out.replace("\n", " ")


def test_several_models_have_ratios(archstat, nets):
    done = archstat("roofline", NET, NET.replace("=2", "=4"), "--device", "h200", "-f", "csv")
    first, second = csv.DictReader(io.StringIO(done.out))
    assert first["time_floor_ms_ratio"] == "1.0"
    assert second["flops_ratio"] == "2.0"
    assert float(second["time_floor_ms"]) > float(first["time_floor_ms"])


def test_batch_multiplies_the_work(archstat, nets):
    flops = []
    for batch in ("1", "4"):
        done = archstat("roofline", NET, "--device", "l4", "--batch", batch, "-f", "json")
        flops.append(json.loads(done.out)["rows"][-1]["flops"])
    assert flops[1] == 4 * flops[0]


def test_picture(archstat, nets):
    pytest.importorskip("matplotlib")
    done = archstat("roofline", NET, "--device", "rtx 3090", "--plot", "roof.svg")
    assert done.code == 0
    assert "NVIDIA GeForce RTX 3090, fp32" in (nets / "roof.svg").read_text(encoding="utf-8")


def test_devices_are_listed_with_their_sources(archstat, tmp_path):
    done = archstat("roofline", "--list-devices", "--format", "json")
    rows = json.loads(done.out)["rows"]
    assert [row["device"] for row in rows] == list(built_in())
    assert all("https://" in row["sources"] for row in rows)
    file = tmp_path / "mine.toml"
    file.write_text(MINE, encoding="utf-8")
    done = archstat("roofline", "--list-devices", "--device-file", str(file))
    assert "mine" in done.out


def test_own_device_file(archstat, nets):
    (nets / "mine.toml").write_text(MINE, encoding="utf-8")
    by_file = archstat("roofline", NET, "--device", "mine.toml", "-f", "json")
    by_name = archstat("roofline", NET, "--device", "mine", "--device-file", "mine.toml",
                       "-f", "json")  # fmt: skip
    assert by_file.code == 0
    assert by_file.out == by_name.out
    assert json.loads(by_file.out)["rows"][0]["bound"] == "compute"


def test_local_device_is_measured_once(archstat, nets, monkeypatch):
    from archstat.measure.latency import local_device

    monkeypatch.setenv("XDG_CACHE_HOME", str(nets / "cache"))
    measured = []
    monkeypatch.setattr(local_device, "measured", lambda *_: measured.append(1) or MINE)
    for more in ((), (), ("--measure",)):
        assert archstat("roofline", NET, "--device", "local", *more).code == 0
    assert len(measured) == 2
    assert len(list((nets / "cache" / "archstat").iterdir())) == 1


def test_unknown_operation_is_refused_when_strict(archstat, unknown):
    done = archstat("roofline", unknown, "--device", "t4")
    assert (done.code, ">=" in done.out) == (0, True)
    done = archstat("roofline", unknown, "--device", "t4", "--strict")
    assert done.code == 3
    assert "1 operation neither counted" in done.err
    assert "swirl" in done.out


def test_device_names_are_completed():
    assert complete_device("h1") == ["h100-pcie", "h100-sxm"]
    assert complete_device("LO") == ["local", "local-cuda"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "roofline needs a MODEL"),
        (("vgg16",), "roofline needs a device, such as --device a100-40gb"),
        (("vgg16", "--device", "rtx-490"), "Did you mean rtx-4090"),
        (("vgg16", "--device", "t4", "--dtype", "bf17"), "no dtype 'bf17'. Did you mean bf16"),
        (("vgg16", "--device", "t4", "--dtype", "bf16"), "t4 has no figure for bf16"),
        (("vgg16", "--device", "t4", "--fusion", "some"), "no fusion 'some'"),
        (
            ("vgg16", "--device", "t4", "--batch", "0"),
            "--batch takes a whole number of at least 1.",
        ),
        (("vgg16", "--device", "t4", "--columns", "speed"), "no column 'speed'"),
        (("vgg16", "--device", "t4", "--measure"), "--measure needs --device local"),
        (("vgg16", "vgg19", "--device", "t4", "--every"), "--every takes one model; 2 were given."),
        (("vgg16", "--device", "t4", "--plot", "x.gif"), "suffix '.gif' is not a picture format"),
        (("vgg16", "--device", "absent.toml"), "cannot be read as a device file"),
        (("vgg17", "--device", "t4"), "vgg17"),
    ],
)
def test_wrong_request_is_one_message_and_exit_2(archstat, arguments, message):
    done = archstat("roofline", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err

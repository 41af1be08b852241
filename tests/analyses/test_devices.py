"""Devices: the known ones and their sources, a file of the user's with all its mistakes."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from archstat.analyses.device_files import built_in, devices_of, find_device, read_devices
from archstat.analyses.devices import CUBLAS_WORKSPACE, DTYPES
from archstat.errors import DeviceError

MINE = """
[sources]
sheet = "My sheet, https://example.org/sheet"

[devices.mine]
title = "My accelerator"
memory = "24GiB"
bandwidth = 1e12
vector = { float32 = 10e12 }
tensor = { float16 = 100e12 }
source = { bandwidth = "sheet", vector = "sheet; 2 x 5" }

[devices.other]
bandwidth = 5e11
vector.float32 = 1e12
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("device", built_in().values(), ids=lambda device: device.name)
def test_every_figure_has_its_document_and_address(device):
    figures = {"memory", "bandwidth", "vector"} | ({"tensor"} if device.tensor else set())
    figures |= {"context"} if device.context is not None else set()
    figures |= {"workspace"} if device.workspace != CUBLAS_WORKSPACE else set()
    assert set(device.sources) == figures
    for text in device.sources.values():
        assert re.match(r"[A-Z][A-Za-z'. ]+, .+, https://\S+(; .+)?$", text)
    assert device.memory
    assert device.title


def test_context_and_workspace_are_read_from_a_file():
    text = MINE.replace(
        "bandwidth = 1e12", 'bandwidth = 1e12\ncontext = "1GiB"\nworkspace = "4MiB"'
    )
    devices = devices_of(text, "mine.toml")
    assert (devices["mine"].context, devices["mine"].workspace) == (2**30, 4 * 2**20)
    assert (devices["other"].context, devices["other"].workspace) == (None, CUBLAS_WORKSPACE)
    with pytest.raises(DeviceError, match=r"line 9: mine's context: "):
        devices_of(text.replace('"1GiB"', '"much"'), "mine.toml")


@pytest.mark.parametrize(
    "name",
    ["gtx-1080-ti", "rtx-3090", "rtx-4090", "rtx-5090", "t4", "a100-40gb", "a100-80gb-sxm",
     "h100-sxm", "h100-pcie", "h200", "l4", "jetson-agx-orin-64gb", "ryzen-9-7950x", "epyc-9654",
     "i9-10940x"],
)  # fmt: skip
def test_issue_names_this_device(name):
    assert built_in()[name].roof("fp32").bandwidth > 0


def test_device_file_travels_with_the_package():
    assert resources.files("archstat.analyses").joinpath("devices.toml").is_file()


PRODUCT = re.compile(
    r"; (?:float16 is )?(\d+) (cores|units|bit) x ([\d.]+) (?:x ([\d.]+) GHz|Gbit/s)$"
)
DERIVED = [
    (device.name, key, match.groups())
    for device in built_in().values()
    for key, text in device.sources.items()
    if (match := PRODUCT.search(text))
]


@pytest.mark.parametrize(
    ("name", "key", "product"), DERIVED, ids=[f"{name}-{key}" for name, key, _ in DERIVED]
)
def test_figure_is_the_product_that_its_source_names(name, key, product):
    device, (count, unit, factor, clock) = built_in()[name], product
    figures = {"vector": device.vector.get("float32"), "bandwidth": device.bandwidth,
               "tensor": device.tensor.get("float16")}  # fmt: skip
    scale = 1e9 / 8 if unit == "bit" else 1e9 * float(clock)
    assert figures[key] == pytest.approx(
        int(count) * float(factor) * scale, rel=1e-2
    )  # printed with two digits


def test_products_of_sources_are_read():
    assert len(DERIVED) >= 25
    assert {key for _, key, _ in DERIVED} == {"vector", "tensor", "bandwidth"}


@pytest.mark.parametrize("device", built_in().values(), ids=lambda device: device.name)
def test_narrower_numbers_are_never_slower(device):
    order = ["float64", "tfloat32", "float16", "float8", "int8"]
    peaks = [device.tensor[dtype] for dtype in order if dtype in device.tensor]
    assert peaks == sorted(peaks)
    assert device.tensor.get("bfloat16", 0) in (0, device.tensor.get("float16", 0))
    assert device.vector.get("float64", 0) <= device.vector["float32"]


# Figures that a data sheet derives from others, derived once more.
@pytest.mark.parametrize(
    ("name", "peak", "factors"),
    [
        ("gtx-1080-ti", 11.34e12, (3584, 2, 1.582e9)),
        ("rtx-3090", 35.6e12, (10496, 2, 1.695e9)),
        ("rtx-4090", 82.6e12, (16384, 2, 2.52e9)),
        ("rtx-5090", 104.8e12, (21760, 2, 2.407e9)),
        ("a100-40gb", 19.5e12, (6912, 2, 1.41e9)),
        ("ryzen-9-7950x", 2.918e12, (16, 32, 5.7e9)),
        ("epyc-9654", 11.366e12, (96, 32, 3.7e9)),
        ("i9-10940x", 4.301e12, (14, 64, 4.8e9)),
    ],
)
def test_vector_peak_is_units_times_clock(name, peak, factors):
    product = 1.0
    for factor in factors:
        product *= factor
    assert built_in()[name].vector["float32"] == peak == pytest.approx(product, rel=2e-3)


def test_tensor_peaks_are_dense():
    for device in built_in().values():
        halves, eighths = device.tensor.get("float16"), device.tensor.get("int8")
        if halves and eighths and not device.name.startswith("rtx"):
            assert eighths == pytest.approx(2 * halves, rel=5e-3)


def test_products_take_tensor_units_where_they_know_the_dtype():
    device = built_in()["a100-40gb"]
    assert device.roof("fp32") == (19.5e12, 19.5e12, 1555e9, "vector")
    assert device.roof("bf16") == (312e12, 19.5e12, 1555e9, "tensor")
    assert device.roof("fp64") == (19.5e12, 9.7e12, 1555e9, "tensor")
    assert device.roof("bf16").ridge == 312e12 / 1555e9


def test_dtype_that_nobody_gives_a_figure_for_is_refused():
    with pytest.raises(DeviceError, match="gtx-1080-ti has no figure for fp16; it has fp32"):
        built_in()["gtx-1080-ti"].roof("fp16")


@pytest.mark.parametrize("name", ["RTX 4090", "rtx4090", "RTX_4090", "rtx-4090"])
def test_name_is_found_whatever_its_signs(name):
    assert find_device(name).name == "rtx-4090"


@pytest.mark.parametrize(
    ("name", "near"), [("h100", "h100-pcie or h100-sxm"), ("rtx-490", "rtx-4090"), ("T44", "t4")]
)
def test_unknown_device_is_answered_by_the_nearest(name, near):
    with pytest.raises(DeviceError, match=f"There is no device '{name}'. Did you mean .*{near}"):
        find_device(name)


def test_own_file_works_the_same(mine):
    found = find_device("mine", mine)
    assert (found.title, found.memory) == ("My accelerator", 24 * 2**30)
    assert found.roof("fp16") == (100e12, 10e12, 1e12, "tensor")
    assert found.sources == {
        "bandwidth": "My sheet, https://example.org/sheet",
        "vector": "My sheet, https://example.org/sheet; 2 x 5",
    }
    assert find_device(f"{mine}:other").title == "other"
    assert find_device("t4", mine).name == "t4"


def test_file_with_several_devices_wants_a_name(mine):
    with pytest.raises(DeviceError, match=r"has the devices mine, other: write .*mine.toml:NAME"):
        find_device(mine)
    with pytest.raises(DeviceError, match=r"There is no device 'oter'\. Did you mean other"):
        find_device(f"{mine}:oter")


def test_file_with_one_device_needs_no_name(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(MINE.partition("[devices.other]")[0], encoding="utf-8")
    assert find_device(str(path)).name == "mine"


def test_all_mistakes_are_told_with_their_lines():
    wrong = """colour = 1
[devices.mine]
title = 3
bandwidth = -3
vector = { float32 = "x", floot16 = 1e12 }
memry = "24GiB"
source = { bandwith = "sheet" }

[devices.other]
memory = "24 parsecs"
bandwidth = inf
[devices.other.tensor]
float16 = true
"""
    with pytest.raises(DeviceError) as caught:
        devices_of(wrong, "wrong.toml")
    message = str(caught.value)
    assert message.startswith("wrong.toml is not a device file: line 1: 'colour'")
    told = re.findall(r"line (\d+): ([^;]*)", message)
    assert [int(line) for line, _ in told] == [1, 3, 4, 5, 5, 6, 7, 9, 10, 11, 13]
    assert "unknown key 'memry' (nearest: memory)" in message
    assert "unknown dtype 'floot16' (nearest: float16" in message
    assert "lacks a vector peak of float32" in message
    assert "'24 parsecs' is not a size" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[devices.x\ny = 1", r"x.toml is not TOML: .*line 1"),
        ("", r"x.toml has no device: describe one under \[devices.NAME\]"),
        ("devices = 3", "has no device"),
        ("[devices]\nx = 3", "line 2: x is not a table"),
        ("[devices.x]\nvector = 3\nbandwidth = 1", "line 2: x's `vector` must be a table"),
        ("sources = 1\n[devices.x]\nbandwidth = 1\nvector.float32 = 1", "line 1: `sources` must"),
    ],
)
def test_text_that_is_no_device_file(text, message):
    with pytest.raises(DeviceError, match=message):
        devices_of(text, "x.toml")


def test_unreadable_file(tmp_path):
    with pytest.raises(DeviceError, match="cannot be read as a device file"):
        read_devices(tmp_path / "absent.toml")


def test_dtypes_have_the_bytes_of_their_elements():
    assert {short: size for short, (_, size) in DTYPES.items()} == {
        "fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1,
    }  # fmt: skip

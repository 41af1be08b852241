"""Shell completion of models, options, columns and formats."""

from __future__ import annotations

import pytest

from archstat.cli.completion import (
    complete_category,
    complete_columns,
    complete_format,
    complete_measured_device,
    complete_measured_dtype,
    complete_model,
    complete_optimizer,
)
from archstat.reporters import FORMATS


def test_model_names_begin_with_what_is_typed():
    assert complete_model("vgg16") == ["vgg16", "vgg16_bn"]
    assert complete_model("nothing") == []


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mobilenet_v1,wi", ["mobilenet_v1,width="]),
        ("mobilenet_v1,width=0.5,res", ["mobilenet_v1,width=0.5,resolution="]),
        ("unknown,wi", []),
    ],
)
def test_options_follow_a_comma(typed, completed):
    assert complete_model(typed) == completed


def test_names_of_a_file_follow_its_colon(nets):
    assert "nets.py:Net" in complete_model("nets.py:N")
    assert complete_model("absent.py:") == []


def test_categories_and_optimizers_complete():
    assert complete_category("Light") == ["lightweight"]
    assert complete_optimizer("adam") == ["adam", "adamw"]


def test_columns_complete_after_commas_and_a_sign():
    assert {"params,macs", "params,macs_ratio"} <= set(complete_columns("params,mac"))
    assert {"-depth", "-depth_ratio"} <= set(complete_columns("-dep"))
    assert all(one.startswith("-dep") for one in complete_columns("-dep"))


def test_formats_complete():
    assert complete_format("") == [form.name for form in FORMATS]
    assert "latex" in complete_format("la")


def test_devices_and_dtypes_to_measure_in_complete():
    assert complete_measured_device("cu") == ["cuda", "cuda:0"]
    assert complete_measured_dtype("") == ["fp32", "fp16", "bf16", "amp"]
    assert complete_measured_dtype("b") == ["bf16"]

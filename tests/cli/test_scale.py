"""`archstat scale`: a row a figure and option, its picture, and what is refused."""

from __future__ import annotations

import csv
import io

import pytest


def test_exponents_of_each_option_are_shown(archstat):
    ran = archstat("scale", "mobilenet_v1", "--by", "width,resolution", "-f", "csv", "--jobs", "1")
    found = {(row["by"], row["column"]): row for row in csv.DictReader(io.StringIO(ran.out))}
    assert ran.code == 0
    assert float(found["width", "activations"]["exponent"]) == pytest.approx(1 / 2, abs=0.03)
    assert float(found["resolution", "activations"]["exponent"]) == pytest.approx(1, abs=0.03)
    assert float(found["resolution", "params"]["exponent"]) == 0


def test_screen_has_a_sentence_an_option_and_a_picture(archstat, tmp_path):
    pytest.importorskip("matplotlib")
    ran = archstat("scale", "mobilenet_v1", "--by", "width=0.25|0.5|1.0", "--plot",
                   str(tmp_path / "s.svg"))  # fmt: skip
    assert "width: activations ~ macs^0.5" in ran.out
    assert (tmp_path / "s.svg").exists()


@pytest.mark.parametrize("by", ["", "width,", "wdth", "width=1|2", "num_classes+"])
def test_option_that_cannot_be_scaled_is_refused_in_one_message(archstat, by):
    ran = archstat("scale", "mobilenet_v1", "--by", by)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1

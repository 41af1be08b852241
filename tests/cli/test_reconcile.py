"""`archstat reconcile`: exit codes, and what a person reads."""

from __future__ import annotations

import csv
import io

import pytest

pytest.importorskip("torch")


def test_explained_figure_is_exit_0(archstat):
    result = archstat("reconcile", "resnet50", "--macs", "4.09G")
    assert result.code == 0
    assert "macs: 4.09 G, prints as 4.09G" in result.out


def test_figure_of_nothing_is_exit_1_with_the_nearest(archstat):
    result = archstat("reconcile", "resnet50", "--macs", "5.1G")
    assert result.code == 1
    assert "the nearest are above" in result.out


@pytest.mark.parametrize(
    "arguments", [(), ("--macs", "abc"), ("--macs", "4G", "--source", "nobody")]
)
def test_nothing_to_explain_is_exit_2(archstat, arguments):
    assert archstat("reconcile", "resnet50", *arguments).code == 2


def test_csv_holds_the_raw_columns(archstat):
    result = archstat("reconcile", "resnet50", "--macs", "4.09G", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [*rows[0]] == [
        "figure", "quantity", "exact", "convention", "source", "input", "form", "value",
        "difference_percent", "arithmetic",
    ]  # fmt: skip
    assert rows[0]["value"] == "4089184256"


@pytest.mark.parametrize(
    ("figure", "code", "said"),
    [("--params=24", 0, "as trained"), ("--macs=24", 2, "holds tensors without a forward pass")],
)
def test_weights_alone_have_parameters_to_reconcile(archstat, tmp_path, figure, code, said):
    import torch

    torch.save({"weight": torch.zeros(4, 6)}, tmp_path / "net.pt")
    done = archstat("reconcile", str(tmp_path / "net.pt"), figure)
    assert done.code == code
    assert said in done.out + done.err

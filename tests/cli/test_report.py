"""`archstat report` as it is typed: files, standard output, and what it refuses."""

from __future__ import annotations

import json
import re

import pytest


def test_page_is_written_where_it_says(archstat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = archstat("report", "lenet5")
    assert (ran.code, ran.out, ran.err) == (0, "", "archstat: wrote archstat-report.html\n")
    text = (tmp_path / "archstat-report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "archstat report lenet5</code>" in text


def test_command_on_the_page_has_the_options_that_were_given(archstat, tmp_path):
    ran = archstat("report", "lenet5", "--batch", "2", "--device", "a100-40gb", "-o", "-")
    assert ran.code == 0
    said = re.search("<code>(.*?)</code>", ran.out)[1]
    assert said == "archstat report lenet5 --output - --device a100-40gb --batch 2"


def test_joined_columns_are_in_the_comparison_and_the_scatter(archstat, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("model,<i>top1\nlenet5,98.9\nalexnet,56.5\n")
    ran = archstat("report", "lenet5", "alexnet", "--join", str(file), "-o", "-")
    assert ran.code == 0
    assert "&lt;i&gt;top1 against macs" in ran.out
    assert "<i>top1" not in ran.out.partition('id="data"')[0]


@pytest.mark.parametrize("words, said", [
    (("lenet5", "-o", "page.pdf"), "ends in .html"),
    (("lenet5", "-o", "none/page.html"), "there is no folder none"),
    (("lenet6", "-o", "-"), "lenet5"),
    (("lenet5", "--dtype", "fp16", "-o", "-"), "--dtype needs --device"),
    (("lenet5", "--device", "a10", "-o", "-"), "a10"),
    (("lenet5", "--join", "none.csv", "-o", "-"), "none.csv"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_message(archstat, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = archstat("report", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_models_that_fail_are_told_and_the_others_shown(archstat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = archstat("report", "lenet5", "lenet6", "-o", "page.html")
    assert ran.code == 2
    failed, wrote, last = ran.err.splitlines()
    assert failed.startswith("archstat: lenet6 failed: ")
    assert (wrote, last) == ("archstat: wrote page.html", "archstat: 1 of 2 models failed: lenet6.")
    assert "<h1>lenet5</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_other_tools_a_training_step_and_a_prediction_stand_beside_the_figures(archstat):
    words = ("--as", "thop", "--training", "--device", "rtx-3090")
    ran = archstat("report", "lenet5", *words, "-o", "-")
    assert ran.code == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', ran.out, re.DOTALL)[1])
    keys = [key for key, _ in data["totals"]["columns"]]
    root = dict(zip(keys, data["totals"]["rows"][0], strict=True))
    told = json.loads(archstat("memory", "lenet5", "--format", "json").out)["rows"][0]
    assert max(row[2] for row in data["training"]["rows"]) == told["training_memory_bytes"]
    assert root["as_thop"] > 0 and root["predicted_ms"] > 0
    assert "Training step" in ran.out and "time floor" in ran.out


@pytest.mark.slow
def test_measured_latency_stands_beside_the_figures(archstat):
    ran = archstat("report", "lenet5", "--latency", "-o", "-")
    assert ran.code == 0
    assert "<dt>latency ms</dt>" in ran.out

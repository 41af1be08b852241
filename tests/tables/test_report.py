"""The page of `archstat report`: whole, safe, without a network, and true to the tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from html import escape
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import archstat
from archstat.reporters.page.document import asset
from archstat.tables.report import page
from archstat.tables.report_data import portrait

HOSTILE = "</script><script>alert('x')</script>\"'&\u2028é"
VOID = {"meta", "input", "wbr"}
MOST_OWN_BYTES = 40_000
_SVG = "http://www.w3.org/2000/svg"
_CITED = "https://github.com/huggingface/pytorch-image-models/tree/main/results"


class Reader(HTMLParser):
    """What a page holds: its elements, all closed, its texts, and where it would go."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.elements[tag] += 1
        names = dict(attributes)
        assert len(names) == len(attributes)
        assert not [name for name in names if name.startswith("on")]
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def data_of(text: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


class Odd(nn.Module):
    """A network with names that nobody should give."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HOSTILE, nn.Conv2d(3, 4, 3))
        self.add_module("<b>", nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3)))

    def forward(self, x):
        for child in self.children():
            x = child(x)
        return x


@pytest.fixture(scope="module")
def one():
    return archstat.report("resnet18", device="a100-40gb")


@pytest.fixture(scope="module")
def two():
    return archstat.report(["lenet5", "resnet18"])


def test_page_is_balanced_and_goes_nowhere(one, two):
    for text in (one, two):
        reader = read(text)
        assert reader.addresses == []
        assert (reader.elements["script"], reader.elements["style"]) == (2, 1)
        assert set(re.findall(r"url\(|@import|https?://[\w./-]+", text)) <= {_SVG, _CITED}
        assert "default-src 'none'" in text


def test_own_script_and_style_are_small():
    own = sum(len(asset(name).encode()) for name in ("script.js", "style.css"))
    assert own <= MOST_OWN_BYTES


def test_page_is_small(one):
    assert len(one.encode()) <= 150_000


def test_data_are_those_of_the_tables(one):
    data, report = data_of(one), archstat.analyze("resnet18")
    tree = archstat.summary("resnet18")
    root = dict(zip([key for key, _ in data["modules"]["columns"]], data["modules"]["rows"][0],
                    strict=True))  # fmt: skip
    for key in ("params", "macs", "memory_access_bytes", "activations"):
        assert root[key] == report.totals[key] == tree.column(key)[0]
    live = [row[2] for row in data["memory"]["rows"]]
    assert max(live) == report.totals["peak_memory_bytes"]
    roof = archstat.roofline("resnet18", "a100-40gb")
    assert root["time_floor_ms"] == pytest.approx(roof.column("time_floor_ms")[-1])
    assert data["roofline"]["rows"] == [list(row) for row in roof.rows]
    assert data["totals"]["rows"][0][2] == report.totals["params"]


def test_figures_of_the_strip_add_up_to_those_of_the_model(one):
    strip, totals = data_of(one)["strip"], archstat.analyze("resnet18").totals
    for place, (key, _) in enumerate(strip["columns"]):
        if key in ("params", "macs", "flops", "memory_access_bytes"):
            assert sum(row[place] for row in strip["rows"]) == totals[key]


def test_strip_has_stages_with_equal_blocks_folded(one):
    rows = data_of(one)["strip"]["rows"]
    kinds = [row[1] for row in rows]
    assert kinds[:2] == ["Conv2d", "MaxPool2d"]
    assert kinds[-1] == "Linear"
    assert sum(row[2] for row in rows if row[1] == "BasicBlock") == 2 * 4


def test_several_models_are_in_one_table(two):
    data = data_of(two)
    assert [row[0] for row in data["comparison"]["rows"]] == ["lenet5", "resnet18"]
    assert {"modules-1", "modules-2", "field-1", "memory-2"} <= set(data)


def test_names_are_texts_wherever_they_stand():
    text = archstat.report({HOSTILE: Odd(), "plain": Odd()}, input=(3, 16, 16))
    reader = read(text)
    assert reader.elements["script"] == 2
    assert reader.elements["b"] == 0
    assert HOSTILE in "".join(reader.texts)
    rows = data_of(text)["modules-1"]["rows"]
    assert rows[1][0] == HOSTILE


def test_what_is_no_character_can_be_written():
    graph = archstat.capture(nn.Linear(3, 4), torch.zeros(1, 3))
    text = page([portrait("a\udcff\0b", graph)], "archstat report")
    assert "a?�b" in text
    assert data_of(text)["totals"]["rows"][0][0] == "a\udcff\0b"


def test_model_without_spatial_axes_has_no_field():
    text = archstat.report(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)), (8,))
    assert "field" not in data_of(text)
    read(text)


class Unknown(nn.Module):
    """A network with an operation that nobody counts."""

    def forward(self, x):
        return torch.linalg.svdvals(x)


def test_unknown_operations_are_told_and_make_lower_bounds():
    text = archstat.report(nn.Sequential(nn.Conv2d(3, 4, 3), Unknown()), (3, 16, 16))
    assert "&gt;= " in text
    assert "svd" in " ".join(read(text).texts)


def test_output_is_written_whole(tmp_path):
    text = archstat.report("lenet5", output=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    with pytest.raises(archstat.ArchstatError, match="cannot be written"):
        archstat.report("lenet5", output=tmp_path / "none" / "page.html")


def test_many_modules_make_a_page_that_says_what_it_leaves_out():
    net = nn.Sequential(*(nn.Linear(2 + n % 2, 2 + (n + 1) % 2) for n in range(2500)))
    text = archstat.report(net, (2,))
    reader = read(text)
    assert len(text) < 1_500_000
    assert "more rows are in the csv" in " ".join(reader.texts)
    assert len(data_of(text)["modules"]["rows"]) == 2501


class Skipping(nn.Module):
    """Two convolutions, a third beside them, and all three joined."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.first(x)
        return torch.cat([x, self.third(self.second(x))], 1)


def test_strip_shows_what_leads_over_blocks():
    graph = archstat.capture(Skipping(), torch.zeros(1, 3, 8, 8))
    strip = portrait("skipping", graph).strip
    assert [block.name for block in strip.blocks][:3] == ["first", "second", "third"]
    assert strip.jumps == ((0, 3),)
    assert [(b.positions, b.channels) for b in strip.blocks[-2:]] == [((8, 8), 4), ((8, 8), 8)]


def test_branches_of_a_block_are_those_that_run_side_by_side():
    strip = portrait("googlenet", archstat.analyze("googlenet").graph).strip
    assert {block.branches for block in strip.blocks if block.type == "Inception"} == {4}


def test_call_on_the_page_has_what_was_given(one):
    said = escape("archstat.report(['resnet18'], device='a100-40gb', dtype='fp32')")
    assert f"<code>{said}</code>" in one.replace("<wbr>", "")


def test_notebook_shows_the_strip_and_the_treemap_small():
    shown = archstat.analyze("resnet18")._repr_html_()
    reader = read(shown)
    assert reader.elements["svg"] == 2
    assert reader.elements["script"] == 0
    assert len(shown) < 30_000
    odd = archstat.analyze(Odd(), (3, 16, 16))._repr_html_()
    assert read(odd).elements["script"] == 0


def test_front_of_a_page_goes_to_the_better_end_of_what_was_joined(tmp_path):
    (tmp_path / "own.csv").write_text("model,top1\nlenet5,10\nresnet18,70\n")
    text = archstat.report(["lenet5", "resnet18"], join=tmp_path / "own.csv", device="a100-40gb")
    keys = [key for key, _ in data_of(text)["comparison"]["columns"]]
    more = {keys[int(n)] for n in re.search(r'data-more="([\d ]*)"', text)[1].split()}
    assert {"predicted_throughput", "top1"} <= more
    assert not more & {"predicted_ms", "macs"}
    assert f'data-y="{keys.index("top1")}"' in text

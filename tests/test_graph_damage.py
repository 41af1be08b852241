"""What is no Graph, or a damaged one, is refused with one sentence."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.errors import GraphFileError
from archstat.frontends.module import capture
from archstat.graph import SCHEMA_VERSION, Graph

TEXT = capture(nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU()), torch.rand(1, 3, 4, 4)).to_json()


@pytest.mark.parametrize(
    "text",
    ["", "{", "not json", "[1, 2", '{"archstat_graph": 1', "\x00", "[" * 100_000],
    ids=["empty", "open", "words", "cut list", "cut object", "binary", "nested without end"],
)
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(GraphFileError, match=r"not a saved Graph|not JSON|damaged"):
        Graph.from_json(text)


@pytest.mark.parametrize("text", ["{}", "[]", "3", '"graph"', "null", '{"nodes": [], "edges": []}'])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(GraphFileError, match="not a Graph of schema"):
        Graph.from_json(text)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None, [1]])
def test_graph_of_another_schema_is_refused_with_the_remedy(version):
    document = {**json.loads(TEXT), "archstat_graph": version}
    with pytest.raises(GraphFileError, match="capture the model again"):
        Graph.from_json(json.dumps(document))


# Files saved before there were these fields load without them.
LATER = {
    field.name: field.default
    for field in dataclasses.fields(Graph)
    if field.name in ("kv_cache_bytes", "layout", "call", "batch")
}
FIELDS = [field.name for field in dataclasses.fields(Graph) if field.name not in LATER]


@pytest.mark.parametrize("field", FIELDS)
def test_document_without_a_field_is_refused(field):
    document = json.loads(TEXT)
    del document[field]
    with pytest.raises(GraphFileError, match="damaged"):
        Graph.from_json(json.dumps(document))


@pytest.mark.parametrize("field", LATER)
def test_document_older_than_a_field_loads_without_it(field):
    document = json.loads(TEXT)
    del document[field]
    assert Graph.from_json(json.dumps(document)) == dataclasses.replace(
        Graph.from_json(TEXT), **{field: LATER[field]}
    )


@pytest.mark.parametrize("field", ["ops", "values", "storages", "calls", "modules"])
@pytest.mark.parametrize("rows", [5, None, [5], [[]], [["x"] * 20], {"a": 1}, "text"])
def test_document_with_rows_of_another_form_is_refused(field, rows):
    document = {**json.loads(TEXT), field: rows}
    with pytest.raises(GraphFileError, match="damaged"):
        Graph.from_json(json.dumps(document))


LEAVES = [
    ("target of an op", ("ops", 0, 1), None),
    ("attributes of an op", ("ops", 0, 6), []),
    ("inputs of an op", ("ops", 0, 4), 0),
    ("shape of a value", ("values", 0, 0), "3x4"),
    ("size in a shape", ("values", 0, 0, 1), None),
    ("dtype of a value", ("values", 0, 1), 4),
    ("bytes of a storage", ("storages", 0, 0), "many"),
]


@pytest.mark.parametrize(("path", "leaf"), [r[1:] for r in LEAVES], ids=[r[0] for r in LEAVES])
def test_document_with_a_leaf_of_another_type_is_refused(path, leaf):
    document = json.loads(TEXT)
    row = document
    for step in path[:-1]:
        row = row[step]
    row[path[-1]] = leaf
    with pytest.raises(GraphFileError, match="damaged"):
        Graph.from_json(json.dumps(document))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_text_gives_a_graph_or_a_refusal(data):
    start = data.draw(st.integers(0, len(TEXT)))
    length = data.draw(st.integers(0, 40))
    damaged = TEXT[:start] + data.draw(st.text(max_size=3)) + TEXT[start + length :]
    try:
        Graph.from_json(damaged).check()
    except GraphFileError as refusal:
        assert str(refusal)


def test_file_that_is_absent_or_binary_is_refused(tmp_path):
    with pytest.raises(GraphFileError, match=r"net\.json cannot be read"):
        Graph.load(tmp_path / "net.json")
    (tmp_path / "weights.pt").write_bytes(b"\x80\x02\xff\xfe")
    with pytest.raises(GraphFileError, match=r"weights\.pt cannot be read"):
        Graph.load(tmp_path / "weights.pt")
    with pytest.raises(GraphFileError):
        Graph.load(tmp_path)

"""Layer lists that nobody would write, and those that somebody might: a Graph, or one clear error.

`ARCHSTAT_FUZZ` gives another number of inputs for each test.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archstat.analyses.field import receptive_field
from archstat.errors import ArchstatError, LayerListError
from archstat.frontends.layers import layers
from archstat.graph import Graph

EXAMPLES = int(os.environ.get("ARCHSTAT_FUZZ", "40"))
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

# Pieces of the grammar, and what is none: other scripts' digits, signs, blanks, controls.
PIECES = st.sampled_from([
    *"0123456789", *"x/pdg-*,|()", "3x3", "7x7/2", "max", "avg", "t4", "up2", "id", "dw", "m", "u",
    " ", "\t", "\n", "\0", "²", "٣", "\u00d7", "…", "é", "-1", "1e3", "0x0", "99999999999999999999",
    "*300", "*10001", "*0", "(", ")", "((((", "3x3*9", ",,", "||", "3x3x3x3",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30)


@fuzzed
@given(TEXTS, st.sampled_from([None, 8, (9, 7), "3x16x16"]), st.sampled_from([None, 1, 6]))
def test_any_text_is_a_graph_or_one_error(text, size, channels):
    try:
        graph = layers(text, input=size, channels=channels)
    except ArchstatError as error:
        assert str(error).strip()
        if isinstance(error, LayerListError):
            first = str(error).split("\n")[0]
            assert first.startswith("layer list") or "layer" in first
        return
    graph.check()


@fuzzed
@given(TEXTS)
def test_place_of_an_error_lies_in_the_text(text):
    try:
        layers(text)
    except LayerListError as error:
        head, *rest = str(error).split("\n")
        if head.startswith("layer list, character "):
            at = int(head.removeprefix("layer list, character ").partition(":")[0])
            assert 1 <= at <= len(text) + 1
            assert set(rest[-1].strip()) == {"^"}
    except ArchstatError:
        pass


@st.composite
def chains(draw):
    """A list of windows with its closed form: (text, kernel, stride, padding) a layer."""
    windows, texts = [], []
    for _ in range(draw(st.integers(1, 6))):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        dilation, times = draw(st.integers(1, 2)), draw(st.integers(1, 3))
        given_padding = draw(st.none() | st.integers(0, 2))
        padding = dilation * (kernel - 1) // 2 if given_padding is None else given_padding
        options = [f"/{stride}" if stride > 1 else "", f"d{dilation}" if dilation > 1 else "",
                   "" if given_padding is None else f"p{given_padding}"]  # fmt: skip
        blank = draw(st.sampled_from(["", " "]))
        head = draw(st.sampled_from(["", "", "max"]))
        if head and 2 * padding > dilation * (kernel - 1) + 1:
            head = ""
        text = blank.join(
            [f"{head}{kernel}x{kernel}", *filter(None, draw(st.permutations(options)))]
        )
        texts.append(f"{text}*{times}" if times > 1 else text)
        windows += [(dilation * (kernel - 1) + 1, stride, padding)] * times
    return ",".join(texts), windows


@fuzzed
@given(chains())
def test_chain_has_its_closed_form(case):
    text, windows = case
    fields = receptive_field(layers(text))
    field, stride, padding = 1, 1, 0
    for span, step, pad in windows:
        field, padding = field + (span - 1) * stride, padding + pad * stride
        stride *= step
    final = fields.final
    assert final.receptive_field == (field, field)
    assert final.effective_stride == (stride, stride)
    assert final.effective_padding == (padding, padding)


@fuzzed
@given(chains(), st.integers(1, 40))
def test_graph_of_a_list_survives_its_file(case, size):
    text, _ = case
    try:
        graph = layers(text, input=size, channels=4)
    except LayerListError:
        assume(False)
    assert Graph.from_json(graph.to_json()) == graph

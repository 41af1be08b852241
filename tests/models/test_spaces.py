"""Design spaces: what ranges, lists and files stand for, what is drawn, what is refused."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import ArchstatError, SpecError
from archstat.models.spaces import MOST, candidates, parse_space, read_spaces, spaces_of
from archstat.models.specs import parse_spec


def values(text: str) -> list[str]:
    return [spec.partition("=")[2] for spec in list(candidates([parse_space(f"net,x={text}")]))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", ["3"]),
        ("3|5|7", ["3", "5", "7"]),
        ("1..4", ["1", "2", "3", "4"]),
        ("128..224:32", ["128", "160", "192", "224"]),
        ("128..200:32", ["128", "160", "192"]),
        ("0.25..1.0:0.25", ["0.25", "0.5", "0.75", "1.0"]),
        ("1..2:0.5", ["1.0", "1.5", "2.0"]),
        ("-1..1", ["-1", "0", "1"]),
        ("5..5", ["5"]),
        ("1..2|8", ["1", "2", "8"]),
        ("8|8", ["8"]),
        ("[1,2]|[2,3]", ["[1,2]", "[2,3]"]),
        ("../weights", ["../weights"]),
        ("relu|gelu", ["relu", "gelu"]),
    ],
)
def test_values_are_written_out(text, expected):
    assert values(text) == expected


def test_last_option_changes_first():
    space = parse_space("net.py:Net,a=1|2,b=3..4")
    assert list(candidates([space])) == [f"net.py:Net,a={a},b={b}" for a in (1, 2) for b in (3, 4)]


def test_equal_specs_of_several_spaces_come_once():
    spaces = spaces_of(["net,a=1..2,b=1", "net,b=1,a=2..3"])
    assert list(candidates(spaces)) == ["net,a=1,b=1", "net,a=2,b=1", "net,b=1,a=3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("net,x=1..", "has no end"),
        ("net,x=..5", "has no start"),
        ("net,x=1..2:0", "never ends"),
        ("net,x=2..1", "is empty"),
        ("net,x=1..2:-1", "is empty"),
        ("net,x=0.5..1.0", "needs a step"),
        ("net,x=1..2:a", "is not a step"),
        ("net,x=1..2:", "is not a step"),
        ("net,x=1||2", "a value is missing"),
        ("net,x=1,x=2", "gives x twice"),
        ("net,x", "is not an option"),
        ("net,x=[1|2", "is missing"),
    ],
)
def test_space_that_is_none_is_refused(text, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        parse_space(text)


def test_too_many_candidates_are_refused_with_their_number():
    with pytest.raises(SpecError, match=r"1,000,000,000 candidates"):
        list(candidates([parse_space("net,x=1..1000000000")]))
    with pytest.raises(SpecError, match=f"{MOST + 1:,} candidates"):
        list(candidates([parse_space("net,x=1..1000000000")], sample=MOST + 1))


@pytest.mark.parametrize("text", ["net,x=1..1000", "net,x=1..999999999999999999,y=1..999"])
def test_sample_is_drawn_without_repeats_and_by_its_seed(text):
    space = parse_space(text)
    drawn = list(candidates([space], 20, 1))
    assert len(set(drawn)) == 20
    assert list(candidates([space], 20, 1)) == drawn != list(candidates([space], 20, 2))
    assert list(candidates([space], 10, 1)) == drawn[:10]


def test_sample_of_more_than_there_are_is_all():
    assert list(candidates([parse_space("net,x=1..3")], 9)) == ["net,x=1", "net,x=2", "net,x=3"]


SPACE = """
model = ["a", "net.py:Net"]
[options]
width = "0.5..1.0:0.5"
depths = [[1, 2], [2, 3]]
se = [true]
kernel = 3
"""


def test_file_holds_models_and_options(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE, encoding="utf-8")
    found = list(candidates(spaces_of([str(path)])))
    assert found == [f"{model},width={width},depths={depths},se=true,kernel=3"
                     for model in ("a", "net.py:Net") for width in ("0.5", "1.0")
                     for depths in ("[1,2]", "[2,3]")]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no model"),
        ("model = 3", "names no model"),
        ("model = 'a'\noption = 3", "Did you mean options"),
        ("model = 'a'\noptions = 3", "is not a table"),
        ("model = 'a'\n[options]\nx = []", "leaves no candidate"),
        ("model = 'a'\n[options]\nx = '1..'", "has no end"),
        ("model =", "cannot be read"),
    ],
)
def test_file_that_is_none_is_refused(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=re.escape(said)):
        read_spaces(path)


def test_absent_file_is_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_spaces(tmp_path / "none.toml")


@given(st.integers(-500, 500), st.integers(0, 60), st.integers(1, 99), st.integers(0, 4))
def test_range_is_an_arithmetic_progression_up_to_its_end(low, more, step, digits):
    scale = Decimal(1).scaleb(-digits)
    first, last, by = low * scale, (low + more) * scale, step * scale
    found = [Decimal(one) for one in values(f"{first:f}..{last:f}:{by:f}")]
    assert found == [first + n * by for n in range(more // step + 1)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_size_is_the_product_and_every_candidate_is_a_spec(counts):
    text = "net" + "".join(f",k{n}=1..{count}" for n, count in enumerate(counts))
    space = parse_space(text)
    found = list(candidates([space]))
    product = 1
    for count in counts:
        product *= count
    assert len(found) == space.size == product
    assert all(parse_spec(spec).text == spec for spec in found)


@given(st.text() | st.text(alphabet="net,x=|.:0159-[]'\"", max_size=20))
def test_any_text_is_a_space_or_an_error_of_ours(text):
    try:
        found = list(candidates([parse_space(text)], 5))
    except ArchstatError as error:
        assert str(error)
    else:
        assert 1 <= len(found) <= 5

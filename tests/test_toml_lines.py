"""The scanner of lines: every key of a TOML text at the line where it stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.toml_lines import key_lines


def test_keys_of_budgets_have_their_lines():
    text = """# the budgets
[[budget]]
name = "a"  # [[budget]]
params = "<= 5M"

[budget.max_increase]
params = "1%"

[[budget]]
"macs" = '''
[[budget]]
macs = 1
'''
max_increase.params = "1%"
input = [
    "3x8x8", # ] and "
    "4",
]
"""
    lines = key_lines(text)
    assert lines["budget", 0] == 2
    assert lines["budget", 0, "name"] == 3
    assert lines["budget", 0, "params"] == 4
    assert lines["budget", 0, "max_increase"] == 6
    assert lines["budget", 0, "max_increase", "params"] == 7
    assert lines["budget", 1] == 9
    assert lines["budget", 1, "macs"] == 10
    assert lines["budget", 1, "max_increase", "params"] == 14
    assert lines["budget", 1, "input"] == 15
    assert lines["budget", 1, "input", 1] == 17
    assert ("budget", 2) not in lines


def test_inline_tables_and_the_table_of_a_project():
    text = '[tool.archstat]\nbudget = [\n  {model = "a", params = 3},\n  {model = "b"}\n]\n'
    lines = key_lines(text)
    assert lines["tool", "archstat", "budget", 0, "params"] == 3
    assert lines["tool", "archstat", "budget", 1, "model"] == 4


@pytest.mark.parametrize("text", ["[[[[", 'a = "', "a = [1,", "=", "a", "[a", "a = {b", "\x00"])
def test_what_is_no_toml_has_no_traceback(text):
    assert isinstance(key_lines(text), dict)


@given(st.text(max_size=200))
def test_no_text_has_a_traceback(text):
    lines = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


_NAMES = st.text("abcXYZ019_-", min_size=1, max_size=5)
_QUOTED = st.text("ab \"'.#[]=\\n\n{}", max_size=6)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


_SCALARS = st.one_of(
    st.integers().map(str),
    st.booleans().map(lambda b: str(b).lower()),
    _QUOTED.map(_quoted),
    _QUOTED.map(lambda t: "'" + t.replace("'", "").replace("\n", "") + "'"),
    st.text("ab\n#[]= '", max_size=8).map(lambda t: f'"""{t}"""'),
    st.text('ab\n#[]= "', max_size=8).map(lambda t: f"'''{t}'''"),
    st.just("1979-05-27T07:32:00Z"),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ]\n".join(items) + "\n]"),
        st.dictionaries(_NAMES, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{k} = {v}" for k, v in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
_STATEMENTS = st.one_of(
    st.tuples(_NAMES, _VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.tuples(_QUOTED, _SCALARS).map(lambda pair: f"{_quoted(pair[0])} = {pair[1]} # x = 1"),
    st.tuples(_NAMES, _NAMES, _SCALARS).map(lambda t: f"{t[0]} . {t[1]} = {t[2]}"),
    _NAMES.map(lambda name: f"[ {name} ]"),
    st.sampled_from(["[[budget]]", "[budget.inner]", "[[budget.inner]]", "", "# [[budget]]"]),
)


def _paths(content: object, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [prefix] if prefix else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += _paths(value, (*prefix, key))
    if isinstance(content, list):
        for number, value in enumerate(content):
            found += _paths(value, (*prefix, number))
    return found


@given(st.lists(_STATEMENTS, max_size=8))
def test_every_key_that_tomllib_finds_has_a_line_on_which_it_stands(statements):
    text = "\n".join(statements) + "\n"
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines, source = key_lines(text), text.split("\n")
    for path in _paths(content):
        if isinstance(path[-1], int):
            continue  # an array of tables has no key of its own beside its header
        assert path in lines, (path, text)
        name = str(path[-1])
        if name.isalnum():
            assert name in source[lines[path] - 1], (path, text)

"""The JSON schema for editors: the file is what the code says, and the code what is read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.budgets.entries import BUDGET_KEYS, RULE_KEYS
from archstat.budgets.rules import GROWING_KEYS, parse_increase, parse_rule
from archstat.budgets.schema import schema, schema_text
from archstat.errors import SpecError

BUDGET = schema()["properties"]["budget"]["items"]
FILE = resources.files("archstat.budgets").joinpath("archstat.schema.json")


def test_file_is_what_the_command_prints():
    assert FILE.read_text(encoding="utf-8") == schema_text()
    printed = subprocess.run(
        [sys.executable, "-m", "archstat.budgets.schema"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(printed.stdout) == schema()


def test_schema_has_the_keys_that_are_read():
    assert set(BUDGET["properties"]) == {*BUDGET_KEYS, *RULE_KEYS}
    assert BUDGET["additionalProperties"] is False
    assert [need["required"] for need in BUDGET["anyOf"]] == [
        [key] for key in ("max_increase", *RULE_KEYS)
    ]
    assert set(BUDGET["properties"]["max_increase"]["anyOf"][1]["properties"]) == set(GROWING_KEYS)


@pytest.mark.parametrize("key", RULE_KEYS)
def test_examples_of_a_rule_are_rules_and_match(key):
    rule, several = BUDGET["properties"][key]["anyOf"]
    assert several["items"] == rule
    assert rule["examples"]
    for example in rule["examples"]:
        assert parse_rule(key, example)
        assert re.search(rule["pattern"], example)


@given(
    st.sampled_from(RULE_KEYS),
    st.one_of(
        st.text(max_size=15),
        st.builds(
            "{}{}{}{}".format, st.sampled_from(["<=", "<", ">=", ">", "==", "=", ""]),
            st.sampled_from(["", " ", "  "]), st.sampled_from(["5", "5.", ".5", ".", "5.25", "x"]),
            st.sampled_from(["", "k", " M", "K", "MiB", "kB", "b", "%"]),
        ),
    ),
)  # fmt: skip
def test_pattern_matches_what_is_read(key, text):
    pattern = BUDGET["properties"][key]["anyOf"][0]["pattern"]
    matches = bool(re.search(pattern, text)) and "\n" not in text
    try:
        parse_rule(key, text)
    except SpecError:
        # only whether a count comes out whole is beyond a pattern
        assert not matches or "." in text
    else:
        assert matches


@given(st.one_of(st.text(max_size=8), st.from_regex(r"[0-9.]{0,4} ?%", fullmatch=True)))
def test_pattern_of_an_increase_matches_what_is_read(text):
    pattern = BUDGET["properties"]["max_increase"]["anyOf"][0]["pattern"]
    try:
        parse_increase("params", text)
    except SpecError:
        assert not re.search(pattern, text) or not text.isascii()
    else:
        assert re.search(pattern, text)

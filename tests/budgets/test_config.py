"""The file of budgets: what is read, and every mistake with its line."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.analyses import COLUMNS
from archstat.budgets import find_config, load
from archstat.budgets.reading import parse_config
from archstat.errors import ConfigError

BUDGET = '[[budget]]\nmodel = "alexnet"\nparams = "<= 61M"\n'


def test_budget_with_every_key(config_of):
    config = config_of(
        '[[budget]]\nname = "a"\nmodel = "alexnet,num_classes=10"\ninput = "3x224x224"\n'
        'params = "<= 5.3M"\nreceptive_field = ">= 224"\nmax_increase = "1%"\n'
        'informational = true\nmessage = "why"\n'
    )
    (budget,) = config.budgets
    assert (budget.name, budget.model, budget.input) == (
        "a", "alexnet,num_classes=10", ("3x224x224",),
    )  # fmt: skip
    assert [(r.name, r.line) for r in budget.rules] == [
        ("params <= 5.3M", 5), ("receptive_field >= 224", 6), ("params max_increase 1%", 7),
    ]  # fmt: skip
    assert (budget.max_increase, budget.informational, budget.message) == ('"1%"', True, "why")
    assert budget.line == 1


def test_budget_goes_by_its_model_unless_it_has_a_name(config_of):
    assert config_of(BUDGET).budgets[0].name == "alexnet"


def test_max_increase_without_other_rules_concerns_params_and_macs(config_of):
    config = config_of('[[budget]]\nmodel = "alexnet"\nmax_increase = "1%"\n')
    assert [rule.key for rule in config.budgets[0].rules] == ["params", "macs"]


def test_max_increase_by_column(config_of):
    config = config_of(
        '[[budget]]\nmodel = "alexnet"\nmax_increase = {depth = "0%", macs = "5%"}\n'
    )
    assert [rule.name for rule in config.budgets[0].rules] == [
        "depth max_increase 0%", "macs max_increase 5%",
    ]  # fmt: skip


def test_column_has_a_limit_from_below_and_one_from_above(config_of):
    config = config_of('[[budget]]\nmodel = "alexnet"\nparams = [">= 1k", "<= 61M"]\n')
    assert [(rule.name, rule.line) for rule in config.budgets[0].rules] == [
        ("params >= 1k", 3), ("params <= 61M", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "limits",
    ['["<= 1", "<= 2"]', '["== 1", "<= 2"]', '[">= 1", "<= 2", "< 3"]', "[]", '["<= 1", 2]',
     '[["<= 1"]]', '["<= 1", "2"]', '["<= 1", ""]'],
)  # fmt: skip
def test_list_that_is_no_pair_of_limits_is_refused(mistakes_of, limits):
    ((line, said),) = mistakes_of(f'[[budget]]\nmodel = "alexnet"\nparams = {limits}\n')
    assert line == 3
    assert said.startswith("params")


def test_wildcard_of_the_zoo_makes_a_budget_a_model(config_of):
    config = config_of('[[budget]]\nmodel = "vgg1?,num_classes=10"\nparams = "<= 200M"\n')
    names = ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert [b.model for b in config.budgets] == [f"{name},num_classes=10" for name in names]
    named = config_of('[[budget]]\nname = "x"\nmodel = "vgg16*"\nparams = "<= 200M"\n')
    assert [b.name for b in named.budgets] == ["x: vgg16", "x: vgg16_bn"]


@pytest.mark.parametrize("before", ["", "[tool.archstat]\n"])
def test_project_file_has_them_in_its_own_table(config_of, before):
    head = f"{before}[[tool.archstat.budget]]"
    text = f'[project]\nname = "p"\n\n{head}\nmodel = "alexnet"\nparams = "<= 61M"\n'
    config = config_of(text, "pyproject.toml")
    assert [budget.name for budget in config.budgets] == ["alexnet"]
    assert config.budgets[0].rules[0].line == text.count("\n")


MISTAKES = """\
[[budget]]
name = "a"
model = "resnet5O"
params = "<= 5.3Q"
inputt = "x"
param_bytes = "<= 20M"
input = ["3x8x8", "0x3"]

[budget.max_increase]
params = "1"
receptive_field = "1%"
macs = 3

[[budget]]
model = "resnet*x"
global_from = "== pool"
informational = 1
message = ""

[[budget]]
name = "a"
model = "alexnet"

[[budget]]
params = 5
quite_another = 1
max_increase = 0.01
"""


def test_all_mistakes_are_reported_together_with_their_lines(mistakes_of):
    found = mistakes_of(MISTAKES)
    said = dict(found)
    expected = {
        3: "Did you mean resnet50",
        4: "params: '5.3Q' is not a count",
        5: "Did you mean input",
        6: "a byte unit",
        7: "'0x3'",
        10: "is not a percentage",
        11: "receptive_field has no max_increase",
        12: "max_increase = 3 is not a percentage",
        15: "'resnet*x' matches nothing",
        16: "global_from is text",
        17: "informational = 1 is not true or false",
        18: 'message = "" is not text',
        20: "this budget has no rule",
        24: "this budget has no model",
        25: 'write params = "== 5"',
        26: "There is no column 'quite_another'",
        27: "max_increase = 0.01 is not a percentage",
    }
    assert [line for line, _ in found] == list(expected)
    for line, text in expected.items():
        assert text in said[line]


@pytest.mark.parametrize("option", ["resolution=160", "input=3x160x160"])
def test_input_twice_is_a_mistake(mistakes_of, option):
    text = f'[[budget]]\nmodel = "vgg16,{option}"\ninput = "3x64x64"\nparams = "<= 200M"\n'
    assert mistakes_of(text) == [
        (2, f"model: 'vgg16,{option}' gives an input, and so does the budget; keep one.")
    ]


def test_message_has_a_line_a_mistake_with_file_and_line(tmp_path):
    with pytest.raises(ConfigError) as caught:
        parse_config(MISTAKES, tmp_path / "archstat.toml")
    head, *lines = str(caught.value).splitlines()
    assert head == "17 mistakes in the budgets:"
    assert lines[0].startswith(f"{tmp_path}/archstat.toml:3: model: There is no network")
    assert len(lines) == 17


def test_two_budgets_of_one_name_are_a_mistake_at_the_second(mistakes_of):
    assert mistakes_of(BUDGET + BUDGET) == [
        (4, "the budget on line 1 is also called 'alexnet'; give one of them another name.")
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "write [[budget]]"),
        ("budget = 3\n", 1, "write [[budget]]"),
        ("budget = []\n", 1, "write [[budget]]"),
        ("\nbudget = [3]\n", 2, "this budget is not a table"),
        (f'lock = "x"\n{BUDGET}', 1, "there is no key 'lock' here"),
        (f"[[budgets]]\n{BUDGET}", 1, "Did you mean budget?"),
        (f"{BUDGET}params = 5\n", 4, "this is not TOML"),
        ('[[budget]]\nmodel = "a', 2, "this is not TOML"),
        ("x = " + "[" * 3000, 1, "this is not TOML"),
    ],
)
def test_what_is_no_file_of_budgets_says_where(mistakes_of, text, line, said):
    first, text = mistakes_of(text)[0]
    assert first == line
    assert said in text


def test_byte_order_mark_is_no_mistake(config_of):
    assert len(config_of("\ufeff" + BUDGET).budgets) == 1


def test_windows_line_ends_leave_lines_right(mistakes_of):
    text = BUDGET.replace("61M", "61Q").replace("\n", "\r\n")
    assert [line for line, _ in mistakes_of(text)] == [3]


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_unreadable_file_is_a_mistake(tmp_path, content):
    path = tmp_path / "archstat.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"archstat\.toml cannot be read"):
        load(path)


def test_nearest_file_upwards_is_found(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.archstat]\n")
    assert find_config(below) == tmp_path / "pyproject.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert find_config(below) == tmp_path / "pyproject.toml"
    (tmp_path / "archstat.toml").write_text(BUDGET)
    assert find_config(below) == tmp_path / "archstat.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.archstat\n")
    assert find_config(below) == tmp_path / "a" / "pyproject.toml"


def test_search_ends_at_the_repository(tmp_path):
    (tmp_path / "archstat.toml").write_text(BUDGET)
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    with pytest.raises(ConfigError, match="There are no budgets"):
        find_config(tmp_path / "repository")


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("archstat.toml", "archstat.lock"),
        ("pyproject.toml", "archstat.lock"),
        ("small.toml", "small.lock"),
    ],
)
def test_lock_file_stands_beside_its_budgets(config_of, tmp_path, name, lock):
    head = "[[tool.archstat.budget]]" if name == "pyproject.toml" else "[[budget]]"
    config = config_of(BUDGET.replace("[[budget]]", head), name)
    assert config.lock_path == tmp_path / lock


# -- no text gives a traceback ---------------------------------------------------------------------

_KEYS = st.sampled_from(
    [*(c.key for c in COLUMNS), "name", "model", "input", "max_increase", "informational",
     "message", "modle", "x"]
)  # fmt: skip
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["<= 5M", "1%", "alexnet", "resnet*", "a.py:*", "3x8x8", "m:N", "[", ",,", "~"]
    ),
).map(lambda text: '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"')
_VALUES = st.one_of(
    _TEXTS,
    st.sampled_from(["1", "-1.5", "nan", "true", "[]", '["3x8x8"]', "[1]", "{}", '{params = "1%"}',
                     "{params = 1}", '{x = "1%"}', "1979-05-27"]),
)  # fmt: skip
_BUDGETS = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=5), max_size=3).map(
    lambda budgets: "".join(
        "[[budget]]\n" + "".join(f"{key} = {value}\n" for key, value in budget.items())
        for budget in budgets
    )
)


@settings(max_examples=200)
@given(st.one_of(_BUDGETS, st.text(max_size=80)))
def test_no_text_of_a_config_gives_a_traceback(text):
    path = Path("/nowhere/archstat.toml")
    try:
        config = parse_config(text, path)
    except ConfigError as error:
        assert error.mistakes
        assert all(1 <= m.line <= text.count("\n") + 1 and m.text for m in error.mistakes)
    else:
        assert tomllib.loads(text)["budget"]
        assert all(budget.rules for budget in config.budgets)


# -- layouts ---------------------------------------------------------------------------------------

_TWO = [("a", "resnet18", "params", "<= 1k"), ("b", "resnet18", "macs", "<= 100G")]
LAYOUTS = [
    'budget = [{name="a", model="resnet18", params="<= 1k"}, '
    '{name="b", model="resnet18", macs="<= 100G"}]',
    'budget = [\n{name="a", model="resnet18", params="<= 1k"},\n# a comment\n'
    '{name="b", model="resnet18", macs="<= 100G"},\n]',
    '[[budget]]\nname="a"\nmodel="resnet18"\nparams="<= 1k" # [[budget]]\n'
    '[[budget]]\nname="b"\nmodel="resnet18"\nmacs="<= 100G"',
    '[[ "budget" ]]\n"name"="a"\n\'model\'="resnet18"\nparams = \'<= 1k\'\n'
    '[[budget]]#\nname="b"\nmodel="""resnet18"""\nmacs="""\\\n   <= 100G"""',
]  # fmt: skip


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_every_rule_once(config_of, layout, mark, ends):
    config = config_of(mark + layout.replace("\n", ends))
    found = [(b.name, b.model, r.key, r.text) for b in config.budgets for r in b.rules]
    assert found == _TWO


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_budgets_of_one_name_are_a_mistake_in_every_layout(mistakes_of, layout):
    ((_, text),) = mistakes_of(layout.replace('name="b"', 'name="a"').replace('"name"', "name"))
    assert "is also called 'a'" in text


@pytest.mark.parametrize(
    "text",
    [
        'budget = [{model="vgg16", params="<= 1G"}, {model="vgg16", macs="<= 1T"}]',
        'budget = [{model="vgg*", params="<= 1G"}, {model="vgg16", macs="<= 1T"}]',
        'budget = [{model="vgg16", macs="<= 1T"}, {model="vgg*", params="<= 1G"}]',
        'budget = [{model="vgg*", name="x", macs="< 1G"}, {model="vgg*", name="x", macs="< 1T"}]',
    ],
)  # fmt: skip
def test_budgets_of_one_name_on_one_line_are_a_mistake(mistakes_of, text):
    ((line, said),) = mistakes_of(text)
    assert (line, "is also called" in said) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "9" * 5000,
        "x = 2024-01-01T00:00:00+99:99",
        "x = 1e999",
        "x = " + "[" * 5000,
        'budget = [{model="vgg16", params=1e999}]',
        'budget = [{model="vgg16", params="<= 1e999"}]',
        'budget = [{model="vgg16", max_increase=1e999}]',
        'budget = [{model="vgg16", max_increase={params=inf}}]',
        "budget = [[]]",
        "budget = {}",
        "[budget]\nmodel='vgg16'",
        'budget.model = "vgg16"',
    ],
)
def test_what_is_no_budget_is_a_mistake(mistakes_of, text):
    assert mistakes_of(text)


# -- files -----------------------------------------------------------------------------------------

GOOD = '[[budget]]\nmodel = "vgg16"\nparams = "<= 1G"\n'


@pytest.mark.parametrize("name", ["archstat.toml", "pyproject.toml"])
@pytest.mark.parametrize("kind", ["folder", "dead link", "fifo", "endless"])
def test_file_of_budgets_that_is_no_file_is_an_error_and_none_above_is_taken(tmp_path, name, kind):
    (tmp_path / "archstat.toml").write_text(GOOD)
    path = tmp_path / "inner" / name
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere" if kind == "dead link" else "/dev/zero")
    found = find_config(path.parent)
    assert found == path
    with pytest.raises(ConfigError, match="cannot be read"):
        load(found)


def test_pipe_given_as_a_file_of_budgets_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a regular file"):
        load("/dev/stdin" if not os.path.isfile("/dev/stdin") else "/dev/null")

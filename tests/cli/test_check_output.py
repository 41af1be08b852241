"""`archstat check` on GitHub: annotations, the job's summary, the comment, the action."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.tables.check_markdown import annotation

BUDGETS = """\
[[budget]]
name = "net, 100%: small"
model = "nets.py:Net,width=4"
input = "3x8x8"
params = "<= 100"
macs = "<= 1M"
message = "Ask first.\\nThen ask again."

[[budget]]
name = "watched"
model = "nets.py:Net"
input = "3x8x8"
params = "<= 100"
informational = true
"""


@pytest.fixture
def github(nets, monkeypatch):
    """Write the budgets, and stand where a workflow does."""
    (nets / "archstat.toml").write_text(BUDGETS)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(nets / "summary.md"))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(nets))
    return nets


def undone(text: str) -> str:
    """Undo the escapes of a message as GitHub's runner does."""
    return text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")


COMMAND = re.compile(r"::(error|warning|notice) file=([^,:]*),line=(\d+),title=([^,:]*)::(.*)")


def annotations(out: str) -> list[tuple[str, str, int, str, str]]:
    """Give level, file, line, title and message of every annotation."""
    found = []
    for line in out.splitlines():
        if line.startswith("::"):
            match = COMMAND.fullmatch(line)
            assert match is not None, line
            level, file, number, title, message = match.groups()
            title = undone(title.replace("%3A", ":").replace("%2C", ","))
            found.append((level, file, int(number), title, undone(message)))
    return found


def test_rules_are_annotated_on_their_lines(archstat, github):
    ran = archstat("check", "--format", "github")
    assert ran.code == 1
    broken, watched = annotations(ran.out)
    assert broken[:4] == ("error", "archstat.toml", 5, "params <= 100: broken")
    assert broken[4] == (
        "net, 100%: small: params is 108, the budget says <= 100: 8 (8.0%) too much. "
        "The largest layers: conv (Conv2d) 108, 100.0%. Ask first.\nThen ask again. "
        "Change the model or edit the rule. The rule: archstat.toml:5."
    )
    assert watched[:4] == ("warning", "archstat.toml", 13, "params <= 100: informational")
    assert "verdict" in ran.out.splitlines()[0]


def test_files_are_named_from_the_workspace(archstat, github, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(github.parent))
    (first, *_) = annotations(archstat("check", "-f", "github").out)
    assert first[1] == f"{github.name}/archstat.toml"


def test_model_that_fails_is_annotated_once_at_its_budget(archstat, github):
    (github / "nets.py").write_text("raise RuntimeError('one\\ntwo')")
    ran = archstat("check", "-f", "github")
    assert ran.code == 2
    found = annotations(ran.out)
    assert [entry[:4] for entry in found] == [
        ("error", "archstat.toml", line, "failed") for line in (1, 9)
    ]
    assert "does not import: RuntimeError: one" in found[0][4]


def test_mistakes_are_annotated_on_their_lines(archstat, github):
    (github / "archstat.toml").write_text(BUDGETS.replace("<= 1M", "1M").replace("true", "1"))
    ran = archstat("check", "-f", "github", "-o", "out.md")
    assert ran.code == 2
    found = annotations(ran.out)
    assert [entry[:3] for entry in found] == [
        ("error", "archstat.toml", 6), ("error", "archstat.toml", 14),
    ]  # fmt: skip
    for file in ("summary.md", "out.md"):
        text = (github / file).read_text()
        assert text.startswith("## archstat budgets\n\n❌ **The budgets cannot be checked.**\n")
        assert text.count("\n- archstat.toml:") == 2


def test_stale_lock_file_is_annotated_where_it_must_not_be(archstat, github):
    archstat("check", "--update")
    (github / "archstat.toml").write_text(BUDGETS.replace("width=4", "width=3"))
    levels = [entry[1] for entry in annotations(archstat("check", "-f", "github").out)]
    assert levels == ["archstat.toml"]
    found = annotations(archstat("check", "-f", "github", "--locked").out)
    assert found[1][:4] == ("error", "archstat.lock", 1, "archstat.lock is stale")
    assert "params 108 -> 81" in found[1][4]


def test_damaged_lock_file_is_annotated(archstat, github):
    (github / "archstat.lock").write_text("{")
    ran = archstat("check", "-f", "github")
    assert ran.code == 2
    assert "archstat.lock:1: this lock file cannot be used" in annotations(ran.out)[0][4]


def test_summary_is_appended_to_what_stands_there(archstat, github):
    (github / "summary.md").write_text("# before\n")
    archstat("check", "-f", "github")
    comment = archstat("check", "-f", "markdown").out
    assert (github / "summary.md").read_text() == "# before\n" + comment
    archstat("check", "-f", "github")
    assert (github / "summary.md").read_text() == "# before\n" + comment * 2


def test_summary_that_cannot_be_written_is_an_error(archstat, github, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(github))
    ran = archstat("check", "-f", "github")
    assert ran.code == 2
    assert "GITHUB_STEP_SUMMARY" in ran.err


def test_other_formats_leave_the_summary_alone(archstat, github):
    archstat("check")
    assert not (github / "summary.md").exists()


def test_second_file_has_the_format_of_its_suffix(archstat, github):
    archstat("check", "-f", "github", "-o", "out.csv")
    assert (github / "out.csv").read_text() == archstat("check", "-f", "csv").out


# -- the comment -----------------------------------------------------------------------------------


def test_comment_has_a_fixed_heading_the_rules_and_the_reasons(archstat, github):
    out = archstat("check", "--format", "markdown").out
    lines = out.splitlines()
    assert lines[:3] == [
        "## archstat budgets",
        "",
        "❌ **3 rules: 1 kept, 1 broken, 1 informational.**",
    ]
    assert lines[4:9] == [
        "| budget | rule | value | limit | margin | verdict |",
        "| --- | --- | --: | --: | --: | --- |",
        r"| net, 100%: small | params | 108 | \<= 100 | 8.0% over | ❌ broken |",
        r"| net, 100%: small | macs | 3.89 k | \<= 1M | 99.6% left | ✅ kept |",
        r"| watched | params | 108 | \<= 100 | 8.0% over | 💬 informational |",
    ]
    assert "**net, 100%: small (nets.py:Net,width=4):**" in lines
    assert "- archstat.toml:5: params is 108, the budget says \\<= 100: 8 (8.0%) too much." in lines
    assert "- Ask first. Then ask again." in lines
    assert "<details>" not in out


def test_changed_layers_are_folded(archstat, github):
    archstat("check", "--update")
    (github / "archstat.toml").write_text(BUDGETS.replace("width=4", "width=5"))
    out = archstat("check", "-f", "markdown").out
    details = out[out.index("<details>") :]
    assert details == (
        "<details><summary>net, 100%: small: 1 layer changed since archstat.lock</summary>\n\n"
        "| layer | params | macs |\n| --- | --: | --: |\n"
        "| conv (Conv2d) | +27 (108 -\\> 135) | +972 (3,888 -\\> 4,860) |\n\n</details>\n"
    )
    assert "`archstat check --update` renews it" in out


def test_kept_rules_of_a_long_table_are_folded(archstat, github):
    many = "".join(
        f'[[budget]]\nname = "<b>{n}"\nmodel = "nets.py:Net"\ninput = "3x8x8"\nparams = "<= {n}k"\n'
        for n in range(25)
    )
    (github / "archstat.toml").write_text(many)
    out = archstat("check", "-f", "markdown").out
    before, _, folded = out.partition("<details><summary>24 rules are kept</summary>\n\n|")
    assert before.count("broken") == 2
    assert before.count("✅") == 0
    assert folded.count("✅ kept") == 24
    assert "<b>" not in out.replace("\\<b\\>", "")


def test_comment_never_outgrows_what_github_takes(archstat, github):
    def budgets(width: int) -> str:
        return "".join(
            f'[[budget]]\nname = "{"n" * 900}{n}"\nmodel = "nets.py:Net,width={width}"\n'
            'input = "3x8x8"\nmax_increase = "9%"\n'
            for n in range(60)
        )

    (github / "archstat.toml").write_text(budgets(4))
    archstat("check", "--update")
    (github / "archstat.toml").write_text(budgets(8))
    out = archstat("check", "-f", "markdown").out
    assert len(out) <= 65_536
    assert out.startswith("## archstat budgets\n\n❌ **120 rules: 120 broken.**\n")


# -- escapes ---------------------------------------------------------------------------------------


def test_escapes_are_those_of_github():
    made = annotation("error", "a,b:c%.toml", 7, "x: 1%, y\n", "50%: a, b\r\n::c")
    assert made == (
        "::error file=a%2Cb%3Ac%25.toml,line=7,title=x%3A 1%25%2C y%0A::50%25: a, b%0D%0A::c"
    )


@given(st.text(), st.text())
def test_any_text_stays_on_one_line_and_comes_back(title, message):
    made = annotation("warning", "f", 1, title, message)
    assert "\n" not in made
    assert "\r" not in made
    head, _, data = made.removeprefix("::warning ").partition("::")
    shown = head.partition("title=")[2]
    assert undone(shown.replace("%3A", ":").replace("%2C", ",")) == title
    assert undone(data) == message

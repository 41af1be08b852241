"""`archstat check`: tables, exit codes, the lock file, mistakes of the budgets."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest

from archstat.cli import check_output

NET = '[[budget]]\nname = "net"\nmodel = "nets.py:Net{options}"\ninput = "3x8x8"\n{rules}\n'


@pytest.fixture
def budget(nets):
    """Write archstat.toml with a budget of Net, which has 27 parameters a channel, 4 of them."""

    def write(*rules: str, options: str = "", more: str = "", name: str = "archstat.toml") -> None:
        text = NET.format(rules="\n".join(rules), options=options) + more
        (nets / name).write_text(text, encoding="utf-8")

    return write


def test_rules_that_are_kept(archstat, budget):
    budget(
        'params = "<= 1k"', 'macs = "<= 4k"', 'receptive_field = ">= 3"', 'param_bytes = "== 432B"'
    )
    ran = archstat("check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "budget  rule              value     limit      margin  verdict\n"
        "──────────────────────────────────────────────────────────────\n"
        "net     params              108     <= 1k  89.2% left  ✓ kept\n"
        "net     macs             3.89 k     <= 4k   2.8% left  ✓ kept\n"
        "net     receptive_field     3x3      >= 3   none left  ✓ kept\n"
        "net     param_bytes       432 B  == 432 B       exact  ✓ kept\n\n"
        "4 rules: 4 kept.\n"
    )


def test_broken_rule_names_rule_file_line_and_layers(archstat, budget):
    budget('params = "<= 100"', 'message = "Ask first."')
    ran = archstat("check")
    assert ran.code == 1
    assert ran.err == ""
    assert ran.out.split("\n")[3:] == [
        "",
        "net (nets.py:Net):",
        "  archstat.toml:5: params is 108, the budget says <= 100: 8 (8.0%) too much.",
        "    The largest layers: conv (Conv2d) 108, 100.0%.",
        "  Ask first.",
        "  Change the model or edit the rule.",
        "",
        "1 rule: 1 broken.",
        "",
    ]


def test_narrow_terminal_loses_no_verdict_and_indents_the_reasons(archstat, budget, monkeypatch):
    budget('params = "<= 100"', 'param_bytes = "<= 100MiB"')
    archstat("check", "--update")
    monkeypatch.setattr(check_output, "screen_width", lambda path: 60)
    out = archstat("check").out
    assert "change" not in out
    assert "net params 108 <= 100 8.0% over ✗ broken" in [
        " ".join(x.split()) for x in out.split("\n")
    ]
    assert (
        "  archstat.toml:5: params is 108, the budget says <= 100: 8\n      (8.0%) too much.\n"
        in out
    )
    monkeypatch.setattr(check_output, "screen_width", lambda path: 120)
    assert "same" in archstat("check").out


def test_exact_numbers_where_rounding_would_hide_the_difference(archstat, budget):
    budget('macs = "<= 3.887k"', options="")
    assert "3,888  <= 3,887  1 over  ✗ broken" in archstat("check").out
    budget('macs = "<= 3.95k"')
    assert "3.89 k  <= 3.95k  1.6% left  ✓ kept" in archstat("check").out


def test_informational_rule_fails_nothing(archstat, budget):
    budget('params = "<= 100"', "informational = true")
    ran = archstat("check")
    assert (ran.code, ran.err) == (0, "")
    assert "8.0% over  ~ informational" in ran.out
    assert "Informational: it does not fail the check." in ran.out
    assert "Change the model" not in ran.out


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nets.py:raising", "nets.py:raising does not build: RuntimeError: no such table"),
        ("nets.py:leaving", "does not build: SystemExit"),
        ("nets.py:Nett", "Did you mean Net"),
        ("none.py:Net", "There is no file none.py"),
        ("no_such_module:Net", "There is no module 'no_such_module'"),
        ("nets.py:Pair", "This model runs with"),
    ],
)
def test_model_that_fails_is_2_and_the_others_are_judged(archstat, budget, model, said):
    more = f'\n[[budget]]\nname = "bad"\nmodel = "{model}"\ninput = "3x8x8"\nparams = "<= 1"\n'
    budget('params = "<= 100"', more=more + "informational = true\n")
    ran = archstat("check")
    assert ran.code == 2
    assert "8.0% over  ✗ broken" in ran.out
    assert "archstat.toml:7: the model cannot be measured: " in ran.out
    assert said in ran.out
    assert "2 rules: 1 broken, 1 failed." in ran.out


def test_rule_on_an_incomplete_count_is_3_and_names_the_operation(archstat, nets, unknown):
    text = f'[[budget]]\nname = "net"\nmodel = "{unknown}"\nparams = "<= 1k"\nmacs = "<= 1G"\n'
    (nets / "archstat.toml").write_text(text)
    ran = archstat("check")
    assert ran.code == 3
    assert "incomplete" in ran.out
    assert ">= 3.89 k" in ran.out
    assert "swirl" in ran.out
    assert "2 rules: 1 kept, 1 incomplete." in ran.out
    (nets / "archstat.toml").write_text(text.replace("1G", "1k"))
    assert archstat("check").code == 1


def test_column_that_a_model_has_not_is_2(archstat, nets):
    source = "from torch import nn\n\ndef flat():\n    return nn.Linear(8, 2)\n"
    (nets / "flat.py").write_text(source)
    rules = 'params = "<= 18"\nreceptive_field = ">= 1"'
    text = f'[[budget]]\nmodel = "flat.py:flat"\ninput = "8"\n{rules}\n'
    (nets / "archstat.toml").write_text(text)
    ran = archstat("check")
    assert ran.code == 2
    assert "has no receptive_field (it has no spatial axes)" in ran.out
    assert "2 rules: 1 kept, 1 failed." in ran.out


# -- formats ---------------------------------------------------------------------------------------


def test_csv_and_json_have_raw_numbers_a_row_a_rule(archstat, budget):
    budget('params = "<= 1k"', 'receptive_field = ">= 4"')
    raw = list(csv.DictReader(io.StringIO(archstat("check", "-f", "csv").out)))
    document = json.loads(archstat("check", "--format", "json").out)
    first, second = document["rows"]
    assert first["value"] == 108
    assert (first["limit"], first["margin"], first["verdict"]) == (1000, 892, "kept")
    assert (first["rule"], first["file"], first["line"]) == ("params <= 1k", "archstat.toml", 5)
    assert (second["value"], second["margin"], second["verdict"]) == ([3, 3], -1, "broken")
    assert "archstat.toml:6" in second["message"]
    assert document["counts"] == {"broken": 1, "kept": 1}
    assert (document["exit_code"], document["schema_version"]) == (1, 1)
    assert [row["value"] for row in raw] == ["108", "3x3"]
    assert [list(row) for row in raw] == [list(first)] * 2


def test_reasons_go_to_standard_error_where_standard_output_is_for_machines(archstat, budget):
    budget('params = "<= 100"')
    for arguments in (["-f", "csv"], ["-f", "json"], ["-o", "out.md"]):
        ran = archstat("check", *arguments)
        assert ran.code == 1
        assert "archstat.toml:5: params is 108" in ran.err


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.md", "out.txt"])
def test_suffix_chooses_the_format(archstat, budget, nets, name):
    budget('params = "<= 1k"')
    form = {"csv": "csv", "json": "json", "md": "markdown", "txt": "console"}[name[4:]]
    assert archstat("check", "-o", name) == (0, "", "")
    assert (nets / name).read_text() == archstat("check", "--format", form).out


def test_unknown_format_is_refused_before_any_work(archstat, budget):
    budget('params = "nonsense"')
    ran = archstat("check", "--format", "xml")
    assert ran.code == 2
    assert "There is no format 'xml'" in ran.err


def test_same_budgets_give_the_same_bytes(archstat, budget):
    budget('params = "<= 100"', 'macs = "<= 1k"')
    assert archstat("check", "-f", "json") == archstat("check", "-f", "json")


# -- the file of budgets ---------------------------------------------------------------------------


def test_all_mistakes_are_one_message_and_nothing_runs(archstat, budget):
    budget(
        'params = "5M"', 'marcs = "<= 1G"', more='[[budget]]\nmodel = "nets.py"\nmacs = "<= 1"\n'
    )
    ran = archstat("check")
    assert (ran.code, ran.out) == (2, "")
    head, *lines = ran.err.splitlines()
    assert head == "archstat: 3 mistakes in the budgets:"
    assert [line.split(" ")[0] for line in lines] == [f"archstat.toml:{n}:" for n in (5, 6, 8)]


def test_without_budgets_the_message_shows_one(archstat, nets):
    ran = archstat("check")
    assert (ran.code, ran.out) == (2, "")
    assert "[[budget]]" in ran.err
    assert archstat("check", "--config", "none.toml").err == (
        "archstat: none.toml cannot be read: No such file or directory.\n"
    )


def test_budgets_are_found_from_below(archstat, budget, nets, monkeypatch):
    budget('params = "<= 100"')
    (nets / "below").mkdir()
    monkeypatch.chdir(nets / "below")
    ran = archstat("check")
    assert ran.code == 1
    assert "../archstat.toml:5: params is 108" in ran.out
    assert os.getcwd() == str(nets / "below")
    assert archstat("check", "--update").code == 1
    assert (nets / "archstat.lock").is_file()


# -- the lock file ---------------------------------------------------------------------------------


def test_update_writes_the_record_and_locked_holds_models_to_it(archstat, budget, nets):
    budget('params = "<= 1k"', 'max_increase = "10%"')
    missing = archstat("check", "--locked")
    assert missing.code == 2
    assert "run `archstat check --update`" in missing.out
    ran = archstat("check", "--update")
    assert (ran.code, ran.err) == (0, "")
    assert "archstat.lock is new: commit it.\n" in ran.out
    lock = json.loads((nets / "archstat.lock").read_text())
    assert lock["budgets"]["net"]["totals"] == {"macs": 3888, "params": 108}
    assert lock["budgets"]["net"]["layers"] == [
        {"macs": 3888, "module": "conv", "params": 108, "type": "Conv2d"}
    ]
    assert archstat("check", "--locked").code == 0
    assert "archstat.lock is up to date." in archstat("check", "--update").out


def test_locked_fails_when_the_model_is_another_and_says_how(archstat, budget):
    budget('params = "<= 1k"')
    assert archstat("check", "--update").code == 0
    budget('params = "<= 1k"', options=",width=5")
    plain = archstat("check")
    assert plain.code == 0
    assert "+25.0%" in plain.out
    assert "archstat.lock is stale, `archstat check --update` renews it: net: model" in plain.out
    locked = archstat("check", "--locked")
    assert locked.code == 1
    assert "archstat.lock is stale; run `archstat check --update` and commit it" in locked.err
    assert "params 108 -> 135" in locked.err
    renewed = archstat("check", "--update")
    said = "archstat.lock is renewed:\n    net: model nets.py:Net -> nets.py:Net,width=5"
    assert said in renewed.out
    assert archstat("check", "--locked").code == 0


def test_locked_without_a_lock_file_is_1(archstat, budget):
    budget('params = "<= 1k"')
    ran = archstat("check", "--locked")
    assert ran.code == 1
    assert "net is not in it" in ran.err


def test_broken_rule_names_the_layers_that_grew_since(archstat, budget):
    budget('params = "<= 1k"', 'max_increase = "10%"')
    archstat("check", "--update")
    budget('params = "<= 120"', 'max_increase = "10%"', options=",width=5")
    ran = archstat("check")
    assert ran.code == 1
    assert "params, at most 10% above lock    135  +25.0%  <= 118  14.4% over  ✗ broken" in ran.out
    said = "archstat.toml:6: params is 135, the budget says <= 118 (10% above the lock file)"
    assert said in ran.out
    assert ran.out.count("Grew since the lock file: conv (Conv2d) +27 (108 -> 135).") == 1
    assert "or accept it with `archstat check --update`" in ran.out


def test_update_and_locked_are_not_asked_together(archstat, budget):
    budget('params = "<= 1k"')
    ran = archstat("check", "--update", "--locked")
    assert (ran.code, ran.out) == (2, "")
    assert "--locked takes no --update" in ran.err


@pytest.mark.parametrize("arguments", [(), ("--update",), ("--locked",)])
def test_damaged_lock_file_is_2_and_stays_as_it_is(archstat, budget, nets, arguments):
    budget('params = "<= 1k"')
    damaged = '{\n  "archstat": "0.1.0",\n<<<<<<< ours\n'
    (nets / "archstat.lock").write_text(damaged)
    ran = archstat("check", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "archstat.lock:3: this lock file cannot be used" in ran.err
    assert (nets / "archstat.lock").read_text() == damaged


def test_update_with_a_model_that_fails_writes_nothing(archstat, budget, nets):
    budget('params = "<= 1k"')
    archstat("check", "--update")
    before = (nets / "archstat.lock").read_bytes()
    budget('params = "<= 1k"', options=",width=no")
    ran = archstat("check", "--update")
    assert ran.code == 2
    assert "archstat.lock was not written" in ran.out
    assert (nets / "archstat.lock").read_bytes() == before


def test_update_records_what_is_broken_and_still_fails(archstat, budget, nets):
    budget('params = "<= 100"')
    assert archstat("check", "--update").code == 1
    assert (nets / "archstat.lock").is_file()


# -- without a file, and the first one -------------------------------------------------------------


def test_rules_of_the_command_line_need_no_file(archstat, nets):
    ran = archstat("check", "nets.py:Net", "params<=100", "macs<=4k", "--input", "3x8x8")
    assert (ran.code, ran.err) == (1, "")
    assert "command line: params is 108" in ran.out
    assert "2 rules: 1 kept, 1 broken." in ran.out
    assert not (nets / "archstat.lock").exists()


def test_annotation_of_the_command_line_names_no_file(archstat, nets):
    ran = archstat("check", "nets.py:Net", "params<=100", "--input", "3x8x8", "-f", "github")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=")


@pytest.mark.parametrize("option", ["--update", "--locked"])
def test_options_of_files_take_no_model(archstat, nets, option):
    ran = archstat("check", "nets.py:Net", "params<=100", option)
    assert (ran.code, ran.out) == (2, "")
    assert f"{option} takes no MODEL" in ran.err


def test_init_writes_a_file_that_is_kept_and_replaces_none(archstat, nets):
    arguments = ("check", "--init", "nets.py:Net", "--input", "3x8x8")
    ran = archstat(*arguments)
    assert (ran.code, ran.err) == (0, "")
    text = (nets / "archstat.toml").read_text()
    assert text in ran.out
    assert 'params = "<= 115"' in text  # 3*4*9 = 108, and 5 % more
    assert archstat("check").code == 0
    again = archstat(*arguments)
    assert (again.code, again.out) == (2, "")
    assert "--force replaces it" in again.err
    assert 'model = "nets.py:Net"' in again.err  # to be added by hand
    assert archstat(*arguments, "--force").code == 0


def test_init_without_a_model_and_force_without_init_are_2(archstat, nets):
    assert "--init needs a MODEL" in archstat("check", "--init").err
    assert "--force needs --init" in archstat("check", "--force").err


def test_many_times_a_limit_is_said_as_such(archstat, budget):
    budget('params = "<= 5"')
    out = archstat("check").out
    assert "22x over" in out
    assert "103 too much, 22x the limit." in out

"""Code of a user's ends no check: each way out is a failed rule, and the others are judged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from archstat.budgets import gate
from archstat.errors import UnjudgedBudgetError

NETS = """
import os, signal, sys, threading
from torch import nn

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def leave(how):
    if how == "exit":
        sys.exit(0)
    if how == "_exit":
        os._exit(0)
    if how == "closed":
        os.closerange(3, 200)
    if how == "printing":
        os.write(1, b"1 rule: 1 kept.\\n")
    if how == "thread":
        threading.Thread(target=threading.Event().wait).start()
    if how == "forked" and os.fork() == 0:
        os._exit(0)
    if how == "group":
        os.killpg(0, signal.SIGTERM)
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    if how.startswith("raise "):
        raise eval(how[6:])

class Net(nn.Linear):
    def __init__(self, built: str = "", run: str = ""):
        super().__init__(4, 4)
        leave(built)
        self.run = run

    def forward(self, x):
        leave(self.run)
        return super().forward(x)
"""
BOTH = """
[[budget]]
name = "user"
model = "{}"
input = "4"
params = "<= 20"
macs = "<= 16"
[[budget]]
model = "lenet5"
params = "<= 1M"
"""
ENDS = [
    "exit", "_exit", "closed", "group", "SIGTERM", "SIGKILL", "SIGSEGV", "SIGABRT",
    *(f"raise {error}" for error in (
        "KeyboardInterrupt", "GeneratorExit", "BaseException", "SystemExit(0)", "Mute",
        "MemoryError",
        "RecursionError", "StopIteration", "BrokenPipeError", "ValueError", "ImportError",
    )),
]  # fmt: skip


@pytest.fixture
def nets(tmp_path):
    """The file of the networks that leave."""
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def states(outcome):
    """The verdicts of each budget."""
    return {one.budget.name: [v.state for v in one.verdicts] for one in outcome.judged}


@pytest.mark.parametrize("place", ["built", "run"])
@pytest.mark.parametrize("how", ENDS)
def test_network_that_ends_its_process_fails_alone(nets, config_of, how, place):
    outcome = gate.check(config_of(BOTH.format(f"nets.py:Net,{place}={how}")), None)
    assert states(outcome) == {"user": ["failed", "failed"], "lenet5": ["kept"]}
    assert outcome.exit_code() == 2
    assert outcome.new_lock() is None


@pytest.mark.parametrize("how", ENDS)
def test_file_that_ends_its_process_on_import_fails_alone(nets, config_of, how):
    (nets / "ends.py").write_text(f"{NETS}\nleave({how!r})\n")
    outcome = gate.check(config_of(BOTH.format("ends.py:Net")), None)
    assert states(outcome) == {"user": ["failed", "failed"], "lenet5": ["kept"]}


@pytest.mark.parametrize("how", ["", "forked", "printing", "SIGINT", "SIGCHLD"])
def test_network_that_only_tries_is_judged(nets, config_of, capfd, how):
    outcome = gate.check(config_of(BOTH.format(f"nets.py:Net,run={how}")), None)
    assert states(outcome) == {"user": ["kept", "kept"], "lenet5": ["kept"]}
    assert capfd.readouterr().out == ""


def test_work_that_a_thread_may_still_do_leaves_macs_open(nets, config_of):
    outcome = gate.check(config_of(BOTH.format("nets.py:Net,run=thread")), None)
    assert states(outcome) == {"user": ["kept", "incomplete"], "lenet5": ["kept"]}


def test_process_in_between_that_is_killed_fails_all_of_the_users(nets, config_of):
    (nets / "kills.py").write_text(f"{NETS}\nos.kill(os.getppid(), 9)\n")
    outcome = gate.check(config_of(BOTH.format("kills.py:Net")), None)
    assert states(outcome) == {"user": ["failed", "failed"], "lenet5": ["kept"]}


def test_several_at_once_come_in_order(nets, config_of):
    budgets = "".join(
        f'[[budget]]\nname = "{n}"\nmodel = "nets.py:Net,run={how}"\n'
        'input = "4"\nparams = "== 20"\n'
        for n, how in enumerate(["", "_exit", "SIGINT", "SIGKILL", "thread"])
    )
    outcome = gate.check(config_of(budgets), None, workers=3)
    assert list(states(outcome).values()) == [
        [s] for s in ("kept", "failed", "kept", "failed", "kept")
    ]


def test_users_code_is_never_run_in_this_process(nets, config_of):
    (nets / "tells.py").write_text(f"{NETS}\nopen('pid', 'w').write(str(os.getpid()))\n")
    gate.check(config_of(BOTH.format("tells.py:Net")), None)
    assert int((nets / "pid").read_text()) != os.getpid()


@pytest.mark.slow
def test_spawned_processes_do_as_forked_ones(nets):
    """Where there is no safe fork, each process starts anew."""
    (nets / "archstat.toml").write_text(BOTH.format("nets.py:Net,run=_exit"))
    (nets / "own.py").write_text(
        "import multiprocessing, sys\n"
        "from archstat.budgets import gate\n"
        "from archstat.budgets.reading import load\n"
        "if __name__ == '__main__':\n"
        "    get = multiprocessing.get_context\n"
        "    multiprocessing.get_context = lambda method=None: get('spawn')\n"
        "    outcome = gate.check(load('archstat.toml'), None)\n"
        "    print([v.state for one in outcome.judged for v in one.verdicts])\n"
    )
    done = subprocess.run(
        [sys.executable, "own.py"], cwd=nets, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['failed', 'failed', 'kept']\n", done.stderr


# -- wildcards -------------------------------------------------------------------------------------

WILD = '[[budget]]\nmodel = "{}"\ninput = "4"\nparams = "<= 20"\n'


@pytest.mark.parametrize(
    "how", ["exit", "_exit", "SIGKILL", "raise KeyboardInterrupt", "raise OSError"]
)
@pytest.mark.parametrize("name", ["pkg/other.py", "pkg/other/__init__.py"])
def test_module_that_a_wildcard_reaches_and_that_does_not_import_fails_the_check(
    nets, config_of, how, name
):
    (nets / name).parent.mkdir(parents=True, exist_ok=True)
    (nets / "pkg" / "__init__.py").write_text("")
    (nets / "pkg" / "good.py").write_text(NETS)
    (nets / name).write_text(f"from nets import leave\nleave({how!r})\n")
    config = config_of(WILD.format("pkg.*:Net"))
    assert [budget.model for budget in config.budgets] == ["pkg.good:Net"]
    with pytest.raises(UnjudgedBudgetError, match=r"a wildcard reaches pkg\.other"):
        gate.check(config, None)


def test_module_without_such_a_name_is_passed_over_where_it_imports(nets, config_of):
    (nets / "w").mkdir()
    (nets / "w" / "good.py").write_text(NETS)
    (nets / "w" / "blocks.py").write_text("class Block: ...\n")
    outcome = gate.check(config_of(WILD.format("w/*.py:Net")), None)
    assert states(outcome) == {"w/good.py:Net": ["kept"]}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("if True:\n    class Big(Net):\n        def __init__(s): super().__init__(4, 9)\n", 2),
        ("Big = nn.Linear(4, 40)\n", 1),
        ("Big = object()\n", 2),
        ("Big = 3\n", 0),
    ],
)  # fmt: skip
def test_name_under_a_condition_or_by_assignment_is_judged(nets, config_of, text, code):
    (nets / "more.py").write_text(NETS + text)
    outcome = gate.check(config_of(WILD.format("more.py:[BN]*")), None)
    assert outcome.exit_code() == code


# -- more ways out, in a constructor ---------------------------------------------------------------

OUT = {
    "a thread": "threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(9)",
    "an alarm": "signal.setitimer(signal.ITIMER_REAL, 0.001); time.sleep(9)",
    "another program": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "when it is lost": "type('D', (), {'__del__': lambda s: os._exit(0)})()",
    "a collection": "import gc; gc.callbacks.append(lambda *given: os._exit(0)); gc.collect()",
    "an import": "sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *g: os._exit(0)})());"
    "import nowhere",
    "a group of errors": "raise BaseExceptionGroup('two', [KeyboardInterrupt(), ValueError()])",
    "all descriptors closed": "os.closerange(0, 300)",
    "no end": "self.__init__()",
    "no memory": "bytearray(1 << 62)",
    "an error of odd text": "raise ValueError('\\udcff\\x1b[2J' + 'x' * 10**6)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="signals and descriptors")
@pytest.mark.parametrize("how", OUT)
def test_constructor_that_ends_its_process_fails_alone(nets, config_of, how):
    (nets / "out.py").write_text(
        f"{NETS}\nimport time\nclass Out(nn.Linear):\n    def __init__(self):\n"
        f"        super().__init__(4, 4)\n        {OUT[how]}\n"
    )
    outcome = gate.check(config_of(BOTH.format("out.py:Out")), None)
    assert states(outcome) == {"user": ["failed", "failed"], "lenet5": ["kept"]}
    assert outcome.exit_code() == 2


@pytest.mark.parametrize("what", ["atexit.register(os._exit, 0)", "sys.stdout.close()",
                                  "os.chdir('/')", "atexit.register(lambda: 1 / 0)"])  # fmt: skip
def test_what_a_constructor_leaves_for_the_end_ends_no_check(nets, config_of, what):
    (nets / "out.py").write_text(
        f"{NETS}\nimport atexit\nclass Out(nn.Linear):\n    def __init__(self):\n"
        f"        super().__init__(4, 4)\n        {what}\n"
    )
    outcome = gate.check(config_of(BOTH.format("out.py:Out")), None)
    assert states(outcome) == {"user": ["kept", "kept"], "lenet5": ["kept"]}

"""Objects by dotted name or file, what a broken file says, and names that are nearly right."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import LookupFailedError
from archstat.hints import as_known, did_you_mean, nearest, shortened, spelled_alike
from archstat.models.users_code import candidates, load_attribute


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files into an empty working directory; imports of the test are forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield make
    for name in set(sys.modules) - known:
        if name.startswith(("_archstat_", "sibling", "own_")):
            del sys.modules[name]


# -- what is found ---------------------------------------------------------------------------------


def test_attribute_of_an_installed_module_is_found():
    assert load_attribute("os.path", "join") is os.path.join


def test_dotted_attribute_of_a_file_is_found(write):
    write("nets.py", "class Outer:\n    class Inner:\n        depth = 18\n")
    assert load_attribute("nets.py", "Outer.Inner.depth") == 18


def test_module_of_the_working_directory_is_found(write):
    write("own_package/__init__.py", "")
    write("own_package/nets.py", "WIDTH = 3\n")
    assert load_attribute("own_package.nets", "WIDTH") == 3


@pytest.mark.parametrize("spelling", ["nets/mine.py", "./nets/mine.py", "nets/../nets/mine.py"])
def test_file_is_found_by_any_path_to_it(write, spelling):
    write("nets/mine.py", "WIDTH = 3\n")
    assert load_attribute(spelling, "WIDTH") == 3


def test_file_is_found_by_an_absolute_path(write, tmp_path):
    write("nets/mine.py", "WIDTH = 3\n")
    assert load_attribute(str(tmp_path / "nets" / "mine.py"), "WIDTH") == 3


def test_file_whose_name_is_no_identifier_is_found(write):
    write("my-net v2.py", "WIDTH = 3\n")
    assert load_attribute("my-net v2.py", "WIDTH") == 3


def test_file_may_import_what_lies_beside_it(write):
    write("nets/sibling_blocks.py", "WIDTH = 3\n")
    write("nets/mine.py", "from sibling_blocks import WIDTH\n")
    assert load_attribute("nets/mine.py", "WIDTH") == 3


def test_two_files_of_one_name_are_two_modules(write):
    write("old/net.py", "WIDTH = 1\n")
    write("new/net.py", "WIDTH = 2\n")
    assert load_attribute("old/net.py", "WIDTH") == 1
    assert load_attribute("new/net.py", "WIDTH") == 2


def test_two_files_that_import_neighbours_of_one_name_get_each_its_own(write):
    for folder, width in (("old", 1), ("new", 2)):
        write(f"{folder}/sibling_shared.py", f"WIDTH = {width}\n")
        write(f"{folder}/net.py", "from sibling_shared import WIDTH\n")
    assert load_attribute("old/net.py", "WIDTH") == 1
    assert load_attribute("new/net.py", "WIDTH") == 2


def test_file_is_run_once_while_it_stays_the_same(write):
    write("nets.py", "MARK = object()\n")
    assert load_attribute("nets.py", "MARK") is load_attribute("nets.py", "MARK")


def test_edited_file_is_read_anew(write):
    path = write("nets.py", "WIDTH = 3\n")
    assert load_attribute("nets.py", "WIDTH") == 3
    write("nets.py", "WIDTH = 4\n")
    stamp = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(stamp, stamp))
    assert load_attribute("nets.py", "WIDTH") == 4


def test_classes_of_a_file_know_their_module(write):
    write(
        "nets.py", "from dataclasses import dataclass\n\n@dataclass\nclass Net:\n    w: 'int' = 1\n"
    )
    found = load_attribute("nets.py", "Net")
    assert sys.modules[found.__module__].Net is found


def test_file_of_a_package_may_import_relatively(write):
    write("src/own_pkg/__init__.py", "")
    write("src/own_pkg/blocks.py", "WIDTH = 3\n")
    write("src/own_pkg/models/__init__.py", "")
    write("src/own_pkg/models/net.py", "from ..blocks import WIDTH\n")
    assert load_attribute("src/own_pkg/models/net.py", "WIDTH") == 3
    assert "own_pkg.models.net" in sys.modules


def test_files_of_two_packages_of_one_name_get_each_its_own(write):
    for folder, width in (("old", 1), ("new", 2)):
        write(f"{folder}/own_pkg/__init__.py", "")
        write(f"{folder}/own_pkg/blocks.py", f"WIDTH = {width}\n")
        write(f"{folder}/own_pkg/net.py", "from .blocks import WIDTH\n")
    assert load_attribute("old/own_pkg/net.py", "WIDTH") == 1
    assert load_attribute("new/own_pkg/net.py", "WIDTH") == 2
    assert load_attribute("old/own_pkg/net.py", "WIDTH") == 1


def test_file_of_a_package_is_run_once_until_a_source_of_the_package_changes(write):
    write("own_pkg/__init__.py", "")
    path = write("own_pkg/blocks.py", "MARK = object()\n")
    write("own_pkg/net.py", "from .blocks import MARK\n")
    first = load_attribute("own_pkg/net.py", "MARK")
    assert load_attribute("own_pkg/net.py", "MARK") is first
    stamp = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(stamp, stamp))
    assert load_attribute("own_pkg/net.py", "MARK") is not first


def test_package_that_does_not_import_gives_its_own_error(write):
    write("own_pkg/__init__.py", "")
    write("own_pkg/net.py", "from .absent import WIDTH\n")
    with pytest.raises(
        LookupFailedError, match=r"own_pkg/net\.py does not import.*own_pkg\.absent"
    ):
        load_attribute("own_pkg/net.py", "WIDTH")


def test_relative_import_outside_of_a_package_says_what_to_write(write):
    write("src/pkg/net.py", "from .blocks import WIDTH\n")
    with pytest.raises(LookupFailedError, match=r"or write src\.pkg\.net:NAME"):
        load_attribute("src/pkg/net.py", "WIDTH")


def test_relative_import_that_may_fail_is_let_to(write):
    write("nets/sibling_blocks.py", "WIDTH = 3\n")
    text = "try:\n    from .sibling_blocks import WIDTH\n"
    write("nets/mine.py", f"{text}except ImportError:\n    from sibling_blocks import WIDTH\n")
    assert load_attribute("nets/mine.py", "WIDTH") == 3


# -- what is not found -----------------------------------------------------------------------------


def test_missing_file_is_named():
    with pytest.raises(LookupFailedError, match=r"There is no file nets/absent\.py"):
        load_attribute("nets/absent.py", "Net")


def test_folder_that_is_named_like_a_file_is_no_file(write, tmp_path):
    (tmp_path / "nets.py").mkdir()
    with pytest.raises(LookupFailedError, match=r"There is no file nets\.py"):
        load_attribute("nets.py", "Net")


def test_missing_module_is_named_with_where_it_was_looked_for(write, tmp_path):
    with pytest.raises(LookupFailedError) as failure:
        load_attribute("absent_package.nets", "Net")
    assert "There is no module 'absent_package'" in str(failure.value)
    assert str(tmp_path) in str(failure.value)


def test_missing_submodule_is_named_in_full(write):
    write("own_parent/__init__.py", "")
    with pytest.raises(LookupFailedError, match=r"There is no module 'own_parent\.absent'"):
        load_attribute("own_parent.absent", "Net")


def test_module_that_is_no_name_is_refused():
    with pytest.raises(LookupFailedError):
        load_attribute("..", "Net")


def test_misspelt_attribute_gets_the_nearest_name(write):
    write("nets.py", "class SmallNet: ...\nclass Other: ...\n")
    with pytest.raises(LookupFailedError) as failure:
        load_attribute("nets.py", "SmalNet")
    assert str(failure.value) == "nets.py has no attribute 'SmalNet'. Did you mean SmallNet?"


def test_attribute_unlike_any_gets_the_public_names(write):
    write("nets.py", "class SmallNet: ...\ndef _hidden(): ...\n")
    with pytest.raises(LookupFailedError, match="It has SmallNet") as failure:
        load_attribute("nets.py", "zzz")
    assert "_hidden" not in str(failure.value)


def test_misspelt_part_of_a_dotted_attribute_is_the_one_named(write):
    write("nets.py", "class Outer:\n    depth = 18\n")
    with pytest.raises(LookupFailedError, match=r"'dept'.* Did you mean depth\?"):
        load_attribute("nets.py", "Outer.dept")


def test_attribute_of_something_without_attributes_is_missing(write):
    write("nets.py", "WIDTH = 3\n")
    with pytest.raises(LookupFailedError, match="no attribute 'wide'"):
        load_attribute("nets.py", "WIDTH.wide")


def test_attribute_whose_lookup_raises_gives_that_error(write):
    write("nets.py", "def __getattr__(name):\n    raise ImportError('needs scipy')\n")
    with pytest.raises(LookupFailedError, match="ImportError: needs scipy"):
        load_attribute("nets.py", "Net")


# -- files that do not import ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('no data\\nsecond line')\n", "ValueError: no data (nets.py:2)"),
        ("\nimport absent_dependency\n", "No module named 'absent_dependency' (nets.py:2)"),
        ("import sys\nsys.exit('run train.py')\n", "SystemExit: run train.py (nets.py:2)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (nets.py:2)"),
        ("raise RuntimeError\n", "RuntimeError (nets.py:1)"),
        ("assert 1 == 2, 'sizes'\n", "AssertionError: sizes (nets.py:1)"),
        ("from . import blocks\n", "with no known parent package (nets.py:1). Put an __init__.py"),
    ],
    ids=["raise", "missing import", "exit with text", "exit", "bare", "assert", "relative"],
)
@pytest.mark.parametrize("target", ["nets.py", "./nets.py"])
def test_file_that_raises_at_import_gives_its_own_error_and_line(write, target, text, message):
    write("nets.py", text)
    with pytest.raises(LookupFailedError) as failure:
        load_attribute(target, "Net")
    assert message in str(failure.value)
    assert "does not import" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_module_that_raises_at_import_gives_its_own_error_and_line(write):
    write("own_raising.py", "\n\nraise ValueError('no data')\n")
    with pytest.raises(LookupFailedError) as failure:
        load_attribute("own_raising", "Net")
    assert str(failure.value) == (
        "own_raising does not import: ValueError: no data (own_raising.py:3)"
    )


def test_module_that_wants_an_absent_one_names_that_one(write):
    write("own_wanting.py", "import absent_dependency\n")
    with pytest.raises(LookupFailedError, match=r"own_wanting does not import.*absent_dependency"):
        load_attribute("own_wanting", "Net")


@pytest.mark.parametrize(
    ("text", "line"), [("def f(:\n    pass\n", 1), ("x = 1\ny = (2\n", 2), ("if x:\npass\n", 2)]
)
def test_syntax_error_gives_the_line_of_the_file(write, text, line):
    write("nets.py", text)
    with pytest.raises(LookupFailedError, match=rf"SyntaxError|IndentationError.*nets\.py:{line}"):
        load_attribute("nets.py", "Net")


def test_file_that_is_not_text_does_not_import(write, tmp_path):
    (tmp_path / "nets.py").write_bytes(b"\x00\x01\xff")
    with pytest.raises(LookupFailedError, match=r"nets\.py does not import"):
        load_attribute("nets.py", "Net")


def test_error_of_a_neighbour_gives_the_neighbours_line(write):
    write("sibling_deep.py", "def read():\n    raise OSError('no data')\n")
    write("nets.py", "import sibling_deep\nsibling_deep.read()\n")
    with pytest.raises(LookupFailedError, match=r"OSError: no data \(sibling_deep\.py:2\)"):
        load_attribute("nets.py", "Net")


def test_file_that_failed_is_tried_again(write):
    write("nets.py", "import absent_dependency\n")
    with pytest.raises(LookupFailedError):
        load_attribute("nets.py", "WIDTH")
    write("nets.py", "WIDTH = 3\n")
    assert load_attribute("nets.py", "WIDTH") == 3


def test_interrupt_during_an_import_is_not_swallowed(write):
    write("nets.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_attribute("nets.py", "Net")


def test_error_of_a_file_keeps_its_cause(write):
    write("nets.py", "raise ValueError('no data')\n")
    with pytest.raises(LookupFailedError) as failure:
        load_attribute("nets.py", "Net")
    assert isinstance(failure.value.__cause__, ValueError)


# -- names -----------------------------------------------------------------------------------------


def test_nearest_names_come_best_first_and_at_most_three():
    names = ["resnet18", "resnet34", "resnet50", "resnet101", "vgg16"]
    assert nearest("resnet5", names)[0] == "resnet50"
    assert len(nearest("resnet", names)) == 3


def test_nearest_name_does_not_mind_capitals():
    assert nearest("VGG16", ["vgg16", "alexnet"]) == ["vgg16"]
    assert nearest("smallnet", ["SmallNet", "Other"]) == ["SmallNet"]


def test_names_that_begin_so_come_in_natural_order_and_before_others():
    names = ["net101", "resnet", "net18_tiny", "net18", "net50"]
    assert nearest("net", names, 4) == ["net18", "net50", "net101", "net18_tiny"]
    assert did_you_mean("Net", names) == " Did you mean net18, 50, 101, net18_tiny?"


def test_more_names_than_are_shown_are_hinted_at():
    assert did_you_mean("b", ["b"]) == " Did you mean b?"
    names = [f"net{n}" for n in range(9)]
    assert did_you_mean("net", names) == " Did you mean net0, 1, 2, 3, 4, 5, 6, 7, ...?"


def test_last_names_come_last():
    assert nearest("net", ["net_a", "net_b"], last=["net_a"]) == ["net_b", "net_a"]
    assert nearest("nett", ["net", "nest"], last=["net"]) == ["nest", "net"]


@pytest.mark.parametrize("name", ["a_1_2", "A 1-2", "a1_2", "a12"])
def test_spelling_minds_neither_case_nor_separators(name):
    assert spelled_alike(name, ["a_1_2", "b"]) == ["a_1_2"]
    assert as_known(name, ["a_1_2", "b"]) == "a_1_2"


def test_spelling_of_two_names_is_of_both_unless_separators_tell():
    names = ["a_1_2", "a_12"]
    assert spelled_alike("a12", names) == names
    assert spelled_alike("a-12", names) == ["a_12"]
    assert as_known("a12", names) == "a12"


@given(st.lists(st.text(alphabet="aB1_- ", min_size=1)), st.text(alphabet="aB1_- "))
def test_exact_name_is_always_itself(names, name):
    assert spelled_alike(name, [*names, name]) == [name]
    assert as_known(name, [*names, name]) == name


def test_name_near_none_gets_no_suggestion():
    assert nearest("zzz", ["vgg16"]) == []
    assert did_you_mean("zzz", ["vgg16"]) == ""


def test_suggestion_lists_the_names():
    assert did_you_mean("vgg17", ["vgg16", "alexnet"]) == " Did you mean vgg16?"


def test_candidates_are_the_public_classes_and_functions_of_a_file(write):
    text = (
        "import os\nWIDTH = 1\nclass Net: ...\ndef build(): ...\ndef _own(): ...\nraise OSError\n"
    )
    assert candidates(write("nets.py", text)) == ["Net", "build"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("if True:\n    class A: ...\nelse:\n    class B: ...\n", ["A", "B"]),
        ("try:\n    class A: ...\nexcept OSError:\n    class A: ...\n", ["A"]),
        ("with x:\n    for i in y:\n        def f(): ...\n", ["f"]),
        ("A = make()\nB: object = partial(A)\nC = D = A\nE = lambda: A()\n", list("ABCDE")),
        ("A, b = make(), 3\n(C, D) = both\n", ["A", "C", "D"]),
        ("WIDTH = 3\nNAMES = ['a']\nTEXT = f'{x}'\nN = 2 * 3\nS: int\n", []),
        ("class A:\n    class Inner: ...\n    x = make()\ndef f():\n    B = make()\n", ["A", "f"]),
        ("if (A := make()): pass\n", ["A"]),
    ],
)
def test_candidates_stand_anywhere_but_inside_of_one_another(write, text, names):
    assert candidates(write("nets.py", text)) == names


@pytest.mark.parametrize("text", ["def f(:", "\x00", "(" * 5000, "x = " + "-" * 100_000 + "1"])
def test_file_that_does_not_parse_is_told(write, text):
    with pytest.raises(LookupFailedError, match=r"nets\.py cannot be read"):
        candidates(write("nets.py", text))


def test_missing_file_is_told(tmp_path):
    with pytest.raises(LookupFailedError, match=r"absent\.py cannot be read"):
        candidates(tmp_path / "absent.py")


def test_error_whose_text_raises_is_shortened():
    class Mute(Exception):
        def __str__(self) -> str:
            raise SystemExit(0)

    assert shortened(Mute()) == "Mute: (an exception whose text raises)"


def test_shortened_error_is_one_line_without_the_frames_of_python_itself():
    try:
        Path("/absent/file").read_text(encoding="utf-8")
    except OSError as error:
        text = shortened(error)
    assert text.startswith("FileNotFoundError: ")
    assert Path(__file__).name in text
    assert "pathlib" not in text


def test_name_in_another_case_is_the_only_one_that_is_meant():
    assert did_you_mean("Features.2", ["features.20", "features.2"]) == " Did you mean features.2?"

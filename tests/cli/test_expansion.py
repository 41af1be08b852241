"""Globs, files of specs and standard input, written out as specs."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat import zoo
from archstat.cli.expansion import expanded
from archstat.errors import ArchstatError, SpecError


def listed(tmp_path, text: str) -> str:
    path = tmp_path / "models.txt"
    path.write_text(text, encoding="utf-8")
    return f"@{path}"


@pytest.mark.parametrize(
    ("texts", "specs"),
    [
        (["resnet??"], ["resnet18", "resnet34", "resnet50"]),
        (["ResNet-1[05]?"], []),
        (["resnet1[05]?"], ["resnet101", "resnet152"]),
        (["VGG-1?"], ["vgg11", "vgg13", "vgg16", "vgg19"]),
        (["vgg1[36],num_classes=10"], ["vgg13,num_classes=10", "vgg16,num_classes=10"]),
        (["vgg16", "vgg1[36]"], ["vgg16", "vgg13"]),
        (["vgg16", "VGG 16"], ["vgg16", "vgg16"]),
        (["inverted_*"], ["inverted_residual"]),
        (["VGG 16,batch=2", "mine.py:Net"], ["vgg16,batch=2", "mine.py:Net"]),
        (["absent", "regnetx16gf"], ["absent", "regnetx16gf"]),
        ([], []),
    ],
    ids=str,
)
def test_arguments_are_written_out(texts, specs):
    if specs or not texts:
        assert expanded(texts) == specs
    else:
        with pytest.raises(SpecError, match="matches nothing"):
            expanded(texts)


def test_glob_leaves_blocks_out_where_networks_match():
    found = expanded(["*"])
    assert found
    assert not [name for name in found if zoo.entry(name).category == "block"]


def test_file_has_a_spec_a_line_with_comments(tmp_path):
    text = "# mine\nvgg16 # deep\n\n  ResNet-18,num_classes=10\nvgg1[13]\n"
    assert expanded([listed(tmp_path, text), "lenet5"]) == [
        "vgg16", "resnet18,num_classes=10", "vgg11", "vgg13", "lenet5"
    ]  # fmt: skip


def test_standard_input_has_a_spec_a_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("model\nvgg16\nresnet18\n"))
    assert expanded(["-"]) == ["vgg16", "resnet18"]


@pytest.mark.parametrize(
    ("text", "said"), [("@other.txt\n", "models only"), ("vgg16\n-\n", "models only"),
                       ("# nothing\n", "names no model"), ("", "names no model")]
)  # fmt: skip
def test_file_that_is_no_list_of_models_is_refused(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        expanded([listed(tmp_path, text)])


def test_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "", "bytes"):
        with pytest.raises(SpecError, match="cannot be read"):
            expanded([f"@{tmp_path / name}"])


def test_glob_over_a_package_is_of_its_names(torchvision):
    assert expanded(["torchvision:ResNet1*"]) == [
        "torchvision:resnet18", "torchvision:resnet101", "torchvision:resnet152"
    ]  # fmt: skip


@given(st.lists(st.text(alphabet="resnt vgg*?[]1-_:,.", max_size=12), max_size=4))
def test_any_arguments_are_specs_or_an_error_of_ours(texts):
    if "-" in texts:
        return
    try:
        assert all(expanded(texts))
    except ArchstatError as error:
        assert str(error)
    except AssertionError:
        assert "" in texts


@given(st.lists(st.sampled_from(sorted(zoo.catalogue()))))
def test_names_of_the_zoo_stay_as_they_are(names):
    assert expanded(names) == names


def test_glob_needs_no_torch_where_the_cache_answers(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "archstat", "compare", "lenet5*"]
    environment = {"ARCHSTAT_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    for is_second in (False, True):
        ran = subprocess.run(command, env={**environment, "PYTHONPATH": ":".join(sys.path)},
                             capture_output=True, text=True, check=True)  # fmt: skip
        imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
        assert ("torch" in imported) is not is_second
        assert "lenet5_modern" in ran.stdout


@pytest.mark.parametrize(
    "command", [["compare"], ["rf"], ["memory"], ["guidelines"], ["roofline", "--device", "t4"]]
)
def test_commands_of_several_models_take_globs(archstat, command):
    ran = archstat(*command, "lenet5*", "--format", "csv", "--columns", "model")
    assert ran.code == 0
    assert {line.partition(",")[0] for line in ran.out.splitlines()[1:]} == {
        "lenet5", "lenet5_modern"
    }  # fmt: skip


def test_command_of_one_model_takes_a_glob_of_one(archstat):
    assert archstat("summary", "vgg1[1]", "--depth", "0").code == 0
    ran = archstat("summary", "vgg1*")
    assert (ran.code, ran.out) == (2, "")
    assert "stands for 8 models, but one is needed: vgg11, vgg13, vgg16, vgg19, ..." in ran.err


def test_reference_is_spelled_as_freely(archstat):
    ran = archstat("compare", "lenet5", "VGG-16", "--reference", "vgg 16", "--columns", "params")
    assert ran.code == 0
    assert ran.out.splitlines()[-1].split() == ["vgg16", "138.36", "M"]

"""From a spec to a model: options by annotation, every kind of target, packages that are absent."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import archstat
from archstat.errors import (
    BuildError,
    LookupFailedError,
    MissingExtraError,
    OptionError,
    UnknownModelError,
)
from archstat.models.options import convert, guessed
from archstat.models.sources import find
from archstat.models.specs import parse_spec
from archstat.units import InputSpec

NETS = """
import sys
from typing import Literal, Optional

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4, act: bool = True, layout: Literal["paper", "slim"] = "paper",
                 scale: float = 1.0, classes: Optional[int] = 10, kind: "int | str" = 1,
                 tag: str = "", pool: Literal[1, 2] = 1, free=None):
        super().__init__()
        self.given = (width, act, layout, scale, classes, kind, tag, pool, free)
        self.conv = nn.Conv2d(3, width, 3, bias=False)

    def forward(self, x):
        return self.conv(x)


class Outer:
    Inner = Net


class OneOption(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.fc = nn.Linear(depth, 1)


class Undefined(nn.Module):
    def __init__(self, depth: "NoSuchType" = 1):
        super().__init__()
        self.given = depth


class FromNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [int(width) for width in torch.linspace(4, 8, 3)]
        self.fc = nn.Linear(widths[-1], 1, bias=False)


def build(depth, *, width=4):
    return Net(width)

def anything(**options):
    return Net(options["width"])

def raising():
    raise RuntimeError("no such table\\nsecond line")

def leaving():
    sys.exit(3)

def nothing():
    return None

built = Net(width=6)
number = 5
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Make a folder with nets.py the working directory; its import is forgotten afterwards."""
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("nets", None)


def built(text: str) -> nn.Module:
    return find(parse_spec(text)).build()


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# -- the zoo ---------------------------------------------------------------------------------------


def test_zoo_network_is_built_on_meta_with_its_own_input():
    source = find(parse_spec("vgg16"))
    model = source.build()
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert parameters(model) == 138_357_544
    assert source.default_inputs(model) == (InputSpec((3, 224, 224)),)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("mobilenet_v1,width=0.5", 1_331_592),
        ("mobilenet_v1,num_classes=120", 4_231_976 - (1000 - 120) * (1024 + 1)),
        ("alexnet", 60_965_224),
        ("alexnet,towers=1", 62_378_344),
        ("alexnet,layout=torchvision", 61_100_840),
        ("vgg16,in_channels=1", 138_357_544 - (3 - 1) * 64 * 3 * 3),
    ],
)
def test_zoo_options_change_the_network(text, params):
    assert parameters(built(text)) == params


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("alexnet", (3, 227, 227)),
        ("alexnet,layout=torchvision", (3, 224, 224)),
        ("vgg16,in_channels=1", (1, 224, 224)),
        ("alexnet,in_channels=4,layout=torchvision", (4, 224, 224)),
    ],
)
def test_zoo_options_bring_their_own_input(text, shape):
    source = find(parse_spec(text))
    assert source.default_inputs(source.build()) == (InputSpec(shape),)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vgg17", "vgg16"),
        ("resnet5O", "resnet50"),
        ("mobilenet", "mobilenet_v1"),
    ],
)
def test_unknown_network_gets_the_nearest_names(name, near):
    with pytest.raises(UnknownModelError, match=f"Did you mean .*{near}"):
        find(parse_spec(name))


def test_name_whose_beginning_many_have_lists_the_family_in_natural_order():
    with pytest.raises(
        UnknownModelError, match="Did you mean resnet18, 34, 50, 101, 152, resnet20"
    ):
        find(parse_spec("resnet"))


@pytest.mark.parametrize("text", ["ResNet-18", "resnet 18", "RESNET_18,num_classes=1000"])
def test_zoo_name_minds_neither_case_nor_separators(text):
    assert parameters(built(text)) == 11_689_512


def test_network_unlike_any_gets_the_command_that_lists_them():
    with pytest.raises(UnknownModelError, match="archstat list"):
        find(parse_spec("zzzzzz"))


def test_unknown_option_gets_the_nearest_and_what_the_network_takes():
    with pytest.raises(OptionError) as refusal:
        find(parse_spec("alexnet,tower=1"))
    assert str(refusal.value) == (
        "alexnet,tower=1: there is no option 'tower'. Did you mean towers? "
        "It takes num_classes=1000, in_channels=3, towers=2, layout=paper."
    )


@pytest.mark.parametrize(("typo", "meant"), [("resoluton", "resolution"), ("bach", "batch")])
def test_misspelt_key_of_archstats_own_gets_the_right_one(typo, meant):
    with pytest.raises(OptionError, match=f"Did you mean {meant}"):
        find(parse_spec(f"vgg16,{typo}=64"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mobilenet_v1,width=wide", "width must be a number, not"),
        ("mobilenet_v1,width=", "width must be a number, not"),
        ("alexnet,towers=1.5", "towers must be a whole number"),
        ("alexnet,layout=caffe", "layout must be paper or torchvision"),
    ],
)
def test_value_of_another_type_says_what_the_option_takes(text, expected):
    with pytest.raises(OptionError, match=expected):
        find(parse_spec(text))


@pytest.mark.parametrize(
    "text",
    ["mobilenet_v1,width=-1", "mobilenet_v1,width=nan", "alexnet,towers=3", "vgg16,num_classes=0"],
)
def test_value_that_the_network_refuses_is_an_option_error(text):
    with pytest.raises(OptionError, match=text.partition(",")[2].partition("=")[0]):
        built(text)


# -- files and modules -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("nets.py:Net", 4 * 3 * 9),
        ("nets.py:Net,width=8", 8 * 3 * 9),
        ("nets.py:Outer.Inner,width=2", 2 * 3 * 9),
        ("nets.py:build,depth=1,width=5", 5 * 3 * 9),
        ("nets.py:anything,width=7", 7 * 3 * 9),
        ("nets.py:built", 6 * 3 * 9),
        ("nets:Net", 4 * 3 * 9),
        ("torch.nn:Linear,in_features=3,out_features=4", 3 * 4 + 4),
        ("torch:nn.Linear,in_features=3,out_features=4,bias=0", 3 * 4),
    ],
)
def test_class_factory_and_instance_are_models(nets, text, params):
    assert parameters(built(text)) == params


def test_model_of_a_file_has_no_input_of_its_own(nets):
    source = find(parse_spec("nets.py:Net"))
    assert source.default_inputs(source.build()) == ()


def test_instance_is_taken_as_it_is(nets):
    source = find(parse_spec("nets.py:built"))
    model = source.build()
    assert source.build() is model
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_instance_takes_no_option(nets):
    with pytest.raises(OptionError, match="built is already built"):
        find(parse_spec("nets.py:built,width=3"))


def test_model_is_built_anew_each_time(nets):
    source = find(parse_spec("nets.py:Net"))
    assert source.build() is not source.build()


def test_building_advances_no_generator(nets):
    source = find(parse_spec("nets.py:Net"))
    before = torch.get_rng_state()
    source.build()
    source.build_for_real()
    assert torch.equal(torch.get_rng_state(), before)


def test_model_that_reads_data_as_it_is_built_is_built_on_cpu(nets):
    model = built("nets.py:FromNumbers")
    assert model.fc.weight.shape == (1, 8)
    assert model.fc.weight.device.type == "cpu"


def test_model_for_real_has_weights(nets):
    model = find(parse_spec("nets.py:Net")).build_for_real()
    assert model.conv.weight.device.type == "cpu"
    assert model.conv.weight.std() > 0


@pytest.mark.parametrize(
    ("option", "index", "value"),
    [
        ("width=8", 0, 8),
        *(("act=" + text, 1, True) for text in ("1", "true", "True")),
        *(("act=" + text, 1, False) for text in ("0", "false", "FALSE")),
        ("layout=slim", 2, "slim"),
        ("scale=2", 3, 2.0),
        ("scale=1e-3", 3, 0.001),
        ("classes=7", 4, 7),
        ("classes=none", 4, None),
        ("classes=None", 4, None),
        ("kind=3", 5, 3),
        ("kind=wide", 5, "wide"),
        ("tag=1", 6, "1"),
        ("tag=", 6, ""),
        ("pool=2", 7, 2),
        ("free=3", 8, 3),
        ("free=0.5", 8, 0.5),
        ("free=true", 8, True),
        ("free=none", 8, None),
        ("free=same", 8, "same"),
    ],
)
def test_value_takes_the_type_of_its_annotation(nets, option, index, value):
    given = built(f"nets.py:Net,{option}").given[index]
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("width=1.5", ["width", "a whole number"]),
        ("act=yes", ["act", "true or false"]),
        ("act=2", ["act", "true or false"]),
        ("layout=Paper", ["layout", "paper or slim"]),
        ("scale=big", ["scale", "a number"]),
        ("classes=few", ["classes", "a whole number", "none"]),
        ("pool=3", ["pool", "1 or 2"]),
    ],
)
def test_impossible_value_says_what_the_option_takes(nets, option, words):
    with pytest.raises(OptionError) as refusal:
        find(parse_spec(f"nets.py:Net,{option}"))
    message = str(refusal.value)
    assert f"{option.partition('=')[0]} must be" in message
    assert all(word in message for word in words)


def test_annotation_that_does_not_evaluate_leaves_the_value_to_a_guess(nets):
    assert built("nets.py:Undefined,depth=3").given == 3


def test_missing_required_options_are_named_with_the_spec_to_write(nets):
    with pytest.raises(OptionError) as refusal:
        find(parse_spec("nets.py:OneOption"))
    assert str(refusal.value) == (
        "nets.py:OneOption needs depth: write nets.py:OneOption,depth=..., or name a function "
        "without arguments that returns the model."
    )


def test_unknown_option_of_a_factory_gets_the_nearest(nets):
    with pytest.raises(OptionError, match=r"no option 'widht'. Did you mean width\?"):
        find(parse_spec("nets.py:Net,widht=3"))


@pytest.mark.parametrize(
    ("target", "type_name"),
    [("number", "int"), ("nothing", "NoneType"), ("sys", "module"), ("Outer", "Outer")],
)
def test_target_that_gives_no_module_says_what_it_gives(nets, target, type_name):
    with pytest.raises(BuildError, match=f"is of type {type_name}, not a torch.nn.Module"):
        built(f"nets.py:{target}")


def test_factory_that_raises_gives_its_own_error_and_line(nets):
    with pytest.raises(BuildError) as failure:
        built("nets.py:raising")
    line = NETS[: NETS.index("raise RuntimeError")].count("\n") + 1
    assert str(failure.value) == (
        f"nets.py:raising does not build: RuntimeError: no such table (nets.py:{line})"
    )


def test_factory_that_leaves_the_program_is_one_that_does_not_build(nets):
    with pytest.raises(BuildError, match=r"nets\.py:leaving does not build: SystemExit: 3"):
        built("nets.py:leaving")


def test_target_that_is_missing_gets_the_nearest(nets):
    with pytest.raises(LookupFailedError, match="Did you mean Net"):
        find(parse_spec("nets.py:Nett"))


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), ("true", True), ("False", False),
     ("none", None), ("same", "same"), ("3x3", "3x3"), ("", ""), ("[8,16]", [8, 16]),
     ("(8, 16)", (8, 16)), ("(8,)", (8,)), ("[(1, 2.5), [-3]]", [(1, 2.5), [-3]]), ("[]", []),
     ("{a: 1, 'b': [none, True]}", {"a": 1, "b": [None, True]}), ("'8'", "8"),
     ("[relu,'a,b']", ["relu", "a,b"]), ("it's", "it's")],
)  # fmt: skip
def test_value_without_annotation_is_guessed(text, value):
    assert guessed(text) == value
    assert type(guessed(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x", int),
        ("x", float),
        ("2", bool),
        ("x", type(None)),
        ("x", int | None),
        ("", int),
        ("8x16", list[int]),
        ("8", tuple[int, ...]),
        ("[a]", list[int]),
        ("[1,2]", tuple[int]),
        ("[1]", dict[str, int]),
        ("[1.5]", Sequence[int]),
        ("8", list),
        ("[f(1)]", Any),
        ("[1+2]", list),
    ],
)
def test_value_that_an_annotation_does_not_allow_is_refused(text, hint):
    with pytest.raises(ValueError):
        convert(text, hint)


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("[8,16]", list[int], [8, 16]),
        ("(8,16)", list[int], [8, 16]),
        ("[8,16]", tuple[int, ...], (8, 16)),
        ("[8,16]", tuple[int, int], (8, 16)),
        ("[8,16]", Sequence[float], (8.0, 16.0)),
        ("[[1,2],[3]]", list[tuple[int, ...]], [(1, 2), (3,)]),
        ("[8,16]", list, [8, 16]),
        ("[8,16]", int | list[int], [8, 16]),
        ("8", int | list[int], 8),
        ("none", list[int] | None, None),
        ("{a: 1}", dict[str, int], {"a": 1}),
        ("'a,b'", str, "a,b"),
        ("[a]", str, "[a]"),
    ],
)
def test_collection_takes_the_type_of_its_annotation(text, hint, value):
    found = convert(text, hint)
    assert found == value
    assert type(found) is type(value)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
PLAIN_KEYS = st.text() | st.integers()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
                    | st.dictionaries(PLAIN_KEYS, inner), max_leaves=8))  # fmt: skip
def test_brackets_are_read_as_python_reads_them(value):
    assert guessed(repr([value])) == [value]


@given(st.text(alphabet="()[]{}'\",:=.-0123456789abNone ", max_size=24) | st.text())
def test_any_text_is_a_value_or_none(text):
    try:
        guessed(text)
    except ValueError:
        assert text[0] in "([{'\""


# -- timm and torchvision --------------------------------------------------------------------------


@pytest.fixture
def timm(torchvision):
    """timm, which imports torchvision."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")


def test_torchvision_network_has_its_published_parameters(torchvision):
    source = find(parse_spec("torchvision:resnet18"))
    model = source.build()
    assert parameters(model) == 11_689_512
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert source.default_inputs(model) == (InputSpec((3, 224, 224)),)


def test_torchvision_network_takes_options(torchvision):
    model = built("torchvision:resnet18,num_classes=10")
    assert parameters(model) == 11_689_512 - 990 * (512 + 1)


def test_torchvision_network_brings_the_size_of_its_weights(torchvision):
    source = find(parse_spec("torchvision:inception_v3"))
    assert source.default_inputs(source.build()) == (InputSpec((3, 299, 299)),)


def test_unknown_torchvision_network_gets_the_nearest(torchvision):
    with pytest.raises(UnknownModelError, match=r"Did you mean .*resnet18"):
        find(parse_spec("torchvision:resnet19"))


def test_unknown_option_of_torchvision_is_refused(torchvision):
    with pytest.raises((BuildError, OptionError), match="widht"):
        built("torchvision:resnet18,widht=3")


def test_timm_network_has_its_published_parameters(timm):
    source = find(parse_spec("timm:resnet18"))
    model = source.build()
    assert parameters(model) == 11_689_512
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert source.default_inputs(model) == (InputSpec((3, 224, 224)),)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("timm:vit_base_patch16_224,img_size=384", (3, 384, 384)),
        ("timm:vit_base_patch16_224,img_size=(224,448),in_chans=1", (1, 224, 448)),
        ("timm:ResNet-18,in_chans=4", (4, 224, 224)),
    ],
)
def test_timm_option_for_the_input_brings_it(timm, text, shape):
    source = find(parse_spec(text))
    assert source.default_inputs(source.build()) == (InputSpec(shape),)


@pytest.mark.parametrize("option", ["", ",image_size=384"])
def test_zoo_network_built_for_a_size_has_it_as_its_input(option):
    source = find(parse_spec(f"vit_b_16{option}"))
    side = 384 if option else 224
    assert source.default_inputs(source.build()) == (InputSpec((3, side, side)),)


def test_torchvision_network_built_for_a_size_has_it_as_its_input(torchvision):
    source = find(parse_spec("torchvision:vit_b_16,image_size=384"))
    assert source.default_inputs(source.build()) == (InputSpec((3, 384, 384)),)


def test_timm_network_takes_options_and_a_tag(timm):
    model = built("timm:resnet18.a1_in1k,num_classes=10")
    assert parameters(model) == 11_689_512 - 990 * (512 + 1)


def test_unknown_timm_network_gets_the_nearest(timm):
    with pytest.raises(UnknownModelError, match=r"Did you mean .*resnet18"):
        find(parse_spec("timm:resnet19"))


@pytest.mark.parametrize(
    ("package", "spec"),
    [
        ("timm", "timm:resnet18"),
        ("torchvision", "torchvision:resnet18"),
        ("transformers", "hf:LlamaForCausalLM"),
        ("transformers", "hf:bert,task=masked-lm"),
        ("transformers", "hf:config.json"),
        ("onnx", "net.onnx"),
    ],
)
def test_absent_package_gives_the_line_that_installs_it(package, spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "net.onnx").touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as failure:
        archstat.analyze(spec)
    assert f'python -m pip install "archstat[{package}]"' in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Put a package of one's own in the place of an installed one."""

    def make(package: str, text: str) -> Path:
        path = tmp_path / package / "__init__.py"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(tmp_path))
        return path

    return make


def test_package_that_wants_an_absent_one_names_it(stand_in):
    stand_in("timm", "import absent_dependency\n")
    with pytest.raises(MissingExtraError, match="absent_dependency, which is not installed"):
        find(parse_spec("timm:resnet18"))


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_package_that_raises_at_import_gives_one_sentence_with_the_remedy(package, stand_in):
    stand_in(package, "raise RuntimeError('operator torchvision::nms does not exist\\nmore')\n")
    with pytest.raises(MissingExtraError) as failure:
        find(parse_spec(f"{package}:resnet18"))
    message = str(failure.value)
    assert message.startswith(f"{package} does not import with torch {torch.__version__}")
    assert "RuntimeError: operator torchvision::nms does not exist" in message
    assert "install the build of torchvision" in message
    assert "\n" not in message

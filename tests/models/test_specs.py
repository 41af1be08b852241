"""The grammar of specs: every form, every mistake, and that nothing else is ever raised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.errors import ArchstatError, InputError, SpecError
from archstat.models.specs import Spec, parse_batch, parse_spec
from archstat.units import InputSpec

# -- what is understood ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "target", "attribute"),
    [
        ("vgg16", "zoo", "vgg16", ""),
        ("timm:resnet50", "timm", "resnet50", ""),
        ("timm:vit_tiny_patch16_224.augreg_in21k", "timm", "vit_tiny_patch16_224.augreg_in21k", ""),
        ("torchvision:resnet50", "torchvision", "resnet50", ""),
        ("nets/mine.py:build", "python", "nets/mine.py", "build"),
        ("mine.py:Net", "python", "mine.py", "Net"),
        ("/abs/mine.py:Outer.Net", "python", "/abs/mine.py", "Outer.Net"),
        ("package.module:factory", "python", "package.module", "factory"),
        ("module:Outer.factory", "python", "module", "Outer.factory"),
        ("C:/nets/mine.py:build", "python", "C:/nets/mine.py", "build"),
        ("my nets/mine.py:build", "python", "my nets/mine.py", "build"),
        ("timm.models:create_model", "python", "timm.models", "create_model"),
    ],
)
def test_target_is_a_zoo_name_a_package_or_an_attribute(text, scheme, target, attribute):
    assert parse_spec(text) == Spec(text, scheme, target, attribute)


def test_options_keep_their_order_and_their_text():
    spec = parse_spec("nets/mine.py:build,depth=050,width=1e-1,act=True")
    assert spec.options == (("depth", "050"), ("width", "1e-1"), ("act", "True"))


def test_value_may_hold_an_equals_sign():
    assert parse_spec("mine.py:build,shape=a=b").options == (("shape", "a=b"),)


def test_empty_value_is_an_empty_text():
    assert parse_spec("mine.py:build,act=").options == (("act", ""),)


def test_text_is_kept_as_typed():
    assert parse_spec("mobilenet_v1,width=0.5,batch=2").text == "mobilenet_v1,width=0.5,batch=2"


def test_resolution_input_and_batch_are_not_for_the_factory():
    assert parse_spec("mobilenet_v1,resolution=160,batch=4,width=0.5") == Spec(
        text="mobilenet_v1,resolution=160,batch=4,width=0.5",
        scheme="zoo",
        target="mobilenet_v1",
        options=(("width", "0.5"),),
        resolution=(160,),
        batch=4,
    )


@pytest.mark.parametrize(("text", "sizes"), [("160", (160,)), ("160x192", (160, 192))])
def test_resolution_is_one_size_or_one_an_axis(text, sizes):
    assert parse_spec(f"vgg16,resolution={text}").resolution == sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3x160x160", InputSpec((3, 160, 160))),
        ("128:int64", InputSpec((128,), "int64")),
        ("tokens=128:int64", InputSpec((128,), "int64", "tokens")),
        ("3x8x8:nobatch", InputSpec((3, 8, 8), batched=False)),
    ],
)
def test_input_is_a_shape_with_its_type_and_name(text, expected):
    assert parse_spec(f"mine.py:Net,input={text}").input == expected


@pytest.mark.parametrize(("text", "batch"), [("1", 1), ("256", 256)])
def test_batch_is_a_whole_number(text, batch):
    assert parse_batch(text) == batch


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ("dims=[8,16,32]", (("dims", "[8,16,32]"),)),
        ("dims=(8,16),act=relu", (("dims", "(8,16)"), ("act", "relu"))),
        ("a=[(1,2),[3]],b={x: [1,2]}", (("a", "[(1,2),[3]]"), ("b", "{x: [1,2]}"))),
        ("a='x,y',b=\"(\"", (("a", "'x,y'"), ("b", '"("'))),
        ("a=['(',2],b=3", (("a", "['(',2]"), ("b", "3"))),
        ("a=it's,b=3", (("a", "it's"), ("b", "3"))),
    ],
)
def test_commas_in_brackets_and_quotes_are_of_the_value(items, options):
    assert parse_spec(f"mine.py:build,{items}").options == options


@pytest.mark.parametrize("text", ["(3, 32, 32)", "[3,32,32]", "3x32x32"])
def test_input_may_be_written_as_python_does(text):
    assert parse_spec(f"mine.py:Net,input={text}").input == InputSpec((3, 32, 32))


@pytest.mark.parametrize("text", ["net.py::Net", "net.py:Net"])
def test_two_colons_are_as_good_as_one(text):
    assert parse_spec(text) == Spec(text, "python", "net.py", "Net")


def test_dotted_name_of_a_module_at_hand_is_a_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text("", encoding="utf-8")
    assert parse_spec("own_net.Net") == Spec("own_net.Net", "python", "own_net", "Net")
    assert parse_spec("absent_net.Net") == Spec("absent_net.Net", "zoo", "absent_net.Net")


def test_file_with_one_class_of_models_needs_no_name(tmp_path):
    path = tmp_path / "mine.py"
    text = "class Block: ...\nclass Net(nn.Module): ...\ndef helper(): ...\n"
    path.write_text(text, encoding="utf-8")
    assert parse_spec(f"{path},depth=50").attribute == "Net"


def test_file_with_two_classes_of_models_lists_them(tmp_path):
    path = tmp_path / "mine.py"
    text = "class A(nn.Module): ...\nclass B(A): ...\nclass Other: ...\nclass _C(B): ...\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="without a target") as refusal:
        parse_spec(str(path))
    assert f"try {path}:A or {path}:B." in str(refusal.value)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["vgg16,,batch=2", "vgg16,batch=2,", "vgg16, ,batch=2"])
def test_empty_item_is_refused(text):
    with pytest.raises(SpecError, match="no item may be empty"):
        parse_spec(text)


@pytest.mark.parametrize("text", ["vgg16,", "vgg16,mobilenet_v1", "vgg16, VGG-19", "a,timm:b"])
def test_comma_between_models_is_told_as_such(text):
    with pytest.raises(SpecError, match="give several models as a list"):
        parse_spec(text)


@pytest.mark.parametrize("item", ["width", "=0.5", "="])
def test_item_without_key_or_equals_sign_is_refused(item):
    with pytest.raises(SpecError, match="write KEY=VALUE") as refusal:
        parse_spec(f"mobilenet_v1,{item}")
    assert repr(item) in str(refusal.value)


@pytest.mark.parametrize("key", ["width", "batch", "resolution", "input"])
def test_repeated_key_is_refused(key):
    with pytest.raises(SpecError, match=f"gives {key} twice"):
        parse_spec(f"mobilenet_v1,{key}=1,{key}=1")


def test_resolution_and_input_together_are_refused():
    with pytest.raises(SpecError, match="both input and resolution"):
        parse_spec("vgg16,input=3x160x160,resolution=160")


@pytest.mark.parametrize("batch", ["0", "-1", "1.5", "two", "", "1_000", "\u0663", " 2"])
def test_batch_that_is_no_whole_number_from_one_up_is_refused(batch):
    with pytest.raises(SpecError, match="at least 1"):
        parse_spec(f"vgg16,batch={batch}")


@pytest.mark.parametrize("key", ["batch", "resolution", "input"])
def test_number_of_more_digits_than_int_reads_is_refused(key):
    with pytest.raises(ArchstatError):
        parse_spec(f"vgg16,{key}={'9' * 5000}")


@pytest.mark.parametrize("resolution", ["", "0", "160x", "x160", "160x0", "large", "scalar"])
def test_resolution_that_is_no_size_is_refused(resolution):
    with pytest.raises(InputError):
        parse_spec(f"vgg16,resolution={resolution}")


@pytest.mark.parametrize("shape", ["", "3x", "3x0x4", "3,4", "3x4:floaty", "1-x=3"])
def test_input_that_is_no_shape_is_refused(shape):
    with pytest.raises((InputError, SpecError)):
        parse_spec(f"vgg16,input={shape}")


@pytest.mark.parametrize("value", ["[8,16", "(8", "{a: 1", "'x", "8)", "[8)"])
def test_bracket_or_quote_that_is_left_open_is_refused(value):
    with pytest.raises(SpecError, match=r"is missing|closes no bracket"):
        parse_spec(f"mine.py:build,dims={value}")


@pytest.mark.parametrize("name", ["net.pt", "run/best.pth", "net.pt2", "x.safetensors"])
def test_file_of_a_model_is_known_by_its_suffix(name):
    assert (parse_spec(name).scheme, parse_spec(name).target) == ("file", name)


def test_file_of_weights_has_no_code():
    with pytest.raises(SpecError, match=r"A\.PT holds no code, so there is no Net in it"):
        parse_spec("A.PT:Net")


@pytest.mark.parametrize("text", ["", "  ", ",", ",batch=2"])
def test_spec_without_a_model_is_refused(text):
    with pytest.raises(SpecError, match="names no model"):
        parse_spec(text)


@pytest.mark.parametrize("scheme", ["timm", "torchvision"])
def test_package_without_a_model_is_refused(scheme):
    with pytest.raises(SpecError, match=f"write {scheme}:NAME"):
        parse_spec(f"{scheme}:,batch=2")


def test_file_with_a_colon_and_no_name_is_a_file_with_one_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n")
    assert parse_spec("mine.py:").attribute == "Net"


@pytest.mark.parametrize("text", [":build", "mine.py:3", "mine.py:a b", "mine.py:a..b"])
def test_attribute_that_is_no_name_is_refused(text):
    with pytest.raises(SpecError, match="is not a name"):
        parse_spec(text)


def test_file_without_a_target_lists_what_it_defines(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Net: ...\ndef build(): ...\ndef _own(): ...\n", encoding="utf-8")
    with pytest.raises(SpecError, match="without a target") as refusal:
        parse_spec(f"{path},depth=50")
    assert f"try {path}:Net or {path}:build." in str(refusal.value)


def test_file_without_a_target_that_defines_nothing_says_the_form(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"FILE\.py:NAME"):
        parse_spec(str(path))


@pytest.mark.parametrize("text", ["absent.py", "nets/absent"])
def test_path_to_nothing_without_a_target_is_no_file(text):
    with pytest.raises(SpecError, match="There is no file"):
        parse_spec(text)


def test_path_longer_than_any_file_name_is_no_file():
    with pytest.raises(SpecError, match="There is no file"):
        parse_spec("./" + "a" * 300)


# -- anything --------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    ["vgg16", "timm:", "torchvision", ":", ",", "=", "x.py", "/", "..", "batch", "resolution",
     "input", "3x8", "0", "scalar", "int64", "nobatch", "tokens", "~", "\\", "\0", "%", " ", "x",
     "[", "]", "(", ")", "{", "'", '"', "::", ".pt", "."]
)  # fmt: skip


@settings(deadline=None)
@given(st.text() | st.lists(_PIECES, max_size=12).map("".join))
def test_any_text_is_a_spec_or_an_error_of_ours(text):
    try:
        spec = parse_spec(text)
    except ArchstatError as error:
        assert str(error)
        return
    assert spec.text == text
    assert spec.target
    assert bool(spec.attribute) == (spec.scheme == "python")
    assert not {"input", "resolution", "batch"} & dict(spec.options).keys()


@settings(deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(
            lambda key: key not in ("input", "resolution", "batch")
        ),
        st.from_regex(r"[A-Za-z0-9._=-]{0,6}", fullmatch=True),
        max_size=4,
    )
)
def test_options_come_back_as_they_were_joined(options):
    text = "".join(f",{key}={value}" for key, value in options.items())
    assert parse_spec(f"package.module:build{text}").options == tuple(options.items())

"""Shapes and inputs as people write them: round trips, borders, and refusals."""

from __future__ import annotations

import re
from contextvars import copy_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.errors import AT_COMMAND_LINE, InputError
from archstat.frontends.inputs import Call
from archstat.units import (
    DTYPES,
    InputSpec,
    dtype_named,
    format_shape,
    parse_input,
    parse_shape,
    short_dtype,
)

checked = settings(deadline=None)
shapes = st.lists(st.integers(1, 2**31 - 1), max_size=6).map(tuple)


@checked
@given(shapes)
def test_shape_is_read_back(shape):
    assert parse_shape(format_shape(shape)) == shape


@pytest.mark.parametrize(
    ("text", "shape"), [("3x224x224", (3, 224, 224)), ("128", (128,)), ("scalar", ())]
)
def test_shape_is_sizes_joined_by_x(text, shape):
    assert parse_shape(text) == shape
    assert format_shape(shape) == text


@pytest.mark.parametrize(
    "text",
    ["3,224,224", "(3, 224, 224)", "[3,224,224]", "(3,224,224,)", "3X224X224", " 3 x 224 x 224"],
)
def test_shape_may_be_written_as_python_does(text):
    assert parse_shape(text) == (3, 224, 224)


@checked
@given(shapes.filter(bool))
def test_tuple_and_list_of_sizes_are_read_back(shape):
    assert parse_shape(str(shape)) == parse_shape(str(list(shape))) == shape


NO_SHAPES = ["", "x", "3x", "x3", "3xx4", "3x224,224", "(3", "-1x3", "3x-1", "3x2.5", "3 4", "()",
             "٣x٤", "3\u00d7224", "Scalar", "3;4", "(3,4]", "0x3x", "²"]  # fmt: skip


@pytest.mark.parametrize("text", NO_SHAPES)
def test_what_is_no_shape_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="such as 3x224x224"):
        parse_shape(text)


@pytest.mark.parametrize("text", ["0", "3x0", "0x0", "2147483648", "3x99999999999999999999"])
def test_size_out_of_range_is_refused_with_the_range(text):
    with pytest.raises(InputError, match=r"between 1 and 2\^31 - 1"):
        parse_shape(text)


@checked
@given(st.one_of(st.text(), st.text(alphabet="0123456789x-.", max_size=12)))
def test_any_text_is_a_shape_or_an_input_error(text):
    try:
        shape = parse_shape(text)
    except InputError as refusal:
        assert str(refusal)
    else:
        assert all(0 < size < 2**31 for size in shape)


# -- inputs --------------------------------------------------------------------------------------

NAMES = st.one_of(st.none(), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True))
KEYS = st.from_regex(r"[a-z0-9_-]{1,6}", fullmatch=True).map(".{}".format)
PLACES = st.integers(0, 99).flatmap(lambda n: st.sampled_from([f"[{n}]", f"({n})"]))
PATHS = st.builds(
    lambda name, steps: name and name + "".join(steps), NAMES,
    st.lists(st.one_of(KEYS, PLACES), max_size=3),
)  # fmt: skip
RANGES = st.tuples(st.integers(-100, 10**6), st.integers(1, 10**6)).map(
    lambda pair: (pair[0], sum(pair))
)
FINITE = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False))
NUMBERS = st.one_of(st.just(()), st.tuples(FINITE), RANGES)
DTYPE = st.sampled_from([None, *DTYPES])
SPECS = st.builds(InputSpec, shapes, DTYPE, PATHS, st.booleans(), NUMBERS)
PLAIN = st.one_of(
    st.none(), st.booleans(), FINITE, st.text(max_size=12), st.sampled_from(["true", "scalar"])
)
VALUES = st.builds(
    lambda name, value: InputSpec((), None, name, False, (), (value,)), PATHS.filter(bool), PLAIN
)


@checked
@given(st.one_of(SPECS, VALUES))
def test_input_is_read_back(spec):
    assert parse_input(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("3x224x224", InputSpec((3, 224, 224))),
        ("tokens=128:int64", InputSpec((128,), "int64", "tokens")),
        ("tokens=(128,):int64", InputSpec((128,), "int64", "tokens")),
        ("128:int", InputSpec((128,), "int64")),
        ("128:long", InputSpec((128,), "int64")),
        ("3x4:Half", InputSpec((3, 4), "float16")),
        ("3x4:torch.bfloat16", InputSpec((3, 4), "bfloat16")),
        ("128:int64:nobatch", InputSpec((128,), "int64", None, False)),
        ("128:nobatch:int64", InputSpec((128,), "int64", None, False)),
        ("x=scalar", InputSpec((), None, "x")),
        ("x=scalar:nobatch", InputSpec((), None, "x", False)),
        ("batch.image=3x8x8", InputSpec((3, 8, 8), None, "batch.image")),
        ("lengths=64:int64=64", InputSpec((64,), "int64", "lengths", True, (64,))),
        ("ids=128:int64=0..50257", InputSpec((128,), "int64", "ids", True, (0, 50257))),
        ("4:int64=-1..1", InputSpec((4,), "int64", None, True, (-1, 1))),
    ],
)
def test_input_has_a_name_a_dtype_and_a_batch_or_none(text, spec):
    assert parse_input(text) == spec


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("none", None), ("0", 0), ("-4", -4), ("0.5", 0.5),
     ("1e-3", 0.001), ("4:number", 4), ("fast", "fast"), ("bi-linear", "bi-linear"),
     ("'4'", "4"), ('"true"', "true"), ("''", "")],
)  # fmt: skip
def test_what_is_no_shape_is_a_plain_value_of_a_named_argument(text, value):
    (found,) = parse_input(f"a.b={text}").plain
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("path", "argument", "steps"),
    [
        ("x", "x", ()),
        ("batch.image", "batch", ((dict, "image"),)),
        ("images[1]", "images", ((list, 1),)),
        ("a.b(0)[2].pixel-values", "a",
         ((dict, "b"), (tuple, 0), (list, 2), (dict, "pixel-values"))),
    ],
)  # fmt: skip
def test_path_is_an_argument_and_steps_into_it(path, argument, steps):
    spec = parse_input(f"{path}=3x4")
    assert spec.argument == argument
    assert spec.steps == steps


@pytest.mark.parametrize(
    ("text", "short"),
    [("float16", "fp16"), ("HALF", "fp16"), ("fp16", "fp16"), ("torch.float32", "fp32"),
     ("BF16", "bf16"), ("double", "fp64"), ("amp", "amp"), ("TF32", "tf32"), ("INT8", "int8")],
)  # fmt: skip
def test_dtype_has_a_short_word(text, short):
    assert short_dtype(text) == short


@checked
@given(st.sampled_from(DTYPES))
def test_dtype_is_its_own_name(dtype):
    assert dtype_named(dtype) == dtype_named(dtype.upper()) == dtype


def test_batch_stands_in_front_unless_there_is_none():
    assert InputSpec((3, 8)).with_batch(4) == (4, 3, 8)
    assert InputSpec((3, 8), batched=False).with_batch(4) == (3, 8)
    assert InputSpec(()).with_batch(4) == (4,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3x4:floaty", "'floaty' is not a dtype; known: float32"),
        ("3x4:int64:int32", "is not a dtype"),
        ("3x4:", "is not a dtype"),
        ("2 x=3x4", "'2 x' is not an argument name"),
        ("=3x4", "'' is not an argument name"),
        ("a=b=3x4", "is not a shape"),
        ("x=", "is not a shape"),
        ("x[a]=3", "'x[a]' is not an argument name"),
        ("x=3:int64=", "'' does not say what the tensor holds"),
        ("x=3=5..5", "'5..5' does not say what the tensor holds"),
        ("x='a", "lacks its closing quote"),
        ("x=fast:number", "'fast' is not a number"),
        ("x=:int64", "is not a shape"),
        ("", "is not a shape"),
        ("3x0", "every size must lie between"),
    ],
)
def test_input_that_does_not_parse_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        parse_input(text)
    assert repr(text) in str(refusal.value)


@checked
@given(st.one_of(st.text(), st.text(alphabet="0123456789x=:ab nobatchint64", max_size=20)))
def test_any_text_is_an_input_or_an_input_error(text):
    try:
        assert parse_input(text).with_batch(1) is not None
    except InputError as refusal:
        assert str(refusal)


@pytest.mark.parametrize("parse", [parse_shape, parse_input])
@pytest.mark.parametrize("form", ["{}", "3x{}", "{}x3"])
def test_size_of_thousands_of_digits_is_refused(parse, form):
    with pytest.raises(InputError):
        parse(form.format("9" * 5000))


@pytest.mark.parametrize(
    ("texts", "batch", "typed", "written"),
    [
        (["3x8x8"], 1, "--input 3x8x8", "input=(3, 8, 8)"),
        (["3x8x8"], 4, "--input 3x8x8 --batch 4", "input=(3, 8, 8), batch=4"),
        (["128:int64"], 1, "--input 128:int64", "input='128:int64'"),
        (["a=6", "b=128:int64"], 1, "--input a=6 --input b=128:int64",
         "input={'a': (6,), 'b': '128:int64'}"),
        (["6", "8"], 1, "--input 6 --input 8", "input=[(6,), (8,)]"),
    ],
)  # fmt: skip
def test_call_is_typed_in_a_shell_and_written_in_python(texts, batch, typed, written):
    call = Call(tuple(map(parse_input, texts)), batch)
    context = copy_context()
    context.run(AT_COMMAND_LINE.set, True)
    assert (context.run(str, call), str(call)) == (typed, written)

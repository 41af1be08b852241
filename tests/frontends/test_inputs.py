"""Tensors from input specs, specs from what `analyze` takes, and guesses that really run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.errors import InputError
from archstat.frontends.inputs import input_specs, tensors_for, working_inputs
from archstat.frontends.module import capture
from archstat.units import InputSpec

# -- from specs to tensors -------------------------------------------------------------------------


def test_batch_comes_first_and_nothing_is_allocated():
    (image,), named = tensors_for((InputSpec((3, 8, 8)),), 4, nn.Conv2d(3, 4, 3))
    assert image.shape == (4, 3, 8, 8)
    assert image.is_meta
    assert named == {}


def test_input_without_a_batch_keeps_its_shape():
    (image,), _ = tensors_for((InputSpec((3, 8, 8), batched=False),), 4, nn.Conv2d(3, 4, 3))
    assert image.shape == (3, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_type_is_that_of_the_first_floating_point_parameter(dtype):
    (image,), _ = tensors_for((InputSpec((3, 8, 8)),), 1, nn.Conv2d(3, 4, 3, dtype=dtype))
    assert image.dtype == dtype


def test_parameters_of_whole_numbers_do_not_set_the_type():
    model = nn.Linear(4, 4, dtype=torch.bfloat16)
    counts = nn.ParameterList([nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)])
    (x,), _ = tensors_for((InputSpec((4,)),), 1, nn.Sequential(counts, model))
    assert x.dtype == torch.bfloat16


def test_model_without_parameters_gets_the_default_type():
    (x,), _ = tensors_for((InputSpec((4,)),), 1, nn.ReLU())
    assert x.dtype == torch.get_default_dtype()


def test_type_of_the_spec_comes_before_that_of_the_model():
    (tokens,), _ = tensors_for((InputSpec((128,), "int64"),), 1, nn.Linear(4, 4))
    assert tokens.dtype == torch.int64


def test_named_inputs_are_keywords_and_the_others_stand_in_order():
    class Masked(nn.Module):
        def forward(self, one, other, mask):
            return one

    specs = (InputSpec((1,)), InputSpec((2,), name="mask"), InputSpec((3,)))
    positional, named = tensors_for(specs, 1, Masked())
    assert [tuple(tensor.shape) for tensor in positional] == [(1, 1), (1, 3)]
    assert {name: tuple(tensor.shape) for name, tensor in named.items()} == {"mask": (1, 2)}


def test_scalar_has_the_batch_alone():
    (x,), _ = tensors_for((InputSpec(()),), 5, nn.ReLU())
    assert x.shape == (5,)


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((3, 8), 10**30), ((2**31 - 1,) * 3, 1), ((2**70,), 1)],
    ids=["batch", "product", "size"],
)
def test_size_that_no_tensor_has_is_refused(shape, batch):
    with pytest.raises(InputError):
        tensors_for((InputSpec(shape),), batch, nn.ReLU())


# -- from what `analyze` takes to specs ------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    ["3x8x8", (3, 8, 8), [3, 8, 8], torch.Size([3, 8, 8]), InputSpec((3, 8, 8)), ["3x8x8"],
     [(3, 8, 8)], ((3, 8, 8),)],
)  # fmt: skip
def test_one_shape_may_be_given_in_many_ways(given):
    assert input_specs(given) == (InputSpec((3, 8, 8)),)


def test_text_may_have_a_name_a_type_and_no_batch():
    assert input_specs("tokens=128:int64:nobatch") == (
        InputSpec((128,), "int64", "tokens", batched=False),
    )


def test_list_has_an_input_an_item():
    assert input_specs(["3x8x8", (4,), "mask=5"]) == (
        InputSpec((3, 8, 8)),
        InputSpec((4,)),
        InputSpec((5,), name="mask"),
    )


def test_dict_names_its_inputs():
    assert input_specs({"left": (3, 8), "tokens": "128:int64", "flag": ()}) == (
        InputSpec((3, 8), name="left"),
        InputSpec((128,), "int64", "tokens"),
        InputSpec((), name="flag"),
    )


def test_nested_input_is_the_same_in_words_paths_and_python():
    nested = {"batch": {"image": (3, 8), "on": True}, "steps": 4, "pair": ("5:int64", [(6,)])}
    paths = {"batch.image": "3x8", "batch.on": "true", "steps": "4:number", "pair(0)": "5:int64",
             "pair(1)[0]": (6,)}  # fmt: skip
    words = ["batch.image=3x8", "batch.on=true", "steps=4:number", "pair(0)=5:int64",
             "pair(1)[0]=6"]  # fmt: skip
    assert input_specs(nested) == input_specs(paths) == input_specs(words)


class Anything(nn.Module):
    def forward(self, **given):
        return given


def made(*texts, root=None, batch=2):
    return tensors_for(input_specs(list(texts)), batch, root or Anything())[1]


def test_paths_make_dicts_lists_and_tuples_of_tensors_and_values():
    found = made("batch.image=3x8", "batch.on=true", "images[1]=4", "images[0]=5", "pair(0)=6",
                 "pair(1)=fast", "deep.a[0](0).b=7")  # fmt: skip
    assert found["batch"]["image"].shape == (2, 3, 8)
    assert found["batch"]["on"] is True
    assert [tuple(one.shape) for one in found["images"]] == [(2, 5), (2, 4)]
    assert type(found["pair"]) is tuple
    assert found["pair"][1] == "fast"
    assert found["deep"]["a"][0][0]["b"].shape == (2, 7)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["x=3", "x=3"], "x is given twice"),
        (["x=3", "x.a=3"], "x is given twice"),
        (["x.a=3", "x[0]=3"], "x is given twice"),
        (["x[0]=3", "x[2]=3"], "place 1 is missing"),
        (["x[1]=3"], "place 0 is missing"),
    ],
)
def test_paths_that_contradict_each_other_are_refused(texts, said):
    with pytest.raises(InputError, match=said):
        made(*texts)


def test_numbers_fill_a_tensor_or_go_through_a_range():
    found = made("a=3:int64=64", "b=3=0.5", "c=5:int32=-1..2", "d=2=0..9", "e=4:bool=1", batch=1)
    assert found["a"].tolist() == [[64, 64, 64]]
    assert found["b"].tolist() == [[0.5, 0.5, 0.5]]
    assert found["c"].tolist() == [[-1, 0, 1, -1, 0]]
    assert found["c"].dtype == torch.int32
    assert found["d"].dtype == torch.int64
    assert found["e"].all()


@pytest.mark.parametrize("text", ["a=3:int8=1000", "a=3:uint8=0..257", "a=99999x99999:int64=1"])
def test_numbers_that_no_tensor_holds_are_refused(text):
    with pytest.raises(InputError, match="too large for any tensor"):
        made(text)


class Steps(nn.Module):
    def forward(self, a: int, b: float | None = None, c=3, d=None, *, e: int = 5, f=0):
        return a


def test_whole_number_is_a_number_where_forward_says_so_else_a_shape():
    found = made("a=4", "b=4", "c=4", "d=4", "e=4", "f=4:int64", root=Steps())
    assert [found[name] for name in "abce"] == [4, 4, 4, 4]
    assert found["d"].shape == found["f"].shape == (2, 4)


def test_forward_with_a_dict_runs_on_its_parts():
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, batch, steps: int):
            for _ in range(steps):
                seen = self.conv(batch["image"])
            return seen * batch["mask"]

    one = archstat.analyze(
        Nested(), {"batch": {"image": (3, 8, 8), "mask": "1x8x8:bool"}, "steps": 3}
    )
    assert one.totals["macs"] == 3 * (4 * 8 * 8) * (3 * 3 * 3)
    assert one.input == "batch.image=1x3x8x8, batch.mask=1x1x8x8:bool"


@pytest.mark.parametrize(
    "given",
    [3, 2.5, b"3x8x8", (3, 8.0), (3, "8"), (True, 8), {"x": b"5"}, {5: "3"}, [None], "",
     "3x", "3x8:quaternion", (0, 8), (3, -8), {"x": {"a b": "3"}}, {"x": ["3x", "4"]}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_shape_is_refused(given):
    with pytest.raises(InputError):
        input_specs(given)


def test_tensor_is_refused_with_what_takes_one():
    with pytest.raises(InputError, match=r"archstat\.capture"):
        input_specs(torch.zeros(1, 3, 8, 8))


# -- guesses ---------------------------------------------------------------------------------------


class TwoImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, left, right):
        return self.conv(left) + self.conv(right)


class KeywordOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, *, image):
        return self.conv(image)


class WithOptional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, x, mask=None, *, scale=1.0):
        return self.fc(x) * scale


class FixedSize(nn.Module):
    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = nn.Linear(4 * side * side, 10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class ImageOfRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(28 * 28, 10)

    def forward(self, x):
        batch, _, _, _ = x.shape
        return self.fc(x.reshape(batch, -1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Conv1d(4, 8, 3), ["4x1000"]),
        (nn.Conv2d(3, 8, 3), ["3x224x224"]),
        (nn.Conv3d(3, 8, 3), ["3x16x112x112"]),
        (nn.Linear(6, 2), ["6"]),
        (nn.Embedding(100, 8), ["128:int64"]),
        (nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 2)), ["128:int64"]),
        (nn.LSTM(6, 8), ["128x6"]),
        (nn.GRU(6, 8, batch_first=True), ["128x6"]),
        (nn.RNN(6, 8, num_layers=2), ["128x6"]),
        (TwoImages(), ["left=3x224x224", "right=3x224x224"]),
        (KeywordOnly(), ["image=3x224x224"]),
        (WithOptional(), ["6"]),
        (FixedSize(3, 32), ["3x32x32"]),
        (FixedSize(1, 28), ["1x28x28"]),
        (ImageOfRows(), ["1x28x28"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10)), ["784"]),
        (nn.Conv2d(3, 8, 3, dtype=torch.bfloat16), ["3x224x224"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "-".join(value),
)
def test_guess_is_an_input_that_runs(model, expected):
    specs = working_inputs(model, 2)
    assert specs is not None
    assert [str(spec) for spec in specs] == expected
    args, kwargs = tensors_for(specs, 2, model)
    assert capture(model, *args, **kwargs).outputs


@pytest.mark.parametrize(
    ("model", "refused", "expected"),
    [
        (nn.Conv2d(3, 8, 3), (1, 3, 40, 48), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (1, 40, 48, 3), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (40, 48, 3), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (1, 40, 48), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (40, 48), "3x40x48"),
        (nn.Conv1d(3, 8, 3), (1, 40), "3x40"),
        (nn.Conv3d(3, 8, 3), (1, 3, 4, 5, 6), "3x4x5x6"),
        (nn.Linear(6, 8), (4, 5), "4x6"),
        (nn.LSTM(6, 8), (4, 5), "4x6"),
        (nn.Embedding(9, 4), (40,), "40:int64"),
        (FixedSize(3, 32), (1, 3, 64, 64), "3x32x32"),
    ],
    ids=str,
)
def test_guess_is_like_what_was_refused(model, refused, expected):
    specs = working_inputs(model, 2, (InputSpec(refused),))
    assert specs is not None
    assert [str(spec) for spec in specs] == [expected]


@pytest.mark.parametrize(("name", "said"), [("lft", "Did you mean left"), ("zzz", "left, right")])
def test_input_of_a_name_that_forward_lacks_gets_the_nearest(name, said):
    with pytest.raises(InputError, match=said):
        tensors_for([InputSpec((3, 8, 8), name=name)], 1, TwoImages())


def test_forward_that_takes_any_name_is_believed():
    class Free(nn.Module):
        def forward(self, **inputs):
            return inputs["image"]

    _, named = tensors_for([InputSpec((3,), name="image")], 1, Free())
    assert named["image"].shape == (1, 3)


def test_model_that_runs_with_nothing_known_gets_no_guess():
    class Stubborn(nn.Module):
        def forward(self, x):
            raise ValueError("never")

    assert working_inputs(Stubborn(), 1) is None


def test_guessing_leaves_the_model_alone():
    model = FixedSize(3, 32).train()
    model.conv.requires_grad_(False)
    before = {name: (id(t), t._version) for name, t in model.state_dict(keep_vars=True).items()}
    generator = torch.get_rng_state()
    working_inputs(model, 1)
    after = {name: (id(t), t._version) for name, t in model.state_dict(keep_vars=True).items()}
    assert after == before
    assert model.training
    assert torch.equal(torch.get_rng_state(), generator)
